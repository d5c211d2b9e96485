"""Values that never change, kept in memory up to a number of bytes."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pacs_cloud import metrics

T = TypeVar("T")


@dataclass(slots=True)
class _Loading(Generic[T]):
    """A load under way, and how many wait for it."""

    task: "asyncio.Task[T]"
    waiting: int = 0


class BoundedCache(Generic[T]):
    """Values by key, the longest unused dropped first, loaded once however many wait for them."""

    def __init__(self, max_bytes: int, name: str) -> None:
        """Keep up to `max_bytes`; a larger value is handed out but not kept.

        Looks into it are counted by `name`, which no other cache has.
        """
        self._max_bytes = max_bytes
        self._hits = metrics.CACHE_REQUESTS.labels(name, "hit")
        self._misses = metrics.CACHE_REQUESTS.labels(name, "miss")
        self._bytes = 0
        self._kept: OrderedDict[tuple[str, ...], tuple[T, int]] = OrderedDict()
        self._loading: dict[tuple[str, ...], _Loading[T]] = {}

    def __contains__(self, key: tuple[str, ...]) -> bool:
        """Tell whether something is kept under `key`, which is no use of it."""
        return key in self._kept

    def peek(self, key: tuple[str, ...]) -> T | None:
        """Return what is kept under `key`, as a use of it."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        self._hits.inc()
        return found[0]

    def clear(self) -> None:
        """Keep nothing of what was kept; loads under way go on."""
        self._kept.clear()
        self._bytes = 0

    async def get(self, key: tuple[str, ...], load: Callable[[], Awaitable[tuple[T, int]]]) -> T:
        """Return what is kept under `key`, else what `load` returns, with its size in bytes.

        One load serves all who ask meanwhile, and is cancelled once none of them waits.
        """
        kept = self.peek(key)
        if kept is not None:
            return kept
        self._misses.inc()
        loading = self._loading.get(key)
        if loading is None:
            loading = _Loading(asyncio.create_task(self._load(key, load)))
            self._loading[key] = loading
        loading.waiting += 1
        try:
            return await asyncio.shield(loading.task)
        finally:
            loading.waiting -= 1
            if not loading.waiting and not loading.task.done():
                loading.task.cancel()
                self._forget(key, loading.task)

    async def _load(self, key: tuple[str, ...], load: Callable[[], Awaitable[tuple[T, int]]]) -> T:
        try:
            value, size = await load()
            self._keep(key, value, size)
            return value
        finally:
            self._forget(key, asyncio.current_task())

    def _forget(self, key: tuple[str, ...], task: "asyncio.Task[T] | None") -> None:
        loading = self._loading.get(key)
        if loading is not None and loading.task is task:
            del self._loading[key]

    def _keep(self, key: tuple[str, ...], value: T, size: int) -> None:
        if size > self._max_bytes:
            return
        self._kept[key] = (value, size)
        self._bytes += size
        while self._bytes > self._max_bytes:
            _, (_, dropped) = self._kept.popitem(last=False)
            self._bytes -= dropped
