"""One file's syncs: whoever asks while one runs shares the next."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor

from pacs_cloud.errors import Unavailable
from pacs_cloud.ingest.sync_pace import SyncPace


class GroupSync:
    """Makes a growing file durable, many appends at a time.

    After a failure it never tries again: the kernel reports a failed write-back
    once, and a second sync would claim what was lost.
    """

    def __init__(
        self,
        sync: Callable[[], None],
        length_bytes: Callable[[], int],
        executor: Executor,
        pace: SyncPace,
        failed: Callable[[OSError], Unavailable],
    ) -> None:
        """Sync a file.

        Args:
            sync: makes it durable; raises OSError.
            length_bytes: how long it is now.
            executor: where `sync` runs when not on the loop.
            pace: says which.
            failed: is told of a sync's error, and words it for waiters.
        """
        self._sync = sync
        self._length_bytes = length_bytes
        self._executor = executor
        self._pace = pace
        self._on_failed = failed
        self._served: list[asyncio.Future[None]] = []  # by the sync that runs
        self._waiting: list[asyncio.Future[None]] = []  # for the next
        self._covers = 0
        self._wanted = 0
        self._synced_bytes = 0
        self._running: asyncio.Future[None] | None = None
        self._error: Unavailable | None = None
        self.durable = 0
        """How many appends are durable."""

    @property
    def failed(self) -> bool:
        """Whether a sync failed."""
        return self._error is not None

    async def wait(self, appended: int) -> None:
        """Return when the first `appended` appends are durable.

        Raises:
            Unavailable: the sync failed.
        """
        if appended <= self.durable:
            return
        if self._error is not None:
            raise _copy(self._error)
        # A future for each waiter: one that is cancelled takes nobody with it.
        waiter = asyncio.get_running_loop().create_future()
        if self._running is not None and appended <= self._covers:
            self._served.append(waiter)
        else:
            self._waiting.append(waiter)
            self.begin(appended)
        await waiter

    def begin(self, appended: int) -> None:
        """Make the first `appended` appends durable, soon or after the sync that runs."""
        self._wanted = max(self._wanted, appended)
        if self._running is None and self._error is None:
            self._start()

    async def idle(self) -> None:
        """Return when no sync runs and nobody waits for one; never raises for a failed one."""
        while self._running is not None:
            await asyncio.wait([self._running])

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        self._running = loop.create_future()
        # The first sync of a file has its directory's behind it: that is no small one.
        pending_bytes = self._length_bytes() - self._synced_bytes
        if self._synced_bytes and self._pace.is_inline(pending_bytes):
            # Behind what this turn of the loop still has to append.
            loop.call_soon(self._sync_here)
            return
        length_bytes = self._cover()
        run = loop.run_in_executor(self._executor, _timed, self._sync)
        run.add_done_callback(lambda run: self._done(*run.result(), length_bytes))

    def _sync_here(self) -> None:
        length_bytes = self._cover()
        self._done(*_timed(self._sync), length_bytes)

    def _cover(self) -> int:
        """Settle what the sync that begins now covers; return the file's length."""
        self._served, self._waiting = self._served + self._waiting, []
        self._covers = self._wanted
        return self._length_bytes()

    def _done(self, error: OSError | None, seconds: float, length_bytes: int) -> None:
        assert self._running is not None
        self._running.set_result(None)
        self._running = None
        if error is None:
            self._pace.took(seconds, length_bytes - self._synced_bytes)
            self._synced_bytes = length_bytes
            self.durable = self._covers
            served, self._served = self._served, []
            for waiter in served:
                if not waiter.done():
                    waiter.set_result(None)
            if self._wanted > self._covers:
                self._start()
            return
        self._error = self._on_failed(error)
        for waiter in (*self._served, *self._waiting):
            if not waiter.done():
                waiter.set_exception(_copy(self._error))
        self._served, self._waiting = [], []


def _timed(sync: Callable[[], None]) -> tuple[OSError | None, float]:
    """Return what went wrong in `sync`, and the seconds it took."""
    begun = time.perf_counter()
    try:
        sync()
    except OSError as error:
        return error, time.perf_counter() - begun
    except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must be told
        return OSError(str(error)), time.perf_counter() - begun
    return None, time.perf_counter() - begun


def _copy(error: Unavailable) -> Unavailable:
    """Return an equal error: one that many raise would gather all their tracebacks."""
    return type(error)(*error.args)
