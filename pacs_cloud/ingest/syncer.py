"""Who makes the spool's open files durable, beside the event loop."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from pacs_cloud.ingest.sealing import SyncFile

SYNC_THREADS = 8
"""How many files sync at a time."""
SyncDone = Callable[[OSError | None], None]
"""Is told on the event loop what went wrong, or that nothing did."""


class Syncer(Protocol):
    """Syncs several files at a time."""

    def begin(self, fd: int, directory_fd: int | None, done: SyncDone, /) -> None:
        """Begin to make what `fd` holds durable, and call `done` once.

        Args:
            fd: an open file; it stays open until `done`.
            directory_fd: the directory whose names are made durable after that.
            done: never called from within this call.
        """
        ...


class ThreadSyncer:
    """Syncs on threads of this process."""

    def __init__(self, sync_file: SyncFile = os.fdatasync) -> None:
        """Sync each file by `sync_file`."""
        self._sync_file = sync_file
        self._threads = ThreadPoolExecutor(SYNC_THREADS, "spool-sync")

    def begin(self, fd: int, directory_fd: int | None, done: SyncDone, /) -> None:
        """Sync on a thread; see `Syncer`."""
        loop = asyncio.get_running_loop()
        run = loop.run_in_executor(self._threads, self._sync, fd, directory_fd)
        run.add_done_callback(lambda run: done(run.result()))

    async def aclose(self) -> None:
        """Finish what runs."""
        await asyncio.to_thread(self._threads.shutdown)

    def _sync(self, fd: int, directory_fd: int | None) -> OSError | None:
        try:
            self._sync_file(fd)
            if directory_fd is not None:
                os.fsync(directory_fd)
        except OSError as error:
            return error
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must be told
            return OSError(str(error))
        return None
