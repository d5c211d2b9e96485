"""What takes minutes: done one at a time, beside the pages, which show how far it is."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from pacs_cloud.errors import PacsError

log = logging.getLogger(__name__)

_KEPT: Final = 16
"""Errands whose outcome is remembered; the one that was begun first is forgotten first."""
_WAITING: Final = 4
_SOON_S: Final = 0.5
_ALONE_S: Final = 86_400
"""So long an outcome stands for pages that ask by themselves: each may cost a walk through all."""
_FAILED_S: Final = 60
"""So long a failure stands, where an outcome would be kept longer."""


class Stage(StrEnum):
    """How far an errand is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(slots=True)
class Steps:
    """How far something is.

    Attributes:
        done: steps that are.
        total: of how many; 0: nobody knows.
    """

    done: int = 0
    total: int = 0

    def step(self) -> None:
        """Count one."""
        self.done += 1


@dataclass(slots=True)
class Errand:
    """One thing that takes long.

    Attributes:
        stage: how far it is.
        steps: in more detail.
        asked_us: when it was asked for, microseconds since 1970 UTC.
        ended_us: when it was over; until then when the one before was, 0: there was none.
        outcome: what came of it; until then of the one before, None: there was none.
        failure: why nothing did, in a sentence, where it failed.
        over: set once it is.
    """

    stage: Stage
    steps: Steps
    asked_us: int
    ended_us: int = 0
    outcome: Any = None
    failure: str = ""
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_over(self) -> bool:
        """Whether it is done, or failed."""
        return self.stage in {Stage.DONE, Stage.FAILED}

    async def soon(self) -> "Errand":
        """Return it once it is over, or a moment has passed: a page may have it at once."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_SOON_S):
                await self.over.wait()
        return self


class Errands:
    """Does one errand after the other, and remembers what came of the last ones."""

    def __init__(self, now_us: Callable[[], int], *, limit_s: float = 600.0) -> None:
        """Tell the time by `now_us`; what takes longer than `limit_s` is broken off."""
        self._now_us = now_us
        self._limit_s = limit_s
        self._turn = asyncio.Lock()
        self._errands: OrderedDict[Hashable, Errand] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(
        self,
        name: Hashable,
        work: Callable[[Steps], Awaitable[Any]],
        *,
        keep_s: float = 0,
        again: bool = True,
    ) -> Errand:
        """Return an errand of this name that goes on or is young enough, or begin it.

        Where too many wait already the one before is returned, or one that says so: whatever
        else a page has to tell is seen all the same.

        Args:
            name: of what is done, whose archive it is included.
            work: does it, counting its steps; it is cancelled where it takes too long.
            keep_s: how old an outcome may be.
            again: whether somebody asks, so that one that failed is begun anew after a while;
                else its failure stands, and an outcome for a day.
        """
        known = self._errands.get(name)
        if known is not None and (not known.is_over or self._is_young(known, keep_s, again=again)):
            return known
        if len(self._tasks) > _WAITING:
            return known or self._refused()
        errand = Errand(Stage.WAITING, Steps(), self._now_us())
        if known is not None:
            errand.ended_us, errand.outcome = known.ended_us, known.outcome
        self._errands[name] = errand
        self._errands.move_to_end(name)
        self._forget()
        task = asyncio.create_task(self._do(errand, work))
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return errand

    async def aclose(self) -> None:
        """Break off what goes on."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _do(self, errand: Errand, work: Callable[[Steps], Awaitable[Any]]) -> None:
        async with self._turn:
            errand.stage = Stage.RUNNING
            try:
                async with asyncio.timeout(self._limit_s):
                    errand.outcome = await work(errand.steps)
                errand.stage = Stage.DONE
            except PacsError as error:
                errand.failure = str(error)
            except TimeoutError:
                minutes = round(self._limit_s / 60)
                errand.failure = (
                    f"it took longer than {minutes} minutes, and was broken off: the command"
                    " line has no such limit"
                )
            finally:
                if errand.stage is not Stage.DONE:
                    errand.stage = Stage.FAILED
                    errand.failure = errand.failure or "it was broken off: look at the log"
                errand.ended_us = self._now_us()
                errand.over.set()

    def _refused(self) -> Errand:
        why = "Too much else is being reckoned: look again in a minute."
        errand = Errand(Stage.FAILED, Steps(), self._now_us(), failure=why)
        errand.over.set()
        return errand

    def _is_young(self, errand: Errand, keep_s: float, *, again: bool) -> bool:
        if errand.stage is Stage.FAILED:
            if not again:
                return True
            keep_s = min(keep_s, _FAILED_S)
        if not again:
            keep_s = max(keep_s, _ALONE_S)
        return self._now_us() < errand.ended_us + keep_s * 1e6

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("errand_failed", exc_info=error)

    def _forget(self) -> None:
        over = [name for name, one in self._errands.items() if one.is_over]
        for name in over[: max(0, len(self._errands) - _KEPT)]:
            del self._errands[name]
