"""What is on record when `record` returns, and what is only counted."""

import asyncio
import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pacs_cloud.audit import chain_note
from pacs_cloud.audit.sealing import adopt
from pacs_cloud.audit.windows import Windows
from pacs_cloud.errors import Denied, NotFound, StorageFull, Unavailable
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.port import ObjectInfo
from pacs_cloud.security.audit_event import (
    AuditEvent,
    AuditPatient,
    Kind,
    Outcome,
    event_of,
    key_of,
)
from pacs_cloud.security.caller import Caller
from unit.audit.audit_house import DOE, MINUTE_US, STUDY, House, die

ANNA = Caller("default", "user:anna", (), "192.0.2.7")


@dataclass
class Disk:
    """Syncs, or fails with an errno while it is broken."""

    number: int
    broken: bool = False

    def sync(self, fd: int) -> None:
        if self.broken:
            raise OSError(self.number, os.strerror(self.number))
        os.fdatasync(fd)


async def test_what_is_recorded_is_there_for_another_reader_at_once(house: House) -> None:
    async with house.trail() as trail:
        await trail.record(house.event())
        assert await house.events() == [house.event()]
        assert await house.findings() == []


async def test_a_thousand_frames_are_two_records(house: House) -> None:
    async with house.trail() as trail:
        for _ in range(1000):
            await trail.record(house.event(instances=2))
            house.clock.tick(1000)
        first, further = await house.events(), []
        assert len(first) == 1
        house.clock.tick(MINUTE_US)
        await trail.tend(house.root)
        first, further = await house.events()
    assert (first.count, first.further) == (1, False)
    assert (further.count, further.further, further.instances) == (999, True, 1998)
    assert further.last_us - further.when_us == 998_000
    assert further.patients == (DOE,)
    assert await house.findings() == []


async def test_what_is_counted_needs_no_event_and_no_wait(house: House) -> None:
    async with house.trail() as trail:
        key = key_of(ANNA, Kind.READ, "dicomweb", "frames", (STUDY,))
        assert not trail.is_counted(key)
        await trail.record(
            event_of(
                ANNA, Kind.READ, "dicomweb", house.clock.now, action="frames", studies=(STUDY,)
            )
        )
        assert trail.is_counted(key)
        assert not trail.is_counted(key._replace(subject="user:bert"))
        house.clock.tick(MINUTE_US)
        assert not trail.is_counted(key)


@pytest.mark.parametrize(
    "other",
    [
        {"subject": "user:bert"},
        {"address": "192.0.2.8"},
        {"studies": ("1.2.3",)},
        {"action": "metadata"},
        {"door": "dimse"},
        {"query": "PatientID=1"},
        {"details": (("destination", "ELSEWHERE"),)},
        {"outcome": Outcome.MINOR},
        {"kind": Kind.SEND},
    ],
)
async def test_what_differs_is_on_record_by_itself(house: House, other: dict[str, object]) -> None:
    async with house.trail() as trail:
        await trail.record(house.event())
        await trail.record(house.event(**other))
        assert len(await house.events()) == 2


@pytest.mark.parametrize(
    "kind", [Kind.CHANGE, Kind.DELETE, Kind.LOGIN, Kind.SHARE, Kind.BREAK_GLASS, Kind.AUDIT]
)
async def test_changes_and_logins_are_all_on_record(house: House, kind: Kind) -> None:
    async with house.trail() as trail:
        for _ in range(3):
            await trail.record(house.event(kind))
        assert len(await house.events()) == 3


async def test_failed_logins_of_one_minute_are_counted(house: House) -> None:
    async with house.trail() as trail:
        for _ in range(50):
            await trail.record(house.event(Kind.LOGIN, "", outcome=Outcome.MINOR))
    assert [event.count for event in await house.events()] == [1, 49]


async def test_those_who_come_together_wait_for_one_record(house: House) -> None:
    syncs: list[int] = []

    def sync(fd: int) -> None:
        syncs.append(fd)
        os.fdatasync(fd)

    async with house.trail(sync_file=sync) as trail:
        await asyncio.gather(*(trail.record(house.event()) for _ in range(100)))
        assert len(await house.events()) == 1
        assert len(syncs) == 1
    assert [event.count for event in await house.events()] == [1, 99]


async def test_different_events_share_a_sync(house: House) -> None:
    syncs: list[int] = []

    def sync(fd: int) -> None:
        syncs.append(fd)
        os.fdatasync(fd)

    async with house.trail(sync_file=sync) as trail:
        await asyncio.gather(*(trail.record(house.event(study=f"1.{n}")) for n in range(200)))
        assert len(syncs) <= 2
        assert len(await house.events()) == 200


async def test_nothing_is_answered_that_is_not_on_record(house: House) -> None:
    disk = Disk(errno.EIO, broken=True)

    async with house.trail(sync_file=disk.sync) as trail:
        for _ in range(2):
            with pytest.raises(Unavailable):
                await trail.record(house.event())
        disk.broken = False
        house.clock.tick()
        await trail.record(house.event())
        assert [event.when_us for event in await house.events()] == [house.clock.now]
    assert await house.findings() == []


async def test_what_failed_in_the_middle_of_a_part_is_taken_back(house: House) -> None:
    disk = Disk(errno.ENOSPC)

    async with house.trail(sync_file=disk.sync) as trail:
        await trail.record(house.event(study="1.1"))
        disk.broken = True
        with pytest.raises(StorageFull):
            await trail.record(house.event(study="1.2"))
        disk.broken = False
        await trail.record(house.event(study="1.3"))
    assert [event.studies for event in await house.events()] == [("1.1",), ("1.3",)]
    assert await house.findings() == []


async def test_all_who_wait_for_a_failed_record_are_refused(house: House) -> None:
    def sync(_: int) -> None:
        raise OSError(errno.EIO, "broken")

    async with house.trail(sync_file=sync) as trail:
        done = await asyncio.gather(
            *(trail.record(house.event()) for _ in range(20)), return_exceptions=True
        )
    assert {type(one) for one in done} == {Unavailable}


async def test_a_site_may_choose_to_read_on_without_a_record(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    def sync(_: int) -> None:
        raise OSError(errno.EIO, "broken")

    async with house.trail(sync_file=sync, required=False) as trail:
        for _ in range(5):
            await trail.record(house.event())
        await trail.tend(house.root)
    assert [one.message for one in caplog.records] == ["audit_not_recorded", "audit_lost"]
    assert "DOE" not in caplog.text


async def test_one_that_goes_away_takes_nobody_with_it(house: House) -> None:
    async with house.trail() as trail:
        first = asyncio.create_task(trail.record(house.event()))
        second = asyncio.create_task(trail.record(house.event()))
        await asyncio.sleep(0)
        first.cancel()
        await second
        assert len(await house.events()) == 1


async def test_numbers_that_cannot_be_written_are_kept(house: House) -> None:
    disk = Disk(errno.EIO)

    async with house.trail(sync_file=disk.sync) as trail:
        await trail.record(house.event())
        await trail.record(house.event())
        house.clock.tick(MINUTE_US)
        disk.broken = True
        await trail.tend(house.root)
        assert len(await house.events()) == 1
        disk.broken = False
        await trail.tend(house.root)
        assert [event.count for event in await house.events()] == [1, 1]


async def test_whose_study_it_is_is_looked_up(house: House) -> None:
    asked: list[Sequence[str]] = []

    async def patients(tenant: str, studies: Sequence[str]) -> tuple[AuditPatient, ...]:
        asked.append(studies)
        if len(asked) > 1:
            raise Unavailable("no catalogue")
        return (DOE,)

    async with house.trail(patients=patients) as trail:
        for _ in range(3):
            await trail.record(house.event(patients=()))
        await trail.record(house.event(patients=(), study="1.2"))
    first, second, further = await house.events()
    assert (first.patients, further.patients, second.patients) == ((DOE,), (DOE,), ())
    assert len(asked) == 2


async def test_an_event_of_many_studies_names_all_of_them(house: House) -> None:
    studies = tuple(f"1.2.{n}" for n in range(250))
    async with house.trail() as trail:
        for _ in range(2):
            await trail.record(house.event(studies=studies))
    found = await house.events()
    assert [len(event.studies) for event in found] == [100, 100, 50] * 2
    assert {study for event in found for study in event.studies} == set(studies)


async def test_an_event_of_many_studies_names_the_patients_of_each(house: House) -> None:
    async def patients(_: str, studies: Sequence[str]) -> tuple[AuditPatient, ...]:
        return tuple(AuditPatient(f"P{study}") for study in studies)

    studies = tuple(f"1.2.{n}" for n in range(250))
    async with house.trail(patients=patients) as trail:
        for _ in range(2):
            await trail.record(house.event(patients=(), studies=studies))
    found = await house.events()
    assert len(found) == 6
    for event in found:
        assert {one.patient_id for one in event.patients} == {f"P{one}" for one in event.studies}


async def test_strange_texts_do_not_keep_an_event_from_its_record(house: House) -> None:
    async with house.trail() as trail:
        await trail.record(house.event(Kind.LOGIN, subject="\ud800\0\n" + "x" * 100_000))
    (event,) = await house.events()
    assert event.subject.startswith("?\0\nxxx")
    assert len(event.subject) == 1024
    assert await house.findings() == []


async def test_refusals_are_on_record(house: House) -> None:
    async with house.trail() as trail:
        for _ in range(10):
            await trail.refused("default", "key:7f", "dicomweb", action="delete", reason="role")
    first, further = await house.events()
    assert (first.kind, first.outcome, first.details) == (
        Kind.REFUSAL,
        Outcome.MINOR,
        (("reason", "role"),),
    )
    assert further.count == 9


async def test_tenants_have_chains_of_their_own(house: House) -> None:
    async with house.trail() as trail:
        await trail.record(house.event(tenant="north"))
        await trail.record(house.event(tenant="south"))
        assert len(await house.events("north")) == 1
        assert len(await house.events("south")) == 1
        await trail.tend(house.root)
    await house.seal()
    assert {key.split("/")[1] for key in await house.keys()} == {"north", "south"}


async def test_what_is_old_becomes_an_object(house: House) -> None:
    async with house.trail(part_age_us=5_000_000) as trail:
        await trail.record(house.event())
        await trail.tend(house.root)
        assert await house.keys() == []
        house.clock.tick(5_000_000)
        await trail.tend(house.root)
        assert len(await house.keys()) == 1
        assert [*house.root.glob("*/*/*.jsonl")] == []
        await trail.record(house.event(Kind.CHANGE))
        house.clock.tick(5_000_000)
        await trail.tend(house.root)
        assert len(await house.keys()) == 2
        assert [event.kind for event in await house.events()] == [Kind.READ, Kind.CHANGE]
        assert await house.findings() == []


async def test_what_is_long_becomes_an_object(house: House) -> None:
    async with house.trail(part_bytes=2000) as trail:
        for n in range(10):
            await trail.record(house.event(study=f"1.{n}"))
        await trail.tend(house.root)
        assert len(await house.keys()) == 1


async def test_without_a_lasting_disk_an_object_is_the_record(house: House) -> None:
    async with house.trail(seals_at_once=True) as trail:
        await trail.record(house.event())
        assert len(await house.keys()) == 1
        await trail.record(house.event())
        assert len(await house.keys()) == 1
        assert await house.findings() == []


async def test_without_a_lasting_disk_a_store_that_is_gone_refuses(house: House) -> None:
    class Gone(LocalObjectStore):
        async def put_file(self, key: str, path: object, **_: object) -> None:  # type: ignore[override]
            raise Unavailable("gone")

    async with Gone(house.root.parent / "gone") as gone:
        trail = house.open(gone, seals_at_once=True)
        with pytest.raises(Unavailable):
            await trail.record(house.event())
        await trail.aclose()
    assert len(await house.events()) == 1  # it is on record that somebody tried


async def test_a_tenant_whose_store_refuses_keeps_no_other_from_the_record(house: House) -> None:
    class Half(LocalObjectStore):
        async def put_file(self, key: str, path: Path, **more: Any) -> None:
            if "south" in key:
                raise Unavailable("its key is disabled")
            await super().put_file(key, path, **more)

    async with Half(house.root.parent / "half") as half:
        trail = house.open(half, seals_at_once=True)
        with pytest.raises(Unavailable):
            await trail.record(replace(house.event(), tenant="south"))
        await trail.record(house.event())
        await trail.aclose()


async def test_a_number_is_on_record_once_however_long_the_store_is_away(house: House) -> None:
    class Away(LocalObjectStore):
        is_away = False

        async def put_file(self, key: str, path: Path, **more: Any) -> None:
            if self.is_away:
                raise Unavailable("away")
            await super().put_file(key, path, **more)

    async with Away(house.root.parent / "objects") as away:
        trail = house.open(away, seals_at_once=True)
        for _ in range(5):
            await trail.record(house.event())
        Away.is_away = True
        for _ in range(4):
            house.clock.tick(MINUTE_US)
            await trail.tend(house.root)
        Away.is_away = False
        house.clock.tick(MINUTE_US)
        await trail.tend(house.root)
        await trail.aclose()
    assert [event.count for event in await house.events()] == [1, 4]
    assert await house.findings() == []


async def test_a_number_is_on_record_once_where_another_tenants_is_not(house: House) -> None:
    async with house.trail() as trail:
        for tenant in ("default", "south"):
            for _ in range(3):
                await trail.record(house.event(tenant=tenant))
        (south,) = (one for one in trail.journals if one.tenant == "south")
        real, south._sync_file = south._sync_file, lambda _: os.fdatasync(-1)
        for _ in range(3):
            house.clock.tick(MINUTE_US)
            await trail.tend(house.root)
        assert [event.count for event in await house.events()] == [1, 2]
        south._sync_file = real
        house.clock.tick(MINUTE_US)
        await trail.tend(house.root)
    for tenant in ("default", "south"):
        assert [event.count for event in await house.events(tenant)] == [1, 2]


async def test_numbers_that_are_lost_at_the_end_are_said(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Disk(errno.EIO)

    async with house.trail(sync_file=disk.sync) as trail:
        for _ in range(8):
            await trail.record(house.event())
        disk.broken = True
    (lost,) = (one for one in caplog.records if one.message == "audit_lost")
    assert vars(lost)["events"] == 7


async def test_what_was_not_recorded_before_the_end_is_said(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    def sync(_: int) -> None:
        raise OSError(errno.EIO, "broken")

    async with house.trail(sync_file=sync, required=False) as trail:
        for _ in range(3):
            await trail.record(house.event(Kind.CHANGE))
    (lost,) = (one for one in caplog.records if one.message == "audit_lost")
    assert vars(lost)["events"] == 3


async def test_sealing_makes_room_on_a_full_disk(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    async with house.trail(part_age_us=0) as trail:
        for number in range(3):
            await trail.record(house.event(Kind.CHANGE, f"1.{number}"))
            await trail._recorder.end()
        with monkeypatch.context() as patch:
            patch.setattr(chain_note, "os", SimpleNamespace(**{**vars(os), "write": full}))
            await trail.tend(house.root)
        assert len(await house.keys()) == 3
        assert len([*house.root.glob("*/*/*.jsonl")]) == 1  # it tells where the chain goes on
        house.clock.tick(MINUTE_US)
        await trail.tend(house.root)
        assert [*house.root.glob("*/*/*.jsonl")] == []
    async with house.trail() as trail:
        await trail.record(house.event(Kind.CHANGE))
    await house.seal()
    assert len(await house.events()) == 4
    assert await house.findings() == []


async def test_what_has_ended_is_sealed_where_what_is_open_cannot_end(house: House) -> None:
    disk = Disk(errno.ENOSPC)

    async with house.trail(part_age_us=0, sync_file=disk.sync) as trail:
        await trail.record(house.event(Kind.CHANGE, "1.1"))
        await trail._recorder.end()
        await trail.record(house.event(Kind.CHANGE, "1.2"))
        disk.broken = True
        await trail.tend(house.root)
        assert len(await house.keys()) == 1
        disk.broken = False
    await house.seal()
    assert await house.findings() == []


async def test_one_tenant_whose_trail_cannot_be_sealed_holds_up_no_other(house: House) -> None:
    class Choosy(LocalObjectStore):
        async def put_file(self, key: str, path: object, **more: object) -> ObjectInfo:  # type: ignore[override]
            if key.startswith("audit/default/"):
                raise Denied("its key is gone")
            return await super().put_file(key, path, **more)  # type: ignore[arg-type]

    async with (
        Choosy(house.root.parent / "objects") as choosy,
        house.trail(objects=choosy, part_age_us=0) as trail,
    ):
        for tenant in ("default", "north"):
            await trail.record(house.event(Kind.CHANGE, tenant=tenant))
        await trail.tend(house.root)
        assert [key.split("/")[1] for key in await house.keys()] == ["north"]
    async with (
        Choosy(house.root.parent / "objects") as choosy,
        house.trail(objects=choosy, part_age_us=0) as other,
        house.trail(objects=choosy, part_age_us=0) as third,
    ):
        for tenant in ("default", "south"):
            await third.record(house.event(Kind.CHANGE, tenant=tenant))
        die(third)
        house.clock.tick(MINUTE_US)
        with suppress(Denied):
            await adopt(house.root, other.directory.path, other._sealer, keeps=False)
        assert [key.split("/")[1] for key in await house.keys()] == ["north", "south"]


async def test_journals_of_which_all_is_sealed_are_let_go(house: House) -> None:
    tenants = [f"t{number}" for number in range(60)]
    async with house.trail(part_age_us=0) as trail:
        for _ in range(2):
            for tenant in tenants:
                await trail.record(house.event(Kind.CHANGE, tenant=tenant))
            await trail.tend(house.root)
            assert len(trail.journals) < len(tenants)
    for tenant in tenants:
        assert len(await house.events(tenant)) == 2
        assert await house.findings(tenant) == []


async def test_a_clock_that_is_put_back_keeps_nothing_waiting(house: House) -> None:
    async with house.trail(part_age_us=0) as trail:
        for _ in range(2):
            await trail.record(house.event())
        house.clock.tick(-1440 * MINUTE_US)
        await trail.record(house.event())
        await trail.tend(house.root)
        assert [event.count for event in await house.events()] == [1, 1, 1]
        assert len(await house.keys()) == 1
        assert await house.findings() == []


async def test_a_folder_that_a_crash_left_half_made_is_finished(house: House) -> None:
    (house.root / "0" / "default").mkdir(parents=True)
    async with house.trail(keeps=True, part_age_us=0) as trail:
        await trail.record(house.event())
        await trail.tend(house.root)
    assert len([*house.root.glob("0/default/outbox/*.jsonl")]) == 1


async def test_nobody_else_may_read_the_journal_or_its_objects(house: House) -> None:
    async with house.trail() as trail:
        await trail.record(house.event())
        (path,) = house.root.glob("*/default/*.jsonl")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    await house.seal()
    (sealed,) = (house.root.parent / "objects").rglob("*.jsonl")
    assert stat.S_IMODE(sealed.stat().st_mode) == 0o600
    (state,) = house.root.glob("*/default/chain.json")
    assert stat.S_IMODE(state.stat().st_mode) == 0o600


async def test_an_embedded_store_keeps_what_it_was_given(house: House) -> None:
    async with house.trail() as trail:
        await trail.record(house.event())
    await house.seal()
    (key,) = await house.keys()
    with pytest.raises(NotFound):
        await house.objects.get("audit/default/none")
    assert (await house.objects.get(key)).count(b"\n") == 3


def test_of_very_many_the_oldest_minutes_end_early() -> None:
    windows = Windows(most=2)
    made = [AuditEvent(Kind.READ, "t", f"user:{n}", "page", n) for n in range(3)]
    for event in made:
        windows.begin(event.key, [event])
        assert windows.count(event.key, event.when_us)
    assert [event.subject for event in windows.take(0)] == ["user:0"]
    assert [event.subject for event in windows.take()] == ["user:1", "user:2"]


def test_a_minute_begun_anew_ends_the_one_before() -> None:
    windows = Windows()
    first = AuditEvent(Kind.READ, "t", "user:1", "page", 0)
    windows.begin(first.key, [first])
    windows.count(first.key, 1)
    assert not windows.count(first.key, MINUTE_US)
    windows.begin(first.key, [replace(first, when_us=MINUTE_US)])
    assert [event.count for event in windows.take(MINUTE_US)] == [1]
    assert windows.take() == []
