"""Folding the access log loses nothing and counts nothing twice, whatever happens meanwhile."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest

from catalogue_samples import TENANT
from pacs_cloud.errors import Corrupt
from pacs_cloud.objectstore import local
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.tiering.access.folding import DAY_IS_OVER_US, MOST_BYTES, Folded, fold_access
from unit.custody.test_custody_repack_faults import Died, Fuse, Mortal
from unit.tiering.tiering_access import DAY_S, Act, Interrupted, at, keys, log_of, write


@pytest.fixture
def listed_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let listings take their time: what happens meanwhile may be in them, or not."""
    monkeypatch.setattr(local, "LISTED_AT_A_TIME", 1)


HOUR_S = 3600
ALONE, FIRST, SECOND = "2026-01-01", "2026-01-02", "2026-01-03"
LAST, NEXT = "2026-01-31", "2026-02-01"
DAY_IS_OVER = at(SECOND) + DAY_IS_OVER_US
MONTH_IS_OVER = at(LAST, 3 * DAY_S)


@asynccontextmanager
async def log(folder: Path) -> AsyncGenerator[LocalObjectStore]:
    """A month: two days of three processes, two of one, and the next month."""
    async with LocalObjectStore(folder / "objects") as objects:
        await write(objects, ALONE, "1.7")
        for day, last in ((FIRST, "1.3"), (SECOND, "1.4")):
            await write(objects, day, "1.1", "1.2")
            await write(objects, day, "1.2", last)
            await write(objects, day, "1.2", seconds=HOUR_S)
        await write(objects, LAST, "1.1")
        await write(objects, NEXT, "1.5")
        await write(objects, NEXT, "1.6")
        yield objects


def sums(found: list[str]) -> list[str]:
    return [key.rpartition("/")[2] for key in found if "_" in key]


async def test_a_past_day_becomes_one_object(tmp_path: Path) -> None:
    async with log(tmp_path) as objects:
        before = await log_of(objects)
        assert before[FIRST]["1.2"].requests == 3
        assert await fold_access(objects, now_us=at(FIRST, DAY_S)) == Folded()
        assert await fold_access(objects, now_us=DAY_IS_OVER) == Folded(2, 6)
        assert await log_of(objects) == before
        assert sums(await keys(objects)) == ["202601_000000.zst", "202601_000001.zst"]
        assert await fold_access(objects, now_us=DAY_IS_OVER) == Folded()


async def test_a_past_month_becomes_one_object(tmp_path: Path) -> None:
    async with log(tmp_path) as objects:
        before = await log_of(objects)
        await fold_access(objects, now_us=DAY_IS_OVER)
        assert await fold_access(objects, now_us=MONTH_IS_OVER - 1) == Folded(1, 2)
        assert await fold_access(objects, now_us=MONTH_IS_OVER) == Folded(1, 4)
        found = await keys(objects)
        assert sums(found) == ["202601_000002.zst", "202602_000000.zst"]
        assert len(found) == 2
        assert await log_of(objects) == before
        assert await fold_access(objects, now_us=at("2027-01-01")) == Folded()


async def test_a_month_that_nobody_folded_in_its_time_becomes_one_object(tmp_path: Path) -> None:
    async with log(tmp_path) as objects:
        before = await log_of(objects)
        assert await fold_access(objects, now_us=at("2027-01-01")) == Folded(2, 10)
        assert len(await keys(objects)) == 2
        assert await log_of(objects) == before


async def test_what_comes_late_is_counted(tmp_path: Path) -> None:
    async with log(tmp_path) as objects:
        await fold_access(objects, now_us=DAY_IS_OVER)
        await write(objects, FIRST, "1.2", "1.9")
        before = await log_of(objects)
        assert (before[FIRST]["1.2"].requests, before[FIRST]["1.9"].requests) == (4, 1)
        await fold_access(objects, now_us=DAY_IS_OVER)
        await write(objects, FIRST, "1.9")
        await fold_access(objects, now_us=DAY_IS_OVER)
        assert (await log_of(objects))[FIRST]["1.9"].requests == 2
        await fold_access(objects, now_us=MONTH_IS_OVER)
        assert (await log_of(objects))[FIRST]["1.9"].requests == 2
        assert len(sums(await keys(objects))) == 2


async def test_no_sum_is_larger_than_memory_should_hold(tmp_path: Path) -> None:
    async with log(tmp_path) as objects:
        before = await log_of(objects)
        length = max([info.length_bytes async for info in objects.list("access/")])
        for _ in range(3):
            await fold_access(objects, now_us=at("2027-01-01"), most_bytes=2 * length)
        assert 2 < len(await keys(objects)) < 10
        assert await log_of(objects) == before


MOMENTS = [DAY_IS_OVER, MONTH_IS_OVER]


@pytest.mark.parametrize("answers", [False, True], ids=["before the call", "behind the call"])
async def test_a_fold_that_dies_at_any_call_counts_nothing_twice(
    tmp_path: Path, answers: bool
) -> None:
    for at_call in count():
        is_through = True
        async with log(tmp_path / str(at_call)) as objects:
            before = await log_of(objects)
            for now_us in MOMENTS:
                fuse = Fuse(at_call, answers=answers)
                with suppress(Died):
                    await fold_access(cast("Any", Mortal(objects, fuse)), now_us=now_us)
                is_through &= not fuse.is_burnt
                assert await log_of(objects) == before
                await fold_access(objects, now_us=now_us)
                assert await log_of(objects) == before
            # What is left of one day goes with its month.
            await fold_access(objects, now_us=at("2027-01-01"))
            assert len(await keys(objects)) == 2
        if is_through:
            assert at_call > 10
            return


@pytest.mark.parametrize(
    ("first_us", "others_us"),
    [
        (DAY_IS_OVER, [DAY_IS_OVER]),
        (DAY_IS_OVER, [MONTH_IS_OVER]),
        (DAY_IS_OVER, MOMENTS),
        (MONTH_IS_OVER, [DAY_IS_OVER]),
        (MONTH_IS_OVER, [MONTH_IS_OVER]),
    ],
)
async def test_folds_may_come_between_any_two_calls_of_another(
    tmp_path: Path, first_us: int, others_us: list[int]
) -> None:
    for at_call in count():
        async with log(tmp_path / str(at_call)) as objects:
            before = await log_of(objects)
            slow = Interrupted(objects, at_call, _folding(objects, *others_us))
            await fold_access(cast("Any", slow), now_us=first_us)
            assert await log_of(objects) == before
            await fold_access(objects, now_us=MONTH_IS_OVER)
            assert await log_of(objects) == before
            assert len(await keys(objects)) == 2
        if not slow.has_come:
            assert at_call > 10
            break


async def test_a_process_may_write_between_any_two_calls_of_a_fold(tmp_path: Path) -> None:
    for at_call in count():
        async with log(tmp_path / str(at_call)) as objects:

            async def late(objects: ObjectStore = objects) -> None:
                await write(objects, FIRST, "1.2")
                await fold_access(objects, now_us=DAY_IS_OVER)

            slow = Interrupted(objects, at_call, late)
            await fold_access(cast("Any", slow), now_us=DAY_IS_OVER)
            for now_us in (DAY_IS_OVER, MONTH_IS_OVER):
                found = await log_of(objects)
                assert found[FIRST]["1.2"].requests == 3 + slow.has_come
                await fold_access(objects, now_us=now_us)
            assert len(await keys(objects)) == 2
        if not slow.has_come:
            return


@pytest.mark.usefixtures("listed_step_by_step")
async def test_a_reader_sees_the_same_whatever_is_folded_meanwhile(tmp_path: Path) -> None:
    for now_us in MOMENTS:
        for at_call in count():
            async with log(tmp_path / f"{now_us}-{at_call}") as objects:
                before = await log_of(objects)
                fold = _folding(objects, now_us)
                slow = Interrupted(objects, at_call, fold, in_steps=True)
                assert await log_of(cast("Any", slow)) == before
            if not slow.has_come:
                break


async def test_a_fold_whose_number_was_spent_meanwhile_removes_nothing(tmp_path: Path) -> None:
    """As where releases that put more and less together work side by side."""
    for at_call in count():
        async with LocalObjectStore(tmp_path / str(at_call)) as objects:
            await write(objects, FIRST, "1.1")
            await write(objects, FIRST, "1.2", seconds=1)
            await write(objects, FIRST, *map(str, range(500)), seconds=2)
            await write(objects, LAST, "1.1")
            before = await log_of(objects)
            slow = Interrupted(objects, at_call, _folding(objects, *MOMENTS, most_bytes=400))
            await fold_access(cast("Any", slow), now_us=DAY_IS_OVER)
            assert await log_of(objects) == before
        if not slow.has_come:
            break


async def test_any_number_may_fold_at_once(tmp_path: Path) -> None:
    async with log(tmp_path) as objects:
        before = await log_of(objects)
        for now_us in MOMENTS:
            await asyncio.gather(*(fold_access(objects, now_us=now_us) for _ in range(6)))
            assert await log_of(objects) == before
        await fold_access(objects, now_us=MONTH_IS_OVER)
        assert await log_of(objects) == before
        assert len(await keys(objects)) == 2


async def test_tenants_are_folded_apart(tmp_path: Path) -> None:
    async with log(tmp_path) as objects:
        before = await log_of(objects)
        for key in await keys(objects):
            await objects.put_new(key.replace(TENANT, f"{TENANT}-2"), await objects.get(key))
        await fold_access(objects, now_us=MONTH_IS_OVER)
        assert len(await keys(objects)) == 4
        assert await log_of(objects) == await log_of(objects, f"{TENANT}-2") == before


async def test_a_damaged_object_is_told_and_stops_no_other_month(tmp_path: Path) -> None:
    async with log(tmp_path) as objects:
        damaged = f"access/{TENANT}/20260131/0.zst"
        await objects.put_new(damaged, b"damaged")
        with pytest.raises(Corrupt, match=damaged):
            await fold_access(objects, now_us=at("2027-01-01"))
        assert sums(await keys(objects)) == ["202602_000000.zst"]
        await objects.delete(damaged)
        assert await fold_access(objects, now_us=at("2027-01-01")) == Folded(1, 8)


def _folding(objects: ObjectStore, *moments_us: int, most_bytes: int = MOST_BYTES) -> Act:
    async def fold() -> None:
        for now_us in moments_us:
            await fold_access(objects, now_us=now_us, most_bytes=most_bytes)

    return fold
