"""Chores that one worker at a time does, of all that look after one store."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from pacs_cloud.bootstrap.stalls import log_failed
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.objectstore.tenants import tenants_of
from pacs_cloud.objectstore.turns import LOOK_S, Turn, Turns, Work

log = logging.getLogger(__name__)

Works: TypeAlias = Callable[[], Awaitable[Mapping[str, Work]]]
"""Returns what there is to do, by the name of its turns."""


class InTurns:
    """Does what there is to do, one after the other, where it is due and nobody is at it."""

    def __init__(
        self, turns: Turns, works: Works, *, every_s: float, at_once: bool = False
    ) -> None:
        """Do nothing yet.

        Args:
            turns: this worker's.
            works: what there is to do.
            every_s: between the beginnings of two rounds.
            at_once: whether the first is due now, since any worker before this one is dead.
        """
        self._turns = turns
        self._works = works
        self._every_s = every_s
        self._at_once = at_once

    async def __call__(self) -> float:
        """Do it; return after how many seconds to come again.

        What cannot be done keeps nothing else from being tried; each is logged.

        Raises:
            Exception: the first that was raised.
        """
        rests_s, failures = [min(self._every_s, LOOK_S)], list[Exception]()
        for name, work in (await self._works()).items():
            try:
                rest_s = await self._turns.take(
                    name, work, every_s=self._every_s, at_once=self._at_once
                )
            except Exception as error:  # noqa: BLE001 - it is raised below
                log_failed(log, "turn_failed", error, work=name)
                failures.append(error)
            else:
                rests_s.append(rest_s)
        if failures:
            raise failures[0]
        self._at_once = False
        return min(rests_s)


def alone(name: str, work: Work) -> Works:
    """Return one thing to do."""

    async def works() -> Mapping[str, Work]:
        return {name: work}

    return works


def each(name: str, tenants: Sequence[str], work: Callable[[str, Turn], Awaitable[None]]) -> Works:
    """Return the same to do for each of some tenants."""

    async def works() -> Mapping[str, Work]:
        return {f"{name}/{tenant}": partial(work, tenant) for tenant in tenants}

    return works


def by_tenant(
    name: str, objects: ObjectStore, tree: str, work: Callable[[str, Turn], Awaitable[None]]
) -> Works:
    """Return the same to do for each tenant who has something in `tree`, such as `packs/`."""

    async def works() -> Mapping[str, Work]:
        return await each(name, await tenants_of(objects, tree), work)()

    return works
