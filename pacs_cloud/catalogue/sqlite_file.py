"""One SQLite file: connections as durable as they must be, and a writer that groups commits."""

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pacs_cloud.catalogue.sqlite_schema import PAGE_BYTES, migrate
from pacs_cloud.errors import PacsError, Unavailable

T = TypeVar("T")

BUSY_SECONDS = 10.0
"""How long a write waits for another process's."""

_GROUP = 256
"""Writes that share one sync at most."""

_READERS = 2
_WRITER_CACHE_KIB = 65536
_READER_CACHE_KIB = 16384
_OLDEST_SQLITE = (3, 35, 0)
"""The first with MATERIALIZED and RETURNING (3.34: the trigram tokenizer)."""


@contextlib.contextmanager
def translated() -> Generator[None]:
    """Raise SQLite's errors as `Unavailable`; the tree knows no more of them."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:  # what a torn file says of itself
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        raise Unavailable(f"the catalogue file cannot be used: {name}: {error}") from error


def _connect(path: Path, cache_kib: int) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    _to_wal(connection)
    # WAL with FULL syncs the log at every commit: what a write returned from is durable.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA cache_size = -{cache_kib}")
    connection.execute("PRAGMA journal_size_limit = 67108864")
    # What is erased is no longer in free pages; most builds do so by themselves.
    connection.execute("PRAGMA secure_delete = ON")
    return connection


def _empty_log(connection: sqlite3.Connection) -> bool:
    busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


def _to_wal(connection: sqlite3.Connection) -> None:
    """Switch to a write-ahead log; SQLite does not wait here for others who do the same."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            if mode != "wal":
                raise Unavailable(f"the catalogue's file system has no WAL (journal is {mode})")
            return


@dataclass(slots=True)
class _Write:
    work: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    result: Any = None
    error: BaseException | None = None

    def deliver(self) -> None:
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class SqliteFile:
    """An open file: quick reads here, long reads in threads, writes in one thread.

    Several processes may have one file open.
    """

    def __init__(self, path: Path, upgrading: Callable[[], None] = lambda: None) -> None:
        """Open the file, making or upgrading it first; raises Unavailable.

        `upgrading` is called every now and then while an upgrade takes long.
        """
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise Unavailable(f"SQLite {sqlite3.sqlite_version} is too old: 3.35 is needed")
        with translated():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                # It holds names of patients: nobody else reads it.
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            except OSError as error:
                raise Unavailable(f"the catalogue file cannot be opened: {error}") from error
            self._path = path
            self._writing = _connect(path, _WRITER_CACHE_KIB)
            try:
                migrate(self._writing, upgrading)
                self.reading = _connect(path, _READER_CACHE_KIB)
            except BaseException:
                self._writing.close()
                raise
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._pool = ThreadPoolExecutor(_READERS, thread_name_prefix="catalogue-read")
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_all, name="catalogue-write", daemon=True)
        self._closed = False
        self._writer.start()

    async def close(self) -> None:
        """Finish the writes that were begun, and let go of the file."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._pool.shutdown)
        for connection in (*self._opened, self.reading, self._writing):
            connection.close()

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction, and return its result once that is durable.

        Other writes may share the transaction; one that raises is undone alone.

        Raises:
            Unavailable: it could not be written; nothing of it was.
        """
        if self._closed:
            raise Unavailable("the catalogue is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.put(_Write(work, future, loop))
        return await future

    async def empty_log(self) -> bool:
        """Write the log into the file, and cut it; return whether that was done.

        Else what was removed can be read in it for as long as nothing is written over it.
        """
        return await self.read(_empty_log)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work`, which may take long, on a connection of another thread."""
        if self._closed:
            raise Unavailable("the catalogue is closed")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._read, work)

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with translated():
            connection = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = _connect(self._path, _READER_CACHE_KIB)
                self._opened.append(connection)
            return work(connection)

    def _write_all(self) -> None:
        last = False
        while not last:
            first = self._queue.get()
            if first is None:
                return
            group = [first]
            while len(group) < _GROUP:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    last = True
                    break
                group.append(more)
            self._write_group(group)
            for write in group:
                # A loop that has ended has nobody who waits.
                with contextlib.suppress(RuntimeError):
                    write.loop.call_soon_threadsafe(write.deliver)

    def _write_group(self, group: list[_Write]) -> None:
        connection = self._writing
        try:
            with translated():
                connection.execute("BEGIN IMMEDIATE")
                for write in group:
                    self._write_one(connection, write)
                connection.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001  it is handed to those who wait
            for write in group:
                write.error = error
        finally:
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")

    def _write_one(self, connection: sqlite3.Connection, write: _Write) -> None:
        connection.execute("SAVEPOINT one")
        try:
            with translated():
                write.result = write.work(connection)
        except PacsError as error:
            # A full disk ends the whole transaction, and everybody's write with it.
            if not connection.in_transaction:
                raise
            connection.execute("ROLLBACK TO one")
            write.error = error
        connection.execute("RELEASE one")


@contextlib.contextmanager
def one_moment(connection: sqlite3.Connection) -> Generator[None]:
    """Let the reads of a block see one state of the file."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")
