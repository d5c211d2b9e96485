"""An erasure may die at any step: the next turn ends it, and nothing else is lost."""

import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.holds_setting import set_hold
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.errors import Denied
from pacs_cloud.objectstore.local import LocalObjectStore
from unit.custody.custody_erasure import Eraser, traces
from unit.custody.custody_faults import Died, Fuse, Mortal
from unit.custody.custody_house import STUDY, House, opened
from unit.custody.custody_packs import Clock, Sample
from unit.custody.custody_repack import SERIES, repack, shown

DOOMED = f"{SERIES}.777"
ONE = Scope("default", STUDY, "", DOOMED)


async def fill(folder: Path) -> Clock:
    """Make an archive in which the instance lies wherever one can."""
    async with opened(folder) as house:
        await house.store(Sample(f"{SERIES}.1"), Sample(f"{SERIES}.2"), series=SERIES)
        await house.store(Sample(DOOMED), Sample(f"{SERIES}.3"), series=SERIES)
        # Merged, and what it was merged from is still there.
        await repack(house, folder / "work")
        await house.store(Sample(DOOMED, "otherwise"), series=SERIES)
        await house.trash.delete(Scope("default", STUDY, SERIES, f"{SERIES}.2"))
        return house.clock


async def looked_after(house: House, eraser: Eraser) -> None:
    """What a running archive does by itself, in an order that is none."""
    house.clock.now_us += 7_200_000_000
    await house.tend()
    await eraser.tend()
    await house.sweep()
    house.clock.now_us += 7_200_000_000
    await eraser.tend()


@pytest.mark.parametrize(
    ("answers", "whole"),
    [
        (False, True),
        (True, False),
        pytest.param(False, False, marks=pytest.mark.soak),
        pytest.param(True, True, marks=pytest.mark.soak),
    ],
)
async def test_it_may_die_at_any_step(tmp_path: Path, *, answers: bool, whole: bool) -> None:
    scope = Scope("default", STUDY) if whole else ONE
    clock = await fill(tmp_path / "first")
    for step in count():
        folder = tmp_path / str(step)
        shutil.copytree(tmp_path / "first", folder)
        async with opened(folder, clock) as house:
            eraser = Eraser(house, folder / "work")
            files = {name: file for name, file in (await shown(house)).items() if name[1] != DOOMED}
            trash = await house.in_trash()
            fuse = Fuse(step, answers=answers)
            with suppress(Died):
                await eraser.erase(
                    scope,
                    objects=Mortal(house.objects, fuse),
                    catalogue=Mortal(house.catalogue, fuse),
                )
            asked = bool(await house.keys("erasures/"))
            now = {name: file for name, file in (await shown(house)).items() if name[1] != DOOMED}
            assert whole or now == files
            await looked_after(house, eraser)
            assert await house.findings() == []
            if asked:
                assert await traces(house, DOOMED) == []
                assert await shown(house) == ({} if whole else files)
                assert not [key for key in await house.keys("trash/") if "-tend/" in key]
                assert whole or await house.in_trash() == trash
                assert not list((folder / "work").iterdir())
        if not fuse.is_burnt:
            break
        shutil.rmtree(folder)
    assert step > 30


async def test_a_rebuild_behind_one_that_died_is_equal(tmp_path: Path) -> None:
    clock = await fill(tmp_path / "first")
    for step in range(3, 100, 12):
        folder = tmp_path / str(step)
        shutil.copytree(tmp_path / "first", folder)
        async with opened(folder, clock) as house:
            eraser = Eraser(house, folder / "work")
            fuse = Fuse(step, answers=True)
            with suppress(Died):
                await eraser.erase(
                    ONE,
                    objects=Mortal(house.objects, fuse),
                    catalogue=Mortal(house.catalogue, fuse),
                )
            await house.rebuilt()
            await looked_after(house, eraser)
            assert await house.findings() == []
            said = await house.digest()
            assert await house.rebuilt() == said
            if await house.keys("erasures/"):
                assert await traces(house, DOOMED) == []


class Reluctant(LocalObjectStore):
    """Does not let packs go, until it does: then somebody is at each of them."""

    meanwhile: Callable[[], Awaitable[None]] | None = None

    async def delete(self, key: str) -> None:
        if key.startswith("packs/"):
            if self.meanwhile is None:
                raise Denied(f"{key} stays")
            await self.meanwhile()
        await super().delete(key)


async def test_a_hold_that_comes_between_is_not_sure(tmp_path: Path) -> None:
    async with (
        Reluctant(tmp_path / "objects") as objects,
        SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue,
    ):
        house = House(objects, catalogue)
        await house.store(Sample(DOOMED), series=SERIES)
        await house.store(Sample(f"{SERIES}.1"), series=SERIES)
        eraser = Eraser(house, tmp_path / "work")
        assert not (await eraser.erase(ONE)).is_proven  # all is decided, and nothing marked
        sure: list[bool] = []

        async def hold() -> None:
            names, now_us = ("default", STUDY), house.clock.tick()
            words = {"reason": "court", "who": "counsel"}
            done = await set_hold(objects, catalogue, *names, **words, now_us=now_us, wait_s=0.0)
            sure.append(done.is_sure)

        objects.meanwhile = hold
        await eraser.go_on()
        assert await traces(house, DOOMED) == []
        assert sure == [False]
