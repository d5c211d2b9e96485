"""The trail read backwards, some events at a time: what came last is what people look for first.

A day is read from its end, by the last part of each chain, so that a page costs what it shows
and not what the day holds. Memory: one part of each chain (a few MiB at most).
"""

import asyncio
import heapq
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from pacs_cloud.audit.asking import Wanted
from pacs_cloud.audit.names import AUDIT, LATE_US, PartName, day_of, day_prefix, part_of_key
from pacs_cloud.audit.reading import Unreadable, local_parts, raw_lines
from pacs_cloud.errors import Corrupt, NotFound
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.security.audit_event import AuditEvent, event_from
from pacs_cloud.security.audit_line import What, read_line

_DAY_US: Final = 86_400_000_000
_MOST_LINES: Final = 50_000
_MOST_DAYS: Final = 100
"""So much is read for one page; whoever wants more goes on from there."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event, and where it stands.

    Attributes:
        event: what happened.
        at_us: when it was written, microseconds since 1970 UTC.
        writer: which chain it is of.
        seq: which line of that.
    """

    event: AuditEvent
    at_us: int
    writer: str
    seq: int


@dataclass(slots=True)
class Found:
    """Some events, the newest first.

    Attributes:
        events: that were wanted.
        before_us: behind them goes on what was written before; None: there is no more.
        reached_us: all that was written since then was looked at.
        unreadable: lines that could not be read.
    """

    events: list[Recorded] = field(default_factory=list[Recorded])
    before_us: int | None = None
    reached_us: int = 0
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """What is looked through.

    Attributes:
        since_us: nothing that happened before, microseconds since 1970 UTC.
        until_us: nothing that happened from then on.
        before_us: nothing that was written from then on: where a page before has ended.
    """

    since_us: int
    until_us: int
    before_us: int | None = None

    @property
    def written_before_us(self) -> int:
        """What was written from then on is not meant."""
        late_us = self.until_us + LATE_US
        return late_us if self.before_us is None else min(late_us, self.before_us)


async def newest(
    objects: ObjectStore,
    root: Path | None,
    tenant: str,
    wanted: Wanted,
    span: Span,
    *,
    limit: int,
    most_lines: int = _MOST_LINES,
) -> Found:
    """Return the newest events that are wanted, and where to go on behind them.

    Of events that were written in one microsecond all come together, so that none is lost
    between two pages.

    Args:
        objects: where what is sealed lies.
        root: where journals lie on this disk; None: there are none.
        tenant: whose.
        wanted: which events.
        span: when.
        limit: about so many.
        most_lines: no more lines than these are read, whatever is found.

    Raises:
        Unavailable, Denied, Offline: as the store.
    """
    found, missed, lines = Found(), Unreadable(), 0
    backwards = _Backwards(objects, await asyncio.to_thread(local_parts, root, tenant), tenant)
    days = await backwards.days(span)
    last_us = span.written_before_us
    for number, day in enumerate(days):
        if number == _MOST_DAYS:
            found.before_us = last_us
            break
        async with aclosing(backwards.day(day, span, missed)) as read:
            async for one in read:
                enough = len(found.events) >= limit or lines >= most_lines
                if enough and one.at_us < last_us:
                    found.before_us = last_us
                    break
                lines, last_us = lines + 1, one.at_us
                ended_us = max(one.event.when_us, one.event.last_us)
                in_span = ended_us >= span.since_us and one.event.when_us < span.until_us
                if in_span and wanted.fits(one.event):
                    found.events.append(one)
        if found.before_us is not None:
            break
        last_us = min(last_us, _start_of(day))
    found.reached_us = span.since_us if found.before_us is None else found.before_us
    found.unreadable = missed.lines
    return found


class _Backwards:
    def __init__(self, objects: ObjectStore, local: Mapping[PartName, Path], tenant: str) -> None:
        self._objects = objects
        self._local = local
        self._tenant = tenant
        # Of the day before the one that was read: what its turn needs again.
        self._listed: dict[str, set[PartName]] = {}
        self._read: dict[PartName, list[Recorded]] = {}

    async def days(self, span: Span) -> list[str]:
        """Return the days that may hold something, the last one first."""
        first = min((part.day for part in self._local), default="")
        async for info in self._objects.list(f"{AUDIT}{self._tenant}/"):
            day = info.key.split("/")[2]
            first = min(day, first) if first else day
            break
        if not first:
            return []
        first = max(first, day_of(max(0, span.since_us)))
        last = day_of(max(0, span.written_before_us - 1))
        return _days_back(last, first)

    async def day(self, day: str, span: Span, missed: Unreadable) -> AsyncGenerator[Recorded]:
        """Yield what was written on one day, the last first; then the day before has its turn.

        A part is named by the day it was begun on: the last one of a chain may reach into the
        next, and no further.
        """
        start_us = _start_of(day)
        end_us = min(start_us + _DAY_US, span.written_before_us)
        chains = await self._chains(day)
        readers = {
            writer: self._chain(parts, start_us, end_us, missed) for writer, parts in chains.items()
        }
        heap: list[tuple[int, int, str, Recorded]] = []
        try:
            for writer, reader in readers.items():
                await _push(heap, writer, reader)
            while heap:
                *_, writer, one = heapq.heappop(heap)
                yield one
                await _push(heap, writer, readers[writer])
        finally:
            for reader in readers.values():
                await reader.aclose()

    async def _chains(self, day: str) -> dict[str, list[PartName]]:
        """Return a day's parts by chain, the last first, and the day before's last ones."""
        before = _days_back(day, "")[1]
        parts = self._listed.get(day)
        if parts is None:
            parts = await self._parts(day)
        self._listed = {before: await self._parts(before)}
        chains: dict[str, list[PartName]] = {}
        for part in sorted(parts, reverse=True):
            chains.setdefault(part.writer, []).append(part)
        lasts: dict[str, PartName] = {}
        for part in sorted(self._listed[before]):
            lasts[part.writer] = part
        for writer, part in lasts.items():
            chains.setdefault(writer, []).append(part)
        return chains

    async def _parts(self, day: str) -> set[PartName]:
        found = {part for part in self._local if part.day == day}
        async for info in self._objects.list(day_prefix(self._tenant, day)):
            part = part_of_key(info.key)
            if part is not None:
                found.add(part)
        return found

    async def _chain(
        self, parts: list[PartName], start_us: int, end_us: int, missed: Unreadable
    ) -> AsyncGenerator[Recorded]:
        for part in parts:
            recorded = self._read.pop(part, None)
            if recorded is None:
                recorded = await self._recorded(part, missed)
            if _start_of(part.day) < start_us:
                self._read[part] = recorded
            for one in reversed(recorded):
                if one.at_us < start_us:
                    return
                if one.at_us < end_us:
                    yield one

    async def _recorded(self, part: PartName, missed: Unreadable) -> list[Recorded]:
        """Return a part's events as they were written."""
        path = self._local.get(part)
        try:
            lines = [raw async for raw in raw_lines(self._objects, part, path)]
        except (NotFound, Corrupt):
            missed.lines += 1
            return []
        if path is not None and lines and not lines[-1].endswith(b"\n"):
            del lines[-1]  # what is just being written has no end yet
        # Thousands of hashes, which others should not have to wait for.
        found, unread = await asyncio.to_thread(_read, part.writer, lines)
        missed.lines += unread
        return found


def _read(writer: str, lines: list[bytes]) -> tuple[list[Recorded], int]:
    """Return the events of some lines, and how many lines cannot be read."""
    found: list[Recorded] = []
    unread = 0
    for raw in lines:
        try:
            line = read_line(raw)
            if line.what is What.EVENT:
                at_us, seq = line.position.at_us, line.position.seq
                found.append(Recorded(event_from(line.body), at_us, writer, seq))
        except Corrupt:
            unread += 1
    return found, unread


async def _push(
    heap: list[tuple[int, int, str, Recorded]], writer: str, reader: AsyncGenerator[Recorded]
) -> None:
    async for one in reader:
        # No two entries have one writer: events are never compared.
        heapq.heappush(heap, (-one.at_us, -one.seq, writer, one))
        return


def _start_of(day: str) -> int:
    moment = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)
    return round(moment.timestamp()) * 1_000_000


def _days_back(last: str, first: str) -> list[str]:
    """Return the days from one back to another, one more than is read; without `first` two."""
    end = datetime.strptime(last, "%Y%m%d").replace(tzinfo=UTC)
    count = _MOST_DAYS + 1 if first else 2
    days = [f"{end - timedelta(days=back):%Y%m%d}" for back in range(count)]
    return [day for day in days if day >= first]
