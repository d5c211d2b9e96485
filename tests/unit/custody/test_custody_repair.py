"""What is broken on purpose is named, repaired, and clean; or what is left is said."""

import shutil
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.records import StudyChange, UidRef
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.export import digest
from pacs_cloud.custody.findings import Finding, FindingKind
from pacs_cloud.custody.fsck import NEVER_YOUNG_US, check
from pacs_cloud.custody.repair.action import Outcome, Repaired
from pacs_cloud.custody.repair.run import repair
from pacs_cloud.custody.repair.study import Terms
from pacs_cloud.custody.stored_pack import staged_pack
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.storage_classes import StorageClass
from unit.custody.custody_damage import (
    Break,
    another_pack,
    change_the_index,
    cut_the_pack,
    leave_strangers,
    lose_a_decision,
    lose_the_index,
    lose_the_pack,
    lose_the_study,
    miscount,
    miscount_the_study,
    mismeasure,
    show_what_is_hidden,
    spoil_the_ledger,
    swap,
)
from unit.custody.custody_faults import Died, Fuse, Mortal, Refusing
from unit.custody.custody_house import House
from unit.custody.custody_packs import NOW_US, Clock, Made, Sample, commit, fill, make_pack, put

Kind = FindingKind
TERMS = Terms(
    ConflictPolicy.KEEP_FIRST, NOW_US * 2, deep=True, settled_us=NEVER_YOUNG_US, grace_us=0
)


async def repaired(objects: object, catalogue: object, *, dry: bool = False) -> list[Repaired]:
    done = repair(objects, catalogue, TERMS, dry=dry)  # type: ignore[arg-type]
    return [one async for one in done]


@asynccontextmanager
async def opened(folder: Path) -> AsyncGenerator[tuple[LocalObjectStore, SqliteCatalogue]]:
    async with (
        LocalObjectStore(folder / "objects") as objects,
        SqliteCatalogue(folder / "catalogue.sqlite") as catalogue,
    ):
        yield objects, catalogue


async def kinds(objects: LocalObjectStore, catalogue: SqliteCatalogue) -> set[FindingKind]:
    return {one.kind async for one in check(objects, catalogue, deep=True)}


async def everything(objects: LocalObjectStore, catalogue: SqliteCatalogue) -> dict[str, object]:
    """Every object's bytes, and all that the catalogue says, `rev`s too."""
    stored = {info.key: await objects.get(info.key) async for info in objects.list("")}
    return {**stored, "": [state async for state in catalogue.export()]}


# What more may be wrong, beside what a check without repairs is tested with.


async def _lose_the_staged(_: LocalObjectStore, catalogue: SqliteCatalogue, made: Made) -> None:
    ref = UidRef(made.key.study_instance_uid, made.key.series_instance_uid, made.key.pack_id)
    uids = [one.sop_instance_uid for one in made.table.instances]
    await catalogue.unstage(made.key.tenant, ref, uids)


async def _lose_both_indexes(
    objects: LocalObjectStore, catalogue: SqliteCatalogue, made: Made
) -> None:
    await lose_the_index(objects, catalogue, made)
    await _lose_the_staged(objects, catalogue, made)


async def _stage_otherwise(_: LocalObjectStore, catalogue: SqliteCatalogue, made: Made) -> None:
    staged = staged_pack(made.table, made.index)
    await catalogue.stage(replace(staged, headers=staged.headers[:-2]))


async def _lose_the_records(_: LocalObjectStore, catalogue: SqliteCatalogue, made: Made) -> None:
    state = await catalogue.study(made.key.tenant, made.key.study_instance_uid)
    assert state is not None
    refs = [
        UidRef(one.study_instance_uid, one.series_instance_uid, one.pack_id)
        for one in state.packs
        if one.pack_id == made.key.pack_id
    ]
    names = made.key.tenant, made.key.study_instance_uid
    after = replace(state.study, rev=state.study.rev + 1)
    await catalogue.commit(StudyChange(*names, state.study, after, drop_packs=tuple(refs)))


async def _leave_staged(_: LocalObjectStore, catalogue: SqliteCatalogue, made: Made) -> None:
    names = made.key.tenant, made.key.study_instance_uid, made.key.series_instance_uid
    uid = made.table.instances[0].sop_instance_uid
    other = make_pack(Clock(NOW_US * 2), *names, [Sample(uid), Sample("1.2.3.99")])
    await catalogue.stage(staged_pack(other.table, other.index))


async def _leave_an_index(objects: LocalObjectStore, _: SqliteCatalogue, made: Made) -> None:
    names = made.key.tenant, made.key.study_instance_uid, made.key.series_instance_uid
    samples = [Sample(one.sop_instance_uid) for one in made.table.instances]
    other = make_pack(Clock(NOW_US * 2), *names, samples)
    await objects.put_new(other.key.index, other.index)


async def _leave_an_index_of_its_own(
    objects: LocalObjectStore, _: SqliteCatalogue, made: Made
) -> None:
    names = made.key.tenant, made.key.study_instance_uid, made.key.series_instance_uid
    other = make_pack(Clock(NOW_US * 2), *names, [Sample("1.2.3.99.1")])
    await objects.put_new(other.key.index, other.index)


async def _leave_a_merge(objects: LocalObjectStore, _: SqliteCatalogue, made: Made) -> None:
    names = made.key.tenant, made.key.study_instance_uid, made.key.series_instance_uid
    samples = [Sample(one.sop_instance_uid) for one in made.table.instances]
    clock, ids = Clock(NOW_US * 2), (made.key.pack_id,)
    await put(objects, make_pack(clock, *names, samples, replaces=ids, merged_rev=clock.now_us))


async def _move_behind_its_back(objects: LocalObjectStore, _: SqliteCatalogue, made: Made) -> None:
    await objects.move(made.key.pack, StorageClass.GLACIER_IR)


async def _tear_a_member(objects: LocalObjectStore, _: SqliteCatalogue, made: Made) -> None:
    instance = made.table.instances[2]
    data = bytearray(made.data)
    data[instance.offset + instance.length_bytes - 1] ^= 1
    await swap(objects, made.key.pack, bytes(data))


@pytest.mark.parametrize(
    ("breaking", "left"),
    [
        (lose_the_index, set[Kind]()),
        (change_the_index, set[Kind]()),
        (miscount, set[Kind]()),
        (mismeasure, set[Kind]()),
        (show_what_is_hidden, set[Kind]()),
        (miscount_the_study, set[Kind]()),
        (lose_a_decision, set[Kind]()),
        (_lose_the_staged, set[Kind]()),
        (_lose_both_indexes, set[Kind]()),
        (_stage_otherwise, set[Kind]()),
        (_lose_the_records, set[Kind]()),
        (_leave_staged, set[Kind]()),
        (_leave_an_index, set[Kind]()),
        (_leave_a_merge, set[Kind]()),
        (_move_behind_its_back, set[Kind]()),
        (_leave_an_index_of_its_own, {Kind.INDEX_ORPHAN}),
        (lose_the_pack, {Kind.DANGLING}),
        (lose_the_study, {Kind.DANGLING}),
        (cut_the_pack, {Kind.SIZE, Kind.DAMAGED}),
        (_tear_a_member, {Kind.CHECKSUM, Kind.DIGEST}),
        (another_pack, {Kind.SIZE, Kind.INDEX_DIFFERS, Kind.MISPLACED}),
        (spoil_the_ledger, {Kind.LEDGER}),
        (leave_strangers, {Kind.UNKNOWN_KEY}),
    ],
)
async def test_what_is_broken_is_named_and_repaired(
    objects: LocalObjectStore, catalogue: SqliteCatalogue, breaking: Break, left: set[FindingKind]
) -> None:
    made = await fill(objects, catalogue)
    before = await digest(catalogue)
    await breaking(objects, catalogue, made[0])
    broken = await everything(objects, catalogue)
    findings = [one async for one in check(objects, catalogue, deep=True)]
    assert findings

    planned = await repaired(objects, catalogue, dry=True)
    assert await everything(objects, catalogue) == broken
    assert Counter(one.finding for one in planned) == Counter(findings)
    assert all(one.detail for one in planned)

    done = await repaired(objects, catalogue)
    assert await kinds(objects, catalogue) == left
    assert {one.finding.kind for one in done if one.outcome is Outcome.LEFT} == left
    assert {one.finding for one in done if one.outcome is Outcome.DONE} <= set(findings)
    for one in planned:
        # What it promises it does.
        if one.outcome is Outcome.WOULD:
            assert Repaired(one.finding, Outcome.DONE, one.detail) in done or left, one
    if not left and breaking is not show_what_is_hidden:
        assert await digest(catalogue) == before
    again = await everything(objects, catalogue)
    assert {one.outcome for one in await repaired(objects, catalogue)} <= {Outcome.LEFT}
    assert await everything(objects, catalogue) == again
    assert "TEST^CUSTODY" not in repr(done)


@pytest.mark.parametrize("answers", [False, True])
@pytest.mark.parametrize(
    "breaking",
    [change_the_index, lose_a_decision, _lose_both_indexes, _lose_the_records, _leave_a_merge],
)
async def test_whoever_dies_in_a_repair_has_lost_nothing(
    tmp_path: Path, breaking: Break, answers: bool
) -> None:
    async with opened(tmp_path / "broken") as (objects, catalogue):
        house = House(objects, catalogue)
        first = await house.store(*[Sample(f"1.2.3.1.{n}") for n in range(3)])
        await house.store(Sample("1.2.3.1.1"), Sample("1.2.3.1.7"))
        before = await house.digest()
        await breaking(objects, catalogue, first)
    for at in count():
        shutil.copytree(tmp_path / "broken", tmp_path / f"{at}")
        async with opened(tmp_path / f"{at}") as (objects, catalogue):
            fuse = Fuse(at, answers=answers)
            with suppress(Died):
                await repaired(Mortal(objects, fuse), Mortal(catalogue, fuse))
            assert await objects.get(first.key.pack) == first.data
            await repaired(objects, catalogue)
            assert await kinds(objects, catalogue) == set(), at
            assert await digest(catalogue) == before, at
        if not fuse.is_burnt:
            break


async def test_what_is_lost_is_named_and_its_record_stays(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    made = await fill(objects, catalogue)
    before = await digest(catalogue)
    await lose_the_pack(objects, catalogue, made[0])
    for dry in (True, False):
        (one,) = await repaired(objects, catalogue, dry=dry)
        assert one.outcome is Outcome.LEFT
        assert "this store keeps no earlier versions" in one.detail
        assert "5 instances, 1.2.3.1.1, 1.2.3.1.2" in one.detail
        assert "restore" in one.detail
    assert await digest(catalogue) == before


async def test_what_was_deleted_and_is_lost_elsewhere_is_not_given_up(house: House) -> None:
    """Its index object is all that is left of an instance that lies in the trash."""
    await house.store(Sample("1.2.3.1.1"))
    made = await house.store(Sample("1.2.3.1.2"))
    await house.trash.delete(Scope("default", "1.2.3", "1.2.3.1", "1.2.3.1.2"))
    await _lose_the_records(house.objects, house.catalogue, made)
    await house.objects.delete(made.key.pack)
    left = await repaired(house.objects, house.catalogue)
    (one,) = [one for one in left if one.finding.kind is Kind.INDEX_ORPHAN]
    assert one.outcome is Outcome.LEFT
    assert "1 instances are named in it that are nowhere else: 1.2.3.1.2" in one.detail


async def test_what_cannot_be_read_is_not_promised(house: House) -> None:
    made = await house.store(Sample("1.2.3.1.1"))
    await miscount(house.objects, house.catalogue, made)
    await lose_the_pack(house.objects, house.catalogue, made)
    await _lose_both_indexes(house.objects, house.catalogue, made)
    for dry in (True, False):
        told = await repaired(house.objects, house.catalogue, dry=dry)
        assert {one.outcome for one in told} == {Outcome.LEFT}
    assert len(await house.catalogue.packs("default", "1.2.3")) == 1


async def test_an_orphan_is_adopted(objects: LocalObjectStore, catalogue: SqliteCatalogue) -> None:
    orphan = make_pack(Clock(), "default", "1.7", "1.7.1", [Sample("1.7.1.1")])
    await put(objects, orphan, index=False)
    (planned,) = await repaired(objects, catalogue, dry=True)
    assert (planned.finding.kind, planned.outcome) == (Kind.ORPHAN, Outcome.WOULD)
    (done,) = await repaired(objects, catalogue)
    assert done.outcome is Outcome.DONE
    assert [one.instance_count for one in await catalogue.packs("default", "1.7")] == [1]
    assert await kinds(objects, catalogue) == set()


async def test_what_a_purge_has_left_is_removed(house: House) -> None:
    made = await house.store(Sample("1.2.3.1.1"))
    await house.trash.delete(Scope("default", "1.2.3"))
    await house.purge()
    await put(house.objects, made)
    assert {one.kind for one in await house.findings()} == {Kind.ORPHAN}
    await repaired(house.objects, house.catalogue)
    assert await house.keys("packs/") == await house.keys("index/") == []
    assert await house.findings() == []


async def test_what_was_deleted_is_not_shown_for_a_decision_that_is_lost(house: House) -> None:
    await house.store(Sample("1.2.3.1.1"), Sample("1.2.3.1.2"))
    await house.trash.delete(Scope("default", "1.2.3", "1.2.3.1", "1.2.3.1.1"))
    before = await house.digest()
    for key in await house.keys("ledger/"):
        await house.objects.delete(key)
    await repaired(house.objects, house.catalogue)
    assert await house.findings() == []
    assert await house.digest() == before
    assert await house.rebuilt() == before


async def test_what_a_commit_decided_that_died_hides_nothing_everywhere(house: House) -> None:
    """The spool made it again by another policy: each side would be hidden for the other."""
    await house.store(Sample("1.2.3.1.1"), Sample("1.2.3.1.2"))
    late = make_pack(house.clock, "default", "1.2.3", "1.2.3.1", [Sample("1.2.3.1.1", "other")])
    await put(house.objects, late)

    async def dies(_: object) -> None:
        raise Died

    with suppress(Died):
        await commit(
            house.objects,
            _Dying(house.catalogue, dies),  # type: ignore[arg-type]
            late,
            house.clock,
            ConflictPolicy.REPLACE,
        )
    await commit(house.objects, house.catalogue, late, house.clock)
    before = await house.digest()
    assert await house.count() == 2
    assert {one.kind for one in await house.findings()} == {Kind.LEDGER}
    await repaired(house.objects, house.catalogue)
    assert await house.findings() == []
    assert await house.digest() == before
    assert await house.rebuilt() == before


async def test_what_waits_for_the_worker_is_left_to_it(house: House) -> None:
    """A purge that wrote its decision, and died."""
    await house.store(Sample("1.2.3.1.1"))
    await house.trash.delete(Scope("default", "1.2.3"))

    async def dies(_: object) -> None:
        raise Died

    catalogue = _Dying(house.catalogue, dies)
    with suppress(Died):
        await house.purge(catalogue=catalogue)  # type: ignore[arg-type]
    before = await everything(house.objects, house.catalogue)
    left = await repaired(house.objects, house.catalogue)
    assert all(one.outcome is Outcome.LEFT for one in left)
    assert await everything(house.objects, house.catalogue) == before


class _Dying:
    def __init__(self, real: SqliteCatalogue, commit: Callable[[object], Awaitable[None]]) -> None:
        self._real = real
        self.commit = commit

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)


async def test_one_object_that_may_not_be_read_is_a_finding_and_the_rest_goes_on(
    tmp_path: Path, catalogue: SqliteCatalogue
) -> None:
    async with Refusing(tmp_path / "objects") as objects:
        made = await fill(objects, catalogue)
        ledger = [info.key async for info in objects.list("ledger/second/")]
        await miscount(objects, catalogue, made[-1])
        objects.refused = frozenset({made[0].key.pack, made[1].key.index, ledger[0]})
        findings: list[Finding] = [one async for one in check(objects, catalogue, deep=True)]
        assert Counter(one.kind for one in findings) == {
            Kind.DENIED: 2,
            Kind.LEDGER: 1,
            Kind.COUNT: 1,
        }
        assert {one.key for one in findings if one.kind is Kind.DENIED} == {
            made[0].key.pack,
            made[1].key.index,
        }
        left = [one for one in await repaired(objects, catalogue) if one.outcome is Outcome.LEFT]
        # The miscount is of the study whose ledger may not be read.
        assert Counter(one.finding.kind for one in left) == Counter(one.kind for one in findings)


async def test_a_repair_beside_a_commit_loses_neither(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    clock = Clock()
    made = await fill(objects, catalogue, clock=clock)
    await miscount_the_study(objects, catalogue, made[0])
    newcomer = make_pack(clock, "default", "1.2.3", "1.2.3.1", [Sample("1.2.3.1.77")])
    await put(objects, newcomer)

    class Raced(Mortal):
        has_raced = False

        def __getattr__(self, name: str) -> object:
            if name == "commit" and not self.has_raced:
                self.has_raced = True
                return self._late
            return super().__getattr__(name)

        async def _late(self, change: StudyChange) -> None:
            await commit(objects, catalogue, newcomer, clock)
            await catalogue.commit(change)

    raced = Raced(catalogue, Fuse(1 << 40, answers=False))
    await repaired(objects, raced)
    assert raced.has_raced
    assert await kinds(objects, catalogue) == set()
    packs = await catalogue.packs("default", "1.2.3")
    assert newcomer.key.pack_id in {one.pack_id for one in packs}
