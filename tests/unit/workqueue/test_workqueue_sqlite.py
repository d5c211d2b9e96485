"""The SQLite queue beyond the contract: processes, crashes, the clock, a failing disk."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pacs_cloud.errors import Conflict, Corrupt, Unavailable
from pacs_cloud.workqueue.group_commit import GroupCommit
from pacs_cloud.workqueue.jobs import Job
from pacs_cloud.workqueue.port import DeadJob, Depth
from pacs_cloud.workqueue.sqlite import SqliteWorkQueue
from patience import PATIENCE_S


def job(name: str) -> Job:
    return Job(job_id=name, kind="pack-stored", tenant="default")


class Clock:
    def __init__(self) -> None:
        self.us = 1_800_000_000_000_000

    def __call__(self) -> int:
        return self.us

    def pass_s(self, seconds: float) -> None:
        self.us += round(seconds * 1_000_000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def queue(tmp_path: Path, clock: Clock) -> AsyncIterator[SqliteWorkQueue]:
    async with SqliteWorkQueue(tmp_path / "q.sqlite", now_us=clock) as queue:
        yield queue


async def test_each_commit_is_synced(queue: SqliteWorkQueue) -> None:
    for connection in (queue._watching, queue._reading, queue._writing._connection):
        assert connection.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
        assert connection.execute("PRAGMA synchronous").fetchall() == [(2,)]


async def test_a_lease_lasts_as_long_as_it_says(queue: SqliteWorkQueue, clock: Clock) -> None:
    await queue.send(job("1"))
    (lease,) = await queue.lease(hold_s=120)
    assert lease.until_us == clock.us + 120_000_000
    clock.pass_s(119.9)
    assert await queue.lease() == []
    assert await queue.depth() == Depth(ready=0, leased=1, dead=0)
    clock.pass_s(0.1)
    assert await queue.depth() == Depth(ready=1, leased=0, dead=0)
    (again,) = await queue.lease()
    assert (again.attempt, again.receipt != lease.receipt) == (2, True)
    # Who lost a lease cannot take the job from its new holder.
    await queue.ack(lease)
    await queue.release(lease)
    assert await queue.depth() == Depth(ready=0, leased=1, dead=0)


async def test_a_delay_lasts_as_long_as_it_says(queue: SqliteWorkQueue, clock: Clock) -> None:
    await queue.send(job("1"), delay_s=900)
    clock.pass_s(899.9)
    assert await queue.lease() == []
    clock.pass_s(0.1)
    (lease,) = await queue.lease()
    assert lease.attempt == 1


async def test_a_job_whose_last_lease_ended_counts_as_dead(
    queue: SqliteWorkQueue, clock: Clock
) -> None:
    await queue.send(job("1"))
    for _ in range(5):
        assert len(await queue.lease(hold_s=10)) == 1
        clock.pass_s(10)
    # Before any lease has found it so.
    assert await queue.depth() == Depth(ready=0, leased=0, dead=1)
    assert await queue.dead() == [DeadJob(job("1"), 5, clock.us)]
    assert await queue.lease() == []
    assert await queue.depth() == Depth(ready=0, leased=0, dead=1)
    assert await queue.redrive() == 1
    assert [lease.attempt for lease in await queue.lease()] == [1]


async def test_dead_jobs_do_not_hide_living_ones(queue: SqliteWorkQueue, clock: Clock) -> None:
    for n in range(12):
        await queue.send(job(f"bad-{n}"))
    for _ in range(5):
        for _ in range(2):
            for lease in await queue.lease(hold_s=1):
                assert lease.job.job_id.startswith("bad")
        clock.pass_s(1)
    await queue.send(job("good"))
    assert [lease.job.job_id for lease in await queue.lease()] == ["good"]
    assert len(await queue.dead()) == 12


async def test_jobs_come_in_the_order_they_were_sent(queue: SqliteWorkQueue, clock: Clock) -> None:
    for n in range(5):
        clock.pass_s(0.001)
        await queue.send(job(str(n)))
    assert [lease.job.job_id for lease in await queue.lease(3)] == ["0", "1", "2"]


async def test_max_attempts_is_a_setting(tmp_path: Path, clock: Clock) -> None:
    async with SqliteWorkQueue(tmp_path / "q", max_attempts=1, now_us=clock) as queue:
        await queue.send(job("1"))
        (lease,) = await queue.lease()
        await queue.release(lease)
        assert await queue.lease() == []
        assert (await queue.depth()).dead == 1


async def test_a_cancelled_lease_gives_its_jobs_back(queue: SqliteWorkQueue) -> None:
    await queue.send(job("1"))
    held = asyncio.Event()
    release = asyncio.Event()
    loop = asyncio.get_running_loop()

    def block(connection: sqlite3.Connection) -> None:
        loop.call_soon_threadsafe(held.set)
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result()

    blocking = asyncio.create_task(queue._writing.run(block))
    await held.wait()
    leasing = asyncio.create_task(queue.lease())
    await asyncio.sleep(0)
    leasing.cancel()
    await asyncio.sleep(0)
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await leasing
    await blocking
    (lease,) = await queue.lease()
    assert lease.attempt == 1


async def test_what_was_asked_before_closing_is_done(tmp_path: Path) -> None:
    queue = SqliteWorkQueue(tmp_path / "q")
    sends = [asyncio.create_task(queue.send(job(str(n)))) for n in range(50)]
    await asyncio.sleep(0)
    await queue.aclose()
    await asyncio.gather(*sends)
    with pytest.raises(Unavailable):
        await queue.send(job("late"))
    async with SqliteWorkQueue(tmp_path / "q") as queue:
        assert (await queue.depth()).ready == 50


WORKER = """
import asyncio, sys
from pathlib import Path
from pacs_cloud.workqueue.sqlite import SqliteWorkQueue

async def main():
    async with SqliteWorkQueue(Path(sys.argv[1])) as queue:
        while leases := await queue.lease(wait_s=1):
            for lease in leases:
                await queue.ack(lease)
                print(lease.job.job_id, flush=True)

asyncio.run(main())
"""


async def test_processes_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "q"
    workers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", WORKER, str(path), stdout=subprocess.PIPE
        )
        for _ in range(3)
    ]
    names = [str(n) for n in range(300)]
    async with SqliteWorkQueue(path) as queue:
        await asyncio.gather(*(queue.send(job(name)) for name in names))
        outputs = [(await worker.communicate())[0].decode().split() for worker in workers]
        assert [worker.returncode for worker in workers] == [0, 0, 0]
        assert sorted(name for output in outputs for name in output) == sorted(names)
        assert await queue.depth() == Depth(ready=0, leased=0, dead=0)


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from pacs_cloud.workqueue.jobs import Job
from pacs_cloud.workqueue.sqlite import SqliteWorkQueue

async def main():
    queue = SqliteWorkQueue(Path(sys.argv[1]))
    for n in range(20):
        await queue.send(Job(job_id=str(n), kind="pack-stored", tenant="default"))
    await queue.lease(5)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_a_killed_process_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "q"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)], check=False, timeout=PATIENCE_S
    )
    assert done.returncode == -signal.SIGKILL
    async with SqliteWorkQueue(path) as queue:
        assert await queue.depth() == Depth(ready=15, leased=5, dead=0)


async def test_many_processes_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    workers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", WORKER, str(tmp_path / "q"), stdout=subprocess.PIPE
        )
        for _ in range(6)
    ]
    for worker in workers:
        await worker.communicate()
    assert [worker.returncode for worker in workers] == [0] * 6


def test_what_is_no_queue_s_file(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"this is no database, and long enough to be seen as none" * 99)
    with pytest.raises(Corrupt):
        SqliteWorkQueue(tmp_path / "text")
    with pytest.raises(Unavailable):
        SqliteWorkQueue(tmp_path / "no" / "folder")


async def test_a_later_program_s_file_is_refused(tmp_path: Path) -> None:
    async with SqliteWorkQueue(tmp_path / "q") as queue:
        queue._watching.execute("PRAGMA user_version = 2")
    with pytest.raises(Corrupt, match="later"):
        SqliteWorkQueue(tmp_path / "q")


async def test_one_change_that_fails_spoils_no_other(tmp_path: Path) -> None:
    writer = GroupCommit(tmp_path / "db")
    await writer.run(lambda c: c.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)").rowcount)

    def insert(n: int, *, refuse: bool = False) -> object:
        def change(connection: sqlite3.Connection) -> int:
            connection.execute("INSERT INTO t VALUES (?)", (n,))
            if refuse:
                raise Conflict("refused")
            return n

        return writer.run(change)

    results = await asyncio.gather(
        insert(1), insert(2, refuse=True), insert(1), insert(3), return_exceptions=True
    )
    assert (results[0], results[3]) == (1, 3)
    assert (type(results[1]), type(results[2])) == (Conflict, Unavailable)
    rows = await writer.run(lambda c: c.execute("SELECT n FROM t").fetchall())
    assert rows == [(1,), (3,)]
    await writer.aclose()
    await writer.aclose()


async def test_a_rollback_that_fails_too_leaves_nobody_waiting(tmp_path: Path) -> None:
    def change(connection: sqlite3.Connection) -> None:
        def refuse(action: int, verb: str | None, *_: str | None) -> int:
            undoing = action == sqlite3.SQLITE_TRANSACTION and verb == "ROLLBACK"
            return sqlite3.SQLITE_DENY if undoing else sqlite3.SQLITE_OK

        connection.set_authorizer(refuse)
        raise sqlite3.OperationalError("disk I/O error")

    writer = GroupCommit(tmp_path / "db")
    async with asyncio.timeout(PATIENCE_S):
        for work in (change, lambda _: None):
            with pytest.raises(Unavailable):
                await writer.run(work)
    await writer.aclose()


async def test_an_unforeseen_error_reaches_its_callers_and_the_thread_goes_on(
    tmp_path: Path,
) -> None:
    writer = GroupCommit(tmp_path / "db")
    with pytest.raises(ZeroDivisionError):
        await writer.run(lambda c: 1 // 0)
    assert await writer.run(lambda c: 1) == 1
    await writer.aclose()
