"""The bounded cache: size, order of use, one load for all who wait."""

import asyncio
import re
from pathlib import Path

import pytest

import pacs_cloud
from pacs_cloud import metrics
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
    cache: BoundedCache[str] = BoundedCache(100, "tests")
    source = Source()
    assert await cache.get(("a",), source.load) == "value 1"
    assert await cache.get(("a",), source.load) == "value 1"
    assert cache.peek(("a",)) == "value 1"
    assert source.loads == 1


async def test_the_longest_unused_goes_first() -> None:
    cache: BoundedCache[str] = BoundedCache(25, "tests")
    for key in "ab":
        await cache.get((key,), Source().load)
    assert cache.peek(("a",))
    await cache.get(("c",), Source().load)
    assert cache.peek(("b",)) is None
    assert cache.peek(("a",))
    assert cache.peek(("c",))


async def test_to_ask_whether_something_is_kept_is_no_use_of_it() -> None:
    def looks() -> float:
        return metrics.snapshot().total("pacs_cache_requests_total", cache="tests")

    cache: BoundedCache[str] = BoundedCache(25, "tests")
    for key in "ab":
        await cache.get((key,), Source().load)
    before = looks()
    assert ("a",) in cache
    assert ("c",) not in cache
    assert looks() == before
    await cache.get(("c",), Source().load)
    assert ("a",) not in cache, "it was the longest unused all the same"


async def test_what_is_too_large_is_given_but_not_kept() -> None:
    cache: BoundedCache[str] = BoundedCache(25, "tests")
    await cache.get(("a",), Source().load)
    assert await cache.get(("b",), Source(26).load) == "value 1"
    assert cache.peek(("b",)) is None
    assert cache.peek(("a",))


async def test_all_who_wait_get_one_load() -> None:
    cache: BoundedCache[str] = BoundedCache(100, "tests")
    source = Source()
    source.gate.clear()
    waiting = [asyncio.create_task(cache.get(("a",), source.load)) for _ in range(5)]
    await asyncio.sleep(0)
    source.gate.set()
    assert await asyncio.gather(*waiting) == ["value 1"] * 5
    assert source.loads == 1


async def test_a_failure_is_everyones_and_is_not_kept() -> None:
    cache: BoundedCache[str] = BoundedCache(100, "tests")

    async def fail() -> tuple[str, int]:
        await asyncio.sleep(0)
        raise Unavailable("not now")

    results = await asyncio.gather(
        *(cache.get(("a",), fail) for _ in range(3)), return_exceptions=True
    )
    assert all(isinstance(result, Unavailable) for result in results)
    assert await cache.get(("a",), Source().load) == "value 1"


async def test_the_load_goes_on_when_its_first_waiter_is_cancelled() -> None:
    cache: BoundedCache[str] = BoundedCache(100, "tests")
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
    cache: BoundedCache[str] = BoundedCache(100, "tests")
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
    cache: BoundedCache[str] = BoundedCache(100, "tests")
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


def test_each_cache_is_counted_by_a_name_of_its_own() -> None:
    sources = (path.read_text("utf-8") for path in Path(pacs_cloud.__path__[0]).rglob("*.py"))
    made = [one for source in sources for one in re.findall(r"= BoundedCache\((.*)\)", source)]
    names = [re.search(r', "([a-z-]+)"$', one) for one in made]
    assert len(made) > 10
    assert all(names), made
    assert len({name and name[1] for name in names}) == len(names), "two have one name"
