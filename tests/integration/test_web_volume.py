"""Volumes over HTTP: what is told, planes, views, points, and what is refused."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless

from e2e.house import House, house
from integration.dicomweb_archive import BOUNDARY, multipart
from pacs_cloud.audit.reading import events
from pacs_cloud.bootstrap.accounts import api_keys_of
from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.objectstore.port import Availability
from pacs_cloud.retrieve import volumes, volumes_room
from pacs_cloud.retrieve.volumes_room import VolumesRoom
from pacs_cloud.security.audit_event import Kind
from pacs_cloud.security.caller import Grant, Role
from pacs_cloud.tiering.recall.marks import key_of
from patience import PATIENCE_S
from recall_samples import chill
from volume_samples import STUDY, enhanced, part10, ramp, series_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

BUDGET = 16 << 20
CONTENT = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


def path_of(study: str = STUDY) -> str:
    return f"/light/studies/{study}/series/{study}.1/volume"


@dataclass
class Site:
    """An archive, and somebody who may look at everything in it."""

    house: House
    client: httpx.AsyncClient

    async def store(self, series: Sequence[Dataset]) -> None:
        answer = await self.client.post(
            "/dicom-web/studies",
            headers={"content-type": CONTENT},
            content=multipart(*map(part10, series)),
        )
        assert answer.status_code in {200, 202}, answer.text[:2000]

    async def told(self, study: str = STUDY) -> dict[str, Any]:
        """Return what is told of a volume that is there, or is never going to be."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                answer = await self.client.get(path_of(study))
                assert answer.status_code == 200, answer.text
                told = answer.json()
                if told["state"] != "loading":
                    return told
                assert 0 <= told["progress"] <= 1
                await asyncio.sleep(0.02)

    async def plane(self, study: str, at: int = 0) -> httpx.Response:
        query = {"plane": "axial", "at": at, "window": "0,2000"}
        accept = {"accept": "image/png"}
        return await self.client.get(f"{path_of(study)}/plane", params=query, headers=accept)

    def processes(self) -> set[int]:
        """Return the ids of the processes that hold volumes."""
        found: set[int] = set()
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                is_ours = f"PPid:\t{os.getpid()}\n" in (entry / "status").read_text()
                if is_ours and b"volumes_process" in (entry / "cmdline").read_bytes():
                    found.add(int(entry.name))
            except OSError:
                continue
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        folder = tmp_path_factory.mktemp("volumes")
        slow = f"file://{folder}/objects?recall_delay_s=10000"
        served = await stack.enter_async_context(house(folder, volume_bytes=BUDGET, objects=slow))
        keys = api_keys_of(served.settings, served.stores.objects)
        _, secret = await keys.create(
            [Grant(Role.RADIOLOGIST), Grant(Role.TECHNOLOGIST)],
            until_us=now_us() + 3_600_000_000,
            note="test",
        )
        client = httpx.AsyncClient(
            base_url=served.url,
            headers={"authorization": f"Bearer {secret}"},
            trust_env=False,
            timeout=PATIENCE_S,
        )
        found = Site(served, await stack.enter_async_context(client))
        await found.store(series_of(spacing=(2.0, 1.0, 1.5)))
        yield found


async def test_a_series_is_seen_as_a_volume(site: Site) -> None:
    told = await site.told()
    assert told["state"] == "ready"
    assert (told["shape"], told["spacing"]) == ([10, 12, 14], [2.0, 1.0, 1.5])
    assert told["planes"]["coronal"] == {
        "count": 12,
        "width": 14,
        "height": 13,
        "mm": [1.5, 20 / 13],
        "labels": {"left": "R", "right": "L", "top": "H", "bottom": "F"},
    }
    assert told["window"] == {"center": 40.0, "width": 400.0}
    assert -300 < told["range"][0] < told["range"][1] < 300
    assert told["views"] == ["bone", "soft-tissue", "vessels", "lung", "mip"]
    assert told["notes"] == []


async def test_a_plane_shows_what_was_measured_there(site: Site) -> None:
    await site.told()
    answer = await site.plane(STUDY, at=9)  # from the head on: the slice that was first
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["cache-control"] == "private, no-cache"
    shown = np.asarray(Image.open(BytesIO(answer.content)))
    row, column = np.mgrid[0:12, 0:14]
    places = np.stack([column * 1.5 - 10, row - 7.0, 0.0 * row + 5], axis=-1)
    want = np.clip(ramp(places) / 1999 * 255 + 127.5, 0, 255).astype(np.uint8)
    want = np.asarray(Image.fromarray(want).resize((21, 12), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(shown.astype(int), want, atol=2)


async def test_a_picture_is_not_sent_twice(site: Site) -> None:
    await site.told()
    query = {"plane": "coronal", "at": 3, "mode": "mip", "slab": 5, "size": 16}
    first = await site.client.get(f"{path_of()}/plane", params=query)
    assert first.headers["content-type"] == "image/jpeg"
    assert Image.open(BytesIO(first.content)).size == (14, 13)
    known = {"if-none-match": first.headers["etag"]}
    again = await site.client.get(f"{path_of()}/plane", params=query, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    other = {**query, "size": 17, "window": "1,2"}
    assert (await site.client.get(f"{path_of()}/plane", params=other, headers=known)).is_success


async def test_a_view_is_square_and_a_point_tells_its_value(site: Site) -> None:
    await site.told()
    query = {"preset": "bone", "size": 64, "yaw": 30, "pitch": -20, "zoom": 1.5}
    view = await site.client.get(f"{path_of()}/view", params=query)
    assert Image.open(BytesIO(view.content)).size == (64, 64)
    at = {"plane": "axial", "at": 9, "x": 0.75, "y": 0.5}
    point = (await site.client.get(f"{path_of()}/point", params=at)).json()
    assert point["mm"] == pytest.approx([-10, -7, 5], abs=0.01)
    assert point["value"] == pytest.approx(float(ramp(np.array([-10.0, -7.0, 5.0]))), abs=1)
    assert point["at"] == {"axial": 9, "coronal": 0, "sagittal": 0}


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("plane?at=0", "plane"),
        ("plane?plane=up&at=0", "plane"),
        ("plane?plane=axial", "at"),
        ("plane?plane=axial&at=x", "at"),
        ("plane?plane=axial&at=-1", "at"),
        ("plane?plane=axial&at=1.5", "at"),
        ("plane?plane=axial&at=10", "at"),
        ("plane?plane=axial&at=0&mode=3d", "mode"),
        ("plane?plane=axial&at=0&slab=nan", "slab"),
        ("plane?plane=axial&at=0&window=1", "window"),
        ("plane?plane=axial&at=0&window=1,0", "window"),
        ("plane?plane=axial&at=0&window=1,inf", "window"),
        ("plane?plane=axial&at=0&size=0", "size"),
        ("plane?plane=axial&at=0&size=100000", "size"),
        ("plane?plane=axial&at=0&quality=101", "quality"),
        ("plane?plane=axial&at=0&yaw=1000", "yaw"),
        ("plane?plane=axial&at=0&at=1", "at"),
        ("plane?plane=axial&at=0&colour=1", "no such parameter"),
        ("view?pitch=100", "pitch"),
        ("view?zoom=0", "zoom"),
        ("view?preset=hair", "preset"),
        ("view?size=4096", "size"),
        ("point?plane=axial&at=0&x=1", "y"),
        ("point?plane=axial&at=0&x=1&y=inf", "y"),
    ],
)
async def test_what_cannot_be_understood_is_named(site: Site, path: str, word: str) -> None:
    await site.told()
    answer = await site.client.get(f"{path_of()}/{path}")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].lower().startswith((f"{word}:", f"there is {word}"))


async def test_a_volume_is_loaded_once_however_many_ask(site: Site) -> None:
    study = f"{STUDY}.20"
    await site.store(series_of(study=study, shape=(40, 64, 64)))
    before = site.processes()
    answers = await asyncio.gather(*(site.client.get(path_of(study)) for _ in range(6)))
    assert {one.json()["state"] for one in answers} <= {"loading", "ready"}
    assert (await site.told(study))["state"] == "ready"
    assert len(site.processes() - before) == 1


async def test_what_becomes_no_part_of_it_is_told(site: Site) -> None:
    study = f"{STUDY}.47"
    series = series_of(study=study)
    del series[0].ImagePositionPatient
    series[1].PhotometricInterpretation = "PALETTE COLOR"
    series[2].NumberOfFrames, series[2].PixelData = 1, series[2].PixelData[:-8]
    await site.store(series)
    told = await site.told(study)
    assert (told["state"], told["shape"][0]) == ("ready", 7)
    assert told["notes"] == ["3 images that no volume can be made of: left out."]


async def test_pictures_are_of_the_series_as_it_was_told(site: Site) -> None:
    study = f"{STUDY}.48"
    series = series_of(study=study, shape=(11, 12, 14))
    await site.store(series[:10])
    query = {"plane": "axial", "at": 0, "id": (await site.told(study))["id"]}
    assert (await site.client.get(f"{path_of(study)}/plane", params=query)).status_code == 200
    await site.store(series[10:])  # now "at" is another place
    point = {**query, "x": 1, "y": 1}
    for end, asked in (("plane", query), ("view", {"id": query["id"]}), ("point", point)):
        answer = await site.client.get(f"{path_of(study)}/{end}", params=asked)
        assert answer.status_code == 410
        assert answer.json()["title"] == "This series has changed"
    assert (await site.told(study))["shape"][0] == 11


async def test_where_the_folder_was_deleted_volumes_are_loaded_again(site: Site) -> None:
    await site.told()
    await asyncio.to_thread(shutil.rmtree, site.house.settings.data.absolute() / "volumes")
    assert (await site.told())["state"] == "ready"
    assert (await site.plane(STUDY)).status_code == 200


async def test_a_picture_that_is_asked_for_first_has_the_volume_loaded(site: Site) -> None:
    study = f"{STUDY}.21"
    await site.store(series_of(study=study))
    answer = await site.plane(study)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["title"] == "The volume is being loaded"
    assert (await site.told(study))["state"] == "ready"
    assert (await site.plane(study)).status_code == 200


async def test_the_end_of_one_volumes_process_hurts_no_other(site: Site) -> None:
    study = f"{STUDY}.22"
    await site.store(series_of(study=study))
    await site.told()
    others = site.processes()
    await site.told(study)
    (process,) = site.processes() - others
    before = await site.plane(study)
    os.kill(process, signal.SIGKILL)
    await asyncio.sleep(0.05)
    assert (await site.plane(STUDY)).status_code == 200
    assert (await site.told(study))["state"] == "ready"  # loaded again
    again = await site.plane(study)
    assert again.content == before.content
    assert process not in site.processes()


async def test_a_process_that_hangs_hurts_no_other(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, comes = f"{STUDY}.28", f"{STUDY}.29"
    for study in (hangs, comes):
        await site.store(series_of(study=study))
    await site.told()
    others = site.processes()
    await site.told(hangs)
    (process,) = site.processes() - others
    monkeypatch.setattr(volumes_room, "_ANSWER_S", 0.5)
    monkeypatch.setattr(volumes, "_ANSWER_S", 2.0)
    os.kill(process, signal.SIGSTOP)
    waiting = [asyncio.create_task(site.plane(hangs, at)) for at in range(10)]
    await asyncio.sleep(0.1)
    assert (await site.plane(STUDY)).status_code == 200
    assert (await site.client.get(path_of(comes))).json()["state"] == "loading"
    assert not any(task.done() for task in waiting)
    assert {task.status_code for task in await asyncio.gather(*waiting)} == {503}
    monkeypatch.undo()
    assert (await site.told(comes))["state"] == "ready"
    assert (await site.told(hangs))["state"] == "ready"  # by another process
    assert process not in site.processes()


async def test_a_compressed_series_is_the_same_volume(site: Site) -> None:
    plain, packed = f"{STUDY}.23", f"{STUDY}.24"
    await site.store(series_of(study=plain))
    compressed = series_of(study=packed)
    for one in compressed:
        one.compress(RLELossless, generate_instance_uid=False)
    await site.store(compressed)
    await site.told(plain)
    assert (await site.told(packed))["state"] == "ready"
    for at in (0, 5):
        assert (await site.plane(plain, at)).content == (await site.plane(packed, at)).content


async def test_one_image_of_many_frames_is_the_same_volume(site: Site) -> None:
    plain, whole = f"{STUDY}.25", f"{STUDY}.26"
    await site.store(series_of(study=plain))
    mixed = series_of(study=whole)
    await site.store([enhanced([mixed[n] for n in (3, 1, 4, 0, 9, 2, 6, 5, 8, 7)])])
    await site.told(plain)
    assert (await site.told(whole))["state"] == "ready"
    for at in (0, 5):
        assert (await site.plane(plain, at)).content == (await site.plane(whole, at)).content


async def test_what_needs_more_memory_than_there_is_comes_coarser_and_says_so(site: Site) -> None:
    study = f"{STUDY}.33"
    await site.store(series_of(study=study, shape=(20, 700, 700)))
    told = await site.told(study)
    assert told["state"] == "ready"
    assert (told["shape"], told["spacing"]) == ([20, 350, 350], [2.0, 2.0, 3.0])
    assert told["notes"] == ["Coarser than acquired, which would take 18 MiB of memory."]


async def test_numbers_with_fractions_are_a_volume(site: Site) -> None:
    study = f"{STUDY}.27"
    series = series_of(study=study)
    for one in series:
        values = np.frombuffer(one.PixelData, np.uint16) / np.float32(4)
        one.FloatPixelData = values.astype(np.float32).tobytes()
        one.BitsAllocated, one.RescaleIntercept = 32, -256
        del one.PixelData, one.BitsStored, one.HighBit, one.PixelRepresentation
    await site.store(series)
    assert (await site.told(study))["state"] == "ready"
    at = {"plane": "axial", "at": 9, "x": 0.75, "y": 0.5}
    point = (await site.client.get(f"{path_of(study)}/point", params=at)).json()
    here = float(ramp(np.array([-10.0, -7.0, 5.0])))
    assert point["value"] == pytest.approx(here / 4, abs=0.3)


@pytest.mark.parametrize(
    ("number", "attributes", "words"),
    [
        (30, {"ImagePositionPatient": None}, "do not say where"),
        (31, {"PhotometricInterpretation": "PALETTE COLOR"}, "colour"),
        (32, {"Rows": 40_000, "Columns": 40_000}, "cut short"),
    ],
)
async def test_what_is_no_volume_says_why(
    site: Site, number: int, attributes: dict[str, Any], words: str
) -> None:
    study = f"{STUDY}.{number}"
    await site.store(series_of(study=study, shape=(4, 12, 14), **attributes))
    told = await site.told(study)
    assert told["state"] == "impossible"
    assert words in told["reason"]
    answer = await site.plane(study)
    assert answer.status_code == 406
    assert words in answer.json()["detail"]


@pytest.mark.parametrize(
    ("side", "words"),
    [(30_000, "too large"), (5000, "too large"), (2000, "images cannot be read")],
)
async def test_sizes_that_are_lies_take_no_memory(site: Site, side: int, words: str) -> None:
    study = f"{STUDY}.{side}"
    series = series_of(study=study, shape=(4, 12, 14), Rows=side, Columns=side)
    for one in series:
        one.PixelData = encapsulate([bytes(range(256))])
        one["PixelData"].is_undefined_length = True
        one.file_meta.TransferSyntaxUID = RLELossless
    await site.store(series)
    before = site.processes()
    told = await site.told(study)
    assert told["state"] == "impossible"
    assert words in told["reason"]
    for process in site.processes() - before:
        status = (Path("/proc") / str(process) / "status").read_text()
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        assert int(resident.split()[1]) < 120_000


async def test_where_others_use_the_memory_one_may_come_later(site: Site) -> None:
    study = f"{STUDY}.40"
    await site.store(series_of(study=study))
    # As another web process of this archive would: only its volume is in the way.
    room = VolumesRoom(site.house.settings.data.absolute() / "volumes", 1 << 40, 60)
    held = await asyncio.to_thread(room.claim, "other", BUDGET)
    assert held is not None
    try:
        answer = await site.client.get(path_of(study))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
        assert answer.json()["title"] == "Others are looking at volumes"
    finally:
        await asyncio.to_thread(held.end)
        room.close()
    assert (await site.told(study))["state"] == "ready"


async def test_what_lies_cold_is_recalled(site: Site) -> None:
    study = f"{STUDY}.41"
    await site.store(series_of(study=study))
    stores = site.house.stores
    await chill(stores.objects, stores.catalogue, study, tenant="default")
    before = site.processes()
    for end in ("", "/plane?plane=axial&at=0"):
        answer = await site.client.get(path_of(study) + end)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 60
        assert answer.json()["title"] == "These images lie in a cold tier"
    assert site.processes() == before
    (pack,) = await stores.catalogue.packs("default", study)
    info = await stores.objects.head(key_of(pack).pack)
    assert info.availability is Availability.RESTORING


async def test_whoever_looks_is_on_record_once_a_minute(site: Site) -> None:
    study = f"{STUDY}.42"
    await site.store(series_of(study=study))
    await site.told(study)
    for at in range(10):
        assert (await site.plane(study, at)).status_code == 200
    settings = site.house.settings
    seen = [
        one
        async for one, _ in events(
            site.house.stores.objects, settings.audit_journals, settings.tenant
        )
        if one.kind is Kind.READ and study in one.studies
    ]
    assert len(seen) == 1


async def test_a_stranger_sees_none_and_nobody_sees_what_is_not_there(site: Site) -> None:
    async with httpx.AsyncClient(base_url=site.house.url, trust_env=False) as stranger:
        for end in ("", "/plane?plane=axial&at=0", "/view", "/point?plane=axial&at=0&x=0&y=0"):
            assert (await stranger.get(path_of() + end)).status_code == 401
            absent = await site.client.get(path_of("1.2.3.4.5") + end)
            assert absent.status_code == 404
    strange = await site.client.get("/light/studies/x/series/y/volume")
    assert strange.status_code == 404


async def test_what_could_not_be_loaded_is_not_tried_at_once_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = f"{STUDY}.43"
    await site.store(series_of(study=study))
    tries: list[object] = []

    async def fail(*what: object) -> bool:
        tries.append(what)
        return False

    monkeypatch.setattr(volumes, "loaded", fail)
    before = site.processes()
    for _ in range(3):
        assert (await site.client.get(path_of(study))).json()["state"] == "loading"
        async with asyncio.timeout(PATIENCE_S):
            while not tries or site.processes() - before:
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)
    assert len(tries) == 1


async def test_what_was_killed_twice_while_it_was_loaded_is_not_tried_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = f"{STUDY}.49"
    await site.store(series_of(study=study))
    # As the kernel does where memory is short.
    program = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    monkeypatch.setattr(volumes_room, "_PROGRAM", program)
    monkeypatch.setattr(volumes, "_REST_S", 0.0)
    told: dict[str, Any] = {}
    async with asyncio.timeout(10):
        while told.get("state") != "impossible":
            told = (await site.client.get(path_of(study))).json()  # or that it has just ended
            await asyncio.sleep(0.02)
    assert "killed twice while it was loaded" in told["reason"]
    monkeypatch.undo()
    assert (await site.told(study))["state"] == "impossible"
    assert (await site.plane(study)).status_code == 406


async def test_who_waits_for_room_waits_in_nobodys_way(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies = [f"{STUDY}.{number}" for number in (44, 45, 46)]
    for study in studies:
        await site.store(series_of(study=study))
    inside: list[int] = []
    most: list[int] = []

    def claim(*what: object) -> None:
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.05)
        inside.pop()

    monkeypatch.setattr(VolumesRoom, "claim", claim)
    await asyncio.gather(*(site.client.get(path_of(study)) for study in studies))
    assert most == [1, 1, 1]  # threads
