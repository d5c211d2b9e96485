"""Turns: of two workers on one store one works, and a dead one's turn is not lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from objectstore_samples import config_at
from pacs_cloud.errors import Conflict, Corrupt, Unavailable
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.numbered import read_last, write_next
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.objectstore.s3 import S3ObjectStore
from pacs_cloud.objectstore.tenants import tenants_of
from pacs_cloud.objectstore.turns import LOOK_S, PATIENCE_S, Turn, Turns
from servers.endpoint import Endpoint
from servers.fixtures import bucket_at

HOUR_S = 3600.0
NOW_US = 1_700_000_000_000_000
WORK = "tiers/default"


class Watch:
    """The clocks of one worker, which differ from another's."""

    def __init__(self, *, ahead_s: float = 0.0) -> None:
        self.now_s = ahead_s

    def pass_by(self, seconds: float) -> None:
        self.now_s += seconds

    def now_us(self) -> int:
        return NOW_US + round(self.now_s * 1e6)

    def clock(self) -> float:
        return self.now_s


class Worker:
    """One worker, what it did, and how it dies."""

    def __init__(
        self, objects: ObjectStore, *, ahead_s: float = 0.0, patience_s: float = PATIENCE_S
    ) -> None:
        self.watch = Watch(ahead_s=ahead_s)
        self._alive = asyncio.Event()
        self._alive.set()
        self.turns = Turns(
            Stalling(objects, self._alive),  # type: ignore[arg-type]
            self.watch.now_us,
            clock=self.watch.clock,
            patience_s=patience_s,
        )
        self.done: list[str] = []

    def die(self) -> None:
        """Say nothing from now on: it waits for a store for ever."""
        self._alive.clear()

    def wake(self) -> None:
        self._alive.set()

    async def take(
        self, work: Callable[[Turn], Awaitable[None]] | None = None, **options: Any
    ) -> float:
        async def note(turn: Turn) -> None:
            self.done.append(turn.place)

        return await self.turns.take(WORK, work or note, **{"every_s": HOUR_S, **options})


class Stalling:
    """A store that takes nothing while its worker is dead."""

    def __init__(self, real: ObjectStore, alive: asyncio.Event) -> None:
        self._real = real
        self._alive = alive

    async def put_new(self, *args: Any, **options: Any) -> Any:
        await self._alive.wait()
        return await self._real.put_new(*args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.fixture(params=["files", "moto"])
async def objects(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ObjectStore]:
    if request.param == "files":
        async with LocalObjectStore(tmp_path / "objects") as store:
            yield store
    else:
        endpoint: Endpoint = request.getfixturevalue("moto_endpoint")
        with bucket_at(endpoint) as place:
            async with S3ObjectStore(config_at(place)) as store:
                yield store


async def keys(objects: ObjectStore) -> list[str]:
    return [info.key async for info in objects.list("turns/")]


async def test_a_round_is_done_once_and_again_when_it_is_due(objects: ObjectStore) -> None:
    one, other = Worker(objects), Worker(objects)
    assert await one.take() == LOOK_S
    assert await other.take() == LOOK_S
    assert (one.done, other.done) == ([""], [])
    for worker in (one, other):
        worker.watch.pass_by(HOUR_S - 60)
    assert await other.take() == pytest.approx(60)
    other.watch.pass_by(60)
    await other.take()
    assert (one.done, other.done) == ([""], [""])
    assert len(await keys(objects)) == 1


async def test_of_many_that_come_at_once_one_works(objects: ObjectStore) -> None:
    workers = [Worker(objects) for _ in range(5)]
    await asyncio.gather(*(worker.take() for worker in workers))
    assert sum(len(worker.done) for worker in workers) == 1


async def held(worker: Worker, place: str = "") -> asyncio.Task[float]:
    """Let a worker begin a round that does not end."""
    began = asyncio.Event()

    async def for_ever(turn: Turn) -> None:
        if place:
            await turn.reach(place)
        began.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(worker.take(for_ever))
    await began.wait()
    return task


async def buried(dead: Worker, task: asyncio.Task[float]) -> None:
    """End a dead worker's task, without waiting for how long it would wait for its store."""
    dead.wake()
    task.cancel()
    await asyncio.wait({task})


async def test_a_dead_worker_s_turn_is_taken_over_where_it_was(objects: ObjectStore) -> None:
    # The clocks differ by minutes, either way.
    for ahead_s in (-400.0, 400.0):
        dead, other = Worker(objects), Worker(objects, ahead_s=ahead_s)
        task = await held(dead, "packs/b")
        dead.die()
        assert await other.take() == LOOK_S
        other.watch.pass_by(PATIENCE_S - 1)
        assert await other.take() == pytest.approx(1)
        assert other.done == []
        other.watch.pass_by(1)
        await other.take()
        assert other.done == ["packs/b"]
        # And the next round begins at the beginning.
        other.watch.pass_by(2 * HOUR_S)
        await other.take()
        assert other.done == ["packs/b", ""]
        await buried(dead, task)
        await objects.delete((await keys(objects))[-1])


async def test_who_says_so_again_keeps_its_turn(tmp_path: Path) -> None:
    async with LocalObjectStore(tmp_path) as objects:
        alive, other = Worker(objects, patience_s=0.02), Worker(objects, patience_s=0.02)
        task = await held(alive)
        last = await keys(objects)
        await other.take()
        while await keys(objects) == last:
            await asyncio.sleep(0.001)
        other.watch.pass_by(10)
        await other.take()
        assert other.done == []
        task.cancel()
        await asyncio.wait({task})


async def test_a_place_that_cannot_be_kept_ends_the_work(tmp_path: Path) -> None:
    async with LocalObjectStore(tmp_path) as objects:
        away, other = Worker(objects), Worker(objects)
        reached: list[str] = []

        async def work(turn: Turn) -> None:
            await other.take(at_once=True)
            await turn.reach("packs/b")
            reached.append(turn.place)

        assert await away.take(work) == LOOK_S
        assert (reached, other.done) == ([], [""])


async def test_who_was_away_for_too_long_finds_that_it_has_lost_its_turn(tmp_path: Path) -> None:
    async with LocalObjectStore(tmp_path) as objects:
        away, other = Worker(objects, patience_s=0.02), Worker(objects, patience_s=0.02)
        task = await held(away)
        away.die()
        await other.take()
        other.watch.pass_by(1)
        await other.take()
        assert other.done == [""]
        away.wake()
        assert await task == LOOK_S  # its work is cancelled
        other.watch.pass_by(10)
        assert await other.take() == LOOK_S  # and the round is over


async def test_a_worker_that_is_told_to_stop_lets_its_turn_go(objects: ObjectStore) -> None:
    stopping, other = Worker(objects), Worker(objects)
    task = await held(stopping, "packs/b")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await other.take()
    assert other.done == ["packs/b"]


async def test_what_cannot_be_done_is_let_go(objects: ObjectStore) -> None:
    failing, other = Worker(objects), Worker(objects)

    async def fail(turn: Turn) -> None:
        raise Unavailable("the catalogue is away")

    with pytest.raises(Unavailable):
        await failing.take(fail)
    await other.take()
    assert other.done == [""]


async def test_a_conflict_of_the_work_s_own_is_told(objects: ObjectStore) -> None:
    async def fail(turn: Turn) -> None:
        raise Conflict("two at one study")

    worker = Worker(objects)
    with pytest.raises(Conflict, match="two at one study"):
        await worker.take(fail)
    await worker.take()
    assert worker.done == [""]


async def test_an_embedded_archive_s_first_round_waits_for_nobody(objects: ObjectStore) -> None:
    before, now = Worker(objects), Worker(objects)
    task = await held(before)
    before.die()
    await now.take(at_once=True)
    assert now.done == [""]
    await now.take(at_once=True)
    assert now.done == ["", ""]
    await buried(before, task)


async def test_a_clock_that_was_far_ahead_stops_nobody(objects: ObjectStore) -> None:
    wrong, other = Worker(objects, ahead_s=30 * 24 * HOUR_S), Worker(objects)
    await wrong.take()
    await other.take()
    assert other.done == [""]


async def test_what_cannot_be_read_is_told(objects: ObjectStore) -> None:
    await objects.put_new(f"turns/{WORK}/0000000000000001.json", b"{}")
    with pytest.raises(Corrupt):
        await Worker(objects).take()
    await objects.put_new(f"turns/{WORK}/x.json", b"{}")
    with pytest.raises(Corrupt):
        await Worker(objects).take()


async def test_a_number_whose_time_is_over_is_nobody_s(objects: ObjectStore) -> None:
    for number in range(1, 4):
        await write_next(objects, "turns/a/", number, b"%d" % number)
    with pytest.raises(Conflict):
        await write_next(objects, "turns/a/", 2, b"late")
    with pytest.raises(Conflict):
        await write_next(objects, "turns/a/", 3, b"late")
    assert await read_last(objects, "turns/a/") == (3, b"3")
    assert await keys(objects) == ["turns/a/0000000000000003.json"]
    assert await read_last(objects, "turns/b/") is None


async def test_tenants_are_found_without_listing_what_they_have(objects: ObjectStore) -> None:
    for key in ("a/00/1/k", "a/01/1/k", "a-b/k", "c.d/k", "stray"):
        await objects.put_new(f"packs/{key}", b"")
    assert await tenants_of(objects, "packs/") == ["a-b", "a", "c.d"]
    assert await tenants_of(objects, "index/") == []
