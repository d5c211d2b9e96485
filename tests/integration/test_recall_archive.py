"""Cold studies over HTTP, DIMSE and the command line: asked for once, said when, then read."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from dicomweb_archive import accept_related, multipart
from dimse_archive import STUDY_GET, STUDY_MOVE, Got, destination, get, identifier_of, move
from dimse_archive import Running as Dimse
from pynetdicom import AE, build_context
from typer.testing import CliRunner

from catalogue_samples import TENANT
from dicomweb_samples import make_instance
from pacs_cloud.audit.reading import events
from pacs_cloud.bootstrap.dimse_role import serve_dimse
from pacs_cloud.bootstrap.ports import Reservation
from pacs_cloud.bootstrap.services import Stores, now_us
from pacs_cloud.bootstrap.web_role import serve_web
from pacs_cloud.bootstrap.worker_role import serve_worker
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.cli.getting import get_study
from pacs_cloud.cli.recall_commands import recall as recall_app
from pacs_cloud.cli.sending import send_study
from pacs_cloud.custody.findings import FindingKind
from pacs_cloud.custody.fsck import check
from pacs_cloud.objectstore.port import Availability
from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.security.audit_event import Kind
from pacs_cloud.settings import Address, Destination, Settings
from pacs_cloud.tiering.recall.demand import BeingRecalled
from pacs_cloud.tiering.recall.marks import key_of, recall_marks
from pacs_cloud.tiering.recall.tending import tend_recalls
from pacs_cloud.workqueue.sqlite import SqliteWorkQueue
from recall_samples import CountingStore, chill

STUDY = "1.2.3.1"
SERIES = ("1.2.3.1.1", "1.2.3.1.2")
FILES = [
    make_instance(f"{series}.{number}", study=STUDY, series=series, rows=32)
    for series in SERIES
    for number in (1, 2)
]
CT = "1.2.840.10008.5.1.4.1.1.2"
NEVER_S = 10_000
SOON_S = 1.0

INSTANCE = f"/studies/{STUDY}/series/{SERIES[0]}/instances/{SERIES[0]}.1"
PIXELS: list[tuple[str, dict[str, str]]] = [
    (f"/studies/{STUDY}", accept_related("application/dicom")),
    (f"/studies/{STUDY}", {"accept": "application/zip"}),
    (f"/studies/{STUDY}/series/{SERIES[0]}", accept_related("application/dicom")),
    (INSTANCE, {"accept": "application/dicom"}),
    (f"{INSTANCE}/frames/1", {"accept": "application/octet-stream"}),
    (f"{INSTANCE}/bulkdata/7FE00010", accept_related("application/octet-stream")),
    (f"/studies/{STUDY}/pixeldata", accept_related("application/octet-stream")),
    (f"{INSTANCE}/rendered", {"accept": "image/jpeg"}),
    (f"/studies/{STUDY}/rendered", accept_related("image/jpeg")),
    (
        f"/wado?requestType=WADO&studyUID={STUDY}&seriesUID={SERIES[0]}&objectUID={SERIES[0]}.1",
        {"accept": "image/jpeg"},
    ),
]
HEADERS = [
    "/studies?PatientID=P1&includefield=all",
    f"/studies/{STUDY}/series",
    f"/studies/{STUDY}/instances",
    f"/studies/{STUDY}/metadata",
    f"{INSTANCE}/metadata",
]


@dataclass
class House:
    """Stores that several processes share, and their settings."""

    settings: Settings
    stores: Stores
    objects: CountingStore

    @asynccontextmanager
    async def web(self) -> AsyncGenerator[httpx.AsyncClient]:
        """Serve HTTP; one more process's worth each time."""
        reservation = Reservation(Address(host="127.0.0.1", port=0))
        settings = self.settings.model_copy(update={"http": reservation.address})
        limits = httpx.Limits(max_connections=100)
        try:
            async with (
                serve_web(settings, self.stores),
                httpx.AsyncClient(
                    base_url=f"http://{reservation.address}/dicom-web", timeout=60, limits=limits
                ) as client,
            ):
                yield client
        finally:
            reservation.close()

    @asynccontextmanager
    async def dimse(self, **more: Any) -> AsyncGenerator[Dimse]:
        reservation = Reservation(Address(host="127.0.0.1", port=0))
        settings = self.settings.model_copy(update={"dimse": reservation.address, **more})
        try:
            async with serve_dimse(settings, self.stores):
                yield Dimse(reservation.address.port, settings, self.stores)
        finally:
            reservation.close()

    async def freeze(self, series: str | None = None) -> None:
        """Put the study into a cold class, and forget what was asked until now."""
        await chill(self.objects, self.stores.catalogue, STUDY, series=series)
        self.objects.asked.clear()

    @property
    async def pack_keys(self) -> list[str]:
        return [key_of(one).pack for one in await self.stores.catalogue.packs(TENANT, STUDY)]

    async def recalled(self) -> Counter[str]:
        return Counter(
            {key: count for (verb, key), count in self.objects.asked.items() if verb == "recall"}
        )

    async def tend(self) -> None:
        await tend_recalls(self.objects, self.stores.catalogue, now_us=now_us())


@asynccontextmanager
async def house(folder: Path, delay_s: float, **more: Any) -> AsyncGenerator[House]:
    """Open an archive that holds FILES, whose cold class takes so long."""
    objects_url = f"file://{folder}/objects?recall_delay_s={delay_s}"
    settings = Settings.model_validate(
        {
            "data": folder,
            "objects": objects_url,
            "stop_grace_s": 2,
            "pack_linger_s": 0.05,
            "no_auth": True,
            **more,
        }
    )
    async with (
        CountingStore(folder / "objects", recall_delay_s=delay_s) as objects,
        SqliteCatalogue(folder / "catalogue.sqlite") as catalogue,
        SqliteWorkQueue(folder / "queue.sqlite") as queue,
    ):
        made = House(settings, Stores(objects, catalogue, queue), objects)
        async with made.web() as client:
            stored = await client.post(
                "/studies",
                content=multipart(*FILES),
                headers={
                    "content-type": 'multipart/related; type="application/dicom"; '
                    "boundary=a-boundary"
                },
            )
            assert stored.status_code == 200, stored.text
        yield made


def problem_of(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 503, (response.request.url, response.text[:200])
    assert response.headers["content-type"] == "application/problem+json"
    return response.json()


async def test_pixels_of_a_cold_study_are_503_and_the_rest_answers_as_ever(tmp_path: Path) -> None:
    async with house(tmp_path, NEVER_S) as made, made.web() as client:
        hot = [(await client.get(url, headers=accept)).status_code for url, accept in PIXELS]
        assert set(hot) == {200}
        before = [(await client.get(url)).content for url in HEADERS]
        await made.freeze()
        # Another process, which has kept nothing in memory.
        async with made.web() as fresh:
            after = [await fresh.get(url) for url in HEADERS]
            assert not made.objects.count("get", "packs/")
            assert not made.objects.count("recall")
            assert [one.status_code for one in after] == [200] * len(HEADERS)
            assert b"NEARLINE" in after[0].content
            mended = [one.content.replace(b"NEARLINE", b"ONLINE") for one in after]
            port = str(fresh.base_url).encode(), str(client.base_url).encode()
            assert [one.replace(*port) for one in mended] == before

            thumbnail = problem_of(await fresh.get(f"{INSTANCE}/thumbnail"))
            assert thumbnail["state"] == "offline"
            assert not made.objects.count("recall")
            made.objects.asked.clear()

            for url, accept in PIXELS:
                response = await fresh.get(url, headers=accept)
                problem = problem_of(response)
                assert problem["state"] == "restoring"
                assert problem["since"] < problem["expected"]
                assert (problem["packs"], problem["arrived"]) == (2, 0)
                assert response.headers["retry-after"] == "3600"
                assert (await fresh.head(url, headers=accept)).status_code == 503
            assert not made.objects.count("get", "packs/")
            assert await made.recalled() == Counter(await made.pack_keys)
        findings = [one async for one in check(made.objects, made.stores.catalogue)]
        assert FindingKind.COLD in {one.kind for one in findings}
        assert not any(one.is_fault or one.key.startswith("recalls/") for one in findings)


async def test_five_hundred_readers_cause_one_restore_of_each_pack(tmp_path: Path) -> None:
    async with house(tmp_path, NEVER_S) as made, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(made.web()) for _ in range(2)]
        await made.freeze()
        urls = [PIXELS[number % len(PIXELS)] for number in range(500)]
        answers = await asyncio.gather(
            *(
                clients[number % 2].get(url, headers=accept)
                for number, (url, accept) in enumerate(urls)
            )
        )
        assert {one.status_code for one in answers} == {503}
        assert await made.recalled() == Counter(await made.pack_keys)


async def test_what_is_hot_of_a_study_is_read_and_the_whole_is_refused_at_once(
    tmp_path: Path,
) -> None:
    async with house(tmp_path, NEVER_S) as made, made.web() as client:
        await made.freeze(SERIES[1])
        hot = await client.get(f"/studies/{STUDY}/series/{SERIES[0]}")
        assert hot.status_code == 200
        assert not made.objects.count("recall")
        problem_of(await client.get(f"/studies/{STUDY}"))
        assert sum((await made.recalled()).values()) == 1


async def test_what_a_lifecycle_moved_unseen_is_noted_and_recalled(tmp_path: Path) -> None:
    async with house(tmp_path, NEVER_S) as made, made.web() as client:
        first, second = await made.pack_keys
        for key in (first, second):
            await made.objects.move(key, StorageClass.DEEP_ARCHIVE)
        url = f"/studies/{STUDY}/series/{SERIES[0]}"
        answers = await asyncio.gather(*(client.get(url) for _ in range(20)))
        assert {problem_of(one)["state"] for one in answers} == {"offline"}
        assert {one.headers["retry-after"] for one in answers} == {"1"}
        assert not made.objects.count("recall")
        assert problem_of(await client.get(url))["state"] == "restoring"
        assert await made.recalled() == {first: 1}
        packs = await made.stores.catalogue.packs(TENANT, STUDY)
        assert [one.storage_class for one in packs] == ["DEEP_ARCHIVE", "STANDARD"]
        assert b"NEARLINE" in (await client.get(HEADERS[0])).content


async def test_it_is_read_when_it_has_come(tmp_path: Path) -> None:
    async with house(tmp_path, SOON_S) as made, made.web() as client:
        before = [(await client.get(url, headers=accept)).content for url, accept in PIXELS]
        await made.freeze()
        url, accept = PIXELS[0]
        while (answer := await client.get(url, headers=accept)).status_code != 200:
            problem_of(answer)
            await asyncio.sleep(float(answer.headers["retry-after"]) / 4)
        after = [(await client.get(url, headers=accept)).content for url, accept in PIXELS]
        assert after == before
        assert b"NEARLINE" in (await client.get(HEADERS[0])).content
        await made.tend()
        assert b"NEARLINE" not in (await client.get(HEADERS[0])).content
        assert sum((await made.recalled()).values()) == 2


async def test_c_move_and_c_get_are_refused_with_the_time(tmp_path: Path) -> None:
    async with house(
        tmp_path, NEVER_S, destinations=(Destination(aet="THEIRS", host="127.0.0.1", port=1),)
    ) as made:
        await made.freeze()
        async with made.dimse() as dimse:
            identifier = identifier_of("STUDY", StudyInstanceUID=STUDY)
            moved = await asyncio.to_thread(move, dimse, STUDY_MOVE, identifier, "THEIRS")
            got = await asyncio.to_thread(get, dimse, STUDY_GET, identifier, [build_context(CT)])
        for one in (moved, got):
            assert one.status == 0xA702
            assert one.responses[-1][0].ErrorComment.startswith("it is being recalled, expected by")
        assert await made.recalled() == Counter(await made.pack_keys)


async def test_c_move_waits_and_completes(tmp_path: Path) -> None:
    kept = Got()
    with destination([build_context(CT)], kept.keep) as port:
        peers = (Destination(aet="THEIRS", host="127.0.0.1", port=port),)
        async with house(tmp_path, SOON_S, destinations=peers, recall_c_move="wait") as made:
            await made.freeze()
            async with made.dimse() as dimse:
                identifier = identifier_of("STUDY", StudyInstanceUID=STUDY)
                moved = await asyncio.to_thread(move, dimse, STUDY_MOVE, identifier, "THEIRS")
            first, last = moved.responses[0][0], moved.responses[-1][0]
            assert (first.Status, first.NumberOfRemainingSuboperations) == (0xFF00, 4)
            assert (last.Status, last.NumberOfCompletedSuboperations) == (0, 4)
            assert len(kept.by_uid) == 4
            assert sum((await made.recalled()).values()) == 2
            assert (await made.stores.queue.depth()).ready == 0


@pytest.mark.parametrize("why", ["gone", "bound", "cancelled"])
async def test_a_c_move_nobody_waits_for_is_completed_by_the_worker(
    tmp_path: Path, why: str
) -> None:
    kept, begun = Got(), threading.Event()
    with destination([build_context(CT)], kept.keep) as port:
        peers = (Destination(aet="THEIRS", host="127.0.0.1", port=port),)
        more: dict[str, Any] = {"recall_wait_s": 0} if why == "bound" else {}
        async with house(
            tmp_path, SOON_S, destinations=peers, recall_c_move="wait", **more
        ) as made:
            await made.freeze()
            async with made.dimse() as dimse:

                def ask() -> int | None:
                    ae = AE("THEIRS")
                    ae.requested_contexts = [build_context(STUDY_MOVE)]
                    association = ae.associate("127.0.0.1", dimse.port, ae_title="PACS")
                    identifier = identifier_of("STUDY", StudyInstanceUID=STUDY)
                    for status, _ in association.send_c_move(identifier, "THEIRS", STUDY_MOVE):
                        begun.set()
                        if status.Status != 0xFF00:
                            association.release()
                            return status.Status
                        if why == "gone":
                            association.abort()
                            return None
                        association.send_c_cancel(1, query_model=STUDY_MOVE)
                    return None

                status = await asyncio.to_thread(ask)
                assert status == {"gone": None, "bound": 0xA702, "cancelled": 0xFE00}[why]
            root = made.settings.data / "audit"
            sent = [one async for one, _ in events(made.objects, root, TENANT)]
            assert [
                (one.studies, one.instances, one.details) for one in sent if one.kind is Kind.SEND
            ] == [((STUDY,), 4, (("destination", "THEIRS"),))]
            # The server has stopped: what it left, it left in the queue.
            assert (await made.stores.queue.depth()).ready == (0 if why == "cancelled" else 1)
            if why != "cancelled":
                async with serve_worker(made.settings, made.stores):
                    while len(kept.by_uid) < 4:
                        await asyncio.sleep(0.05)
                    while (await made.stores.queue.depth()).leased:
                        await asyncio.sleep(0.05)
            assert sum((await made.recalled()).values()) == 2


async def test_get_and_send_ask_for_what_is_cold(tmp_path: Path) -> None:
    async with house(tmp_path, NEVER_S) as made:
        await made.freeze()
        output = tmp_path / "out"
        for command in (
            lambda: get_study(made.settings, STUDY, output, as_json=True),
            lambda: send_study(made.settings, STUDY, "THEIRS@127.0.0.1:1", as_json=True),
        ):
            with pytest.raises(BeingRecalled, match="expected by"):
                await asyncio.to_thread(command)
        assert not output.exists()
        marks = [mark.pack.pack async for some in recall_marks(made.objects) for mark in some]
        assert marks == await made.pack_keys
        for key in marks:
            assert (await made.objects.head(key)).availability is Availability.RESTORING


async def test_the_command_line(tmp_path: Path) -> None:
    async with house(tmp_path, SOON_S) as made:
        config = tmp_path / "pacs.toml"
        config.write_text(f'objects = "{made.settings.objects_url}"\n', encoding="utf-8")

        async def run(*words: str) -> tuple[int, list[dict[str, Any]]]:
            more = ["--data", str(tmp_path), "--config", str(config), "--json"]
            result = await asyncio.to_thread(CliRunner().invoke, recall_app, [*words, *more])
            lines = [json.loads(line) for line in result.stdout.splitlines()]
            return result.exit_code, lines

        assert await run("list") == (0, [])
        await made.freeze()
        assert (await run("wait", STUDY))[0] == 1
        code, (begun,) = await run("start", STUDY, "--series", SERIES[0])
        assert (code, begun["state"], begun["packs"]) == (0, "offline", 2)
        code, (asked,) = await run("start", STUDY, "--speed", "Bulk", "--days", "3")
        assert (code, asked["state"], asked["arrived"]) == (0, "restoring", 0)
        assert asked["since"] <= asked["expected"]
        code, (waited,) = await run("wait", STUDY)
        assert (code, waited["state"], waited["arrived"]) == (0, "online", 2)
        assert waited["until"] > asked["expected"]
        assert await run("list") == (0, [waited])
        async with made.web() as client:
            assert (await client.get(f"/studies/{STUDY}")).status_code == 200
        assert await run("priors", STUDY, "--newest", "2") == (0, [])
