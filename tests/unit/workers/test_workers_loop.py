"""Jobs are handled at least once, whatever their handlers do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pacs_cloud import metrics
from pacs_cloud.errors import Denied, Unavailable
from pacs_cloud.workers.backoff import Backoff
from pacs_cloud.workers.handlers import Handler, Handlers
from pacs_cloud.workers.loop import LoopPolicy, WorkerLoop
from pacs_cloud.workqueue.jobs import Job
from pacs_cloud.workqueue.port import Depth, Lease
from pacs_cloud.workqueue.sqlite import SqliteWorkQueue
from patience import PATIENCE_S

QUICK = LoopPolicy(parallel=4, hold_s=30, wait_s=0.2, grace_s=5, backoff=Backoff(0, 0))


def job(number: int, kind: str = "count") -> Job:
    return Job(job_id=f"job-{number}", kind=kind, tenant="default", body={"n": number})


@asynccontextmanager
async def working(
    queue: SqliteWorkQueue, handlers: dict[str, Handler], policy: LoopPolicy = QUICK
) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    loop = asyncio.create_task(WorkerLoop(queue, Handlers(handlers), policy).run(stop))
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE_S):
            await loop


async def until_depth(queue: SqliteWorkQueue, depth: Depth) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await queue.depth() != depth:
            await asyncio.sleep(0.01)


async def test_every_job_is_handled_and_acknowledged(queue: SqliteWorkQueue) -> None:
    done: list[int] = []

    async def count(one: Job) -> None:
        done.append(one.body["n"])

    async with working(queue, {"count": count}):
        for number in range(25):
            await queue.send(job(number))
        await until_depth(queue, Depth(0, 0, 0))
    assert sorted(done) == list(range(25))


async def test_no_more_than_so_many_at_once(queue: SqliteWorkQueue) -> None:
    now = most = 0
    four = asyncio.Event()

    async def count(_: Job) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        if now == 4:
            four.set()
        await four.wait()
        await asyncio.sleep(0)
        now -= 1

    for number in range(12):
        await queue.send(job(number))
    async with working(queue, {"count": count}):
        await until_depth(queue, Depth(0, 0, 0))
    assert most == 4


async def test_a_job_that_failed_is_done_again(queue: SqliteWorkQueue) -> None:
    attempts: list[str] = []

    async def twice(one: Job) -> None:
        attempts.append(one.job_id)
        if len(attempts) == 1:
            raise Unavailable("not yet")

    await queue.send(job(1))
    async with working(queue, {"count": twice}):
        await until_depth(queue, Depth(0, 0, 0))
    assert attempts == ["job-1", "job-1"]


async def test_a_poison_job_dies_and_the_others_live(queue: SqliteWorkQueue) -> None:
    done: list[int] = []

    async def picky(one: Job) -> None:
        if one.body["n"] == 3:
            raise ZeroDivisionError
        done.append(one.body["n"])

    for number in range(6):
        await queue.send(job(number))
    async with working(queue, {"count": picky}):
        await until_depth(queue, Depth(0, 0, 1))
    assert sorted(done) == [0, 1, 2, 4, 5]
    assert [dead.job.job_id for dead in await queue.dead()] == ["job-3"]


async def test_a_job_that_nobody_handles_dies(queue: SqliteWorkQueue) -> None:
    await queue.send(job(1, "unheard-of"))
    async with working(queue, {}):
        await until_depth(queue, Depth(0, 0, 1))
    assert [dead.job.kind for dead in await queue.dead()] == ["unheard-of"]
    # A queue may name whatever kinds it likes: a label has no more values for it.
    assert "unheard-of" not in metrics.snapshot().by("kind", "pacs_jobs_total")


async def test_a_long_job_keeps_its_lease(tmp_path: Path) -> None:
    runs = 0
    finished = asyncio.Event()

    async def long(_: Job) -> None:
        nonlocal runs
        runs += 1
        await asyncio.sleep(3)
        finished.set()

    policy = LoopPolicy(parallel=2, hold_s=2, wait_s=0.1)
    async with SqliteWorkQueue(tmp_path / "queue.sqlite") as queue:
        await queue.send(job(1))
        async with working(queue, {"count": long}, policy):
            await finished.wait()
            await until_depth(queue, Depth(0, 0, 0))
    assert runs == 1


async def test_a_lease_that_cannot_be_kept_ends_its_handler(queue: SqliteWorkQueue) -> None:
    class Refusing:
        """The queue, to a caller whose right to extend leases was taken away."""

        def __getattr__(self, name: str) -> object:
            return getattr(queue, name)

        async def extend(self, lease: Lease, hold_s: float) -> Lease:
            raise Denied(f"{lease.receipt} for {hold_s} s")

    at_work: list[int] = []
    again = asyncio.Event()

    async def linger(one: Job) -> None:
        at_work.append(one.body["n"])
        try:
            if len(at_work) == 1 and not again.is_set():
                again.set()
                await asyncio.Event().wait()
        finally:
            at_work.pop()

    await queue.send(job(1))
    policy = replace(QUICK, hold_s=0.3)
    async with working(Refusing(), {"count": linger}, policy):  # type: ignore[arg-type]
        await until_depth(queue, Depth(0, 0, 0))
        assert at_work == []


async def test_a_stop_waits_for_what_is_in_hand(queue: SqliteWorkQueue) -> None:
    begun, go_on, done = asyncio.Event(), asyncio.Event(), False

    async def slow(_: Job) -> None:
        nonlocal done
        begun.set()
        await go_on.wait()
        done = True

    await queue.send(job(1))
    async with working(queue, {"count": slow}) as stop:
        await begun.wait()
        stop.set()
        await asyncio.sleep(0.1)
        go_on.set()
    assert done
    assert await queue.depth() == Depth(0, 0, 0)


async def test_a_stop_gives_back_what_takes_too_long(queue: SqliteWorkQueue) -> None:
    begun = asyncio.Event()

    async def endless(_: Job) -> None:
        begun.set()
        await asyncio.Event().wait()

    await queue.send(job(1))
    policy = LoopPolicy(parallel=1, wait_s=0.1, grace_s=0)
    async with working(queue, {"count": endless}, policy):
        await begun.wait()
    assert await queue.depth() == Depth(1, 0, 0)


async def test_a_stop_ends_an_idle_wait(queue: SqliteWorkQueue) -> None:
    async with working(queue, {}, LoopPolicy(wait_s=20)):
        await asyncio.sleep(0.1)
    assert await queue.depth() == Depth(0, 0, 0)


def test_a_back_off_doubles_up_to_its_ceiling() -> None:
    waits = [Backoff(1, 10).after(attempt) for attempt in (1, 2, 3, 4, 5, 10_000)]
    assert waits == [1, 2, 4, 8, 10, 10]
    with pytest.raises(ValueError, match="0 to 900"):
        Backoff(1, 901)
