"""Values that never change, kept in memory up to a number of bytes."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class BoundedCache(Generic[T]):
    """Values by key, the longest unused dropped first, loaded once however many wait for them."""

    def __init__(self, max_bytes: int) -> None:
        """Keep up to `max_bytes`; a larger value is handed out but not kept."""
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[tuple[str, ...], tuple[T, int]] = OrderedDict()
        self._loading: dict[tuple[str, ...], asyncio.Future[T]] = {}

    def peek(self, key: tuple[str, ...]) -> T | None:
        """Return what is kept under `key`, as a use of it."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    async def get(self, key: tuple[str, ...], load: Callable[[], Awaitable[tuple[T, int]]]) -> T:
        """Return what is kept under `key`, else what `load` returns, with its size in bytes."""
        while True:
            kept = self.peek(key)
            if kept is not None:
                return kept
            loading = self._loading.get(key)
            if loading is None:
                break
            try:
                return await asyncio.shield(loading)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if not loading.cancelled() or (task is not None and task.cancelling()):
                    raise
                # The one who was loading was cancelled, not we: take over.
        loading = asyncio.get_running_loop().create_future()
        self._loading[key] = loading
        try:
            value, size = await load()
        except asyncio.CancelledError:
            loading.cancel()
            raise
        except BaseException as error:
            loading.set_exception(error)
            loading.exception()  # nobody may be waiting
            raise
        else:
            loading.set_result(value)
            self._keep(key, value, size)
            return value
        finally:
            del self._loading[key]

    def _keep(self, key: tuple[str, ...], value: T, size: int) -> None:
        if size > self._max_bytes:
            return
        self._kept[key] = (value, size)
        self._bytes += size
        while self._bytes > self._max_bytes:
            _, (_, dropped) = self._kept.popitem(last=False)
            self._bytes -= dropped
