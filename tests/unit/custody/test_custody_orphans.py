"""Packs whose commit never happened are adopted; all others are left alone."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from pacs_cloud.catalogue.decisions import Decision, encode_choice
from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import HiddenReason, StudyChange, UidRef
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.export import digest
from pacs_cloud.custody.findings import FindingKind, Severity
from pacs_cloud.custody.fsck import NEVER_YOUNG_US, check
from pacs_cloud.custody.labels import change_labels
from pacs_cloud.custody.ledger import decided_of, record_decision, record_trash
from pacs_cloud.custody.orphans import GRACE_US, Swept, adopt_orphans
from pacs_cloud.custody.repair.action import Outcome
from pacs_cloud.custody.repair.run import repair
from pacs_cloud.custody.repair.study import Terms
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.errors import Denied, Unavailable
from pacs_cloud.objectstore.keys import decision_key, ledger_prefix
from pacs_cloud.objectstore.local import LocalObjectStore
from unit.custody.custody_corrections import correct, corrector
from unit.custody.custody_damage import swap
from unit.custody.custody_erasure import Eraser
from unit.custody.custody_house import Dying, House
from unit.custody.custody_packs import NOW_US, Clock, Sample, commit, fill, make_pack, put

FUTURE_US = 1 << 60


async def sweep(objects: LocalObjectStore, catalogue: SqliteCatalogue, **options: object) -> Swept:
    options = {"now_us": FUTURE_US, "policy": ConflictPolicy.KEEP_FIRST, **options}
    return await adopt_orphans(objects, catalogue, **options)


async def test_an_orphan_becomes_visible(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    await fill(objects, catalogue)
    orphan = make_pack(Clock(), "second", "1.7", "1.7.1", [Sample("1.7.1.1"), Sample("1.7.1.2")])
    await put(objects, orphan, index=False)
    swept = await sweep(objects, catalogue)
    assert (swept.adopted, swept.problems, swept.after) == (1, (), "")
    (study,) = await catalogue.studies_by_uid("second", ["1.7"])
    assert study.instance_count == 2
    assert [finding async for finding in check(objects, catalogue, deep=True)] == []


async def test_a_sound_archive_stays_as_it_is(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    await fill(objects, catalogue)
    before = await digest(catalogue)
    events = await catalogue.events(1000)
    swept = await sweep(objects, catalogue)
    assert (swept.studies, swept.adopted) == (3, 0)
    assert await digest(catalogue) == before
    assert await catalogue.events(1000) == events


async def test_a_young_orphan_is_left_to_its_committer(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    orphan = make_pack(Clock(), "default", "1.7", "1.7.1", [Sample("1.7.1.1")])
    await put(objects, orphan)
    stored_us = (await objects.head(orphan.key.pack)).modified_us
    early = await sweep(objects, catalogue, now_us=stored_us + GRACE_US - 1)
    late = await sweep(objects, catalogue, now_us=stored_us + GRACE_US)
    assert (early.adopted, late.adopted) == (0, 1)


async def test_a_repeat_is_judged_like_a_newcomer(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    clock = Clock()
    samples = [Sample("1.2.1.1"), Sample("1.2.1.2")]
    orphan = make_pack(clock, "default", "1.2", "1.2.1", samples)
    again = make_pack(clock, "default", "1.2", "1.2.1", samples)
    for pack in (orphan, again):
        await put(objects, pack)
    await commit(objects, catalogue, again, clock)
    assert (await sweep(objects, catalogue)).adopted == 1
    state = await catalogue.study("default", "1.2")
    assert state is not None
    assert state.study.instance_count == 2
    assert [finding async for finding in check(objects, catalogue)] == []


@pytest.mark.parametrize(
    ("dies_by", "adopts_by"),
    [
        (ConflictPolicy.KEEP_FIRST, ConflictPolicy.REPLACE),
        (ConflictPolicy.REPLACE, ConflictPolicy.KEEP_FIRST),
    ],
)
async def test_what_a_commit_told_that_died_is_taken_back_where_it_is_judged_otherwise(
    house: House, dies_by: ConflictPolicy, adopts_by: ConflictPolicy
) -> None:
    await _leave_a_commit(house, dies_by)
    swept = await sweep(house.objects, house.catalogue, policy=adopts_by)
    assert (swept.adopted, swept.problems) == (1, ())
    assert await house.count() == 3
    before = await house.digest()
    assert await house.findings() == []
    assert await house.rebuilt() == before


async def test_what_a_commit_told_that_died_hides_nothing_once_its_rival_is_deleted(
    house: House,
) -> None:
    await _leave_a_commit(house, ConflictPolicy.KEEP_FIRST)
    await house.trash.delete(Scope("default", "1.2.3", "1.2.3.1", "1.2.3.1.1"))
    assert (await sweep(house.objects, house.catalogue)).adopted == 1
    assert await house.count() == 3
    before = await house.digest()
    assert await house.findings() == []
    assert await house.rebuilt() == before


async def test_a_commit_that_lost_to_an_adoption_tells_the_ledger_again(house: House) -> None:
    """The adoption took it for one that had died, and took back what it had told."""
    await house.store(Sample("1.2.3.1.1"), Sample("1.2.3.1.2"))
    orphan, late = (
        make_pack(house.clock, "default", "1.2.3", "1.2.3.1", [Sample("1.2.3.1.1", words)])
        for words in ("other", "third")
    )
    await put(house.objects, orphan)
    raced = _Raced(house.catalogue, partial(sweep, house.objects, house.catalogue))
    await commit(house.objects, cast("Catalogue", raced), late, house.clock, ConflictPolicy.REPLACE)
    await put(house.objects, late)
    before = await house.digest()
    assert await house.findings() == []
    assert await house.rebuilt() == before


class _Raced:
    """A catalogue where something happens before the first commit."""

    def __init__(self, real: SqliteCatalogue, first: Callable[[], Awaitable[object]]) -> None:
        self._real = real
        self._first = [first]

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    async def commit(self, change: StudyChange) -> None:
        while self._first:
            await self._first.pop()()
        await self._real.commit(change)


async def _leave_a_commit(house: House, policy: ConflictPolicy) -> None:
    """Leave a pack whose commit told the ledger, and died: of its two one is other content."""
    await house.store(Sample("1.2.3.1.1"), Sample("1.2.3.1.2"))
    samples = [Sample("1.2.3.1.1", "other"), Sample("1.2.3.1.3")]
    late = make_pack(house.clock, "default", "1.2.3", "1.2.3.1", samples)
    await put(house.objects, late)
    dying = cast("Catalogue", Dying(house.catalogue, "commit", lambda _: True))
    with suppress(Unavailable):
        await commit(house.objects, dying, late, house.clock, policy)
    assert await house.keys("ledger/") != []


async def test_a_choice_that_nobody_has_followed_yet_is_left(house: House) -> None:
    """Whoever chose, and died, has it followed by the worker."""
    await house.store(Sample("1.2.3.1.1"), Sample("1.2.3.1.2"))
    await house.store(Sample("1.2.3.1.1", "other"))
    late = make_pack(house.clock, "default", "1.2.3", "1.2.3.1", [Sample("1.2.3.1.1", "third")])
    await put(house.objects, late)
    chosen = [{"1.2.3.1.1": HiddenReason.REPLACED}, {}]
    at_us = house.clock.tick()
    decisions = [
        Decision("default", "1.2.3", "1.2.3.1", pack.pack_id, hidden, at_us, is_choice=True)
        for pack, hidden in zip(
            await house.catalogue.packs("default", "1.2.3"), chosen, strict=True
        )
    ]
    key = decision_key("default", "1.2.3", at_us, "choice")
    await house.objects.put_new(key, encode_choice(decisions, {}))
    assert (await sweep(house.objects, house.catalogue)).adopted == 1
    decided = await decided_of(house.objects, "default", "1.2.3")
    assert [decided.hidden[one.pack_id] for one in decisions] == chosen


async def test_a_merged_pack_is_not_brought_back(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    clock = Clock()
    part = make_pack(clock, "default", "1.2", "1.2.1", [Sample("1.2.1.1")])
    merged = make_pack(
        clock, "default", "1.2", "1.2.1", [Sample("1.2.1.1")], replaces=(part.key.pack_id,)
    )
    await put(objects, part)
    await put(objects, merged)
    await commit(objects, catalogue, merged, clock)
    assert (await sweep(objects, catalogue)).adopted == 0


async def test_what_was_deleted_is_not_brought_back(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    clock = Clock()
    packs = [
        make_pack(clock, "default", "1.2", "1.2.1", [Sample(f"1.2.1.{n}"), Sample(f"1.2.1.{n}9")])
        for n in (1, 2)
    ]
    deleted = ({"1.2.1.1", "1.2.1.19"}, {"1.2.1.2"})
    for pack, uids in zip(packs, deleted, strict=True):
        await put(objects, pack)
        hidden = dict.fromkeys(uids, HiddenReason.DELETED)
        await record_decision(
            objects,
            Decision("default", "1.2", "1.2.1", pack.key.pack_id, hidden, NOW_US),
        )
    assert (await sweep(objects, catalogue)).adopted == 1
    (record,) = await catalogue.packs("default", "1.2")
    assert dict(record.hidden) == {"1.2.1.2": "deleted"}


async def test_a_sweep_goes_on_where_the_last_one_ended(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    clock = Clock()
    for number in range(5):
        study = f"1.5.{number}"
        for _ in range(2):
            uid = f"{study}.1.{clock.tick()}"
            await put(objects, make_pack(clock, "default", study, f"{study}.1", [Sample(uid)]))
    after, sweeps = "", []
    while not sweeps or after:
        swept = await sweep(objects, catalogue, after=after, limit=2)
        after = swept.after
        sweeps.append((swept.studies, swept.adopted))
    assert sweeps == [(2, 4), (2, 4), (1, 2)]
    assert [finding async for finding in check(objects, catalogue)] == []


async def test_a_damaged_orphan_is_told_and_the_next_adopted(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    clock = Clock()
    bad, good = (
        make_pack(clock, "default", "1.2", "1.2.1", [Sample(f"1.2.1.{n}")]) for n in (1, 2)
    )
    await objects.put_new(bad.key.pack, bad.data[:-30])
    await put(objects, good)
    swept = await sweep(objects, catalogue)
    assert swept.adopted == 1
    assert [(one.kind, one.pack_id) for one in swept.problems] == [
        (FindingKind.DAMAGED, bad.key.pack_id)
    ]


async def test_a_decision_that_cannot_be_read_holds_up_its_study_alone(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    clock = Clock()
    unclear, clear = (
        make_pack(clock, "default", study, f"{study}.1", [Sample(f"{study}.1.1")])
        for study in ("1.2", "1.3")
    )
    for pack in (unclear, clear):
        await put(objects, pack)
    await objects.put_new(f"{ledger_prefix('default', '1.2')}1-x.json", b"not a decision")
    swept = await sweep(objects, catalogue)
    assert (swept.studies, swept.adopted, swept.after) == (2, 1, "")
    assert [(one.kind, one.pack_id) for one in swept.problems] == [
        (FindingKind.LEDGER, unclear.key.pack_id)
    ]
    assert await catalogue.study("default", "1.2") is None


async def test_one_that_cannot_be_judged_holds_up_itself_alone(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    clock = Clock()
    # It replaces something, so that its study is added up anew, of which a table is unreadable.
    first, damaged, newer, clear = (
        make_pack(clock, "default", series[:3], series, [Sample(f"{series}.1", words)])
        for series, words in (("1.2.1", "A"), ("1.2.2", "A"), ("1.2.1", "B"), ("1.3.1", "A"))
    )
    for pack in (first, damaged, newer, clear):
        await put(objects, pack)
    for pack in (first, damaged):
        await commit(objects, catalogue, pack, clock)
    await catalogue.unstage("default", UidRef("1.2", "1.2.2", damaged.key.pack_id), [])
    await objects.delete(damaged.key.index)
    await objects.put_new(damaged.key.index, b"damaged")
    swept = await sweep(objects, catalogue, policy=ConflictPolicy.REPLACE)
    assert (swept.studies, swept.adopted, swept.after) == (2, 1, "")
    assert [(one.kind, one.pack_id) for one in swept.problems] == [
        (FindingKind.ORPHAN, newer.key.pack_id)
    ]


async def test_one_that_the_store_does_not_let_go_holds_up_itself_alone(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    clock = Clock()
    purged, clear = (
        make_pack(clock, "default", study, f"{study}.1", [Sample(f"{study}.1.1")])
        for study in ("1.2", "1.3")
    )
    for pack in (purged, clear):
        await put(objects, pack)
    decision = Decision(
        tenant="default",
        study_instance_uid="1.2",
        series_instance_uid="1.2.1",
        pack_id=purged.key.pack_id,
        hidden={"1.2.1.1": HiddenReason.PURGED},
        decided_us=NOW_US,
        about_trash=True,
    )
    await record_trash(objects, [decision])
    locked = Dying(objects, "delete", purged.key.pack.__eq__, Denied)
    swept = await sweep(locked, catalogue)  # type: ignore[arg-type]
    assert (swept.studies, swept.adopted, swept.removed, swept.after) == (2, 1, 0, "")
    assert [(one.kind, one.pack_id) for one in swept.problems] == [
        (FindingKind.ORPHAN, purged.key.pack_id)
    ]
    assert (await sweep(objects, catalogue)).removed == 1


async def label(house: House) -> None:
    await change_labels(
        house.objects,
        house.catalogue,
        *("default", "1.2.3", ["vip"]),
        is_added=True,
        reason="asked for",
        who="anna",
        now_us=house.clock.tick(),
    )


async def test_the_first_pack_of_a_study_that_lost_its_record_finds_what_was_said_of_it(
    house: House,
) -> None:
    await house.store(Sample("1.2.3.1.1"), Sample("1.2.3.1.2"))
    await label(house)
    before = await house.digest()
    await house.catalogue.wipe()
    assert (await sweep(house.objects, house.catalogue)).adopted == 1
    assert await house.digest() == before
    assert await house.findings() == []


async def test_a_newcomer_to_a_study_that_lost_its_record_opens_no_door(house: House) -> None:
    names = "default", "1.2.3"
    await house.store(Sample("1.2.3.1.1"))
    await label(house)
    (key,) = await house.keys("labels/")
    good = await house.objects.get(key)
    await swap(house.objects, key, b"")
    await house.catalogue.wipe()
    await house.store(Sample("1.2.3.1.2"))
    swept = await sweep(house.objects, house.catalogue)
    assert (swept.adopted, len(swept.problems)) == (0, 1)
    assert await house.count() == 1
    await swap(house.objects, key, good)
    assert (await sweep(house.objects, house.catalogue)).adopted == 1
    assert await house.count() == 2
    state = await house.catalogue.study(*names)
    assert state is not None
    assert state.study.labels == {"vip"}


async def test_what_a_newcomer_s_record_does_not_know_is_told_it_before_the_old_packs_are_shown(
    house: House, tmp_path: Path
) -> None:
    names = "default", "1.2.3"
    eraser = Eraser(house, tmp_path / "work")
    await house.store(Sample("1.2.3.1.1"), Sample("1.2.3.1.3"))
    await corrector(house).apply(await correct(house, "PatientID=OTHER"))
    await eraser.erase(Scope(*names, "1.2.3.1", "1.2.3.1.3"))
    before = await house.catalogue.study(*names)
    assert before is not None
    await house.catalogue.wipe()
    await house.store(Sample("1.2.3.1.2"))
    swept = await sweep(house.objects, house.catalogue)
    assert swept.adopted == 0
    assert {one.severity for one in swept.problems} == {Severity.WARNING}
    await eraser.tend()
    assert (await sweep(house.objects, house.catalogue)).adopted == 1
    after = await house.catalogue.study(*names)
    assert after is not None
    assert after.study.patients == before.study.patients
    assert after.study.amendments == before.study.amendments
    assert after.study.erased == before.study.erased
    assert await house.count() == 2


async def test_what_lies_in_the_trash_alone_waits_for_a_rebuild(house: House) -> None:
    await house.store(Sample("1.2.3.1.1"))
    await house.store(Sample("1.2.4.1.1"), study="1.2.4")
    await house.trash.delete(Scope("default", "1.2.3"))
    before, trash = await house.digest(), await house.in_trash()
    assert len(trash) == 1
    await house.catalogue.wipe()
    assert (await sweep(house.objects, house.catalogue)).adopted == 1
    (found,) = await house.findings()
    assert (found.kind, found.severity) == (FindingKind.ORPHAN, Severity.WARNING)
    assert "in the trash" in found.detail
    assert "rebuild" in found.repair
    terms = Terms(ConflictPolicy.KEEP_FIRST, house.clock.tick(), True, NEVER_YOUNG_US, grace_us=0)
    for dry in (True, False):
        (left,) = [one async for one in repair(house.objects, house.catalogue, terms, dry=dry)]
        assert (left.outcome, left.detail) == (Outcome.LEFT, found.repair)
    assert await house.rebuilt() == before
    assert await house.in_trash() == trash
