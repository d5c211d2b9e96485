"""Recalls: a pack is asked for once, whoever asks, and its record says when it has come."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

from catalogue_samples import NOW_US, SERIES, STUDY, TENANT, Shelf, attributes, instance, pack
from pacs_cloud.catalogue import codec
from pacs_cloud.catalogue.pack_facts import note_packs
from pacs_cloud.catalogue.records import HiddenReason, PackRecord
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.errors import Corrupt, Denied, InvalidRequest, NotFound, Unavailable
from pacs_cloud.objectstore.port import Availability, ObjectInfo
from pacs_cloud.objectstore.storage_classes import RecallSpeed, StorageClass
from pacs_cloud.query.computed import availability
from pacs_cloud.query.request import Level, SearchKey, SearchRequest
from pacs_cloud.query.service import Search
from pacs_cloud.security.caller import system
from pacs_cloud.tiering.recall.demand import BeingRecalled, Recalls, RecallWish
from pacs_cloud.tiering.recall.listing import RecallState, list_recalls, recall_of
from pacs_cloud.tiering.recall.marks import get_recall, key_of, mark_for, recall_marks
from pacs_cloud.tiering.recall.priors import PriorsWanted, newcomer_of, priors
from pacs_cloud.tiering.recall.tending import GRACE_US, Tended, tend_recalls
from pacs_cloud.tiering.recall.times import offered_speed, service_arrival_s
from recall_samples import DAY_US, SECOND_US, Clock, CountingStore, chill

HOUR_S = 3600
DELAY_S = 5 * HOUR_S


@dataclass
class House:
    """An archive, and the time in it."""

    objects: CountingStore
    catalogue: SqliteCatalogue
    clock: Clock

    async def fill(self, *pack_ids: str, study: str = STUDY, **more: Any) -> None:
        shelf = Shelf(self.catalogue)
        for number, pack_id in enumerate(pack_ids):
            one = instance(f"{study}.9.{pack_id}.{number}")
            index = pack(
                [one], study=study, series=f"{study}.{number % 2}", pack_id=pack_id, **more
            )
            await shelf.commit(index, now_us=self.clock())
        for one in await self.catalogue.packs(TENANT, study):
            await self.objects.put_new(key_of(one).pack, b"bytes")

    def recalls(self, **more: Any) -> Recalls:
        """Return what a process of its own would have."""
        return Recalls(self.objects, self.catalogue, self.clock, **more)

    async def packs(self, study: str = STUDY) -> tuple[PackRecord, ...]:
        return await self.catalogue.packs(TENANT, study)

    async def tend(self) -> Tended:
        return await tend_recalls(self.objects, self.catalogue, now_us=self.clock())


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    clock = Clock()
    async with (
        CountingStore(tmp_path / "objects", recall_delay_s=DELAY_S, now_us=clock) as objects,
        SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue,
    ):
        yield House(objects, catalogue, clock)


async def refused(recalls: Recalls, packs: tuple[PackRecord, ...]) -> BeingRecalled:
    with pytest.raises(BeingRecalled) as caught:
        await recalls.demand(packs)
    return caught.value


async def test_what_is_at_hand_asks_nobody(house: House) -> None:
    await house.fill("a", "b")
    await chill(house.objects, house.catalogue, STUDY, StorageClass.GLACIER_IR)
    house.objects.asked.clear()
    await house.recalls().demand(await house.packs())
    assert not house.objects.asked


async def test_a_crowd_in_several_processes_asks_once_for_each_pack(house: House) -> None:
    await house.fill("a", "b", "c", "d")
    packs = await chill(house.objects, house.catalogue, STUDY)
    processes = [house.recalls() for _ in range(5)]
    refusals = await asyncio.gather(
        *(refused(processes[reader % 5], packs) for reader in range(500))
    )
    assert {
        key: count for (verb, key), count in house.objects.asked.items() if verb == "recall"
    } == {key_of(one).pack: 1 for one in packs}
    assert {one.retry_after_s for one in refusals} == {HOUR_S}  # often sooner than expected
    progress = refusals[0].progress
    assert (progress.packs, progress.arrived) == (4, 0)
    assert progress.since_us == NOW_US
    assert progress.expected_us == NOW_US + DELAY_S * SECOND_US
    # A process that knows asks no store again.
    house.objects.asked.clear()
    await asyncio.gather(*(refused(processes[0], packs) for _ in range(50)))
    assert not house.objects.asked


async def test_who_wants_one_pack_has_the_study_recalled(house: House) -> None:
    await house.fill("a", "b", "c")
    packs = await chill(house.objects, house.catalogue, STUDY)
    recalls = house.recalls()
    assert (await refused(recalls, packs[:1])).progress.packs == 3
    assert house.objects.count("recall") == 3


async def test_hot_packs_are_read_while_others_are_cold(house: House) -> None:
    await house.fill("a", "b")
    packs = await chill(house.objects, house.catalogue, STUDY, series=f"{STUDY}.0")
    recalls = house.recalls()
    await recalls.demand([one for one in packs if one.storage_class == "STANDARD"])
    assert not house.objects.count("recall")
    assert (await refused(recalls, packs)).progress.packs == 1


async def test_what_nobody_may_see_is_not_recalled(house: House) -> None:
    await house.fill("a", "b")
    packs = await chill(house.objects, house.catalogue, STUDY)
    shelf = Shelf(house.catalogue)
    shelf.packs = {
        one.pack_id: pack(
            [instance(f"{STUDY}.9.{one.pack_id}.{number}")],
            series=one.series_instance_uid,
            pack_id=one.pack_id,
        )
        for number, one in enumerate(packs)
    }
    await shelf.change(STUDY, lambda one, _: HiddenReason.DELETED if one.pack_id == "b" else None)
    progress = await house.recalls().start(await house.packs(), RecallWish())
    assert progress.packs == 1
    assert house.objects.count("recall") == 1


async def test_it_is_read_as_soon_as_it_has_come_and_the_record_says_so_later(house: House) -> None:
    await house.fill("a", "b")
    cold = await chill(house.objects, house.catalogue, STUDY)
    recalls = house.recalls()
    await refused(recalls, cold)
    house.clock.advance(DELAY_S - 10)
    assert (await refused(recalls, cold)).retry_after_s == 10
    assert await house.tend() == Tended(waiting=2)
    house.clock.advance(10)
    await recalls.demand(cold)  # nobody has tended it yet
    assert availability(await house.packs(), house.recalls().can_be_read)["Value"] == ["NEARLINE"]

    assert await house.tend() == Tended(arrived=2)
    packs = await house.packs()
    until_us = NOW_US + DELAY_S * SECOND_US + 7 * DAY_US
    assert {one.recalled_until_us for one in packs} == {until_us}
    assert availability(packs, house.recalls().can_be_read)["Value"] == ["ONLINE"]
    house.objects.asked.clear()
    await house.recalls().demand(packs)
    assert not house.objects.asked
    assert await house.tend() == Tended()


async def test_a_search_says_so_whatever_else_changes_the_study(house: House) -> None:
    await house.fill("a", "b")
    search = Search(house.catalogue, cast("Any", None), can_be_read=house.recalls().can_be_read)
    request = SearchRequest(Level.STUDY, (SearchKey(("00100020",), "P1"),))

    async def said() -> str:
        (row,) = (await search.find(system(TENANT), request)).rows
        return row["00080056"]["Value"][0]

    await house.fill("a", "b")
    assert await said() == "ONLINE"
    shelf = Shelf(house.catalogue)
    first, second = (
        pack([instance(f"1.{name}"), instance(f"2.{name}")], pack_id=name, series="1.5")
        for name in ("x", "y")
    )
    await shelf.commit(first)
    (one,) = await house.catalogue.packs(TENANT, STUDY, "1.5")
    await house.objects.put_new(key_of(one).pack, b"bytes")
    await chill(house.objects, house.catalogue, STUDY, series="1.5")
    assert await said() == "NEARLINE"
    await shelf.commit(second)
    assert await said() == "NEARLINE"
    shelf.packs |= {
        name: pack(
            [instance(f"{STUDY}.9.{name}.{number}")], series=f"{STUDY}.{number}", pack_id=name
        )
        for number, name in enumerate("ab")
    }
    await shelf.change(STUDY, lambda _, uid: HiddenReason.DELETED if uid == "1.x" else None)
    assert await said() == "NEARLINE"


async def test_when_the_copy_is_gone_the_next_reader_asks_anew(house: House) -> None:
    await house.fill("a")
    await chill(house.objects, house.catalogue, STUDY)
    recalls = house.recalls()
    await refused(recalls, await house.packs())
    house.clock.advance(DELAY_S)
    await house.tend()
    house.clock.advance(7 * 24 * HOUR_S)
    packs = await house.packs()
    assert availability(packs, house.recalls().can_be_read)["Value"] == ["NEARLINE"]
    first = mark_for(packs[0]).key
    await refused(recalls, packs)
    assert house.objects.count("recall") == 2
    assert await house.tend() == Tended(waiting=1, ended=1)
    (marks,) = [some async for some in recall_marks(house.objects)]
    assert [mark.key for mark in marks] == [first]


async def test_a_recall_that_a_crash_kept_from_the_store_is_asked_for_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.fill("a")
    packs = await chill(house.objects, house.catalogue, STUDY)

    async def die(key: str, days: int, speed: RecallSpeed) -> ObjectInfo:
        raise Unavailable("killed")

    with monkeypatch.context() as patch:
        patch.setattr(house.objects, "recall", die)
        with pytest.raises(Unavailable):
            await house.recalls().demand(packs)
    # Others wait for it, and do not ask a second time.
    await refused(house.recalls(), packs)
    assert await house.tend() == Tended(waiting=1)
    assert house.objects.count("recall") == 0
    house.clock.advance(GRACE_US / SECOND_US + 1)
    assert await house.tend() == Tended(restarted=1)
    assert await house.tend() == Tended(waiting=1)
    assert house.objects.count("recall") == 1
    house.clock.advance(DELAY_S)
    assert await house.tend() == Tended(arrived=1)


async def test_what_the_store_refuses_is_not_under_way(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.fill("a", "b")
    packs = await chill(house.objects, house.catalogue, STUDY)

    async def deny(key: str, days: int, speed: RecallSpeed) -> ObjectInfo:
        raise Denied("no permission to restore")

    with monkeypatch.context() as patch:
        patch.setattr(house.objects, "recall", deny)
        for _ in range(2):
            with pytest.raises(Denied):
                await house.recalls().demand(packs[:1])
        assert await house.tend() == Tended()
    await refused(house.recalls(), packs[:1])
    assert house.objects.count("recall") == 2


async def test_what_is_refused_to_one_who_may_not_remove_is_over_with_the_next_tending(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.fill("a")
    packs = await chill(house.objects, house.catalogue, STUDY)
    other = house.recalls()

    async def deny(key: str, *_: object) -> ObjectInfo:
        raise Denied("no permission to restore")

    async def keep(key: str) -> None:
        raise Denied("no permission to delete")

    with monkeypatch.context() as patch:
        patch.setattr(house.objects, "recall", deny)
        with monkeypatch.context() as web:
            web.setattr(house.objects, "delete", keep)
            with pytest.raises(Denied, match="restore"):
                await house.recalls().demand(packs)
        await refused(other, packs)
        assert await house.tend() == Tended(waiting=1)  # it may be about to ask
        house.clock.advance(GRACE_US / SECOND_US + 1)
        assert await house.tend() == Tended(failed=1)
        assert await house.tend() == Tended()
        with pytest.raises(Denied, match="restore"):
            await house.recalls().demand(packs)
    # Nor does one who took it for under way do so for ever.
    for _ in range(2):
        await refused(other, packs)
    assert house.objects.count("recall") == 1


async def test_a_pack_that_is_lost_while_it_is_waited_for_is_no_wrong_request(
    house: House,
) -> None:
    await house.fill("a")
    packs = await chill(house.objects, house.catalogue, STUDY)
    recalls = house.recalls()
    await refused(recalls, packs)
    await house.objects.delete(key_of(packs[0]).pack)
    house.clock.advance(DELAY_S)
    with pytest.raises(Corrupt):
        await recalls.demand(packs)


async def test_a_pack_whose_object_is_gone_is_no_wrong_request(house: House) -> None:
    await house.fill("a")
    packs = await chill(house.objects, house.catalogue, STUDY)
    await house.objects.delete(key_of(packs[0]).pack)
    with pytest.raises(Corrupt):
        await house.recalls().demand(packs)
    assert not [some async for some in recall_marks(house.objects)]


async def test_without_room_for_the_hurried_it_comes_at_the_usual_speed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.fill("a")
    packs = await chill(house.objects, house.catalogue, STUDY)
    recall = house.objects.recall

    async def crowded(key: str, days: int, speed: RecallSpeed) -> ObjectInfo:
        if speed is RecallSpeed.EXPEDITED:
            raise InvalidRequest("GlacierExpeditedRetrievalNotAvailable")
        return await recall(key, days, speed)

    monkeypatch.setattr(house.objects, "recall", crowded)
    progress = await house.recalls().start(packs, RecallWish(RecallSpeed.EXPEDITED))
    assert (progress.packs, progress.arrived) == (1, 0)
    assert house.objects.count("recall") == 1
    # It is expected when that speed brings it, by whoever asks.
    assert progress.expected_us == NOW_US + DELAY_S * SECOND_US
    (found,) = [one async for one in list_recalls(house.objects, house.catalogue, TENANT, NOW_US)]
    assert found.expected_us == progress.expected_us
    assert found.speeds == ("Standard instead of Expedited",)


async def test_one_that_is_late_is_expected_at_the_usual_speed(house: House) -> None:
    # Its reader may not remove the mark, and left it as it was.
    await house.fill("a")
    packs = await chill(house.objects, house.catalogue, STUDY)
    await house.recalls().start(packs, RecallWish(RecallSpeed.EXPEDITED))
    for seconds, hurried in ((300, True), (1, False), (60, False)):
        house.clock.advance(seconds)
        assert await house.tend() == Tended(waiting=1)
        recall = await get_recall(house.objects, mark_for(packs[0]))
        assert (recall.speed is RecallSpeed.EXPEDITED) is hurried
        arrival_s = 300 if hurried else DELAY_S
        assert recall.expected_us == NOW_US + arrival_s * SECOND_US


async def test_what_lies_deeper_than_its_record_says_comes_at_the_usual_speed(
    house: House,
) -> None:
    await house.fill("a")
    await chill(house.objects, house.catalogue, STUDY, StorageClass.DEEP_ARCHIVE)

    def as_it_was(pack: PackRecord) -> PackRecord:
        return replace(pack, storage_class=StorageClass.GLACIER)

    await note_packs(house.catalogue, TENANT, STUDY, as_it_was, now_us=NOW_US)
    await refused(house.recalls(wish=RecallWish(RecallSpeed.EXPEDITED)), await house.packs())
    (pack,) = await house.packs()
    assert (await house.objects.head(key_of(pack).pack)).availability is Availability.RESTORING


async def damage(house: House, packs: tuple[PackRecord, ...], data: bytes = b"{}") -> None:
    """Write other bytes over the marks of packs."""
    for one in packs:
        await house.objects.delete(mark_for(one).key)
        await house.objects.put_new(mark_for(one).key, data)


async def test_a_mark_that_cannot_be_read_is_dropped_and_keeps_no_other_from_it(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    for study in ("1.1", "1.2", "1.3"):
        await house.fill("a", study=study)
        await refused(house.recalls(), await chill(house.objects, house.catalogue, study))
    await damage(house, await house.packs("1.2"))
    house.clock.advance(DELAY_S)
    assert await house.tend() == Tended(arrived=2, failed=1)
    (told,) = [one for one in caplog.records if one.msg == "recall_mark_dropped"]
    assert told.__dict__["pack"] == "a"
    assert await house.tend() == Tended()
    # The next reader asks anew: it has come meanwhile.
    await house.recalls().demand(await house.packs("1.2"))
    assert await house.tend() == Tended(arrived=1)


async def test_one_who_may_not_remove_a_damaged_mark_leaves_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.fill("a")
    packs = await chill(house.objects, house.catalogue, STUDY)
    await refused(house.recalls(), packs)
    await damage(house, packs)

    async def keep(key: str) -> None:
        raise Denied("no permission to delete")

    with monkeypatch.context() as web:
        web.setattr(house.objects, "delete", keep)
        assert await house.tend() == Tended(failed=1)
        # Try again later: whoever tends recalls drops it.
        with pytest.raises(Unavailable, match="cannot be read"):
            await house.recalls().demand(packs)
    assert await house.tend() == Tended(failed=1)
    await refused(house.recalls(), packs)
    assert await house.tend() == Tended(waiting=1)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"not what was written"])
async def test_a_reader_who_meets_a_damaged_mark_asks_anew(house: House, data: bytes) -> None:
    await house.fill("a", "b")
    packs = await chill(house.objects, house.catalogue, STUDY)
    await refused(house.recalls(), packs)
    await damage(house, packs[:1], data)
    assert (await refused(house.recalls(), packs)).progress.packs == 2
    assert (await get_recall(house.objects, mark_for(packs[0]))).asked_us == NOW_US
    house.clock.advance(DELAY_S)
    assert await house.tend() == Tended(arrived=2)


async def test_a_good_mark_that_goes_with_a_damaged_one_is_asked_for_once_more(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.fill("a")
    packs = await chill(house.objects, house.catalogue, STUDY)
    await refused(house.recalls(), packs)
    await damage(house, packs)
    delete = house.objects.delete

    async def too_late(key: str) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(house.objects, "delete", delete)
            await refused(house.recalls(), packs)  # drops it, and writes a good one
        await delete(key)

    with monkeypatch.context() as patch:
        patch.setattr(house.objects, "delete", too_late)
        assert await house.tend() == Tended(failed=1)
    await refused(house.recalls(), packs)
    assert await house.tend() == Tended(waiting=1)
    house.clock.advance(DELAY_S)
    assert await house.tend() == Tended(arrived=1)


async def test_a_list_passes_over_a_damaged_mark(house: House) -> None:
    for study in ("1.1", "1.2"):
        await house.fill("a", study=study)
        await refused(house.recalls(), await chill(house.objects, house.catalogue, study))
    await damage(house, await house.packs("1.1"))
    listed = list_recalls(house.objects, house.catalogue, TENANT, NOW_US)
    assert {one.study_instance_uid: one.state async for one in listed} == {
        "1.1": RecallState.OFFLINE,  # nobody is known to have asked
        "1.2": RecallState.RESTORING,
    }


async def test_a_copy_that_came_and_went_while_nobody_looked_is_over(house: House) -> None:
    await house.fill("a")
    packs = await chill(house.objects, house.catalogue, STUDY)
    await refused(house.recalls(), packs)
    house.clock.advance(DELAY_S + 8 * 24 * HOUR_S)
    assert await house.tend() == Tended(ended=1)
    assert await house.tend() == Tended(ended=1)  # its mark
    assert not [some async for some in recall_marks(house.objects)]
    await refused(house.recalls(), await house.packs())
    assert house.objects.count("recall") == 2


async def test_marks_of_what_is_hot_or_gone_are_removed(house: House) -> None:
    await house.fill("a")
    packs = await chill(house.objects, house.catalogue, STUDY)
    await refused(house.recalls(), packs)
    house.clock.advance(DELAY_S)
    await chill(house.objects, house.catalogue, STUDY, StorageClass.STANDARD)
    assert await house.tend() == Tended(ended=1)
    assert not [some async for some in recall_marks(house.objects)]


async def test_a_store_that_reads_every_class_is_asked_for_nothing(house: House) -> None:
    await house.fill("a")
    packs = await chill(house.objects, house.catalogue, STUDY)
    recalls = house.recalls(reads_cold=True)
    await recalls.demand(packs)
    assert not house.objects.count("recall")
    assert availability(packs, recalls.can_be_read)["Value"] == ["ONLINE"]


async def test_a_store_that_is_quick_keeps_nobody_waiting(tmp_path: Path) -> None:
    clock = Clock()
    async with (
        CountingStore(tmp_path / "objects", now_us=clock) as objects,
        SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue,
    ):
        house = House(objects, catalogue, clock)
        await house.fill("a", "b")
        packs = await chill(objects, catalogue, STUDY)
        await house.recalls(arrival_s=lambda *_: 0).demand(packs)
        assert objects.count("recall") == 2


async def test_a_list_says_how_far_it_has_come(house: House) -> None:
    await house.fill("a", "b")
    assert await recall_of(house.objects, house.catalogue, TENANT, STUDY, NOW_US) == (
        await recall_of(house.objects, house.catalogue, TENANT, STUDY, NOW_US + 1)
    )
    packs = await chill(house.objects, house.catalogue, STUDY)

    async def now() -> Any:
        return await recall_of(house.objects, house.catalogue, TENANT, STUDY, house.clock())

    assert (await now()).state is RecallState.OFFLINE
    recalls = house.recalls()
    await recalls.start(packs[:1], RecallWish(RecallSpeed.BULK, 3))
    assert (await now()).state is RecallState.OFFLINE  # of all of it
    recall = await get_recall(house.objects, mark_for(packs[0]))
    assert (recall.speed, recall.days, recall.asked_us) == (RecallSpeed.BULK, 3, NOW_US)
    assert recall.expected_us == NOW_US + 12 * HOUR_S * SECOND_US
    house.clock.advance(60)
    await recalls.start(packs, RecallWish())
    found = await now()
    assert (found.state, found.packs, found.arrived) == (RecallState.RESTORING, 2, 0)
    assert (found.since_us, found.expected_us) == (NOW_US, recall.expected_us)
    house.clock.advance(DELAY_S - 60)
    await house.tend()
    found = await now()
    assert (found.state, found.packs, found.arrived) == (RecallState.RESTORING, 2, 1)
    house.clock.advance(60)
    await house.tend()
    found = await now()
    assert (found.state, found.arrived, found.since_us) == (RecallState.ONLINE, 2, 0)
    assert found.until_us == NOW_US + DELAY_S * SECOND_US + 3 * DAY_US
    listed = list_recalls(house.objects, house.catalogue, TENANT, house.clock())
    assert [one async for one in listed] == [found]
    with pytest.raises(NotFound):
        await recall_of(house.objects, house.catalogue, TENANT, "9.9", NOW_US)


async def test_priors_are_the_newest_others_of_the_patient(house: House) -> None:
    for number, (date, modality, patient) in enumerate(
        [
            ("20240105", "CT", "P1"),
            ("20240104", "MR", "P1"),
            ("20240103", "CT", "P1"),
            ("20240102", "CT", "P1"),
            ("20240101", "CT", "P2"),
        ]
    ):
        common = attributes(date=date, modality=modality, patient_id=patient)
        await house.fill(f"p{number}", study=f"1.{number}", common=common)

    async def found(study: str, newest: int, *, same_modality: bool = False) -> list[str]:
        newcomer = await newcomer_of(house.catalogue, TENANT, study)
        wanted = PriorsWanted(newest, same_modality=same_modality)
        some = await priors(house.catalogue, newcomer, wanted, now_us=NOW_US)
        return [one.study_instance_uid for one in some]

    assert await found("1.0", 2) == ["1.1", "1.2"]
    assert await found("1.0", 9) == ["1.1", "1.2", "1.3"]
    assert await found("1.0", 2, same_modality=True) == ["1.2", "1.3"]
    assert await found("1.4", 2) == []
    with pytest.raises(NotFound):
        await found("9.9", 1)


async def test_priors_of_nobody_are_not_guessed(house: House) -> None:
    await house.fill("a", common=attributes(patient_id=""))
    with pytest.raises(NotFound, match="patient ID"):
        await newcomer_of(house.catalogue, TENANT, STUDY)


def test_speeds_and_times_are_the_services() -> None:
    assert offered_speed("DEEP_ARCHIVE", RecallSpeed.EXPEDITED) is RecallSpeed.STANDARD
    assert offered_speed("GLACIER", RecallSpeed.EXPEDITED) is RecallSpeed.EXPEDITED
    hours = {
        (storage_class, speed): service_arrival_s(storage_class, speed) / HOUR_S
        for storage_class in ("GLACIER", "DEEP_ARCHIVE")
        for speed in (RecallSpeed.STANDARD, RecallSpeed.BULK)
    }
    assert list(hours.values()) == [5, 12, 12, 48]


def test_records_of_older_releases_were_never_recalled() -> None:
    old = b'[10,1,5,"GLACIER",{}]'
    record = codec.decode_pack(TENANT, STUDY, SERIES, "a", old)
    assert record.recalled_until_us == 0
    assert codec.encode_pack(record) == old
