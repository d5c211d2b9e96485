"""A chore that cannot be done is seen by others than the reader of a log."""

import asyncio
from pathlib import Path

import pytest

from pacs_cloud.bootstrap import chores
from pacs_cloud.bootstrap.chores import over_and_over
from pacs_cloud.bootstrap.stalls import Stall, Stalls, read_stalls
from pacs_cloud.errors import Unavailable
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.workers.backoff import Backoff


class Clock:
    def __init__(self) -> None:
        self.now_us = 1_700_000_000_000_000

    def __call__(self) -> int:
        self.now_us += 1_000_000
        return self.now_us


async def test_a_stall_stands_until_the_chore_is_done(tmp_path: Path) -> None:
    clock = Clock()
    async with LocalObjectStore(tmp_path) as objects:
        one, other = Stalls(objects, clock), Stalls(objects, clock)
        assert await read_stalls(objects) == []
        await one.failed("tiers", Unavailable("tiers.toml cannot be read"))
        await one.failed("tiers", Unavailable("tiers.toml is no TOML"))
        (stall,) = await read_stalls(objects)
        assert stall == Stall(
            "tiers", stall.since_us, stall.since_us + 1_000_000, "tiers.toml is no TOML"
        )
        await other.done("sweep")
        assert await read_stalls(objects) == [stall]
        # A worker that has never failed itself takes back what the last one has said.
        await other.done("tiers")
        assert await read_stalls(objects) == []


async def test_what_goes_well_writes_nothing(tmp_path: Path) -> None:
    async with LocalObjectStore(tmp_path) as objects:
        stalls = Stalls(objects, Clock())
        await stalls.done("trash")
        await stalls.failed("trash", Unavailable("away"))
        for _ in range(3):
            await stalls.done("trash")
        keys = [info.key async for info in objects.list("")]
        assert keys == [f"turns/stalled/trash/{2:016x}.json"]


async def test_what_nobody_asks_for_any_more_stalls_no_more(tmp_path: Path) -> None:
    async with LocalObjectStore(tmp_path) as objects:
        before = Stalls(objects, Clock())
        await before.failed("tiers", Unavailable("tiers.toml cannot be read"))
        await before.failed("trash", Unavailable("away"))
        await Stalls(objects, Clock()).only({"sweep", "trash"})
        assert [one.chore for one in await read_stalls(objects)] == ["trash"]


async def test_a_defect_is_seen_without_what_it_may_say(tmp_path: Path) -> None:
    async with LocalObjectStore(tmp_path) as objects:
        await Stalls(objects, Clock()).failed("access", KeyError("DOE^JANE"))
        (stall,) = await read_stalls(objects)
        assert stall.reason == "KeyError, a defect: the log says where"


async def test_a_worker_says_what_stalls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chores, "STALLED", Backoff(0, 0))
    stop, fails = asyncio.Event(), iter([True, True, False])
    seen: list[list[str]] = []
    async with LocalObjectStore(tmp_path) as objects:

        async def chore() -> float:
            seen.append([one.reason for one in await read_stalls(objects)])
            fail = next(fails, None)
            if fail is None:
                stop.set()
            if fail:
                raise Unavailable("nobody answers")
            return 0.0

        stalls = Stalls(objects, Clock())
        await asyncio.wait_for(over_and_over("recalls", chore, stop, stalls), 5)
    assert seen == [[], ["nobody answers"], ["nobody answers"], []]


async def test_a_store_that_is_away_stops_no_chore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chores, "STALLED", Backoff(0, 0))
    stop, tries = asyncio.Event(), 0
    root = tmp_path / "objects"
    async with LocalObjectStore(root) as objects:
        stalls = Stalls(objects, Clock())

        async def chore() -> float:
            nonlocal tries
            tries += 1
            if tries == 1:
                (root / "turns").write_text("no folder")
            if tries == 3:
                stop.set()
            raise Unavailable("the disk is away")

        await asyncio.wait_for(over_and_over("sweep", chore, stop, stalls), 5)
    assert tries == 3
