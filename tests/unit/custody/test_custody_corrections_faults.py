"""A process that dies at any step of a correction, or of its undoing, leaves no study in between."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pacs_cloud.catalogue import changing
from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.corrections.applying import Corrector
from pacs_cloud.custody.corrections.book import correction_marks
from pacs_cloud.custody.corrections.correction import Correction
from pacs_cloud.custody.export import digest
from pacs_cloud.custody.rebuild import rebuild
from pacs_cloud.objectstore.local import LocalObjectStore
from unit.custody.custody_corrections import (
    FIRST,
    SECOND,
    SYSTEM,
    corrector,
    fill,
    merge,
    orders,
    patients,
    state_of,
    tend,
    undo,
)
from unit.custody.custody_faults import Died, Fuse, Mortal
from unit.custody.custody_house import House, Racing
from unit.custody.custody_packs import Sample

LATE = "1.2.6"


@pytest.fixture(autouse=True)
def _one_pack_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changing, "PACKS_PER_CHANGE", 1)


@asynccontextmanager
async def archive(folder: Path) -> AsyncIterator[House]:
    """An archive of two patients: a copy of one that was filled once for the whole test."""
    filled = folder.parent / "filled"
    if not filled.exists():
        async with _opened(filled) as house:
            await fill(house)
            (filled / "clock").write_text(str(house.clock.now_us))
    shutil.copytree(filled, folder, dirs_exist_ok=True)
    async with _opened(folder) as house:
        house.clock.now_us = int((folder / "clock").read_text())
        yield house


@asynccontextmanager
async def _opened(folder: Path) -> AsyncIterator[House]:
    async with (
        LocalObjectStore(folder / "objects") as objects,
        SqliteCatalogue(folder / "catalogue.sqlite") as catalogue,
    ):
        yield House(objects, catalogue)


def dying(house: House, step: int, *, answers: bool) -> tuple[Fuse, Corrector]:
    fuse = Fuse(step, answers=answers)
    stores = Mortal(house.objects, fuse), Mortal(house.catalogue, fuse)
    return fuse, corrector(house, *stores)


async def settled(house: House, path: Path) -> str:
    """Tend, and return the digest: of the archive, and of what a rebuild from it makes."""
    assert (await tend(house)).problems == 0
    assert [mark async for mark in correction_marks(house.objects)] == []
    assert await house.findings() == []
    async with SqliteCatalogue(path) as again:
        await rebuild(
            house.objects, again, policy=ConflictPolicy.KEEP_FIRST, now_us=house.clock.tick()
        )
        assert await digest(again) == await house.digest()
    for study in (FIRST, SECOND):
        await state_of(house, study)  # its packs are as it is
    return await house.digest()


@pytest.mark.parametrize("answers", [False, True])
async def test_a_merge_may_die_at_any_step(tmp_path: Path, answers: bool) -> None:
    ends: set[bool] = set()
    for step in count():
        folder = tmp_path / str(step)
        async with archive(folder) as house:
            before = await house.digest()
            made = await merge(house)
            fuse, mortal = dying(house, step, answers=answers)
            with suppress(Died):
                await mortal.apply(made)
            now = await settled(house, folder / "again")
            ordered = bool(await house.keys("corrections/"))
            assert await patients(house) == (["P2"] * 3 if ordered else ["P1", "P1", "P2"])
            assert (now == before) == (not ordered)
            ends.add(ordered)
        if not fuse.is_burnt:
            break
    assert step > 15
    assert ends == {False, True}


@pytest.mark.parametrize("answers", [False, True])
async def test_an_undoing_may_die_at_any_step(tmp_path: Path, answers: bool) -> None:
    ends: set[bool] = set()
    for step in count():
        folder = tmp_path / str(step)
        async with archive(folder) as house:
            before = await house.digest()
            made = await merge(house)
            await corrector(house).apply(made)
            await tend(house)
            merged = await house.digest()
            fuse, mortal = dying(house, step, answers=answers)
            with suppress(Died):
                await mortal.undo(
                    *("default", made.correction_id), caller=SYSTEM, who="eve", reason="no"
                )
            undone = any(key.endswith("-undone.json") for key in await house.keys("corrections/"))
            assert await settled(house, folder / "again") == (before if undone else merged)
            ends.add(undone)
        if not fuse.is_burnt:
            break
    assert step > 15
    assert ends == {False, True}


@pytest.mark.parametrize("answers", [False, True])
async def test_tending_may_die_at_any_step(tmp_path: Path, answers: bool) -> None:
    for step in count():
        folder = tmp_path / str(step)
        async with archive(folder) as house:
            made = await merge(house)
            await house.store(Sample(f"{LATE}.1.1"), study=LATE)
            with suppress(Died):
                await dying(house, 9, answers=answers)[1].apply(made)
            fuse = Fuse(step, answers=answers)
            with suppress(Died):
                await tend(house, Mortal(house.objects, fuse), Mortal(house.catalogue, fuse))
            await settled(house, folder / "again")
            assert await patients(house, (FIRST, SECOND, LATE)) == ["P2"] * 3
        if not fuse.is_burnt:
            break
    assert step > 15


@pytest.mark.parametrize("answers", [False, True])
async def test_a_late_study_may_die_at_any_step(tmp_path: Path, answers: bool) -> None:
    ends: set[str] = set()
    for step in count():
        folder = tmp_path / str(step)
        async with archive(folder) as house:
            made = await merge(house)
            await corrector(house).apply(made)
            await tend(house)
            await house.store(Sample(f"{LATE}.1.1"), study=LATE)
            fuse, mortal = dying(house, step, answers=answers)
            with suppress(Died):
                await mortal.apply_late(made, LATE)
            await settled(house, folder / "again")
            ends.update(await patients(house, [LATE]))
            # The job is given back, and done again.
            await corrector(house).apply_late(made, LATE)
            assert await patients(house, [LATE]) == ["P2"]
            await undo(house, made)
            assert await patients(house, [FIRST, LATE]) == ["P1", "P1"]
        if not fuse.is_burnt:
            break
    assert step > 8
    # With a mark any study that shows the source comes to the merge.
    assert ends == ({"P2"} if answers else {"P1", "P2"})


async def test_what_is_undone_while_it_is_made_is_undone_everywhere(tmp_path: Path) -> None:
    """The undoing runs through before the merge has changed its first study."""
    async with archive(tmp_path / "one") as house:
        before = await house.digest()
        made = await merge(house)

        async def undone() -> None:
            await undo(house, made)

        racing: Any = Racing(house.catalogue, "study", undone)
        await corrector(house, catalogue=racing).apply(made)
        assert racing.has_raced
        assert await patients(house) == ["P1", "P1", "P2"]
        assert await settled(house, tmp_path / "again") == before


async def test_two_corrections_at_once_both_stand(tmp_path: Path) -> None:
    async with archive(tmp_path / "one") as house:
        moved = (await orders(house).move(FIRST, "P2", issuer=None)).correction
        merged = await merge(house)

        async def move() -> None:
            await corrector(house).apply(moved)

        racing: Any = Racing(house.catalogue, "commit", move)
        await corrector(house, catalogue=racing).apply(merged)
        names = {one.correction_id for one in (await state_of(house, FIRST)).study.amendments}
        assert names == {moved.correction_id, merged.correction_id}
        await settled(house, tmp_path / "again")


async def test_a_commit_that_races_with_a_correction_is_corrected(tmp_path: Path) -> None:
    async with archive(tmp_path / "one") as house:
        made: Correction = await merge(house)

        async def store() -> None:
            await house.store(Sample(f"{FIRST}.1.7"))

        racing: Any = Racing(house.catalogue, "commit", store)
        await corrector(house, catalogue=racing).apply(made)
        assert len((await state_of(house, FIRST)).packs) == 3
        assert await patients(house) == ["P2"] * 3
        await settled(house, tmp_path / "again")
