"""How much waits for its commit, and who has to wait for that."""

import asyncio

from pacs_cloud import metrics
from pacs_cloud.errors import Unavailable
from pacs_cloud.ingest.counters import Counters
from pacs_cloud.ingest.options import IntakeOptions


class Backlog:
    """Closed packs on this machine's disk that are not in the catalogue yet."""

    def __init__(self, options: IntakeOptions, counters: Counters) -> None:
        self._options = options
        self._counters = counters
        self._waiting: set[asyncio.Future[None]] = set()
        self._stalled = False

    def add(self, length_bytes: int) -> None:
        """Count a pack."""
        self._counters.backlog_packs += 1
        self._counters.backlog_bytes += length_bytes
        metrics.BACKLOG_PACKS.inc()
        metrics.BACKLOG_BYTES.inc(length_bytes)

    def remove(self, length_bytes: int) -> None:
        """Count a pack no more; whoever waited for that goes on."""
        self._counters.backlog_packs -= 1
        self._counters.backlog_bytes -= length_bytes
        metrics.BACKLOG_PACKS.dec()
        metrics.BACKLOG_BYTES.dec(length_bytes)
        if self._counters.backlog_bytes <= self._options.backlog_bytes:
            self._wake()

    def stall(self, *, stalled: bool) -> None:
        """Say whether commits fail for the time being: nobody waits for those."""
        self._stalled = stalled
        if stalled:
            self._wake()

    @property
    def is_long(self) -> bool:
        """Whether a reception has to `wait`."""
        return self._counters.backlog_bytes > self._options.backlog_bytes

    async def wait(self) -> None:
        """Return when commits have caught up, fail altogether, or take too long.

        Raises:
            Unavailable: there is more than is ever kept.
        """
        if self._counters.backlog_bytes > self._options.backlog_limit_bytes:
            raise Unavailable(f"{self._counters.backlog_bytes} bytes wait for their commit")
        if not self.is_long or self._stalled:
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.add(turn)
        try:
            await asyncio.wait([turn], timeout=self._options.backlog_wait_s)
        finally:
            self._waiting.discard(turn)

    def _wake(self) -> None:
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(None)
