"""One file's syncs: whoever asks while one runs shares the next."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

from pacs_cloud.errors import Unavailable


class GroupSync:
    """Makes a growing file durable, many appends at a time.

    After a failure it never tries again: the kernel reports a failed write-back
    once, and a second sync would claim what was lost.
    """

    def __init__(
        self,
        sync: Callable[[], None],
        executor: Executor,
        failed: Callable[[OSError], Unavailable],
    ) -> None:
        """Call `sync` on `executor`; `failed` is told of its error, and words it for waiters."""
        self._sync = sync
        self._executor = executor
        self._on_failed = failed
        self._served: list[asyncio.Future[None]] = []  # by the sync that runs
        self._waiting: list[asyncio.Future[None]] = []  # for the next
        self._covers = 0
        self._wanted = 0
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
        """Make the first `appended` appends durable, now or after the sync that runs."""
        self._wanted = max(self._wanted, appended)
        if self._running is None and self._error is None:
            self._start()

    async def idle(self) -> None:
        """Return when no sync runs and nobody waits for one; never raises for a failed one."""
        while self._running is not None:
            await asyncio.wait([self._running])

    def _start(self) -> None:
        self._served, self._waiting = self._waiting, []
        self._covers = self._wanted
        loop = asyncio.get_running_loop()
        self._running = loop.run_in_executor(self._executor, self._sync)
        self._running.add_done_callback(self._done)

    def _done(self, run: asyncio.Future[None]) -> None:
        self._running = None
        error = run.exception()
        if error is None:
            self.durable = self._covers
            for waiter in self._served:
                if not waiter.done():
                    waiter.set_result(None)
            if self._wanted > self._covers:
                self._start()
            return
        failure = error if isinstance(error, OSError) else OSError(str(error))
        self._error = self._on_failed(failure)
        for waiter in (*self._served, *self._waiting):
            if not waiter.done():
                waiter.set_exception(_copy(self._error))
        self._served, self._waiting = [], []


def _copy(error: Unavailable) -> Unavailable:
    """Return an equal error: one that many raise would gather all their tracebacks."""
    return type(error)(*error.args)
