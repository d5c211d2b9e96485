"""A deletion, a restoration and a purge may die at any step: the next turn ends each.

Nothing is lost that was not purged, and of what was purged nothing stays.
"""

import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeAlias

import pytest

from pacs_cloud.catalogue import changing
from pacs_cloud.custody.findings import Severity
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.custody.trash.deletion import Restored, Trash
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.custody.trash.purging import GRACE_US, tend_trash
from pacs_cloud.errors import Gone, NotFound
from unit.custody.custody_faults import Died, Fuse, Mortal
from unit.custody.custody_house import ALL, DAY_US, STUDY, House, opened
from unit.custody.custody_packs import Clock, Sample
from unit.custody.custody_repack import OTHER_SERIES, SERIES, shown

A_SERIES = Scope("default", STUDY, SERIES)
LATER = Scope("default", STUDY, OTHER_SERIES, f"{OTHER_SERIES}.2")
EACH = pytest.mark.parametrize(
    ("scope", "answers", "again"),
    [
        # Every pair of values of any two of them.
        (ALL, False, False),
        (ALL, True, True),
        (A_SERIES, False, True),
        (A_SERIES, True, False),
        *(
            pytest.param(*one, marks=pytest.mark.soak)
            for one in (
                (ALL, False, True),
                (ALL, True, False),
                (A_SERIES, False, False),
                (A_SERIES, True, True),
            )
        ),
    ],
)


@pytest.fixture(autouse=True)
def _several_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have so few packs take several changes, between which one may die, too."""
    monkeypatch.setattr(changing, "PACKS_PER_CHANGE", 2)


async def fill(house: House) -> None:
    """Store a series of packs with a copy and another version in it, and two more packs."""
    for samples in (
        [Sample(f"{SERIES}.{number}") for number in range(1, 4)],
        [Sample(f"{SERIES}.1"), Sample(f"{SERIES}.4")],
        [Sample(f"{SERIES}.1", "second"), Sample(f"{SERIES}.5")],
    ):
        await house.store(*samples, series=SERIES)
    others = Sample(f"{OTHER_SERIES}.1"), Sample(f"{OTHER_SERIES}.2")
    await house.store(*others, series=OTHER_SERIES)
    await house.store(Sample("1.2.4.1.1"), study="1.2.4")


async def dying(first: Path, clock: Clock, *, answers: bool) -> AsyncIterator[tuple[House, Fuse]]:
    """Yield copies of an archive, each with a fuse that burns a step later, until none does."""
    for step in count():
        folder = first.parent / str(step)
        shutil.copytree(first, folder)
        fuse = Fuse(step, answers=answers)
        async with opened(folder, clock) as house:
            yield house, fuse
        if not fuse.is_burnt:
            assert step > 12
            return
        shutil.rmtree(folder)


def trash_of(house: House, fuse: Fuse) -> Trash:
    objects, catalogue = Mortal(house.objects, fuse), Mortal(house.catalogue, fuse)
    return Trash(objects, catalogue, partial(load_table, objects, catalogue), house.clock.tick)


def is_left(scope: Scope, series: str) -> bool:
    return scope.series_instance_uid not in {"", series}


async def errors(house: House) -> list[object]:
    return [one for one in await house.findings() if one.severity is Severity.ERROR]


async def stored(house: House) -> dict[str, bytes]:
    return {key: await house.objects.get(key) for key in await house.keys("packs/")}


async def kept_of(house: House) -> dict[str, bytes]:
    """All that lies in the bucket but the ledger, which keeps what was decided for ever."""
    keys = [key for key in await house.keys("") if not key.startswith("ledger/")]
    return {key: await house.objects.get(key) for key in keys}


async def looked_after(house: House, seen: Clock) -> None:
    """What a running archive does by itself, which has seen all until `seen` end."""
    house.clock.now_us += GRACE_US
    await house.tend(unseen_us=seen.now_us + 1)
    adopted, _ = await house.sweep()
    assert adopted == 0
    assert await house.findings() == []
    said = await house.digest()
    assert await house.rebuilt() == said


Shown: TypeAlias = Mapping[tuple[str, str], bytes]
"""Visible files by series and SOP Instance UID."""


async def has_lost_nothing(house: House, left: Shown, files: Shown, decided: int) -> bool:
    """Assert that what must be seen is; return whether the ledger was told, of `decided` before."""
    now = await shown(house)
    assert left.items() <= now.items() <= files.items()
    assert await errors(house) == []
    return len(await house.keys("ledger/")) > decided


@EACH
async def test_a_deletion_may_die_at_any_step(
    tmp_path: Path, scope: Scope, *, answers: bool, again: bool
) -> None:
    async with opened(tmp_path / "first") as house:
        await fill(house)
        clock, said, packs = house.clock, await house.digest(), await stored(house)
        files, decided = await shown(house), len(await house.keys("ledger/"))
    left = {name: file for name, file in files.items() if is_left(scope, name[0])}
    ends: set[bool] = set()
    async for house, fuse in dying(tmp_path / "first", clock, answers=answers):
        with suppress(Died):
            await trash_of(house, fuse).delete(scope)
        is_decided = await has_lost_nothing(house, left, files, decided)
        ends.add(is_decided)
        if again:
            with suppress(Gone):
                await house.trash.delete(scope)
            assert await shown(house) == left
        await looked_after(house, clock)
        # What the ledger says is done, and what it does not say has not happened.
        assert await shown(house) == (left if is_decided or again else files)
        with suppress(Gone):
            await house.trash.delete(scope)
        assert await shown(house) == left
        deleted = len(files) - len(left)
        assert [(one.scope, one.instances) for one in await house.in_trash()] == [(scope, deleted)]
        assert await house.trash.restore(scope) == Restored(deleted, 0)
        assert await house.findings() == []
        assert (await shown(house), await house.digest()) == (files, said)
        assert await stored(house) == packs
    assert ends == {False, True}


@EACH
async def test_a_restoration_may_die_at_any_step(
    tmp_path: Path, scope: Scope, *, answers: bool, again: bool
) -> None:
    async with opened(tmp_path / "first") as house:
        await fill(house)
        clock, said, packs = house.clock, await house.digest(), await stored(house)
        files = await shown(house)
        await house.trash.delete(scope)
        left, trash = await shown(house), await house.in_trash()
        decided = len(await house.keys("ledger/"))
    ends: set[bool] = set()
    async for house, fuse in dying(tmp_path / "first", clock, answers=answers):
        with suppress(Died):
            await trash_of(house, fuse).restore(scope)
        is_decided = await has_lost_nothing(house, left, files, decided)
        ends.add(is_decided)
        if again:
            with suppress(NotFound):
                await house.trash.restore(scope)
            assert await shown(house) == files
        if answers and (is_decided or again):
            # Even when all of it would be due by now.
            house.clock.now_us += 31 * DAY_US
        await looked_after(house, clock)
        assert await shown(house) == (files if is_decided or again else left)
        assert await house.in_trash() == ([] if is_decided or again else trash)
        with suppress(NotFound):
            await house.trash.restore(scope)
        assert await house.findings() == []
        assert (await shown(house), await house.digest()) == (files, said)
        assert await stored(house) == packs
    assert ends == {False, True}


@EACH
async def test_a_purge_may_die_at_any_step(
    tmp_path: Path, scope: Scope, *, answers: bool, again: bool
) -> None:
    async with opened(tmp_path / "first") as house:
        await fill(house)
        await house.trash.delete(scope)
        house.clock.now_us += 20 * DAY_US
        if scope is A_SERIES:
            # One is there once more, and another one is deleted that is not due.
            await house.store(Sample(f"{SERIES}.1"), series=SERIES)
            await house.trash.delete(LATER)
        house.clock.now_us += 11 * DAY_US
        clock, files, trash = house.clock, await shown(house), await house.in_trash()
    shutil.copytree(tmp_path / "first", tmp_path / "undisturbed")
    async with opened(tmp_path / "undisturbed", clock) as house:
        await house.tend()
        await looked_after(house, clock)
        said, kept = await house.digest(), await kept_of(house)
    async for house, fuse in dying(tmp_path / "first", clock, answers=answers):
        objects, catalogue = Mortal(house.objects, fuse), Mortal(house.catalogue, fuse)
        with suppress(Died):
            await tend_trash(
                objects,
                catalogue,
                load_table=partial(load_table, objects, catalogue),
                now_us=house.clock.tick(),
                retention_us=30 * DAY_US,
            )
        assert await shown(house) == files
        assert await errors(house) == []
        if again:
            await house.tend()
        else:
            await house.sweep()
        await looked_after(house, clock)
        assert await shown(house) == files
        assert (await house.digest(), await kept_of(house)) == (said, kept)
        assert scope is A_SERIES or not [key for key in kept if f"/{STUDY}/" in key]
        with pytest.raises(Gone):
            await house.trash.restore(scope)
        # What is not due comes back.
        assert await house.in_trash() == [one for one in trash if one.scope == LATER]
        if scope is A_SERIES:
            assert await house.trash.restore(LATER) == Restored(1, 0)
            assert (await shown(house)).keys() - files.keys() == {LATER.uids[1:]}
            assert await house.findings() == []
