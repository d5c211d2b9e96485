"""A limit to how fast bytes are read."""

import asyncio
from collections.abc import Awaitable, Callable


class Pace:
    """Holds a reader up, so that it reads so many bytes a second and no more.

    What was not read while it waited for something else is not caught up.
    """

    def __init__(
        self,
        rate_bytes_s: float | None = None,
        *,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Let `rate_bytes_s` through; None: whatever comes.

        Args:
            rate_bytes_s: bytes a second.
            clock: seconds, of a clock that never goes back; None: the event loop's.
            sleep: waits for so many seconds.
        """
        self._rate_bytes_s = rate_bytes_s
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._sleep = sleep
        self._free_at = 0.0

    async def took(self, length_bytes: int) -> None:
        """Return when more may be read after these `length_bytes`."""
        if self._rate_bytes_s is None:
            return
        now = self._clock()
        self._free_at = max(self._free_at, now) + length_bytes / self._rate_bytes_s
        await self._sleep(self._free_at - now)
