"""Access logs on a real store, and stores at whose calls something happens."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

from catalogue_samples import TENANT
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.tiering.access.counter import AccessCounter
from pacs_cloud.tiering.access.log import reads_by_day
from pacs_cloud.tiering.access.sheet import Access
from recall_samples import Clock

DAY_S = 86_400
LogOfDays: TypeAlias = Mapping[str, Mapping[str, Access]]


def at(day: str, seconds: float = 0) -> int:
    """Return a moment of a day, `2026-01-31`, microseconds since 1970 UTC."""
    return round((datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() + seconds) * 1e6)


def key_of(study: str, tenant: str = TENANT) -> str:
    return f"packs/{tenant}/aa/{study}/{study}.1/pack.zip"


async def write(objects: ObjectStore, day: str, *studies: str, seconds: float = 0) -> None:
    """Write what one process has counted on a day: each study opened, and a byte read of it."""
    counter = AccessCounter(objects, Clock(at(day, seconds)))
    for study in studies:
        counter.opened(TENANT, study)
        counter.read(key_of(study), 1)
    assert await counter.write()


async def log_of(objects: ObjectStore, tenant: str = TENANT) -> LogOfDays:
    return {one.day.isoformat(): dict(one.accesses) async for one in reads_by_day(objects, tenant)}


async def keys(objects: ObjectStore) -> list[str]:
    return [info.key async for info in objects.list("access/")]


Act: TypeAlias = Callable[[], Awaitable[object]]


class Interrupted:
    """A store; something else happens before one of its calls, or steps of a listing."""

    def __init__(self, real: Any, at_call: int, act: Act, *, in_steps: bool = False) -> None:
        self._real = real
        self._left = at_call
        self._act = act
        self._in_steps = in_steps

    @property
    def has_come(self) -> bool:
        return self._left < 0

    async def _before(self) -> None:
        self._left -= 1
        if self._left == -1:
            await self._act()

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._real, name)

        async def call(*args: Any, **options: Any) -> Any:
            await self._before()
            return await verb(*args, **options)

        async def walk(*args: Any, **options: Any) -> AsyncIterator[Any]:
            await self._before()
            async for one in verb(*args, **options):
                yield one
                if self._in_steps:
                    await self._before()

        return walk if inspect.isasyncgenfunction(verb) else call
