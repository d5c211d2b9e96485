"""Priors recalled before anybody asks for them, within a bound of bytes for each day.

What was asked for in the last 24 hours is in the marks of recalls, so that the bound
holds for all processes, and after a restart; two that ask in one moment may exceed it by
what they ask for.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.errors import Corrupt, InvalidRequest, NotFound, Offline
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.telemetry import hashed
from pacs_cloud.tiering.recall.causes import PREFETCHED, Cause
from pacs_cloud.tiering.recall.cold import cold_packs
from pacs_cloud.tiering.recall.demand import Recalls, RecallWish
from pacs_cloud.tiering.recall.marks import get_recall, mark_for, recall_marks
from pacs_cloud.tiering.recall.priors import Newcomer, PriorsWanted, priors

log = logging.getLogger(__name__)

_DAY_US: Final = 86_400_000_000


class PriorFate(StrEnum):
    """What became of a prior that is wanted."""

    AT_HAND = "at hand"
    """It can be read, or is on its way."""
    ASKED = "asked"
    """It was asked for."""
    OVER_BOUND = "over the day's bound"
    """It would exceed what may be prefetched in a day."""
    FAILED = "failed"
    """The store does not bring it back, or an object of it is gone or damaged."""


@dataclass(frozen=True, slots=True)
class Prior:
    """A prior that is wanted.

    Attributes:
        study_instance_uid: which.
        fate: what became of it.
        length_bytes: that were asked for, or would have been.
    """

    study_instance_uid: str
    fate: PriorFate
    length_bytes: int = 0


class DailyBound:
    """How much may still be prefetched."""

    def __init__(self, objects: ObjectStore, limit_bytes: int, now_us: Callable[[], int]) -> None:
        """Allow each tenant `limit_bytes` in any 24 hours."""
        self._objects = objects
        self._limit_bytes = limit_bytes
        self._now_us = now_us
        # A mark is written once: when it was asked for, and how much of that counts here.
        self._known: dict[str, dict[str, tuple[int, int]]] = {}

    async def left_bytes(self, tenant: str) -> int:
        """Return how much may be asked for now; raises Unavailable."""
        before = self._known.get(tenant, {})
        known: dict[str, tuple[int, int]] = {}
        async for marks in recall_marks(self._objects, tenant):
            for mark in marks:
                if mark.key in before:
                    known[mark.key] = before[mark.key]
                    continue
                try:
                    recall = await get_recall(self._objects, mark)
                except (NotFound, Corrupt):
                    continue  # it is over since, or will be dropped
                counts = recall.cause.why in PREFETCHED
                known[mark.key] = recall.asked_us, recall.length_bytes if counts else 0
        self._known[tenant] = known
        since_us = self._now_us() - _DAY_US
        spent = sum(length for asked_us, length in known.values() if asked_us > since_us)
        return self._limit_bytes - spent


class Prefetcher:
    """Asks for priors."""

    def __init__(
        self,
        objects: ObjectStore,
        catalogue: Catalogue,
        recalls: Recalls,
        bound: DailyBound,
        now_us: Callable[[], int],
    ) -> None:
        """Ask `recalls` for what `bound` allows."""
        self._objects = objects
        self._catalogue = catalogue
        self._recalls = recalls
        self._bound = bound
        self._now_us = now_us
        self._alone = asyncio.Lock()

    async def prefetch(
        self, newcomer: Newcomer, wanted: PriorsWanted, wish: RecallWish, cause: Cause
    ) -> list[Prior]:
        """Have the priors of a newcomer recalled; return what became of each, newest first.

        Repeatable: what is at hand or under way is not asked for again.

        Raises:
            Unavailable, Denied: they could not be asked for.
        """
        found = await priors(self._catalogue, newcomer, wanted, now_us=self._now_us())
        made: list[Prior] = []
        for study in found:
            names = newcomer.tenant, study.study_instance_uid
            packs = await self._catalogue.packs(*names)
            missing = await self._missing(packs)
            if not missing:
                made.append(Prior(study.study_instance_uid, PriorFate.AT_HAND))
                continue
            length = sum(pack.length_bytes for pack in missing)
            fate = await self._asked(missing, length, wish, cause)
            made.append(Prior(study.study_instance_uid, fate, length))
        return made

    async def _asked(
        self, missing: Sequence[PackRecord], length_bytes: int, wish: RecallWish, cause: Cause
    ) -> PriorFate:
        """Ask for the packs of a prior if that is allowed; return what became of it."""
        async with self._alone:
            if length_bytes > await self._bound.left_bytes(missing[0].tenant):
                log.warning("prefetch_over_bound", extra={"why": cause.why, "bytes": length_bytes})
                return PriorFate.OVER_BOUND
            try:
                await self._recalls.start(missing, wish, cause)
            except (Corrupt, InvalidRequest, NotFound, Offline) as error:
                # The next one may be had, and whoever reads this one is told why it cannot.
                fields = {"study": hashed(missing[0].study_instance_uid)}
                log.warning("prior_not_asked", extra={**fields, "error": type(error).__name__})
                return PriorFate.FAILED
        return PriorFate.ASKED

    async def _missing(self, packs: Sequence[PackRecord]) -> list[PackRecord]:
        """Return the packs that are cold, and that nobody has asked for."""
        cold = cold_packs(packs, self._now_us())
        if not cold:
            return []
        names = cold[0].tenant, cold[0].study_instance_uid
        asked = {mark async for some in recall_marks(self._objects, *names) for mark in some}
        return [pack for pack in cold if mark_for(pack) not in asked]
