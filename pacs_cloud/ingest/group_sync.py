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
        self._waiting: list[asyncio.Future[None]] = []
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
        self._waiting.append(waiter)
        self._wanted = max(self._wanted, appended)
        if self._running is None:
            self._start()
        await waiter

    async def idle(self) -> None:
        """Return when no sync runs and nobody waits for one; never raises for a failed one."""
        while self._running is not None:
            await asyncio.wait([self._running])

    def _start(self) -> None:
        waiting, self._waiting = self._waiting, []
        covers = self._wanted
        loop = asyncio.get_running_loop()
        self._running = loop.run_in_executor(self._executor, self._sync)
        self._running.add_done_callback(lambda run: self._done(run, waiting, covers))

    def _done(
        self, run: asyncio.Future[None], waiting: list[asyncio.Future[None]], covers: int
    ) -> None:
        self._running = None
        error = run.exception()
        if error is None:
            self.durable = covers
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)
            if self._waiting:
                self._start()
            return
        failure = error if isinstance(error, OSError) else OSError(str(error))
        self._error = self._on_failed(failure)
        for waiter in (*waiting, *self._waiting):
            if not waiter.done():
                waiter.set_exception(_copy(self._error))
        self._waiting = []


def _copy(error: Unavailable) -> Unavailable:
    """Return an equal error: one that many raise would gather all their tracebacks."""
    return type(error)(*error.args)
