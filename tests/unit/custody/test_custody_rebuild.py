"""The catalogue comes back from the objects alone, and is equal."""

from pathlib import Path

import pytest

from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.records import ConflictKind, ConflictRecord
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.export import digest, export_lines
from pacs_cloud.custody.findings import FindingKind
from pacs_cloud.custody.fsck import check
from pacs_cloud.custody.labels import change_labels
from pacs_cloud.custody.orphans import adopt_orphans
from pacs_cloud.custody.rebuild import Rebuilt, count_packs, rebuild
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.errors import Denied, PacsError, Unavailable
from pacs_cloud.objectstore.keys import ledger_prefix
from pacs_cloud.objectstore.local import LocalObjectStore
from unit.custody.custody_corrections import correct, corrector
from unit.custody.custody_damage import swap
from unit.custody.custody_erasure import Eraser
from unit.custody.custody_house import FUTURE_US, Dying, House
from unit.custody.custody_packs import NOW_US, Clock, Sample, commit, fill, make_pack, put

KEEP_FIRST = ConflictPolicy.KEEP_FIRST
AMENDS = b'{"version":1,"kind":"amendment"}'
"""Decides nothing, and is no correction."""


async def rebuilt(objects: LocalObjectStore, path: Path, **options: object) -> list[bytes]:
    async with SqliteCatalogue(path) as empty:
        await rebuild(objects, empty, policy=KEEP_FIRST, now_us=NOW_US, **options)
        return [line async for line in export_lines(empty)]


@pytest.mark.parametrize("policy", ConflictPolicy)
async def test_what_is_rebuilt_is_equal(
    objects: LocalObjectStore, catalogue: SqliteCatalogue, tmp_path: Path, policy: ConflictPolicy
) -> None:
    await fill(objects, catalogue, policy)
    before = [line async for line in export_lines(catalogue)]
    # The policy of the time is in the ledger: today's does not matter.
    assert await rebuilt(objects, tmp_path / "again.sqlite") == before
    assert any(b'"hidden":{"' in line for line in before)


async def test_a_wipe_comes_first(objects: LocalObjectStore, catalogue: SqliteCatalogue) -> None:
    clock = Clock()
    await fill(objects, catalogue, clock=clock)
    before = await digest(catalogue)
    gone = make_pack(clock, "default", "1.9", "1.9.1", [Sample("1.9.1.1")])
    await commit(objects, catalogue, gone, clock)
    assert await digest(catalogue) != before
    await rebuild(objects, catalogue, policy=KEEP_FIRST, now_us=clock.tick())
    assert await digest(catalogue) == before


@pytest.mark.parametrize("policy", ConflictPolicy)
async def test_conflicts_are_found_again(
    objects: LocalObjectStore, catalogue: SqliteCatalogue, tmp_path: Path, policy: ConflictPolicy
) -> None:
    def disagreements(conflicts: list[ConflictRecord]) -> set[tuple[str, ...]]:
        # Who replaced whom in a chain of three is in no object; that they disagree is.
        return {(one.kind, one.study_instance_uid, one.sop_instance_uid) for one in conflicts}

    await fill(objects, catalogue, policy)
    before = disagreements(await catalogue.conflicts("default"))
    async with SqliteCatalogue(tmp_path / "again.sqlite") as again:
        await rebuild(objects, again, policy=KEEP_FIRST, now_us=NOW_US)
        assert disagreements(await again.conflicts("default")) == before
    assert {kind for kind, *_ in before} == set(ConflictKind)


async def test_what_is_decided_afterwards_is_later_whatever_the_clock_says(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    clock = Clock()
    await fill(objects, catalogue, ConflictPolicy.QUARANTINE, clock)
    await rebuild(objects, catalogue, policy=KEEP_FIRST, now_us=1)
    assert [finding async for finding in check(objects, catalogue)] == []
    clock.now_us = 2
    newcomer = make_pack(clock, "default", "1.2.3", "1.2.3.1", [Sample("1.2.3.1.1", "fourth")])
    await put(objects, newcomer)
    await commit(objects, catalogue, newcomer, clock, ConflictPolicy.REPLACE)
    before = await digest(catalogue)
    await rebuild(objects, catalogue, policy=KEEP_FIRST, now_us=3)
    assert await digest(catalogue) == before


async def test_nothing_is_announced_or_decided_again(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    await fill(objects, catalogue)
    keys = [info.key async for info in objects.list("")]
    await rebuild(objects, catalogue, policy=KEEP_FIRST, now_us=NOW_US)
    assert await catalogue.events() == []
    assert [info.key async for info in objects.list("")] == keys


async def test_one_tenant_is_rebuilt_beside_the_others(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    await fill(objects, catalogue)
    before = await digest(catalogue)
    second = await digest(catalogue, "second")
    await catalogue.wipe("default")
    done = await rebuild(objects, catalogue, policy=KEEP_FIRST, now_us=NOW_US, tenant="default")
    assert (done.studies, done.packs) == (2, 16)
    assert await digest(catalogue, "second") == second
    assert await digest(catalogue) == before


async def test_an_interrupted_rebuild_goes_on(
    objects: LocalObjectStore,
    catalogue: SqliteCatalogue,
    tmp_path: Path,
) -> None:
    await fill(objects, catalogue)
    before = await digest(catalogue)
    seen: list[Rebuilt] = []

    class Interrupted(Exception):
        pass

    def stop_at_second(so_far: Rebuilt) -> None:
        seen.append(so_far)
        if so_far.studies == 2:
            raise Interrupted

    async with SqliteCatalogue(tmp_path / "again.sqlite") as again:
        with pytest.raises(Interrupted):
            await rebuild(
                objects, again, policy=KEEP_FIRST, now_us=NOW_US, progress=stop_at_second, at_once=1
            )
        assert await digest(again) != before
        rest = await rebuild(objects, again, policy=KEEP_FIRST, now_us=NOW_US, wipe=False)
        assert await digest(again) == before
    assert [so_far.studies for so_far in seen] == [1, 2]
    assert (rest.kept, rest.packs) == (16, 8)


async def test_a_missing_index_object_is_read_from_the_pack_and_written_again(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    made = await fill(objects, catalogue)
    before = await digest(catalogue)
    for pack in made[::3]:
        await objects.delete(pack.key.index)
    await rebuild(objects, catalogue, policy=KEEP_FIRST, now_us=NOW_US)
    assert await digest(catalogue) == before
    assert await objects.get(made[0].key.index) == made[0].index


async def test_packs_that_were_merged_into_another_stay_out(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    clock = Clock()
    parts = [make_pack(clock, "default", "1.2", "1.2.1", [Sample(f"1.2.1.{n}")]) for n in range(3)]
    ids = tuple(part.key.pack_id for part in parts)
    merged = make_pack(
        clock, "default", "1.2", "1.2.1", [Sample(f"1.2.1.{n}") for n in range(3)], replaces=ids
    )
    for pack in (*parts, merged):
        await put(objects, pack)
    done = await rebuild(objects, catalogue, policy=KEEP_FIRST, now_us=NOW_US)
    assert (done.packs, done.replaced) == (1, 3)
    assert [pack.pack_id for pack in await catalogue.packs("default", "1.2")] == [
        merged.key.pack_id
    ]


async def test_a_pack_whose_commit_never_happened_is_judged(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    clock = Clock()
    samples = [Sample("1.2.1.1"), Sample("1.2.1.2")]
    committed = make_pack(clock, "default", "1.2", "1.2.1", samples)
    await put(objects, committed)
    await commit(objects, catalogue, committed, clock)
    orphan = make_pack(clock, "default", "1.2", "1.2.1", [samples[0], Sample("1.2.1.3")])
    await put(objects, orphan)
    await rebuild(objects, catalogue, policy=KEEP_FIRST, now_us=clock.tick())
    state = await catalogue.study("default", "1.2")
    assert state is not None
    assert state.study.instance_count == 3
    assert [dict(pack.hidden) for pack in state.packs] == [{}, {"1.2.1.1": "duplicate"}]


async def test_an_unreadable_pack_is_told_and_the_others_come_back(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    made = await fill(objects, catalogue)
    bad = made[0]
    await objects.delete(bad.key.index)
    await objects.put_new(bad.key.index, b"not an index")
    done = await rebuild(objects, catalogue, policy=KEEP_FIRST, now_us=NOW_US)
    assert [(one.kind, one.pack_id) for one in done.problems] == [
        (FindingKind.DAMAGED, bad.key.pack_id)
    ]
    assert done.packs == len(made) - 1


async def test_an_index_object_without_its_pack_is_told(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    made = await fill(objects, catalogue)
    await objects.delete(made[0].key.pack)
    done = await rebuild(objects, catalogue, policy=KEEP_FIRST, now_us=NOW_US)
    assert [(one.kind, one.pack_id) for one in done.problems] == [
        (FindingKind.INDEX_ORPHAN, made[0].key.pack_id)
    ]


async def said_of_a_study(house: House, folder: Path) -> None:
    """Have objects of every kind that say something of a study, beside another study."""
    await house.store(Sample("1.2.3.1.1"), Sample("1.2.3.1.2"), Sample("1.2.3.1.3"))
    await house.store(Sample("1.2.4.1.1"), study="1.2.4")
    await Eraser(house, folder).erase(Scope("default", "1.2.3", "1.2.3.1", "1.2.3.1.3"))
    await corrector(house).apply(await correct(house, "StudyDescription=X"))
    await house.trash.delete(Scope("default", "1.2.3", "1.2.3.1", "1.2.3.1.1"))
    await label_of(house)


async def label_of(house: House) -> None:
    await change_labels(
        house.objects,
        house.catalogue,
        *("default", "1.2.3", ["vip"]),
        is_added=True,
        reason="asked for",
        who="anna",
        now_us=house.clock.tick(),
    )


@pytest.mark.parametrize("data", [b"", b"{}", AMENDS])
@pytest.mark.parametrize("tree", ["ledger/", "labels/", "erasures/"])
async def test_a_study_of_which_something_cannot_be_read_is_left_out_alone(
    house: House, tmp_path: Path, tree: str, data: bytes
) -> None:
    await said_of_a_study(house, tmp_path / "work")
    before = await house.digest()
    for key in await house.keys(tree):
        if tree == "ledger/" and data == AMENDS and "-amend-" not in key:
            continue
        good = await house.objects.get(key)
        await swap(house.objects, key, data)
        for wipe in (True, False):
            done = await rebuild(
                house.objects,
                house.catalogue,
                policy=KEEP_FIRST,
                now_us=house.clock.tick(),
                wipe=wipe,
            )
            (problem,) = done.problems
            assert problem.kind is FindingKind.LEDGER
            assert problem.study_instance_uid == "1.2.3"
            assert key in problem.detail
            assert (done.studies, done.seen) == (1, await count_packs(house.objects))
            assert await house.catalogue.study("default", "1.2.3") is None
            assert await house.found() == {"1.2.4"}
        # Nor does a worker bring it back.
        swept = await adopt_orphans(
            house.objects, house.catalogue, policy=KEEP_FIRST, now_us=FUTURE_US, grace_us=0
        )
        assert swept.adopted == 0
        assert key in swept.problems[0].detail
        await swap(house.objects, key, good)
        rest = await rebuild(
            house.objects,
            house.catalogue,
            policy=KEEP_FIRST,
            now_us=house.clock.tick(),
            wipe=False,
        )
        assert (rest.kept, rest.problems) == (1, ())
        assert await house.digest() == before


async def test_what_shows_a_study_from_before_goes_with_what_cannot_be_read(house: House) -> None:
    """An interrupted rebuild had it; what was deleted since must not be seen in it."""
    await house.store(Sample("1.2.3.1.1"))
    await house.store(Sample("1.2.4.1.1"), study="1.2.4")
    await house.objects.put_new(f"{ledger_prefix('default', '1.2.3')}1-trash.json", b"")
    done = await rebuild(
        house.objects, house.catalogue, policy=KEEP_FIRST, now_us=house.clock.tick(), wipe=False
    )
    assert len(done.problems) == 1
    assert await house.catalogue.study("default", "1.2.3") is None
    assert await house.found() == {"1.2.4"}


@pytest.mark.parametrize("error", [Denied, Unavailable])
async def test_a_store_that_refuses_one_object_is_told_and_one_that_is_away_ends_it(
    house: House, error: type[PacsError]
) -> None:
    await house.store(Sample("1.2.3.1.1"))
    await label_of(house)
    (key,) = await house.keys("labels/")
    objects = Dying(house.objects, "get", lambda one, *_: one == key, error)

    async def again() -> Rebuilt:
        return await rebuild(
            objects,  # type: ignore[arg-type]
            house.catalogue,
            policy=KEEP_FIRST,
            now_us=house.clock.tick(),
        )

    if error is Unavailable:
        with pytest.raises(Unavailable):
            await again()
        return
    (problem,) = (await again()).problems
    assert problem.kind is FindingKind.DENIED
    assert problem.study_instance_uid == "1.2.3"
    await house.store(Sample("1.2.4.1.1"), study="1.2.4")
    await house.catalogue.wipe()
    swept = await adopt_orphans(
        objects,  # type: ignore[arg-type]
        house.catalogue,
        policy=KEEP_FIRST,
        now_us=FUTURE_US,
        grace_us=0,
    )
    assert (swept.adopted, len(swept.problems)) == (1, 1)
    assert await house.catalogue.study("default", "1.2.3") is None
