"""A rebuild that was killed at any moment is gone on with, and ends equal."""

import asyncio
from collections import Counter
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.records import StagedPack, StudyChange, StudyState
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.conflicts.listing import disagreements
from pacs_cloud.custody.export import digest
from pacs_cloud.custody.fsck import check
from pacs_cloud.custody.rebuild import Rebuilt, count_packs, rebuild
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.objectstore.local import LocalObjectStore
from unit.custody.custody_faults import Died, Fuse, Mortal
from unit.custody.custody_house import House
from unit.custody.custody_packs import NOW_US, Clock, Sample, commit, make_pack, put

KEEP_FIRST = ConflictPolicy.KEEP_FIRST


async def whole(objects: object, catalogue: object, *, wipe: bool = False) -> Rebuilt:
    return await rebuild(
        objects,  # type: ignore[arg-type]
        catalogue,  # type: ignore[arg-type]
        policy=KEEP_FIRST,
        now_us=NOW_US * 2,
        wipe=wipe,
        at_once=1,
    )


@pytest.fixture
async def lived_in(house: House) -> House:
    """An archive where something came twice, otherwise, went, and never was committed."""
    first = [Sample(f"1.2.3.1.{n}") for n in range(1, 4)]
    await house.store(*first)
    await house.store(*first[:2], Sample("1.2.3.1.4", "second"))
    await house.store(Sample("1.2.3.1.1", "other"), Sample("1.2.3.1.5"))
    await house.store(Sample("1.2.3.2.1"), series="1.2.3.2")
    await house.trash.delete(Scope("default", "1.2.3", "1.2.3.1", "1.2.3.1.3"))
    await house.store(Sample("1.2.4.1.1"), study="1.2.4")
    orphan = make_pack(house.clock, "default", "1.2.3", "1.2.3.1", [Sample("1.2.3.1.9"), first[0]])
    await put(house.objects, orphan)
    await house.objects.delete(orphan.key.index)
    await commit(house.objects, house.catalogue, orphan, house.clock)
    return house


@pytest.mark.parametrize("answers", [False, True])
async def test_whoever_dies_at_any_call_is_gone_on_with(
    lived_in: House, tmp_path: Path, answers: bool
) -> None:
    before = await lived_in.digest()
    for at in count():
        path = tmp_path / f"{at}.sqlite"
        fuse = Fuse(at, answers=answers)
        async with SqliteCatalogue(path) as again:
            with suppress(Died):
                await whole(Mortal(lived_in.objects, fuse), Mortal(again, fuse))
        async with SqliteCatalogue(path) as again:
            await whole(lived_in.objects, again)
            assert await digest(again) == before, at
            assert [one async for one in check(lived_in.objects, again, deep=True)] == []
        if not fuse.is_burnt:
            break


class Meeting(SqliteCatalogue):
    """Of two studies both are staged before either is weighed, and weighed before a commit."""

    def __init__(self, path: Path, fuse: Fuse) -> None:
        super().__init__(path)
        self._staged = self._commits = 0
        self._fuse = fuse

    async def stage(self, pack: StagedPack) -> None:
        await super().stage(pack)
        self._staged += 1
        while self._staged < 2 and not self._fuse.is_burnt:
            await asyncio.sleep(0)

    async def commit(self, change: StudyChange) -> None:
        self._commits += 1
        while self._commits < 2 and not self._fuse.is_burnt:
            await asyncio.sleep(0)
        await super().commit(change)


async def test_what_two_studies_disagree_about_is_told_whoever_died(
    house: House, tmp_path: Path
) -> None:
    await house.store(Sample("1.9.1"), study="1.2.3")
    await house.store(Sample("1.9.1", "other"), study="1.2.4")
    for at in count():
        path = tmp_path / f"{at}.sqlite"
        fuse = Fuse(at, answers=False)
        async with Meeting(path, fuse) as again:
            with suppress(Died):
                await rebuild(
                    house.objects,
                    Mortal(again, fuse),  # type: ignore[arg-type]
                    policy=KEEP_FIRST,
                    now_us=NOW_US * 2,
                    wipe=False,
                    at_once=2,
                )
        async with SqliteCatalogue(path) as again:
            await whole(house.objects, again)
            told = [one async for one in disagreements(again, "default")]
            assert {one.sop_instance_uid for one in told} == {"1.9.1"}, at
            assert await digest(again) == await house.digest()
        if not fuse.is_burnt:
            break


async def test_what_is_there_is_not_read_again(lived_in: House, tmp_path: Path) -> None:
    before = await lived_in.digest()

    class Unread(LocalObjectStore):
        async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
            assert key.startswith("ledger/"), key
            return await super().get(key, start, end)

    await whole(lived_in.objects, lived_in.catalogue)  # writes what is missing
    async with Unread(lived_in.objects._tree.root) as objects:  # type: ignore[attr-defined]
        done = await whole(objects, lived_in.catalogue)
    assert (done.packs, done.kept, done.seen) == (0, 6, await count_packs(lived_in.objects))
    assert await lived_in.digest() == before


async def test_records_of_packs_that_are_not_there_go(lived_in: House) -> None:
    before = await lived_in.digest()
    gone = make_pack(lived_in.clock, "default", "1.2.3", "1.2.3.1", [Sample("1.2.3.1.77")])
    await commit(lived_in.objects, lived_in.catalogue, gone, lived_in.clock)
    assert await lived_in.digest() != before
    await whole(lived_in.objects, lived_in.catalogue)
    assert await lived_in.digest() == before


async def test_a_study_of_which_everything_is_purged_goes(house: House) -> None:
    """Its purge had dropped it from the catalogue, and stopped before its packs were removed."""
    made = await house.store(Sample("1.2.3.1.1"))
    await house.trash.delete(Scope("default", "1.2.3"))
    await house.purge()
    await put(house.objects, made)
    await commit(house.objects, house.catalogue, made, house.clock)
    done = await whole(house.objects, house.catalogue)
    assert (done.studies, done.packs, done.problems) == (0, 0, ())
    assert await house.catalogue.study("default", "1.2.3") is None


async def test_a_study_of_more_packs_than_one_change_takes_is_gone_on_with(
    house: House, tmp_path: Path
) -> None:
    for n in range(130):
        made = make_pack(
            house.clock, "default", "1.2.3", f"1.2.3.{n % 3}", [Sample(f"1.2.3.9.{n}")]
        )
        await put(house.objects, made)
        await commit(house.objects, house.catalogue, made, house.clock)
    before = await house.digest()
    changes: list[StudyChange] = []

    class Stopping(SqliteCatalogue):
        async def commit(self, change: StudyChange) -> None:
            if changes:
                raise Died
            changes.append(change)
            await super().commit(change)

    async with Stopping(tmp_path / "again.sqlite") as again:
        with suppress(Died):
            await whole(house.objects, again)
    assert len(changes[0].put_packs) < 130
    async with SqliteCatalogue(tmp_path / "again.sqlite") as again:
        done = await whole(house.objects, again)
        assert await digest(again) == before
    assert (done.packs, done.kept) == (130 - len(changes[0].put_packs), len(changes[0].put_packs))


async def test_two_of_one_instance_without_a_decision_are_not_both_shown(house: House) -> None:
    """The younger was committed, and hides another instance: the older one is the orphan."""
    clock = Clock()
    orphan = make_pack(clock, "default", "1.2", "1.2.1", [Sample("1.2.1.1")])
    first = make_pack(clock, "default", "1.2", "1.2.1", [Sample("1.2.1.2")])
    second = make_pack(clock, "default", "1.2", "1.2.1", [Sample("1.2.1.1"), Sample("1.2.1.2")])
    for made in (first, second):
        await put(house.objects, made)
        await commit(house.objects, house.catalogue, made, clock)
    await put(house.objects, orphan)
    await whole(house.objects, house.catalogue, wipe=True)
    (study,) = await house.catalogue.studies_by_uid("default", ["1.2"])
    assert study.instance_count == 2
    assert await house.findings() == []


async def test_the_work_grows_with_the_packs_of_a_study_and_not_with_their_square(
    house: House, tmp_path: Path
) -> None:
    for n in range(120):
        made = make_pack(house.clock, "default", "1.2.3", "1.2.3.1", [Sample(f"1.2.3.9.{n}")])
        await put(house.objects, made)
        await commit(house.objects, house.catalogue, made, house.clock)
    asked: Counter[str] = Counter()

    class Counting(SqliteCatalogue):
        async def study(self, tenant: str, study_instance_uid: str) -> StudyState | None:
            asked["study"] += 1
            return await super().study(tenant, study_instance_uid)

        async def commit(self, change: StudyChange) -> None:
            asked["commit"] += 1
            await super().commit(change)

    async with Counting(tmp_path / "again.sqlite") as again:
        await whole(house.objects, again)
        assert await digest(again) == await house.digest()
    assert max(asked.values()) < 5
