"""A process that dies at any step of a repack, or of the sweep behind it, loses nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.export import digest
from pacs_cloud.custody.orphans import adopt_orphans
from pacs_cloud.custody.rebuild import rebuild
from pacs_cloud.custody.repack.plan import RepackTerms
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.tiering.lying import note_where
from unit.custody.custody_faults import Died, Fuse, Mortal
from unit.custody.custody_house import FUTURE_US, STUDY, House
from unit.custody.custody_packs import Sample
from unit.custody.custody_repack import (
    SERIES,
    image,
    instances,
    native,
    packs,
    records,
    repack,
    shown,
    store_images,
)


@asynccontextmanager
async def archive(folder: Path) -> AsyncIterator[House]:
    """An archive with a series of packs in which much has happened."""
    async with (
        LocalObjectStore(folder / "objects") as objects,
        SqliteCatalogue(folder / "catalogue.sqlite") as catalogue,
    ):
        house = House(objects, catalogue)
        first = [Sample(f"{SERIES}.{n}") for n in range(1, 4)]
        await house.store(*first, series=SERIES)
        await house.store(*first[:2], Sample(f"{SERIES}.4"), series=SERIES)
        await house.store(Sample(f"{SERIES}.5"), Sample(f"{SERIES}.6"), series=SERIES)
        await house.trash.delete(Scope("default", STUDY, SERIES, f"{SERIES}.5"))
        await house.store(Sample(f"{SERIES}.7"), series=f"{STUDY}.2")
        yield house


async def swept(house: House, objects: Any = None, catalogue: Any = None) -> None:
    done = await adopt_orphans(
        objects or house.objects,
        catalogue or house.catalogue,
        policy=ConflictPolicy.KEEP_FIRST,
        now_us=FUTURE_US,
        grace_us=0,
    )
    assert (done.adopted, done.problems) == (0, ())


async def rebuilt_elsewhere(house: House, path: Path) -> tuple[str, list[bytes], dict[Any, bytes]]:
    """What a rebuild from the buckets alone gives, beside the archive's own catalogue."""
    async with SqliteCatalogue(path) as again:
        other = House(house.objects, again)
        await rebuild(
            house.objects, again, policy=ConflictPolicy.KEEP_FIRST, now_us=house.clock.tick()
        )
        return await digest(again), await records(other), await shown(other)


@pytest.mark.parametrize("answers", [False, True])
async def test_a_repack_may_die_at_any_step(tmp_path: Path, answers: bool) -> None:
    ends: set[int] = set()
    for step in count():
        folder = tmp_path / str(step)
        async with archive(folder) as house:
            files, said, trash = await shown(house), await records(house), await house.in_trash()
            old = await packs(house)
            fuse = Fuse(step, answers=answers)
            objects, catalogue = Mortal(house.objects, fuse), Mortal(house.catalogue, fuse)
            with suppress(Died):
                await repack(house, folder / "work", objects=objects, catalogue=catalogue)
            # Nothing is lost at any moment, whoever looks, and whoever rebuilds then.
            assert (await shown(house), await records(house)) == (files, said)
            assert (await rebuilt_elsewhere(house, folder / "first"))[1:] == (said, files)
            await swept(house)
            assert await house.findings() == []
            assert (await shown(house), await records(house)) == (files, said)
            now = await packs(house)
            assert now == old or len(now) == 1
            assert (
                len(await house.keys("packs/")) == len(await house.keys("index/")) == len(now) + 1
            )
            assert (await rebuilt_elsewhere(house, folder / "second"))[0] == await house.digest()
            ends.add(len(now))
            # Whoever comes next ends it.
            await repack(house, folder / "work")
            await swept(house)
            assert await house.in_trash() == trash
            assert len(await packs(house)) == 1
            assert (await shown(house), await records(house)) == (files, said)
            assert await house.findings() == []
        if not fuse.is_burnt:
            break
    assert step > 12
    assert ends == {1, 3}


@pytest.mark.parametrize("answers", [False, True])
async def test_a_repack_where_a_policy_has_put_packs_may_die_at_any_step(
    tmp_path: Path, answers: bool
) -> None:
    ends: set[int] = set()
    for step in count():
        folder = tmp_path / str(step)
        async with (
            LocalObjectStore(folder / "objects") as objects,
            SqliteCatalogue(folder / "catalogue.sqlite") as catalogue,
        ):
            house = House(objects, catalogue)
            lie_in: dict[str, str] = {}
            for number in (1, 2):
                made = await house.store(Sample(f"{SERIES}.{number}"), series=SERIES)
                await objects.move(made.key.pack, StorageClass.GLACIER_IR)
                lie_in[made.key.pack_id] = "GLACIER_IR"
            await note_where(catalogue, "default", STUDY, lie_in, now_us=house.clock.tick())
            files = await shown(house)
            fuse = Fuse(step, answers=answers)
            with suppress(Died):
                await repack(
                    house,
                    folder / "work",
                    terms=RepackTerms(include_warm=True),
                    objects=Mortal(objects, fuse),
                    catalogue=Mortal(catalogue, fuse),
                )
            assert await shown(house) == files
            await swept(house)
            # Each pack lies where its record says.
            assert await house.findings() == []
            assert await shown(house) == files
            left = await packs(house)
            assert {one.storage_class for one in left} == {"GLACIER_IR"}
            ends.add(len(left))
        if not fuse.is_burnt:
            break
    assert ends == {1, 2}


@pytest.mark.parametrize("answers", [False, True])
async def test_a_sweep_may_die_at_any_step(tmp_path: Path, answers: bool) -> None:
    for step in count():
        folder = tmp_path / str(step)
        async with archive(folder) as house:
            # One merged pack that was never committed, and one that was.
            with pytest.raises(Died):
                dying = Mortal(house.catalogue, Fuse(3, answers=False))
                await repack(house, folder / "work", catalogue=dying)
            await repack(house, folder / "work")
            assert len(await house.keys("packs/")) == 6
            all_of_it = await instances(house)
            fuse = Fuse(step, answers=answers)
            objects, catalogue = Mortal(house.objects, fuse), Mortal(house.catalogue, fuse)
            with suppress(Died):
                await swept(house, objects, catalogue)
            assert await instances(house) == all_of_it
            await swept(house)
            assert len(await house.keys("packs/")) == len(await house.keys("index/")) == 2
            assert await instances(house) == all_of_it
            assert await house.findings() == []
            assert (await rebuilt_elsewhere(house, folder / "again"))[0] == await house.digest()
        if not fuse.is_burnt:
            break
    assert step > 6


async def test_a_repack_that_recodes_may_die_at_any_step(tmp_path: Path) -> None:
    for step in count():
        folder = tmp_path / str(step)
        async with (
            LocalObjectStore(folder / "objects") as objects,
            SqliteCatalogue(folder / "catalogue.sqlite") as catalogue,
        ):
            house = House(objects, catalogue)
            for number in (1, 2):
                await store_images(house, image(number))
            files = {uid: native(file) for uid, file in (await shown(house)).items()}
            fuse = Fuse(step, answers=False)
            with suppress(Died):
                await repack(
                    house,
                    folder / "work",
                    terms=RepackTerms(encode=True, least_saved_bytes=0),
                    objects=Mortal(objects, fuse),
                    catalogue=Mortal(catalogue, fuse),
                )
            await swept(house)
            assert {uid: native(file) for uid, file in (await shown(house)).items()} == files
            assert await house.findings() == []
            rebuilt, _, found = await rebuilt_elsewhere(house, folder / "again")
            assert rebuilt == await house.digest()
            assert {uid: native(file) for uid, file in found.items()} == files
        if not fuse.is_burnt:
            break
    assert step > 12
