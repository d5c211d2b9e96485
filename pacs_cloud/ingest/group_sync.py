"""One file's syncs: whoever asks while one runs shares the next."""

import asyncio
from collections.abc import Callable

from pacs_cloud.errors import Unavailable
from pacs_cloud.ingest.syncer import Syncer


class GroupSync:
    """Makes a growing file durable, many appends at a time.

    After a failure it never tries again: the kernel reports a failed write-back
    once, and a second sync would claim what was lost.
    """

    def __init__(
        self,
        syncer: Syncer,
        fd: int,
        directory_fd: int,
        failed: Callable[[OSError], Unavailable],
    ) -> None:
        """Sync the file `fd`.

        Args:
            syncer: does it.
            fd: open for as long as there is anything to sync.
            directory_fd: where the file is new: its name is made durable by its first sync.
            failed: is told of a sync's error, and words it for waiters.
        """
        self._syncer = syncer
        self._fd = fd
        self._directory_fd: int | None = directory_fd
        self._on_failed = failed
        self._served: list[asyncio.Future[None]] = []  # by the sync that runs
        self._waiting: list[asyncio.Future[None]] = []  # for the next
        self._covers = 0
        self._wanted = 0
        self._running = False
        self._idle: asyncio.Future[None] | None = None
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
        if self._running and appended <= self._covers:
            self._served.append(waiter)
        else:
            self._waiting.append(waiter)
            self.begin(appended)
        await waiter

    def begin(self, appended: int) -> None:
        """Make the first `appended` appends durable, soon or after the sync that runs."""
        self._wanted = max(self._wanted, appended)
        if not self._running and self._error is None:
            self._start()

    async def idle(self) -> None:
        """Return when no sync runs and nobody waits for one; never raises for a failed one."""
        while self._running:
            if self._idle is None:
                self._idle = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._idle])

    def _start(self) -> None:
        self._running = True
        self._served, self._waiting = self._waiting, []
        self._covers = self._wanted
        self._syncer.begin(self._fd, self._directory_fd, self._done)

    def _done(self, error: OSError | None) -> None:
        self._running = False
        if error is None:
            self._directory_fd = None
            self.durable = self._covers
            served, self._served = self._served, []
            for waiter in served:
                if not waiter.done():
                    waiter.set_result(None)
            if self._wanted > self._covers:
                self._start()
        else:
            self._error = self._on_failed(error)
            for waiter in (*self._served, *self._waiting):
                if not waiter.done():
                    waiter.set_exception(_copy(self._error))
            self._served, self._waiting = [], []
        if not self._running and self._idle is not None:
            self._idle.set_result(None)
            self._idle = None


def _copy(error: Unavailable) -> Unavailable:
    """Return an equal error: one that many raise would gather all their tracebacks."""
    return type(error)(*error.args)
