"""Chores that could not be done, written down where an operator sees them (`status`).

`turns/stalled/{chore}/{number}.json` (`numbered`) says since when, and why. It is written
each time that a chore could not be done, and once when it was again: nothing in between.
Where the store itself is away nothing can be written there: `status` says that by itself.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import asdict
from typing import Final

import orjson

from pacs_cloud.custody.state import Stall
from pacs_cloud.errors import Corrupt, PacsError
from pacs_cloud.objectstore.numbered import read_last, write_next
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.objectstore.turns import TURNS

_FOLDER: Final = f"{TURNS}stalled/"
_SAY_S: Final = 5.0
"""A worker that is told to stop waits no longer for the store."""
_VERSION: Final = 1


class Stalls:
    """What one worker says of its chores."""

    def __init__(self, objects: ObjectStore, now_us: Callable[[], int]) -> None:
        """Say nothing yet; `now_us` tells the time, microseconds since 1970 UTC."""
        self._objects = objects
        self._now_us = now_us
        self._fine: set[str] = set()

    async def failed(self, chore: str, error: BaseException) -> None:
        """Write down that a chore could not be done; raises PacsError where that cannot be."""
        self._fine.discard(chore)
        number, last = await _last(self._objects, chore)
        now_us = self._now_us()
        stall = Stall(chore, last.since_us or now_us, now_us, _reason(error))
        await self._write(number + 1, stall)

    async def done(self, chore: str) -> None:
        """Take back that it could not be, whichever worker said so; raises as `failed`."""
        if chore in self._fine:
            return
        number, last = await _last(self._objects, chore)
        if last.since_us:
            await self._write(number + 1, Stall(chore, tried_us=self._now_us()))
        self._fine.add(chore)

    async def only(self, chores: Collection[str]) -> None:
        """Take back what was said of any but these, which nobody does here any more."""
        for stall in await read_stalls(self._objects):
            if stall.chore not in chores:
                await self.done(stall.chore)

    async def _write(self, number: int, stall: Stall) -> None:
        data = orjson.dumps({"version": _VERSION, **asdict(stall)})
        await write_next(self._objects, f"{_FOLDER}{stall.chore}/", number, data)


def log_failed(log: logging.Logger, event: str, error: BaseException, **fields: str) -> None:
    """Log that something could not be done; where that is a defect of ours, also where."""
    is_ours = not isinstance(error, PacsError)
    log.log(
        logging.ERROR if is_ours else logging.WARNING,
        event,
        exc_info=error if is_ours else None,
        extra={**fields, "error": type(error).__name__, "reason": _reason(error)},
    )


def _reason(error: BaseException) -> str:
    """Return why, in words without patient data: those of a defect may have some."""
    name = type(error).__name__
    return (
        str(error) or name
        if isinstance(error, PacsError)
        else f"{name}, a defect: the log says where"
    )


async def said(saying: Awaitable[None]) -> None:
    """Let something be said if it can be: the log has it already, and nobody waits for it long.

    Where the store is away `status` finds that by itself.
    """
    with suppress(PacsError, TimeoutError):
        async with asyncio.timeout(_SAY_S):
            await saying


async def read_stalls(objects: ObjectStore) -> list[Stall]:
    """Return the chores that could not be done when they were tried last, by name.

    Raises:
        Corrupt: what says so cannot be read.
        Unavailable: the store cannot be reached.
    """
    keys = [info.key async for info in objects.list(_FOLDER)]
    chores = sorted({key.removeprefix(_FOLDER).partition("/")[0] for key in keys})
    found = [(await _last(objects, chore))[1] for chore in chores]
    return [one for one in found if one.since_us]


async def _last(objects: ObjectStore, chore: str) -> tuple[int, Stall]:
    folder = f"{_FOLDER}{chore}/"
    found = await read_last(objects, folder)
    if found is None:
        return 0, Stall(chore)
    number, data = found
    try:
        fields = orjson.loads(data)
        if fields.pop("version") != _VERSION:
            raise Corrupt(f"{folder} is of a version that is not known here")
        return number, Stall(**fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Corrupt(f"what lies last in {folder} cannot be read") from error
