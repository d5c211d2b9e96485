"""A value that several pages ask for, and that is as good a few seconds later."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """What is read once for all who look at the same moment."""

    def __init__(
        self,
        read: Callable[[], Awaitable[T]],
        keep_s: float,
        *,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Believe what `read` returns for `keep_s` seconds of the clock."""
        self._read = read
        self._keep_s = keep_s
        self._now_s = now_s
        self._until_s = 0.0
        self._value: T | None = None
        self._reading = asyncio.Lock()

    async def get(self) -> T:
        """Return the value; raises what `read` raises."""
        async with self._reading:
            if self._value is None or self._now_s() >= self._until_s:
                self._value = await self._read()
                self._until_s = self._now_s() + self._keep_s
            return self._value

    def forget(self) -> None:
        """Read it anew when it is asked for next: somebody has changed it."""
        self._value = None
