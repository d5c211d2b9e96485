"""A bound on the bytes that are in memory at once."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class ByteBudget:
    """`total` bytes that uploads take from, first come, first served."""

    def __init__(self, total: int) -> None:
        self._total = self._free = total
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def take(self, length: int) -> AsyncGenerator[None]:
        """Hold `length` bytes (all of the budget where that is less) during the block."""
        length = min(length, self._total)
        async with self._turn:  # a large upload is not overtaken for ever by small ones
            while self._free < length:
                self._freed.clear()
                await self._freed.wait()
            self._free -= length
        try:
            yield
        finally:
            self._free += length
            self._freed.set()
