"""Chosen studies over HTTP: who may send, download and recall which, and what goes on record."""

import asyncio
import io
import re
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from e2e.house import House, house
from integration.house_visitors import visitor
from integration.share_house import instance_file
from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.custody.walk import KNOWN
from pacs_cloud.errors import NotFound
from pacs_cloud.identity.devices import Device, DeviceDestination, DeviceState, write_device
from pacs_cloud.routing.sends import SendEntry, SendState, What, enter, purge_ended, sendings_of
from pacs_cloud.security.caller import Action, Grant, Role
from pacs_cloud.security.rules import StudyRule
from pacs_cloud.tiering.pins import pin_of
from pacs_cloud.tiering.recall.listing import StudyRecall, recall_of
from pacs_cloud.web.studies import asides
from pacs_cloud.workers.send_recalled import KIND
from patience import PATIENCE_S
from recall_samples import chill
from web_site import Browser, visible

MINE, OTHER, COLD = "1.2.826.0.1.41", "1.2.826.0.1.42", "1.2.826.0.1.43"
HOUR_S = 3600


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[House]:
    options: dict[str, Any] = {
        "objects": f"file://{tmp_path}/data/objects?recall_delay_s={HOUR_S}",
        "destinations": ({"aet": "READING", "host": "127.0.0.1", "port": 1},),
    }
    async with house(tmp_path, **options) as made:
        names = {MINE: "MINE^MIA", OTHER: "OTHER^OTTO", COLD: "COLD^CORA"}
        files = [instance_file(uid, PatientName=name) for uid, name in names.items()]
        other = instance_file(COLD, 2, PatientName=names[COLD], SeriesInstanceUID=f"{COLD}.2")
        await made.store([*files, other])
        await chill(made.stores.objects, made.stores.catalogue, COLD, tenant="default")
        device = Device(
            "default", "THEATRE", ("10.0.0.0/8",), destination=DeviceDestination("10.0.0.1", 104)
        )
        await write_device(made.stores.objects, device, DeviceState(), by="test", now_us=1)
        yield made


async def signed_in(archive: House, name: str, *grants: Grant) -> Browser:
    return await visitor(archive, Browser(archive.url), name, *grants)


def records(archive: House) -> list[str]:
    folder = archive.settings.audit_journals
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in folder.rglob("*.*")]
    return [line for text in texts for line in text.splitlines()]


def refusals(archive: House) -> list[str]:
    return [one for one in records(archive) if '"refusal"' in one]


RADIOLOGIST, CLINICIAN = Grant(Role.RADIOLOGIST), Grant(Role.CLINICIAN)
OF_MINE = Grant(Role.TECHNOLOGIST, (StudyRule(studies=frozenset({MINE})),))
SEES_OTHERS = Grant(Role.CLINICIAN, (StudyRule(studies=frozenset({OTHER})),))


class TestSending:
    async def test_it_is_queued_told_and_on_record(self, archive: House) -> None:
        async with await signed_in(archive, "rita", RADIOLOGIST) as browser:
            page = visible((await browser.get(f"/send?study={MINE}&study={COLD}")).text)
            assert "Send 2 studies" in page
            assert "READING" in page
            assert "THEATRE" in page
            assert "Is recalled first" in page
            fields = {"studies": f"{MINE} {COLD}", "to": "THEATRE"}
            sent = await browser.post("/send", fields, csrf=True)
            assert sent.status_code == 303
            assert sent.headers["location"].startswith(f"/send?study={MINE}&study={COLD}")
            page = (await browser.get(f"/send?study={MINE}")).text
            assert "Waiting" in page
            assert 'data-look="1"' in page
        leases = await archive.stores.queue.lease(10)
        jobs = [lease.job for lease in leases if lease.job.kind == KIND]
        assert {job.body["study_instance_uid"] for job in jobs} == {MINE, COLD}
        assert all(job.body["destination"] == "THEATRE" and job.body["send_id"] for job in jobs)
        lines = [one for one in records(archive) if '"send"' in one and "THEATRE" in one]
        assert len(lines) == 2
        assert all("user:rita" in one for one in lines)

    async def test_nowhere_but_to_a_destination(self, archive: House) -> None:
        async with await signed_in(archive, "rita", RADIOLOGIST) as browser:
            for to in ("", "NOBODY", "EVIL@10.0.0.9:104"):
                fields = {"studies": MINE, "to": to}
                answer = await browser.post("/send", fields, csrf=True)
                assert answer.status_code == 422
                assert "Choose where to" in answer.text
            strange = await browser.post("/send", {"studies": MINE, "to": "READING"})
            assert strange.status_code == 403
        assert await jobs_left(archive) == []

    async def test_only_what_they_may(self, archive: House) -> None:
        async with await signed_in(archive, "carl", CLINICIAN) as browser:
            assert (await browser.get(f"/send?study={MINE}")).status_code == 403
            assert (
                await browser.post("/send", {"studies": MINE, "to": "READING"}, csrf=True)
            ).status_code == 403
        assert any('"refusal"' in one and "user:carl" in one for one in records(archive))
        async with await signed_in(archive, "bea", OF_MINE, SEES_OTHERS) as browser:
            text = visible(
                (await browser.get(f"/send?study={MINE}&study={OTHER}&study={COLD}")).text
            )
            assert "Send 1 study" in text
            assert "You may see it, but not send: OTHER, OTTO" in text
            assert "1 study is not there" in text
            assert "COLD" not in text
            fields = {"studies": f"{MINE} {OTHER} {COLD}", "to": "READING"}
            await browser.post("/send", fields, csrf=True)
        assert await jobs_left(archive) == [MINE]

    async def test_what_is_dead_is_said_and_goes_round_again(self, archive: House) -> None:
        objects, queue = archive.stores.objects, archive.stores.queue
        async with await signed_in(archive, "rita", RADIOLOGIST) as browser:
            await browser.post("/send", {"studies": MINE, "to": "READING"}, csrf=True)
            (sending,) = await sendings_of(objects, "default", MINE, now_us=now_us())
            for _ in range(50):
                for lease in await queue.lease(10):
                    if lease.job.kind == KIND:
                        failed = SendEntry(
                            *("default", MINE, sending.send_id, What.FAILED, "READING"),
                            reason="no answer",
                        )
                        await enter(objects, failed, now_us=now_us())
                    await queue.release(lease)
                if (await queue.depth()).dead:
                    break
            page = visible((await browser.get(f"/send?study={MINE}")).text)
            assert "Not sent" in page
            assert "no answer" in page
            assert await queue.redrive()
            assert "Is tried again" in visible((await browser.get(f"/send?study={MINE}")).text)

    async def test_what_waits_long_may_never_have_been_queued(self, archive: House) -> None:
        objects, words = archive.stores.objects, "never have been queued: send it again"
        cases = ((MINE, 16, True), (OTHER, 14, False), (COLD, 16, False))
        async with await signed_in(archive, "rita", RADIOLOGIST) as browser:
            for study, minutes, is_told in cases:
                asked = SendEntry("default", study, "id", What.ASKED, "READING", 1)
                await enter(objects, asked, now_us=now_us() - minutes * 60_000_000)
                page = visible((await browser.get(f"/send?study={study}")).text)
                assert "0 of 1" in page
                assert (words in page) is is_told
            failed = SendEntry("default", MINE, "id", What.FAILED, "READING", reason="no answer")
            await enter(objects, failed, now_us=now_us())
            assert words not in visible((await browser.get(f"/send?study={MINE}")).text)


async def jobs_left(archive: House) -> list[str]:
    leases = await archive.stores.queue.lease(10)
    jobs = [lease.job for lease in leases if lease.job.kind == KIND]
    return [str(job.body["study_instance_uid"]) for job in jobs]


class TestSends:
    async def test_they_are_told_by_their_entries(self, archive: House) -> None:
        objects, when = archive.stores.objects, now_us()

        async def told(what: What, part: int = 0, count: int = 0, at_us: int = when) -> SendState:
            entry = SendEntry("default", MINE, "id", what, "THERE", count, part)
            await enter(objects, entry, now_us=at_us)
            (sending,) = await sendings_of(objects, "default", MINE, now_us=at_us)
            return sending.state

        assert await told(What.ASKED, count=5) is SendState.WAITING
        assert await told(What.FAILED, 0) is SendState.FAILED
        assert await told(What.SENT, 0, 3) is SendState.WAITING
        assert await told(What.SENT, 0, 3) is SendState.WAITING
        assert await told(What.SENT, 1, 2) is SendState.SENT
        late_us = when + 100 * 86_400_000_000
        entry = SendEntry("default", MINE, "late", What.ASKED, "THERE", 2)
        await enter(objects, entry, now_us=late_us)
        await enter(objects, replace(entry, what=What.SENT, instances=1), now_us=late_us)
        for names in (["late", "id"], ["late"]):
            found = await sendings_of(objects, "default", MINE, now_us=late_us)
            assert [one.send_id for one in found] == names
            await purge_ended(objects, "default", now_us=late_us)
        after_us = late_us + 9 * 86_400_000_000
        (sending,) = await sendings_of(objects, "default", MINE, now_us=after_us)
        assert sending.state is SendState.GIVEN_UP
        assert "sends/" in KNOWN


class TestDownload:
    async def test_one_medium_of_several(self, archive: House) -> None:
        async with await signed_in(archive, "rita", RADIOLOGIST) as browser:
            answer = await browser.get(f"/download?study={MINE}&study={OTHER}")
            assert answer.headers["content-type"] == "application/zip"
            assert int(answer.headers["content-length"]) == len(answer.content)
            with zipfile.ZipFile(io.BytesIO(answer.content)) as files:
                assert sorted(files.namelist()) == [
                    "DICOM/SE000001/IM000001",
                    "DICOM/SE000002/IM000002",
                    "DICOMDIR",
                ]
            head = await browser.client.head(f"/download?study={MINE}&study={OTHER}")
            assert head.headers["content-length"] == answer.headers["content-length"]
            assert not head.content
            one = await browser.get(f"/download?study={MINE}")
            assert one.headers["location"].startswith(f"/dicom-web/studies/{MINE}?")
        assert sum('"export"' in one and "user:rita" in one for one in records(archive)) >= 2

    async def test_only_what_they_may(self, archive: House) -> None:
        only_sees = Grant(Role.CLINICIAN, actions=frozenset({Action.SEARCH, Action.READ}))
        async with await signed_in(archive, "carl", only_sees) as browser:
            assert (await browser.get(f"/download?study={MINE}")).status_code == 403
        async with await signed_in(archive, "bea", OF_MINE) as browser:
            answer = await browser.get(f"/download?study={MINE}&study={OTHER}")
            assert answer.status_code == 403
            assert "1 study is not there" in answer.text
            assert "OTTO" not in answer.text
            assert (await browser.get(f"/download?study={OTHER}")).status_code == 404
            assert (await browser.get("/download")).status_code == 404
            assert (await browser.get("/download?study=../x")).status_code == 400
            many = "&".join(f"study=1.2.{number}" for number in range(101))
            assert (await browser.get(f"/download?{many}")).status_code == 400

    async def test_what_is_refused_is_on_record(self, archive: House) -> None:
        only_sees = Grant(Role.CLINICIAN, actions=frozenset({Action.SEARCH, Action.READ}))
        async with await signed_in(archive, "dora", OF_MINE, only_sees) as browser:
            both = f"study={MINE}&study={OTHER}"
            assert (await browser.get(f"/send?{both}")).status_code == 200
            assert not refusals(archive)  # what is offered was not tried
            assert (await browser.get(f"/download?{both}")).status_code == 403
            (line,) = refusals(archive)
            assert '"download"' in line
            assert OTHER in line
            assert MINE not in line
            fields = {"studies": f"{MINE} {OTHER}", "to": "READING"}
            await browser.post("/send", fields, csrf=True)
            (line,) = [one for one in refusals(archive) if '"send"' in one]
            assert OTHER in line
            assert MINE not in line

    async def test_what_is_cold_is_asked_for(self, archive: House) -> None:
        async with await signed_in(archive, "rita", RADIOLOGIST) as browser:
            answer = await browser.get(f"/download?study={MINE}&study={COLD}")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
            text = visible(answer.text)
            assert "On the way back: 1 study" in text
            assert "about 60 min · expected by 20" in text
            assert 'data-look="60"' in answer.text


class TestRecall:
    async def test_whoever_reads_may(self, archive: House) -> None:
        async with await signed_in(archive, "carl", CLINICIAN) as browser:
            text = visible((await browser.get(f"/recall?study={COLD}")).text)
            assert "In a cold tier: 1 study" in text
            asked = await browser.post("/recall", {"studies": COLD}, csrf=True)
            assert asked.headers["location"] == f"/recall?study={COLD}"
            assert "On the way back" in (await browser.get(f"/recall?study={COLD}")).text
        assert [info.key async for info in archive.stores.objects.list("recalls/")]

    async def test_it_looks_at_several_at_once_and_misses_none_that_goes(
        self, archive: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await chill(archive.stores.objects, archive.stores.catalogue, OTHER, tenant="default")
        both = asyncio.Barrier(2)

        async def found(*names: Any, **more: Any) -> StudyRecall:
            async with asyncio.timeout(PATIENCE_S):
                await both.wait()
            if names[3] == OTHER:
                raise NotFound("it went in this moment")
            return await recall_of(*names, **more)

        monkeypatch.setattr(asides, "recall_of", found)
        async with await signed_in(archive, "carl", CLINICIAN) as browser:
            page = await browser.get(f"/recall?study={COLD}&study={OTHER}")
            assert "In a cold tier: 1 study" in visible(page.text)

    async def test_who_sees_one_series_is_told_of_no_other(self, archive: House) -> None:
        rule = StudyRule(studies=frozenset({COLD}), series=frozenset({f"{COLD}.1"}))
        async with (
            await signed_in(archive, "carl", CLINICIAN) as all_of_it,
            await signed_in(archive, "sara", Grant(Role.CLINICIAN, (rule,))) as one,
        ):
            await all_of_it.post("/recall", {"studies": COLD}, csrf=True)
            for path in (f"/recall?study={COLD}", f"/studies/{COLD}"):
                assert "0 of 2 parts" in (await all_of_it.get(path)).text
                assert "0 of 1 parts" in (await one.get(path)).text

    async def test_others_do_not(self, archive: House) -> None:
        async with await signed_in(archive, "bea", OF_MINE) as browser:
            await browser.post("/recall", {"studies": COLD}, csrf=True)
            assert "COLD, CORA" not in visible((await browser.get(f"/recall?study={COLD}")).text)
        async with await signed_in(archive, "otis", Grant(Role.OPS)) as browser:
            assert (await browser.get(f"/recall?study={COLD}")).status_code == 403
        assert not [info.key async for info in archive.stores.objects.list("recalls/")]

    async def test_what_is_not_there_is_not_ready(self, archive: House) -> None:
        async with await signed_in(archive, "carl", CLINICIAN) as browser:
            for query, words in (
                ("?study=1.2.3", "1 study is not there"),
                ("", "No study is chosen"),
            ):
                page = visible((await browser.get(f"/recall{query}")).text)
                assert words in page
                assert "can be read now" not in page
                assert "Ready" not in page
            assert "Ready" in visible((await browser.get(f"/recall?study={MINE}")).text)

    async def test_who_pins_and_may_not_read_is_shown_no_page(self, archive: House) -> None:
        pins = Grant(Role.ADMIN, actions=frozenset({Action.SEARCH, Action.OPERATE}))
        async with await signed_in(archive, "otto", pins) as browser:
            fields = {"studies": MINE, "do": "set", "reason": ""}
            assert (await browser.post("/recall/pin", fields, csrf=True)).status_code == 400
            assert not refusals(archive)

    async def test_who_pins_and_may_read_others_alone_is_told_the_fault(
        self, archive: House
    ) -> None:
        pins = Grant(Role.ADMIN, actions=frozenset({Action.SEARCH, Action.OPERATE}))
        async with await signed_in(archive, "otto", pins, SEES_OTHERS) as browser:
            fields = {"studies": MINE, "do": "set", "reason": ""}
            answer = await browser.post("/recall/pin", fields, csrf=True)
            assert answer.status_code == 400
            assert "Say why the studies are kept where they are." in visible(answer.text)
            both = {**fields, "studies": f"{MINE} {OTHER}"}
            assert (await browser.post("/recall/pin", both, csrf=True)).status_code == 422

    async def test_whoever_operates_pins_them(self, archive: House) -> None:
        objects = archive.stores.objects
        fields = {"studies": MINE, "do": "set", "reason": "A lawsuit"}
        async with await signed_in(archive, "root", Grant(Role.ADMIN)) as browser:
            without = {**fields, "reason": ""}
            refused = await browser.post("/recall/pin", without, csrf=True)
            assert refused.status_code == 422
            # What was chosen is not lost, and the fault stands where it is mended.
            form = refused.text.partition("<details open>")[2].partition("</details>")[0]
            assert "Say why the studies are kept where they are" in form
            assert f'name="studies" value="{MINE}"' in form
            assert await pin_of(objects, "default", MINE, now_us=now_us()) is None
            await browser.post("/recall/pin", fields, csrf=True)
            pin = await pin_of(objects, "default", MINE, now_us=now_us())
            assert pin is not None
            assert (pin.reason, pin.who) == ("A lawsuit", "user:root")
            answer = await browser.get(f"/recall?study={MINE}")
            assert "Say why" not in visible(answer.text)
            assert re.search('<input id="reason"[^>]* required', answer.text)
            assert re.search(">Unpin 1<", answer.text)
            assert re.search('value="release"[^>]* formnovalidate', answer.text)
            assert "Pinned" in visible(answer.text)
            await browser.post("/recall/pin", {"studies": MINE, "do": "release"}, csrf=True)
            assert await pin_of(objects, "default", MINE, now_us=now_us()) is None
        async with await signed_in(archive, "rita", RADIOLOGIST) as browser:
            assert "Pin" not in visible((await browser.get(f"/recall?study={MINE}")).text)
            assert (await browser.post("/recall/pin", fields, csrf=True)).status_code == 403
        assert await pin_of(objects, "default", MINE, now_us=now_us()) is None
        lines = [one for one in records(archive) if '"pin"' in one or '"unpin"' in one]
        assert ["A lawsuit" in one for one in lines] == [True, False]
