"""The catalogue comes back from the objects alone, and is equal."""

from pathlib import Path

import pytest

from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.records import ConflictKind, ConflictRecord
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.export import digest, export_lines
from pacs_cloud.custody.findings import FindingKind
from pacs_cloud.custody.fsck import check
from pacs_cloud.custody.rebuild import Rebuilt, rebuild
from pacs_cloud.errors import Corrupt
from pacs_cloud.objectstore.local import LocalObjectStore
from unit.custody.custody_packs import NOW_US, Clock, Sample, commit, fill, make_pack, put

KEEP_FIRST = ConflictPolicy.KEEP_FIRST


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


async def test_an_unreadable_decision_stops_it(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    await fill(objects, catalogue)
    keys = [info.key async for info in objects.list("ledger/")]
    await objects.delete(keys[0])
    await objects.put_new(keys[0], b"{}")
    with pytest.raises(Corrupt):
        await rebuild(objects, catalogue, policy=KEEP_FIRST, now_us=NOW_US)
