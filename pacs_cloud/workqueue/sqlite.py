"""The work queue in a SQLite file, shared by any number of processes of one machine."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from pacs_cloud.errors import Corrupt, NotFound
from pacs_cloud.workqueue.bounds import check_delay, check_hold, check_lease
from pacs_cloud.workqueue.group_commit import GroupCommit, connect, translated
from pacs_cloud.workqueue.jobs import Job, decode, encode
from pacs_cloud.workqueue.port import DeadJob, Depth, Lease

POLL_S = 0.05
"""How often a waiting lease looks for what another process has sent: one index probe."""
READ_AT_A_TIME = 500
LOOKED_AT = 20_000
"""So many dead jobs are looked at for those that are wanted."""

_SCHEMA_VERSION = 1
# A job is dead when it says so, or when it has been leased often enough and its
# last lease has ended: the next lease then makes it say so.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    body TEXT NOT NULL,
    visible_us INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    receipt TEXT,
    dead INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS jobs_by_time ON jobs (visible_us, seq) WHERE dead = 0;
CREATE INDEX IF NOT EXISTS jobs_tried ON jobs (attempts) WHERE dead = 0 AND attempts > 0;
CREATE INDEX IF NOT EXISTS jobs_dead ON jobs (seq) WHERE dead = 1;
PRAGMA user_version = 1;
"""
_EXHAUSTED = "dead = 0 AND attempts > 0 AND attempts >= :most AND visible_us <= :now"
_BURY = f"UPDATE jobs SET dead = 1, receipt = NULL WHERE {_EXHAUSTED}"  # nosec B608 # noqa: S608  constant
_LEASE = """
UPDATE jobs SET receipt = lower(hex(randomblob(8))), attempts = attempts + 1, visible_us = :until
WHERE seq IN (
    SELECT seq FROM jobs WHERE dead = 0 AND visible_us <= :now ORDER BY visible_us, seq LIMIT :limit
)
RETURNING seq, receipt, attempts, body
"""
_DEPTH = f"""
SELECT
    (SELECT count(*) FROM jobs WHERE dead = 0 AND visible_us <= :now),
    (SELECT count(*) FROM jobs WHERE dead = 0 AND visible_us > :now AND receipt IS NULL),
    (SELECT count(*) FROM jobs WHERE dead = 0 AND visible_us > :now AND receipt IS NOT NULL),
    (SELECT count(*) FROM jobs WHERE {_EXHAUSTED}),
    (SELECT count(*) FROM jobs WHERE dead = 1)
"""  # nosec B608 # noqa: S608  constant
_DEAD = f"""
SELECT seq, body, attempts, min(visible_us, :now) FROM jobs WHERE dead = 1 AND seq > :behind
UNION ALL SELECT seq, body, attempts, visible_us FROM jobs WHERE {_EXHAUSTED} AND seq > :behind
ORDER BY seq LIMIT :limit
"""  # nosec B608 # noqa: S608  constant


class SqliteWorkQueue:
    """Jobs in the file at `path`, made when missing; its folder must exist.

    Every change is on the disk before its verb returns; changes of many callers
    share a commit.

    Args:
        path: the file.
        max_attempts: leases without an `ack` after which a job is dead.
        now_us: the clock, microseconds since 1970 UTC.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_attempts: int = 5,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._most = max_attempts
        self._now_us = now_us
        try:
            self._watching = connect(path)
            _make_schema(self._watching)
            self._reading = connect(path)
            self._writing = GroupCommit(path)
        except sqlite3.Error as error:
            raise translated(error) from error
        self._reads = asyncio.Lock()
        self._sent = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Commit what was asked for and close the file."""
        await self._writing.aclose()
        async with self._reads:
            self._reading.close()
        self._watching.close()

    async def send(self, job: Job, *, delay_s: float = 0) -> None:
        """Store `job`; see the port."""
        check_delay(delay_s)
        body = encode(job)
        visible_us = self._now_us() + _us(delay_s)

        def change(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO jobs (body, visible_us) VALUES (?, ?)", (body, visible_us)
            )

        await self._writing.run(change)
        self._sent.set()

    async def lease(
        self, limit: int = 10, *, wait_s: float = 0, hold_s: float = 120
    ) -> list[Lease]:
        """Return jobs; see the port."""
        check_lease(limit, wait_s, hold_s)
        deadline = time.monotonic() + wait_s
        while True:
            self._sent.clear()
            if self._any_due():
                leases = await self._lease_now(limit, hold_s)
                if leases:
                    return leases
            left = deadline - time.monotonic()
            if left <= 0:
                return []
            try:
                async with asyncio.timeout(min(POLL_S, left)):
                    await self._sent.wait()
            except TimeoutError:
                continue

    async def ack(self, lease: Lease) -> None:
        """Forget a job; see the port."""
        await self._writing.run(
            lambda connection: (
                connection.execute(
                    "DELETE FROM jobs WHERE seq = ? AND receipt = ?", _parts(lease.receipt)
                ).rowcount
            )
        )

    async def extend(self, lease: Lease, hold_s: float) -> Lease:
        """Keep a job; see the port."""
        check_hold(hold_s)
        until_us = self._now_us() + _us(hold_s)
        if not await self._writing.run(lambda c: _set_visible(c, lease, until_us)):
            raise NotFound(f"the lease of job {lease.job.job_id} was lost")
        return Lease(lease.job, lease.receipt, lease.attempt, until_us)

    async def release(self, lease: Lease, *, delay_s: float = 0) -> None:
        """Give a job back; see the port."""
        check_delay(delay_s)
        visible_us = self._now_us() + _us(delay_s)
        await self._writing.run(lambda c: _set_visible(c, lease, visible_us, keep=False))
        self._sent.set()

    async def depth(self) -> Depth:
        """Return how much waits; see the port."""
        ((due, delayed, leased, exhausted, dead),) = await self._read(_DEPTH)
        return Depth(ready=due - exhausted + delayed, leased=leased, dead=exhausted + dead)

    async def dead(
        self, limit: int = 100, wanted: Callable[[Job], bool] | None = None
    ) -> list[DeadJob]:
        """Return dead jobs, oldest first; see the port."""
        found: list[DeadJob] = []
        behind, some = 0, limit if wanted is None else READ_AT_A_TIME
        for _ in range(0, LOOKED_AT, some):
            rows = await self._read(_DEAD, limit=some, behind=behind)
            dead = (DeadJob.said_by(body, f"row-{seq}", *rest) for seq, body, *rest in rows)
            found += (one for one in dead if wanted is None or wanted(one.job))
            if len(rows) < some or len(found) >= limit:
                break
            behind = rows[-1][0]
        return found[:limit]

    async def redrive(self, wanted: Callable[[Job], bool] | None = None) -> int:
        """Make dead jobs ready; see the port."""
        now = self._now_us()
        behind, count = 0, 0

        def change(connection: sqlite3.Connection) -> tuple[int, int]:
            connection.execute(_BURY, {"most": self._most, "now": now})
            rows = connection.execute(
                "SELECT seq, body FROM jobs WHERE dead = 1 AND seq > ? ORDER BY seq LIMIT ?",
                (behind, READ_AT_A_TIME),
            ).fetchall()
            jobs = [(seq, job) for seq, body in rows if (job := decode(body)) is not None]
            again = [(now, seq) for seq, job in jobs if wanted is None or wanted(job)]
            connection.executemany(
                "UPDATE jobs SET dead = 0, attempts = 0, visible_us = ? WHERE seq = ?", again
            )
            return (rows[-1][0] if rows else 0), len(again)

        while True:
            behind, some = await self._writing.run(change)
            count += some
            if not behind:
                break
        self._sent.set()
        return count

    def _any_due(self) -> bool:
        """Return whether a lease would find something; a few microseconds, no lock."""
        try:
            found = self._watching.execute(
                "SELECT 1 FROM jobs WHERE dead = 0 AND visible_us <= ? LIMIT 1", (self._now_us(),)
            ).fetchall()
        except sqlite3.Error as error:
            raise translated(error) from error
        return bool(found)

    async def _lease_now(self, limit: int, hold_s: float) -> list[Lease]:
        def change(connection: sqlite3.Connection) -> list[Lease]:
            now = self._now_us()
            until = now + _us(hold_s)
            connection.execute(_BURY, {"most": self._most, "now": now})
            rows = connection.execute(_LEASE, {"now": now, "until": until, "limit": limit})
            leases: list[Lease] = []
            for seq, receipt, attempts, body in sorted(rows.fetchall()):
                job = decode(body)
                if job is None:
                    connection.execute(
                        "UPDATE jobs SET dead = 1, receipt = NULL WHERE seq = ?", (seq,)
                    )
                else:
                    leases.append(Lease(job, f"{seq}.{receipt}", attempts, until))
            return leases

        asked = self._writing.submit(change)
        try:
            return await asyncio.wrap_future(asked)
        except asyncio.CancelledError:
            # Nobody will see these jobs: they must not wait for the lease's end.
            await self._give_back(await asyncio.wrap_future(asked))
            raise

    async def _give_back(self, leases: list[Lease]) -> None:
        now = self._now_us()
        await self._writing.run(
            lambda connection: (
                connection.executemany(
                    "UPDATE jobs SET visible_us = ?, receipt = NULL, attempts = attempts - 1"
                    " WHERE seq = ? AND receipt = ?",
                    [(now, *_parts(lease.receipt)) for lease in leases],
                ).rowcount
            )
        )

    async def _read(self, query: str, **more: int) -> list[tuple[Any, ...]]:
        values = {"most": self._most, "now": self._now_us(), **more}
        async with self._reads:
            try:
                return await asyncio.to_thread(
                    lambda: self._reading.execute(query, values).fetchall()
                )
            except sqlite3.Error as error:
                raise translated(error) from error


def _make_schema(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    ((version,),) = connection.execute("PRAGMA user_version").fetchall()
    if version == 0:
        for statement in _SCHEMA.split(";"):
            connection.execute(statement)
    connection.execute("COMMIT")
    if version > _SCHEMA_VERSION:
        raise Corrupt(f"the queue's file is of version {version}, made by a later program")


def _set_visible(
    connection: sqlite3.Connection, lease: Lease, visible_us: int, *, keep: bool = True
) -> int:
    seq, receipt = _parts(lease.receipt)
    return connection.execute(
        "UPDATE jobs SET visible_us = ?, receipt = ? WHERE seq = ? AND receipt = ?",
        (visible_us, receipt if keep else None, seq, receipt),
    ).rowcount


def _parts(receipt: str) -> tuple[int, str]:
    seq, _, token = receipt.partition(".")
    return int(seq), token


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)
