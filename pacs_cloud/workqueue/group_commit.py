"""One thread that writes to a SQLite file, many callers' changes in one commit."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from pacs_cloud.errors import Corrupt, PacsError, StorageFull, Unavailable

BUSY_TIMEOUT_S = 10
"""How long a commit waits for another process's."""
CHANGES_PER_COMMIT = 200

Result = TypeVar("Result")
Change = Callable[[sqlite3.Connection], Result]

# SQLite result codes (sqlite.org/rescode.html), without their extensions.
_BY_CODE: dict[int, type[PacsError]] = {
    sqlite3.SQLITE_FULL: StorageFull,
    sqlite3.SQLITE_CORRUPT: Corrupt,
    sqlite3.SQLITE_NOTADB: Corrupt,
}


def translated(error: sqlite3.Error) -> PacsError:
    """Return SQLite's error as one of ours."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return _BY_CODE.get(code, Unavailable)(f"queue: {error}")


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection for one thread at a time; each commit is synced to the disk."""
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            break
        except sqlite3.OperationalError as error:
            # A new file that another process opens too: SQLite does not wait by itself.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    connection.execute("PRAGMA synchronous = FULL")
    return connection


@dataclass(frozen=True, slots=True)
class _Asked:
    change: Change[Any]
    future: Future[Any]

    def run(self, connection: sqlite3.Connection) -> Callable[[], None]:
        """Make the change, or none of it; return what tells its caller, after the commit."""
        connection.execute("SAVEPOINT change")
        try:
            result = self.change(connection)
        except (sqlite3.IntegrityError, PacsError) as error:
            connection.execute("ROLLBACK TO change")
            connection.execute("RELEASE change")
            told = error
            return lambda: self.fail(told)
        connection.execute("RELEASE change")
        return lambda: self.future.set_result(result)

    def fail(self, error: Exception) -> None:
        self.future.set_exception(translated(error) if isinstance(error, sqlite3.Error) else error)


class GroupCommit:
    """The writer's thread of one file.

    What is asked for while a commit waits for the disk goes into the next one, so
    that the rate of changes is not bound to the rate of syncs.
    """

    def __init__(self, path: Path) -> None:
        self._connection = connect(path)
        self._asked: SimpleQueue[_Asked | None] = SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="queue-commits", daemon=True)
        self._thread.start()

    async def run(self, change: Change[Result]) -> Result:
        """Return what `change` returns, once it is on the disk.

        `change` runs in the thread, may run within a larger transaction, and may
        have run although its caller was cancelled.
        """
        return await asyncio.wrap_future(self.submit(change))

    def submit(self, change: Change[Result]) -> Future[Result]:
        """Ask for `change`, without waiting."""
        if self._closed:
            raise Unavailable("the queue is closed")
        future: Future[Result] = Future()
        # A caller that is cancelled must not stop the thread from answering.
        future.set_running_or_notify_cancel()
        self._asked.put(_Asked(change, future))
        return future

    async def aclose(self) -> None:
        """Commit what was asked for, then end the thread."""
        if not self._closed:
            self._closed = True
            self._asked.put(None)
            await asyncio.to_thread(self._thread.join)
            self._connection.close()

    def _work(self) -> None:
        while (first := self._asked.get()) is not None:
            group = [first]
            last = False
            while len(group) < CHANGES_PER_COMMIT:
                try:
                    more = self._asked.get_nowait()
                except Empty:
                    break
                if more is None:
                    last = True
                    break
                group.append(more)
            self._commit(group)
            if last:
                return

    def _commit(self, group: list[_Asked]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            answers = [asked.run(self._connection) for asked in group]
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001  each caller gets it; the thread goes on
            if self._connection.in_transaction:
                with suppress(sqlite3.Error):  # the next BEGIN tells whether it went wrong
                    self._connection.execute("ROLLBACK")
            for asked in group:
                asked.fail(error)
            return
        for answer in answers:
            answer()
