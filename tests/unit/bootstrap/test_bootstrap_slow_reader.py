"""A reader that takes nothing loses its connection; one that takes a little, slowly, too."""

import asyncio

from pacs_cloud.bootstrap.http_limits import ConnectionLimits
from pacs_cloud.bootstrap.slow_reader import SlowReader

LIMITS = ConnectionLimits(stalled_s=0.01, slowest_bytes_per_s=1000)
"""10 bytes between two looks."""


class Unsent(asyncio.Transport):
    """A transport whose unsent bytes are a list: what each look finds."""

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.sizes = list(sizes)
        self.looked = 0
        self.ended = asyncio.Event()
        self.is_aborted = False

    def get_write_buffer_size(self) -> int:
        size = self.sizes[min(self.looked, len(self.sizes) - 1)]
        self.looked += 1
        if size == 0:
            self.ended.set()
        return size

    def abort(self) -> None:
        self.is_aborted = True
        self.ended.set()


async def watched(*sizes: int) -> bool:
    """Return whether the connection was broken."""
    transport = Unsent(*sizes)
    reader = SlowReader(transport, LIMITS)
    reader.watch()
    async with asyncio.timeout(30):
        await transport.ended.wait()
    reader.leave()
    return transport.is_aborted


async def test_who_takes_nothing_is_left() -> None:
    assert await watched(100, 100)


async def test_who_takes_too_little_is_left() -> None:
    assert await watched(100, 91)


async def test_who_takes_enough_is_watched_on() -> None:
    # Each look reads the size twice: how much was taken, and what it watches from then on.
    assert not await watched(100, 90, 90, 80, 80, 0)
    assert await watched(100, 90, 90, 89)


async def test_the_last_few_bytes_are_enough() -> None:
    assert not await watched(5, 0)


async def test_nothing_that_waits_is_not_watched() -> None:
    transport = Unsent(0)
    reader = SlowReader(transport, LIMITS)
    reader.watch()
    await asyncio.sleep(0.05)
    assert transport.looked == 1
    assert not transport.is_aborted


async def test_who_is_left_alone_is_not_looked_at() -> None:
    transport = Unsent(100)
    reader = SlowReader(transport, LIMITS)
    reader.watch()
    reader.watch()
    reader.leave()
    await asyncio.sleep(0.05)
    assert not transport.is_aborted
