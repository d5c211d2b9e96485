"""What rejection notes name is hidden, whenever it comes in, and shown when they are gone."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pacs_cloud.catalogue.absence import absence
from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.records import HiddenReason
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.conflicts.choice import promote
from pacs_cloud.custody.conflicts.listing import disagreements
from pacs_cloud.custody.orphans import adopt_orphans
from pacs_cloud.custody.rejections.listing import Rejection, rejection, rejections
from pacs_cloud.custody.rejections.note import LATER_US, Why
from pacs_cloud.custody.rejections.tending import Settled, read_all_notes, tend_rejections
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.errors import Gone, NotFound
from pacs_cloud.objectstore.local import LocalObjectStore
from unit.custody.custody_house import ALL, DAY_US, FUTURE_US, STUDY
from unit.custody.custody_notes import NOTES, SERIES, NoteHouse
from unit.custody.custody_packs import Sample
from unit.custody.custody_repack import repack

ONE, TWO, THREE = (f"{SERIES}.{number}" for number in (1, 2, 3))
NOTE = f"{NOTES}.1"
OTHER = "1.2.4"
NAMES_ONE = {STUDY: {SERIES: [ONE]}}
THE_NOTE = Scope("default", STUDY, NOTES, NOTE)


@pytest.fixture
def house(objects: LocalObjectStore, catalogue: SqliteCatalogue) -> NoteHouse:
    return NoteHouse(objects, catalogue)


async def listed(house: NoteHouse) -> list[Rejection]:
    load = partial(load_table, house.objects, house.catalogue)
    return [one async for one in rejections(house.objects, house.catalogue, "default", load)]


async def tend(house: NoteHouse, **options: Any) -> Settled:
    load = partial(load_table, house.objects, house.catalogue)
    stores = options.get("objects", house.objects), options.get("catalogue", house.catalogue)
    return await tend_rejections(*stores, load_table=load, now_us=house.clock.tick())


@pytest.mark.parametrize("why", Why)
async def test_what_a_note_names_is_hidden_and_nothing_else(house: NoteHouse, why: Why) -> None:
    await house.store(Sample(ONE), Sample(TWO), series=SERIES)
    await house.rejecting(NOTE, NAMES_ONE, code=why)
    expired = why is Why.RETENTION
    assert await house.rejected() == ({ONE, NOTE} if expired else {ONE})
    assert await house.count() == (1 if expired else 2)
    await house.is_whole()
    (one,) = await listed(house)
    assert (one.note.why, one.in_force, one.named, one.hidden, one.missing) == (why, True, 1, 1, 0)

    assert await house.followed.delete(THE_NOTE) == 1
    assert await house.rejected() == set()
    assert await house.count() == 2
    await house.is_whole()
    (one,) = await listed(house)
    assert (one.in_force, one.hidden) == (False, 0)


@pytest.mark.parametrize(
    "options", [{"code": "113000"}, {"scheme": "99LOCAL"}, {"code": "113001", "scheme": "SRT"}]
)
async def test_another_title_rejects_nothing(house: NoteHouse, options: dict[str, str]) -> None:
    await house.store(Sample(ONE), series=SERIES)
    await house.rejecting(NOTE, NAMES_ONE, **options)
    assert await house.rejected() == set()
    assert await house.keys("rejections/") == []


async def test_what_comes_in_after_its_note_is_hidden_too(house: NoteHouse) -> None:
    await house.rejecting(NOTE, {STUDY: {SERIES: [ONE, TWO]}, OTHER: {f"{OTHER}.1": ["1.2.4.1.1"]}})
    assert [one.missing for one in await listed(house)] == [3]
    late = [await house.store(Sample(uid), series=SERIES) for uid in (ONE, TWO, THREE)]
    assert await house.count() == 4, "until a worker has looked at it"
    for made in reversed(late):
        await house.follow(made)
    assert await house.rejected() == {ONE, TWO}
    elsewhere = await house.store(Sample("1.2.4.1.1"), Sample("1.2.4.1.2"), study=OTHER)
    await house.follow(elsewhere)
    assert await house.rejected(OTHER) == {"1.2.4.1.1"}
    assert [one.missing for one in await listed(house)] == [0]
    await house.is_whole()

    await house.followed.delete(THE_NOTE)
    assert await house.rejected() | await house.rejected(OTHER) == set()
    await house.followed.restore(THE_NOTE)
    assert await house.rejected() == {ONE, TWO}
    assert await house.rejected(OTHER) == {"1.2.4.1.1"}
    await house.is_whole()


async def test_a_series_that_a_note_does_not_name_keeps_its_instance(house: NoteHouse) -> None:
    await house.store(Sample(ONE), series=SERIES)
    await house.store(Sample(ONE), series=f"{STUDY}.2")
    await house.rejecting(NOTE, NAMES_ONE)
    shown = {
        pack.series_instance_uid
        for pack in await house.catalogue.packs("default", STUDY)
        if ONE not in pack.hidden
    }
    assert shown == {f"{STUDY}.2", NOTES}


async def test_what_was_rejected_is_not_taken_again(house: NoteHouse) -> None:
    await house.store(Sample(ONE), Sample(TWO), series=SERIES)
    await house.rejecting(NOTE, NAMES_ONE, code=Why.SAFETY)
    again = await house.store(Sample(ONE), series=SERIES)
    changed = await house.store(Sample(ONE, "second"), series=SERIES)
    # Before any worker has looked at it.
    assert await house.hidden() == {
        ONE: {HiddenReason.REJECTED, HiddenReason.DUPLICATE, HiddenReason.QUARANTINED}
    }
    for made in (again, changed):
        assert await house.follow(made) == 0
    await house.is_whole()
    await house.followed.delete(THE_NOTE)
    assert await house.hidden() == {
        ONE: {HiddenReason.DUPLICATE, HiddenReason.QUARANTINED},
        NOTE: {HiddenReason.DELETED},
    }
    await house.is_whole()


async def test_several_versions_that_were_rejected_come_back_as_one(house: NoteHouse) -> None:
    instance = Scope("default", STUDY, SERIES, ONE)
    await house.store(Sample(ONE), series=SERIES)
    await house.trash.delete(instance)
    await house.store(Sample(ONE), series=SERIES)
    await house.trash.delete(instance)
    await house.store(Sample(ONE, "second"), series=SERIES)
    await house.rejecting(NOTE, NAMES_ONE)
    # Each deletion is taken back by itself; what comes back is rejected as well.
    await house.followed.restore(instance)
    assert await house.hidden() == {ONE: {HiddenReason.REJECTED, HiddenReason.DELETED}}
    await house.followed.restore(instance)
    assert await house.hidden() == {ONE: {HiddenReason.REJECTED}}
    await house.followed.delete(THE_NOTE)
    reasons = [
        pack.hidden.get(ONE) for pack in await house.catalogue.packs("default", STUDY, SERIES)
    ]
    assert reasons == [None, HiddenReason.DUPLICATE, HiddenReason.QUARANTINED]
    await house.is_whole()


async def test_a_note_that_is_rejected_rejects_nothing(house: NoteHouse) -> None:
    await house.store(Sample(ONE), Sample(TWO), series=SERIES)
    await house.rejecting(NOTE, NAMES_ONE)
    await house.rejecting(f"{NOTES}.2", {STUDY: {NOTES: [NOTE]}})
    assert await house.rejected() == {NOTE}
    await house.is_whole()
    await house.rejecting(f"{NOTES}.3", {STUDY: {NOTES: [f"{NOTES}.2"]}})
    assert await house.rejected() == {f"{NOTES}.2", ONE}
    await house.followed.delete(Scope("default", STUDY, NOTES, f"{NOTES}.3"))
    assert await house.rejected() == {NOTE}
    await house.is_whole()


async def test_a_note_of_another_study_is_rejected_from_afar(house: NoteHouse) -> None:
    await house.store(Sample(ONE), series=SERIES)
    await house.rejecting(NOTE, NAMES_ONE, study=OTHER, series=f"{OTHER}.9")
    assert await house.rejected() == {ONE}
    await house.rejecting(f"{NOTES}.2", {OTHER: {f"{OTHER}.9": [NOTE]}})
    assert (await house.rejected(), await house.rejected(OTHER)) == (set(), {NOTE})
    await house.followed.delete(Scope("default", STUDY, NOTES, f"{NOTES}.2"))
    assert (await house.rejected(), await house.rejected(OTHER)) == ({ONE}, set())
    await house.is_whole()


async def test_of_notes_that_reject_each_other_the_later_one_counts(house: NoteHouse) -> None:
    second = f"{NOTES}.2"
    await house.store(Sample(ONE), Sample(TWO), series=SERIES)
    await house.rejecting(NOTE, {STUDY: {NOTES: [second], SERIES: [ONE]}})
    await house.rejecting(second, {STUDY: {NOTES: [NOTE], SERIES: [TWO]}})
    assert await house.rejected() == {NOTE, TWO}
    await house.is_whole()


async def test_a_ring_of_notes_comes_to_an_end(house: NoteHouse) -> None:
    uids = [f"{NOTES}.{number}" for number in (1, 2, 3)]
    for uid, named in zip(uids, [*uids[1:], uids[0]], strict=True):
        await house.rejecting(uid, {STUDY: {NOTES: [named]}})
    await tend(house)
    assert await tend(house) == Settled(studies=1)
    await house.is_whole()


async def test_the_order_in_which_packs_are_looked_at_is_no_matter(house: NoteHouse) -> None:
    samples = await house.store(Sample(ONE), Sample(TWO), series=SERIES)
    notes = [
        await house.note(NOTE, NAMES_ONE),
        await house.note(f"{NOTES}.2", {STUDY: {NOTES: [NOTE], SERIES: [TWO]}}),
    ]
    for made in (notes[1], samples, notes[0], notes[0], samples, notes[1]):
        await house.follow(made)
    assert await house.rejected() == {NOTE, TWO}
    assert await tend(house) == Settled(studies=1)
    await house.is_whole()


async def test_what_two_notes_name_stays_until_both_are_gone(house: NoteHouse) -> None:
    await house.store(Sample(ONE), Sample(TWO), series=SERIES)
    await house.rejecting(NOTE, NAMES_ONE)
    await house.rejecting(f"{NOTES}.2", {STUDY: {SERIES: [ONE, TWO]}})
    await house.followed.delete(THE_NOTE)
    assert await house.rejected() == {ONE, TWO}
    await house.followed.delete(Scope("default", STUDY, NOTES, f"{NOTES}.2"))
    assert await house.rejected() == set()


async def test_the_same_note_sent_twice_is_one(house: NoteHouse) -> None:
    await house.store(Sample(ONE), series=SERIES)
    await house.rejecting(NOTE, NAMES_ONE)
    await house.rejecting(NOTE, NAMES_ONE)
    assert len(await listed(house)) == 1
    assert await house.hidden() == {ONE: {HiddenReason.REJECTED}, NOTE: {HiddenReason.DUPLICATE}}
    await house.is_whole()


async def test_other_content_under_a_notes_uid_counts_once_it_is_shown(house: NoteHouse) -> None:
    await house.store(Sample(ONE), Sample(TWO), series=SERIES)
    await house.rejecting(NOTE, NAMES_ONE)
    await house.rejecting(NOTE, {STUDY: {SERIES: [TWO]}})
    assert await house.rejected() == {ONE}
    (one,) = [one async for one in disagreements(house.catalogue, "default")]
    await promote(
        house.objects,
        house.catalogue,
        "default",
        one.conflict_id,
        load_table=partial(load_table, house.objects, house.catalogue),
        who="ana",
        now_us=house.clock.tick(),
    )
    await tend(house)
    assert await house.rejected() == {TWO}
    assert [one.in_force for one in await listed(house)] == [False, True]
    await house.is_whole()


async def test_what_comes_in_long_after_its_retention_is_kept_anew(house: NoteHouse) -> None:
    first = await house.store(Sample(ONE), series=SERIES)
    await house.follow(first)
    await house.rejecting(NOTE, {STUDY: {SERIES: [ONE, TWO]}}, code=Why.RETENTION)
    soon = await house.store(Sample(TWO), series=SERIES)
    await house.follow(soon)
    assert await house.rejected() == {ONE, TWO, NOTE}
    # Its retention is over: somebody deletes it, for good.
    await house.followed.delete(Scope("default", STUDY, SERIES))
    await house.purge()
    house.clock.now_us += LATER_US
    again = await house.store(Sample(ONE), series=SERIES)
    await house.follow(again)
    assert await house.rejected() == {NOTE}
    assert await house.count() == 1
    await house.is_whole()


async def test_a_study_of_which_all_is_rejected_can_be_deleted_and_restored(
    house: NoteHouse,
) -> None:
    await house.store(Sample(ONE), series=SERIES)
    await house.rejecting(NOTE, NAMES_ONE, code=Why.RETENTION)
    packs = await house.catalogue.packs("default", STUDY)
    told = absence(packs)
    assert (type(told), "rejection note" in str(told)) == (NotFound, True)
    assert await house.found() == set()
    assert await house.followed.delete(ALL) == 2
    assert isinstance(absence(await house.catalogue.packs("default", STUDY)), Gone)
    await house.is_whole()
    assert (await house.followed.restore(ALL)).instances == 2
    assert await house.rejected() == {ONE, NOTE}
    await house.followed.delete(ALL)
    await house.purge()
    assert await house.catalogue.study("default", STUDY) is None
    await tend(house)
    await house.is_whole()


async def test_a_deleted_version_that_is_purged_leaves_what_was_rejected(house: NoteHouse) -> None:
    await house.store(Sample(ONE), Sample(TWO), series=SERIES)
    await house.trash.delete(Scope("default", STUDY, SERIES, ONE))
    await house.store(Sample(ONE), series=SERIES)
    await house.rejecting(NOTE, NAMES_ONE)
    await house.purge()
    await house.purge()
    assert await house.hidden() == {ONE: {HiddenReason.PURGED, HiddenReason.REJECTED}}
    await house.followed.delete(THE_NOTE)
    assert await house.count() == 2
    await house.is_whole()


async def test_notes_that_nobody_was_told_of_are_read(house: NoteHouse) -> None:
    await house.store(Sample(ONE), series=SERIES)
    await house.note(NOTE, NAMES_ONE)
    await house.store(Sample("1.2.4.1.1"), study=OTHER)
    assert await tend(house) == Settled()
    done = await read_all_notes(
        house.objects,
        house.catalogue,
        None,
        load_table=partial(load_table, house.objects, house.catalogue),
        now_us=house.clock.tick(),
    )
    assert done == Settled(studies=1, instances=1)
    assert await house.rejected() == {ONE}


async def test_a_note_that_was_deleted_before_anybody_read_it_counts_once_restored(
    house: NoteHouse,
) -> None:
    await house.store(Sample(ONE), series=SERIES)
    note = await house.note(NOTE, NAMES_ONE)
    await house.followed.delete(THE_NOTE)
    await house.follow(note)
    assert await house.rejected() == set()
    await house.followed.restore(THE_NOTE)
    assert await house.rejected() == {ONE}


async def test_a_note_that_was_merged_before_anybody_read_it_is_found(
    house: NoteHouse, tmp_path: Path
) -> None:
    await house.store(Sample(ONE), series=SERIES)
    notes = [await house.note(f"{NOTES}.{n}", NAMES_ONE) for n in (1, 2)]
    assert (await repack(house, tmp_path / "merged", series=NOTES)).made == 1
    await house.follow(notes[0])
    assert await house.rejected() == {ONE}
    assert len(await listed(house)) == 2


async def test_one_note_is_found_by_its_uid(house: NoteHouse) -> None:
    await house.store(Sample(ONE), series=SERIES)
    load = partial(load_table, house.objects, house.catalogue)
    find = partial(rejection, house.objects, house.catalogue, "default", load_table=load)
    for uid in (NOTE, ONE):
        with pytest.raises(NotFound):
            await find(uid)
    await house.rejecting(NOTE, NAMES_ONE)
    assert (await find(NOTE)).hidden == 1
    with pytest.raises(NotFound):
        await find(ONE)


async def test_no_time_brings_back_what_was_rejected_or_purges_it(house: NoteHouse) -> None:
    await house.store(Sample(ONE), series=SERIES)
    await house.rejecting(NOTE, NAMES_ONE)
    house.clock.now_us += 400 * DAY_US
    await house.tend()
    assert await house.rejected() == {ONE}, "nothing but its note brings it back or away"


async def test_a_pack_that_the_catalogue_lost_comes_back_with_what_was_rejected_hidden(
    house: NoteHouse,
) -> None:
    await house.store(Sample(ONE), Sample(TWO))
    await house.rejecting(NOTE, {STUDY: {SERIES: [ONE]}})
    before = await house.digest()
    await house.catalogue.wipe()
    policy = ConflictPolicy.KEEP_FIRST
    swept = await adopt_orphans(
        house.objects, house.catalogue, policy=policy, now_us=FUTURE_US, grace_us=0
    )
    assert (swept.adopted, swept.problems) == (2, ())
    assert await house.digest() == before
