"""The bounded cache: size, order of use, one load for all who wait."""

import asyncio

import pytest

from pacs_cloud.errors import Unavailable
from pacs_cloud.retrieve.cache import BoundedCache


class Source:
    """Gives the same value each time and counts."""

    def __init__(self, size: int = 10) -> None:
        self.loads = 0
        self.size = size
        self.gate = asyncio.Event()
        self.gate.set()

    async def load(self) -> tuple[str, int]:
        self.loads += 1
        await self.gate.wait()
        return f"value {self.loads}", self.size


async def test_what_was_loaded_is_kept() -> None:
    cache: BoundedCache[str] = BoundedCache(100)
    source = Source()
    assert await cache.get(("a",), source.load) == "value 1"
    assert await cache.get(("a",), source.load) == "value 1"
    assert cache.peek(("a",)) == "value 1"
    assert source.loads == 1


async def test_the_longest_unused_goes_first() -> None:
    cache: BoundedCache[str] = BoundedCache(25)
    for key in "ab":
        await cache.get((key,), Source().load)
    assert cache.peek(("a",))
    await cache.get(("c",), Source().load)
    assert cache.peek(("b",)) is None
    assert cache.peek(("a",))
    assert cache.peek(("c",))


async def test_what_is_too_large_is_given_but_not_kept() -> None:
    cache: BoundedCache[str] = BoundedCache(25)
    await cache.get(("a",), Source().load)
    assert await cache.get(("b",), Source(26).load) == "value 1"
    assert cache.peek(("b",)) is None
    assert cache.peek(("a",))


async def test_all_who_wait_get_one_load() -> None:
    cache: BoundedCache[str] = BoundedCache(100)
    source = Source()
    source.gate.clear()
    waiting = [asyncio.create_task(cache.get(("a",), source.load)) for _ in range(5)]
    await asyncio.sleep(0)
    source.gate.set()
    assert await asyncio.gather(*waiting) == ["value 1"] * 5
    assert source.loads == 1


async def test_a_failure_is_everyones_and_is_not_kept() -> None:
    cache: BoundedCache[str] = BoundedCache(100)

    async def fail() -> tuple[str, int]:
        await asyncio.sleep(0)
        raise Unavailable("not now")

    results = await asyncio.gather(
        *(cache.get(("a",), fail) for _ in range(3)), return_exceptions=True
    )
    assert all(isinstance(result, Unavailable) for result in results)
    assert await cache.get(("a",), Source().load) == "value 1"


async def test_the_load_goes_on_when_its_first_waiter_is_cancelled() -> None:
    cache: BoundedCache[str] = BoundedCache(100)
    source = Source()
    source.gate.clear()
    first = asyncio.create_task(cache.get(("a",), source.load))
    await asyncio.sleep(0)
    waiter = asyncio.create_task(cache.get(("a",), source.load))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    source.gate.set()
    assert await waiter == "value 1"
    assert source.loads == 1


async def test_a_load_for_nobody_is_cancelled_and_begins_anew() -> None:
    cache: BoundedCache[str] = BoundedCache(100)
    source = Source()
    source.gate.clear()
    waiting = [asyncio.create_task(cache.get(("a",), source.load)) for _ in range(2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for one in waiting:
        one.cancel()
    await asyncio.wait(waiting)
    source.gate.set()
    await asyncio.sleep(0)
    assert cache.peek(("a",)) is None
    assert await cache.get(("a",), source.load) == "value 2"


async def test_one_who_waits_may_be_cancelled_alone() -> None:
    cache: BoundedCache[str] = BoundedCache(100)
    source = Source()
    source.gate.clear()
    loader = asyncio.create_task(cache.get(("a",), source.load))
    await asyncio.sleep(0)
    waiter = asyncio.create_task(cache.get(("a",), source.load))
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    source.gate.set()
    assert await loader == "value 1"
