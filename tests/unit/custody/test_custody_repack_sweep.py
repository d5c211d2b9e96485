"""What repacks leave is removed in time, and never taken for something else."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pacs_cloud.catalogue.judging import ConflictPolicy, ref_of
from pacs_cloud.catalogue.records import ConflictKind
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.export import digest
from pacs_cloud.custody.findings import FindingKind, Severity
from pacs_cloud.custody.holds import HOLD_ENTRIES, HoldEntry, HoldKind
from pacs_cloud.custody.orphans import Swept, adopt_orphans
from pacs_cloud.custody.rebuild import rebuild
from pacs_cloud.custody.repack.sweep import GRACE_US, KEPT_US
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.errors import Denied, Unavailable
from pacs_cloud.objectstore.keys import PackKey
from unit.custody.custody_house import ALL, FUTURE_US, STUDY, Dying, House, Racing, always
from unit.custody.custody_packs import Sample
from unit.custody.custody_repack import (
    OTHER_SERIES,
    SERIES,
    instances,
    key_of,
    packs,
    repack,
    shown,
    small_packs,
)


async def sweep(house: House, **options: Any) -> Swept:
    given = {"objects": house.objects, "catalogue": house.catalogue, "now_us": FUTURE_US, **options}
    return await adopt_orphans(
        given.pop("objects"),
        given.pop("catalogue"),
        policy=ConflictPolicy.KEEP_FIRST,
        grace_us=0,
        **given,
    )


async def leftover(house: House, folder: Path) -> None:
    """Have a repack die before its commit."""
    with pytest.raises(Unavailable):
        await repack(house, folder, catalogue=Dying(house.catalogue, "commit", always))


async def hold(house: House, *, is_set: bool) -> None:
    entry = HoldEntry(
        "default", STUDY, HoldKind.LEGAL, is_set, 0, "a reason", "somebody", house.clock.tick()
    )
    await house.objects.put_new(entry.key, HOLD_ENTRIES.encode(entry))


async def test_replaced_packs_stay_for_a_grace(house: House, tmp_path: Path) -> None:
    house.clock.now_us = time.time_ns() // 1000  # as the files' times are
    ids = await small_packs(house)
    await repack(house, tmp_path / "work")
    (merged,) = await packs(house)
    files = await shown(house)
    early = await sweep(house, now_us=merged.committed_us + KEPT_US - 1)
    assert (early.adopted, early.removed, early.problems) == (0, 0, ())
    assert await house.findings() == []
    late = await sweep(house, now_us=merged.committed_us + KEPT_US)
    assert (late.adopted, late.removed, late.problems) == (0, len(ids), ())
    assert [len(await house.keys(tree)) for tree in ("packs/", "index/")] == [1, 1]
    found = await house.catalogue.find_uids("default", [f"{SERIES}.10"])
    assert {ref.pack_id for refs in found.values() for ref in refs} == {merged.pack_id}
    assert await shown(house) == files
    assert await house.findings() == []


async def test_a_merged_pack_that_was_never_committed_is_removed(
    house: House, tmp_path: Path
) -> None:
    await small_packs(house)
    files, old = await shown(house), await packs(house)
    await leftover(house, tmp_path / "work")
    (finding,) = await house.findings()
    assert (finding.kind, finding.severity) == (FindingKind.ORPHAN, Severity.WARNING)
    # It is not what a rebuild goes by either.
    before = await house.digest()
    assert await house.rebuilt() == before
    (key,) = {*await house.keys("packs/")} - {_key(pack.pack_id) for pack in old}
    stored_us = (await house.objects.head(key)).modified_us
    assert (await sweep(house, now_us=stored_us + GRACE_US - 1)).removed == 0
    assert (await sweep(house, now_us=stored_us + GRACE_US)).removed == 1
    assert [len(await house.keys(tree)) for tree in ("packs/", "index/")] == [4, 4]
    assert await shown(house) == files
    assert await house.findings() == []


def _key(pack_id: str) -> str:
    return PackKey("default", STUDY, SERIES, pack_id).pack


async def test_what_is_purged_with_a_merged_pack_never_comes_back(
    house: House, tmp_path: Path
) -> None:
    await small_packs(house)
    await repack(house, tmp_path / "work")
    await house.trash.delete(ALL)
    await house.purge()
    assert await house.keys("packs/") == await house.keys("index/") == []
    assert (await sweep(house)).adopted == 0
    assert await house.count() == 0
    assert await house.findings() == []


@pytest.mark.parametrize("calls", range(0, 10, 2))
async def test_nor_where_its_purge_was_stopped(house: House, tmp_path: Path, calls: int) -> None:
    await small_packs(house)
    await repack(house, tmp_path / "work")
    await house.trash.delete(ALL)
    left = [calls]

    def dies(*_: object) -> bool:
        left[0] -= 1
        return left[0] < 0

    with pytest.raises(Unavailable):
        await house.purge(objects=Dying(house.objects, "delete", dies))
    assert await house.rebuilt() == await _nothing(tmp_path)
    swept = await sweep(house)
    assert (swept.adopted, swept.problems) == (0, ())
    assert await house.keys("packs/") == await house.keys("index/") == []
    assert await house.count() == 0
    assert await house.findings() == []


async def _nothing(folder: Path) -> str:
    """The digest of an empty catalogue."""
    async with SqliteCatalogue(folder / "nothing.sqlite") as empty:
        return await digest(empty)


async def test_what_is_purged_before_a_merge_is_committed_never_comes_back(
    house: House, tmp_path: Path
) -> None:
    await small_packs(house)
    await leftover(house, tmp_path / "work")
    await house.trash.delete(ALL)
    await house.purge()
    assert len(await house.keys("packs/")) == 1
    assert await house.rebuilt() == await _nothing(tmp_path)
    swept = await sweep(house)
    assert (swept.adopted, swept.removed) == (0, 1)
    assert await house.keys("packs/") == []
    assert await house.count() == 0


async def test_a_listing_from_before_a_repack_adopts_nothing(house: House, tmp_path: Path) -> None:
    await small_packs(house)
    files = await shown(house)
    racing = Racing(house.catalogue, "packs", partial(repack, house, tmp_path / "work"))
    swept = await sweep(house, catalogue=racing)
    assert racing.has_raced
    assert (swept.adopted, len(await packs(house))) == (0, 1)
    assert await shown(house) == files
    assert await house.findings() == []


async def test_a_repack_that_stalled_for_an_hour_changes_nothing(
    house: House, tmp_path: Path
) -> None:
    await small_packs(house)
    files, old = await shown(house), await packs(house)

    async def an_hour_later() -> None:
        house.clock.now_us += GRACE_US
        assert (await sweep(house)).removed == 1

    racing = Racing(house.catalogue, "commit", an_hour_later)
    done = await repack(house, tmp_path / "work", catalogue=racing)
    assert (racing.has_raced, done.made, done.waiting) == (True, 0, 4)
    assert (await packs(house), await shown(house)) == (old, files)
    assert await house.findings() == []


async def test_of_two_repacks_at_once_one_is_made(house: House, tmp_path: Path) -> None:
    await small_packs(house)
    files = await shown(house)
    racing = Racing(house.catalogue, "commit", partial(repack, house, tmp_path / "other"))
    done = await repack(house, tmp_path / "work", catalogue=racing)
    assert (racing.has_raced, done.made) == (True, 0)
    assert len(await packs(house)) == 1
    # The one that lost has tidied up.
    assert len(await house.keys("packs/")) == 5
    assert await shown(house) == files
    assert await house.findings() == []
    before = await house.digest()
    assert await house.rebuilt() == before


async def test_a_held_study_is_left_alone(house: House, tmp_path: Path) -> None:
    await small_packs(house)
    await hold(house, is_set=True)
    done = await repack(house, tmp_path / "work")
    assert (done.made, done.waiting) == (0, 4)
    await hold(house, is_set=False)
    assert (await repack(house, tmp_path / "work")).made == 1
    await hold(house, is_set=True)
    assert (await sweep(house)).removed == 0
    await hold(house, is_set=False)
    assert (await sweep(house)).removed == 4
    assert await house.findings() == []


async def test_what_the_store_does_not_let_go_is_told(house: House, tmp_path: Path) -> None:
    ids = await small_packs(house)
    await repack(house, tmp_path / "work")

    def is_first(key: str) -> bool:
        return ids[0] in key

    swept = await sweep(house, objects=Dying(house.objects, "delete", is_first, Denied))
    assert (swept.adopted, swept.removed) == (0, len(ids) - 1)
    assert [(one.severity, one.pack_id) for one in swept.problems] == [(Severity.NOTE, ids[0])]
    assert (await sweep(house)).removed == 1
    assert await house.findings() == []


async def test_a_catalogue_from_before_a_repack_is_told(house: House, tmp_path: Path) -> None:
    await small_packs(house)
    files = await shown(house)
    async with SqliteCatalogue(tmp_path / "old.sqlite") as stale:
        await rebuild(
            house.objects, stale, policy=ConflictPolicy.KEEP_FIRST, now_us=house.clock.tick()
        )
        await repack(house, tmp_path / "work")
        swept = await sweep(house, catalogue=stale)
        assert (swept.adopted, swept.removed) == (0, 0)
        assert [one.repair for one in swept.problems] == ["rebuild the catalogue"]
    assert await shown(house) == files
    assert await house.findings() == []


async def test_a_committed_merge_that_the_catalogue_has_lost_is_adopted(
    house: House, tmp_path: Path
) -> None:
    await small_packs(house)
    await house.trash.delete(Scope("default", STUDY, SERIES, f"{SERIES}.10"))
    await repack(house, tmp_path / "work")
    await house.sweep()
    before, all_of_it = await house.digest(), await instances(house)
    await house.catalogue.wipe()
    assert (await sweep(house)).adopted == 1
    assert (await house.digest(), await instances(house)) == (before, all_of_it)


async def test_versions_of_one_instance_in_the_trash_keep_their_order(
    house: House, tmp_path: Path
) -> None:
    scope = Scope("default", STUDY, SERIES, f"{SERIES}.1")
    for words in ("first", "second"):
        await house.store(Sample(f"{SERIES}.1", words), series=SERIES)
        await house.trash.delete(scope)
    await house.store(Sample(f"{SERIES}.2"), series=SERIES)
    await house.store(Sample(f"{SERIES}.3"), series=SERIES)
    done = await repack(house, tmp_path / "work")
    assert (done.replaced, done.made) == (2, 1)
    await house.trash.restore(scope)
    assert b"second" in (await shown(house))[SERIES, f"{SERIES}.1"]


async def test_a_conflict_with_another_series_stays_known(house: House, tmp_path: Path) -> None:
    await house.store(Sample(f"{SERIES}.1"), series=OTHER_SERIES)
    await small_packs(house)
    await house.store(Sample(f"{SERIES}.1"), series=SERIES)
    await repack(house, tmp_path / "work")
    (merged,) = await packs(house)
    told = await house.catalogue.conflicts("default")
    assert {one.kind for one in told} == {ConflictKind.ELSEWHERE}
    assert merged.pack_id in {one.pack_id for one in told}


async def test_an_older_version_in_the_trash_stays_older(house: House, tmp_path: Path) -> None:
    scope = Scope("default", STUDY, SERIES, f"{SERIES}.1")
    await house.store(Sample(f"{SERIES}.1", "first"), series=SERIES)
    await house.trash.delete(scope)
    for number in (2, 3):
        await house.store(Sample(f"{SERIES}.{number}"), series=SERIES)
    # Another one comes, is visible while the rest is merged, and is deleted as well.
    await house.store(Sample(f"{SERIES}.1", "second"), series=SERIES)
    done = await repack(house, tmp_path / "work")
    assert (done.replaced, done.made) == (3, 1)
    await house.trash.delete(scope)
    await house.trash.restore(scope)
    assert b"second" in (await shown(house))[SERIES, f"{SERIES}.1"]
    assert await house.findings() == []


async def test_beside_an_unreadable_pack_nothing_is_adopted(house: House, tmp_path: Path) -> None:
    ids = await small_packs(house)
    await repack(house, tmp_path / "work")
    (merged,) = await packs(house)
    await house.objects.delete(key_of(merged).index)
    await house.objects.put_new(key_of(merged).index, b"not an index")
    await house.catalogue.unstage("default", ref_of(merged), [])
    swept = await sweep(house)
    assert (swept.adopted, swept.removed) == (0, 0)
    assert {one.pack_id for one in swept.problems} == set(ids)


async def test_nothing_is_removed_for_a_merged_pack_that_the_store_has_lost(
    house: House, tmp_path: Path
) -> None:
    await small_packs(house)
    await repack(house, tmp_path / "work")
    (merged,) = await packs(house)
    data = await house.objects.get(key_of(merged).pack)
    await house.objects.delete(key_of(merged).pack)
    await house.objects.put_new(key_of(merged).pack, data[:-1])
    swept = await sweep(house)
    assert (swept.adopted, swept.removed) == (0, 0)
    assert {one.pack_id for one in swept.problems} == {merged.pack_id}
    assert len(await house.keys("packs/")) == 5
