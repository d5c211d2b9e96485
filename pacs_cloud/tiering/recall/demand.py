"""Recalls: whoever wants to read a cold pack has it, or has asked for it back.

However many ask, in one process or in many, a pack is asked back once: see
`marks`. What was asked for stays known in memory, so that a crowd that waits
for one study reads no object store.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pacs_cloud import metrics
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.errors import Corrupt, Denied, InvalidRequest, NotFound, Offline, Unavailable
from pacs_cloud.objectstore.port import Availability, ObjectInfo, ObjectStore
from pacs_cloud.objectstore.storage_classes import RecallSpeed
from pacs_cloud.pack.pack_id import new_pack_id
from pacs_cloud.tiering.recall.causes import Cause, Why
from pacs_cloud.tiering.recall.cold import can_be_read, cold_packs
from pacs_cloud.tiering.recall.marks import (
    Recall,
    RecallMark,
    ask_store,
    drop_recall,
    get_recall,
    mark_for,
    put_recall,
)
from pacs_cloud.tiering.recall.tending import GRACE_US
from pacs_cloud.tiering.recall.times import ArrivalTime, offered_speed, service_arrival_s

log = logging.getLogger(__name__)

_SECOND_US: Final = 1_000_000
_LOOK_EVERY_US: Final = 5 * _SECOND_US
"""So often a process asks the store whether a pack that somebody waits for has arrived."""
_SOONEST_S: Final = 1
_OVERDUE_S: Final = 60
_LATEST_S: Final = 3600
"""A pack mostly arrives before it is expected: nobody need wait longer to ask again."""
_KNOWN: Final = 20_000
_AT_ONCE: Final = 16
_TRIES: Final = 3
_READ: Final = Cause(Why.READ)
_COMMANDED: Final = Cause(Why.COMMAND)


@dataclass(frozen=True, slots=True)
class RecallWish:
    """How a recall is wanted.

    Attributes:
        speed: the store's nearest to it is taken.
        days: how long the readable copies stay.
    """

    speed: RecallSpeed = RecallSpeed.STANDARD
    days: int = 7


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the recalls of one or more studies have come.

    Attributes:
        packs: how many were asked for.
        arrived: how many of them can be read.
        since_us: when the first of the others was asked for; 0 where all have arrived.
        expected_us: when the last of them should arrive; likewise.
    """

    packs: int
    arrived: int
    since_us: int = 0
    expected_us: int = 0


class BeingRecalled(Offline):
    """What is wanted is on its way back from a cold class.

    Attributes:
        progress: of its recall.
    """

    def __init__(self, progress: Progress, now_us: int) -> None:
        expected = time_text(progress.expected_us)
        super().__init__(f"it is being recalled, expected by {expected}")
        self.progress = progress
        left_s = -(-(progress.expected_us - now_us) // _SECOND_US)
        self.retry_after_s = min(max(left_s, _SOONEST_S), _LATEST_S) if left_s > 0 else _OVERDUE_S


@dataclass(slots=True)
class _Asked:
    """What this process knows of a recall.

    Attributes:
        recall: as it was asked for.
        looked_us: when the store was asked last; 0: not yet.
        until_us: until when the pack can be read, as the store said then.
    """

    recall: Recall
    looked_us: int
    until_us: int = 0


class Recalls:
    """Asks for packs of one archive; one for each process."""

    def __init__(
        self,
        objects: ObjectStore,
        catalogue: Catalogue,
        now_us: Callable[[], int],
        *,
        wish: RecallWish | None = None,
        arrival_s: ArrivalTime = service_arrival_s,
        reads_cold: bool = False,
    ) -> None:
        """Recall from `objects`.

        Args:
            objects: where packs lie.
            catalogue: what they are of.
            now_us: returns the time, microseconds since 1970 UTC.
            wish: how readers want what they find cold.
            arrival_s: how long a recall takes.
            reads_cold: the store reads every class at once.
        """
        self._objects = objects
        self._catalogue = catalogue
        self._now_us = now_us
        self._wish = wish or RecallWish()
        self._arrival_s = arrival_s
        self._reads_cold = reads_cold
        self._asked: OrderedDict[str, asyncio.Task[_Asked]] = OrderedDict()
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def can_be_read(self, pack: PackRecord) -> bool:
        """Tell whether a pack can be read now, as far as its record says."""
        return self._reads_cold or can_be_read(pack, self._now_us())

    async def demand(self, packs: Collection[PackRecord]) -> None:
        """Return when all of `packs` can be read now; else have their studies recalled.

        All of a study: who waits hours for one series wants the next one too.

        Raises:
            BeingRecalled: they are on their way.
            Unavailable, Denied: they could not be asked for.
            NeverRestored: the store brings nothing back.
            Corrupt: an object is gone.
        """
        cold = [pack for pack in packs if not self.can_be_read(pack)]
        if not cold:
            return
        now_us = self._now_us()
        asked = await self._ask(cold, self._wish, _READ)
        if all(one.until_us > now_us for one in asked):
            return
        for study in dict.fromkeys((pack.tenant, pack.study_instance_uid) for pack in cold):
            rest = await self._catalogue.packs(*study)
            known = {pack.pack_id for pack in cold}
            asked += await self._ask(
                [pack for pack in cold_packs(rest, now_us) if pack.pack_id not in known],
                self._wish,
                _READ,
            )
        if all(one.until_us > now_us for one in asked[: len(cold)]):
            return  # they have come meanwhile
        raise BeingRecalled(_progress(asked, now_us), now_us)

    async def start(
        self, packs: Sequence[PackRecord], wish: RecallWish, cause: Cause = _COMMANDED
    ) -> Progress:
        """Ask for those of `packs` that are cold; return how far their recall has come.

        One that is under way goes on as it was asked for.

        Raises:
            Unavailable, Denied: they could not be asked for.
        """
        now_us = self._now_us()
        asked = await self._ask(cold_packs(packs, now_us), wish, cause)
        return _progress(asked, now_us)

    async def _ask(
        self, packs: Sequence[PackRecord], wish: RecallWish, cause: Cause
    ) -> list[_Asked]:
        return list(await asyncio.gather(*(self._ask_for(pack, wish, cause) for pack in packs)))

    async def _ask_for(self, pack: PackRecord, wish: RecallWish, cause: Cause) -> _Asked:
        mark = mark_for(pack)
        task = self._asked.get(mark.key)
        if task is None:
            task = asyncio.create_task(self._claim(pack, mark, wish, cause))
            self._asked[mark.key] = task
            task.add_done_callback(lambda done: self._forget_failed(mark.key, done))
            if len(self._asked) > _KNOWN:
                self._asked.popitem(last=False)
        # Whoever goes away meanwhile leaves it to the others, and to those who come.
        asked = await asyncio.shield(task)
        await self._look(asked)
        return asked

    def _forget_failed(self, key: str, done: "asyncio.Task[_Asked]") -> None:
        if (done.cancelled() or done.exception() is not None) and self._asked.get(key) is done:
            del self._asked[key]

    async def _claim(
        self, pack: PackRecord, mark: RecallMark, wish: RecallWish, cause: Cause
    ) -> _Asked:
        """Ask for a pack unless somebody has; return how it was asked for."""
        async with self._slots:
            for _ in range(_TRIES):
                now_us = self._now_us()
                speed = offered_speed(pack.storage_class, wish.speed)
                arrival_us = round(self._arrival_s(pack.storage_class, speed) * _SECOND_US)
                recall = Recall(
                    mark,
                    now_us,
                    now_us + arrival_us,
                    pack.storage_class,
                    speed,
                    wish.days,
                    new_pack_id(now_us),
                    cause,
                    pack.length_bytes,
                )
                if await put_recall(self._objects, recall):
                    recall, info = await self._begin(recall, now_us)
                    log.info("recall_begun", extra=recall.for_log)
                    metrics.RECALLS_ASKED.inc()
                    return _Asked(recall, now_us if arrival_us else 0, _until_us(info, now_us))
                try:
                    return _Asked(await get_recall(self._objects, mark), 0)
                except NotFound:
                    continue  # it is over since
                except Corrupt:
                    with suppress(Denied):  # whoever tends recalls does then
                        await drop_recall(self._objects, mark)
        raise Unavailable("a recall kept changing, or its mark cannot be read")

    async def _begin(self, recall: Recall, now_us: int) -> tuple[Recall, ObjectInfo]:
        """Ask the store; what it refuses for good is not under way."""
        try:
            return await ask_store(self._objects, recall, now_us)
        except (Denied, InvalidRequest, Offline, Corrupt):
            with suppress(Denied):  # not everybody may remove: whoever tends recalls does then
                await self._objects.delete(recall.mark.key)
            raise

    async def _look(self, asked: _Asked) -> None:
        """See whether a pack has arrived, if that was not done just now."""
        now_us, looked_us = self._now_us(), asked.looked_us
        is_due = looked_us < asked.recall.expected_us <= now_us
        if asked.until_us > now_us or not (is_due or now_us - looked_us >= _LOOK_EVERY_US):
            return
        asked.looked_us = now_us
        async with self._slots:
            try:
                info = await self._objects.head(asked.recall.mark.pack.pack)
            except NotFound as error:
                raise Corrupt("a pack's object is gone") from error
        asked.until_us = _until_us(info, now_us)
        is_late = now_us > asked.recall.asked_us + GRACE_US
        if is_late and info.availability is Availability.OFFLINE:
            # Nobody brings it: who comes next looks whether its mark is still there.
            self._asked.pop(asked.recall.mark.key, None)


def time_text(moment_us: int) -> str:
    """Return a moment as people and programs read it: `2026-11-29T21:00:00Z`."""
    return datetime.fromtimestamp(moment_us // _SECOND_US, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _until_us(info: ObjectInfo, now_us: int) -> int:
    """Return until when an object can be read, as far as that is known; 0: it cannot."""
    if info.availability is not Availability.ONLINE:
        return 0
    return info.available_until_us or now_us + _LOOK_EVERY_US


def _progress(asked: Collection[_Asked], now_us: int) -> Progress:
    waited = [one.recall for one in asked if one.until_us <= now_us]
    return Progress(
        len(asked),
        len(asked) - len(waited),
        min((one.asked_us for one in waited), default=0),
        max((one.expected_us for one in waited), default=0),
    )
