"""Counts which studies a process reads, and writes the counts down every now and then.

Reading never waits for it and never fails by it: a count is an entry in memory, and what
could not be written is kept, within bounds, and tried again under the same key.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from pacs_cloud.errors import PacsError
from pacs_cloud.objectstore.keys import AccessKey
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.pack.pack_id import new_pack_id
from pacs_cloud.tiering.access.sheet import (
    DAY_US,
    Access,
    Accesses,
    Sheet,
    day_name,
    encode_day,
    encode_sheet,
)

log = logging.getLogger(__name__)

WRITE_EVERY_S: Final = 600.0
SOON: Final = 10_000
"""So many studies are written down without waiting any longer."""
MOST: Final = 50_000
"""So many studies are counted, at some 400 bytes each, where nothing can be written."""
GIVE_UP_US: Final = DAY_US
"""Behind the end of a day: later its counts are dropped. Folding relies on it."""
_CLOSE_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class _Batch:
    """What is to be written under one key, the same at each try.

    Attributes:
        key: where to.
        day: of what, days since 1970.
        accesses: what.
    """

    key: AccessKey
    day: int
    accesses: Accesses

    def encoded(self) -> bytes:
        return encode_sheet(Sheet({self.key.month + self.key.day: encode_day(self.accesses)}))


class AccessCounter:
    """Counts, in one process."""

    def __init__(
        self,
        objects: ObjectStore,
        now_us: Callable[[], int],
        *,
        soon: int = SOON,
        most: int = MOST,
    ) -> None:
        """Count nothing yet.

        Args:
            objects: where the log lies.
            now_us: tells the time, microseconds since 1970 UTC.
            soon: so many studies are written without waiting any longer.
            most: so many are counted where nothing can be written.
        """
        self._objects = objects
        self._now_us = now_us
        self._soon = soon
        self._most = most
        self._counts: dict[tuple[int, str, str], list[int]] = {}
        self._batches: list[_Batch] = []
        self._lost = 0
        self._is_due = asyncio.Event()

    def opened(self, tenant: str, study_instance_uid: str) -> None:
        """Count a request that opened a study, whatever for."""
        counted = self._counted(tenant, study_instance_uid)
        counted[0] += 1

    def read(self, pack_key: str, length_bytes: int) -> None:
        """Count a read of bytes of a pack."""
        _, tenant, _, study_instance_uid, _ = pack_key.split("/", 4)
        counted = self._counted(tenant, study_instance_uid)
        counted[1] += 1
        counted[2] += length_bytes

    def _counted(self, tenant: str, study_instance_uid: str) -> list[int]:
        now_us = self._now_us()
        key = (now_us // DAY_US, tenant, study_instance_uid)
        counted = self._counts.get(key)
        if counted is None:
            counted = [0, 0, 0, now_us]
            if len(self._counts) >= self._most:
                self._lost += 1
                return counted
            self._counts[key] = counted
            if len(self._counts) >= self._soon:
                self._is_due.set()
        counted[3] = now_us
        return counted

    async def write(self) -> bool:
        """Write down what was counted until now; return whether all of it is written."""
        # New counts wait for the old ones, so that no more than twice the most is kept.
        is_written = await self._put_batches()
        if is_written and self._counts:
            self._seal()
            is_written = await self._put_batches()
        return is_written

    async def _put_batches(self) -> bool:
        self._drop_old()
        while self._batches:
            batch = self._batches[0]
            try:
                blob = await asyncio.to_thread(batch.encoded)
                await self._objects.put_new(batch.key.key, blob)
            except PacsError as error:
                reason = {"error": type(error).__name__, "reason": error}
                log.warning("access_not_written", extra=reason)
                return False
            del self._batches[0]
        return True

    async def run(self, every_s: float = WRITE_EVERY_S) -> None:
        """Write every so often, until it is cancelled."""
        is_written = True
        while True:
            if is_written:
                with suppress(TimeoutError):
                    async with asyncio.timeout(every_s):
                        await self._is_due.wait()
            else:
                # What is full asks no more before it is time again.
                await asyncio.sleep(every_s)
            self._is_due.clear()
            is_written = await self.write()

    def _seal(self) -> None:
        """Make batches of what was counted."""
        counts, self._counts = self._counts, {}
        days: dict[tuple[int, str], dict[str, Access]] = {}
        for (day, tenant, study), counted in counts.items():
            days.setdefault((day, tenant), {})[study] = Access(*counted)
        now_us = self._now_us()
        for (day, tenant), accesses in days.items():
            name = day_name(day)
            key = AccessKey(tenant, name[:6], name[6:], new_pack_id(now_us))
            self._batches.append(_Batch(key, day, accesses))

    def _drop_old(self) -> None:
        since = (self._now_us() - GIVE_UP_US) // DAY_US
        old = [batch for batch in self._batches if batch.day < since]
        self._batches = [batch for batch in self._batches if batch.day >= since]
        self._lost += sum(len(batch.accesses) for batch in old)
        if self._lost:
            log.error("access_lost", extra={"studies": self._lost})
            self._lost = 0


@asynccontextmanager
async def counting(
    counter: AccessCounter, every_s: float = WRITE_EVERY_S
) -> AsyncGenerator[AccessCounter]:
    """Write what `counter` counts while entered, and the rest at the end."""
    writing = asyncio.create_task(counter.run(every_s))
    writing.add_done_callback(_tell_defect)
    try:
        yield counter
    finally:
        writing.cancel()
        await asyncio.wait({writing})
        try:
            async with asyncio.timeout(_CLOSE_S):
                await counter.write()
        except TimeoutError:
            log.warning("access_not_written", extra={"reason": "the process is stopping"})


def _tell_defect(writing: asyncio.Task[None]) -> None:
    """Log why the writer ended, at once: reading goes on, and nobody waits for it."""
    if not writing.cancelled() and (error := writing.exception()) is not None:
        log.error("access_writer_failed", exc_info=error)
