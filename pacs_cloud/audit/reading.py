"""The trail read back: parts that are sealed, and those that are still on this machine's disk."""

import asyncio
import heapq
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pacs_cloud.audit.directory import journal_directories
from pacs_cloud.audit.journal import parts_in
from pacs_cloud.audit.names import AUDIT, LATE_US, PartName, day_of, day_prefix, part_of_key
from pacs_cloud.errors import Corrupt, NotFound
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.objectstore.tenants import tenants_of
from pacs_cloud.security.audit_event import AuditEvent, event_from
from pacs_cloud.security.audit_line import Line, What, read_line

_CHUNK_BYTES: Final = 64 << 10
_LINE_LIMIT_BYTES: Final = 8 << 20
"""No line is as long: what is, has lost its end."""
_BEHIND_ALL: Final = "~"
_DAY_US: Final = 86_400_000_000
_IN_TURN: Final = 200
"""After so many lines others are served: what is read at once is never waited for."""


async def audited_tenants(objects: ObjectStore, root: Path | None) -> list[str]:
    """Return who has an audit trail, here or sealed."""
    found = set(await tenants_of(objects, AUDIT))
    if root is not None:
        found |= set(await asyncio.to_thread(_local_tenants, root))
    return sorted(found)


def _local_tenants(root: Path) -> list[str]:
    return [
        path.name
        for directory in journal_directories(root)
        for path in directory.iterdir()
        if path.is_dir()
    ]


def local_parts(root: Path | None, tenant: str) -> dict[PartName, Path]:
    """Return a tenant's parts that are on this disk, and where; it blocks."""
    if root is None:
        return {}
    return {
        part: directory / tenant / part.file
        for directory in journal_directories(root)
        for part in parts_in(directory / tenant, tenant)
    }


async def raw_lines(
    objects: ObjectStore, part: PartName, path: Path | None = None
) -> AsyncIterator[bytes]:
    """Yield a part's lines as they stand, their ends with them.

    A file that is gone was sealed meanwhile: then the object is read.

    Raises:
        NotFound: there is no such part.
        Corrupt: the store finds that it is not what was stored.
        Unavailable, Denied, Offline: as the store.
    """
    if path is not None:
        try:
            data = await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError:
            pass
        else:
            for line in _split(data):
                yield line
            return
    rest = b""
    async for chunk in objects.stream(part.key, chunk_bytes=_CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"
        if len(rest) > _LINE_LIMIT_BYTES:
            yield rest
            rest = b""
    if rest:
        yield rest


def _split(data: bytes) -> list[bytes]:
    *lines, rest = data.split(b"\n")
    return [line + b"\n" for line in lines] + ([rest] if rest else [])


@dataclass(slots=True)
class Unreadable:
    """Counts what cannot be read: `audit verify` says where.

    A part that the store cannot give counts as one: nobody knows how many lines it had.
    """

    lines: int = 0


async def events(
    objects: ObjectStore,
    root: Path | None,
    tenant: str,
    *,
    since_us: int = 0,
    until_us: int | None = None,
    unreadable: Unreadable | None = None,
) -> AsyncGenerator[tuple[AuditEvent, bytes]]:
    """Yield a tenant's events with their lines, day by day as they were written.

    Memory: a few lines of each chain.

    Args:
        objects: where what is sealed lies.
        root: where journals lie on this disk; None: there are none.
        tenant: whose.
        since_us: nothing before that, microseconds since 1970 UTC.
        until_us: nothing from then on; None: all.
        unreadable: is told of lines that cannot be read, which are passed over.
    """
    missed, count = unreadable or Unreadable(), 0
    local = await asyncio.to_thread(local_parts, root, tenant)
    first = day_of(max(0, since_us - _DAY_US))
    last = day_of(until_us + LATE_US) if until_us is not None else "99999999"
    async for parts in _days(objects, tenant, local, first):
        if next(iter(parts)).day > last:
            return
        async with aclosing(_merged(objects, parts, missed)) as merged:
            async for line, raw in merged:
                count += 1
                if count % _IN_TURN == 0:
                    await asyncio.sleep(0)
                try:
                    event = event_from(line.body)
                except Corrupt:
                    missed.lines += 1
                    continue
                ended_us = max(event.when_us, event.last_us)
                if ended_us >= since_us and (until_us is None or event.when_us < until_us):
                    yield event, raw


async def _days(
    objects: ObjectStore, tenant: str, local: Mapping[PartName, Path], first: str
) -> AsyncIterator[dict[PartName, Path | None]]:
    """Yield the parts of each day from `first` on, with their files where they are not sealed."""
    left = sorted((part for part in local if part.day >= first), key=lambda part: part.day)
    after = day_prefix(tenant, first)[:-1]
    while True:
        day = ""
        async for info in objects.list(f"{AUDIT}{tenant}/", after=after):
            day = info.key.split("/")[2]
            break
        here = min(filter(None, (day, left[0].day if left else "")), default="")
        if not here:
            return
        found: dict[PartName, Path | None] = {}
        if here == day:
            async for info in objects.list(day_prefix(tenant, day)):
                part = part_of_key(info.key)
                if part is not None:
                    found[part] = None
            after = day_prefix(tenant, day) + _BEHIND_ALL
        while left and left[0].day == here:
            part = left.pop(0)
            found.setdefault(part, local[part])
        if found:
            yield found


async def _merged(
    objects: ObjectStore, parts: Mapping[PartName, Path | None], missed: Unreadable
) -> AsyncGenerator[tuple[Line, bytes]]:
    """Yield the events of several chains together, by time."""
    chains: dict[str, list[PartName]] = {}
    for part in sorted(parts):
        chains.setdefault(part.writer, []).append(part)
    readers = {
        writer: _chain(objects, {part: parts[part] for part in named}, missed)
        for writer, named in chains.items()
    }
    heap: list[tuple[int, str, Line, bytes]] = []
    try:
        for writer, reader in readers.items():
            await _push(heap, writer, reader)
        while heap:
            _, writer, line, raw = heapq.heappop(heap)
            yield line, raw
            await _push(heap, writer, readers[writer])
    finally:
        for reader in readers.values():
            await reader.aclose()


async def _push(
    heap: list[tuple[int, str, Line, bytes]],
    writer: str,
    reader: AsyncGenerator[tuple[Line, bytes]],
) -> None:
    async for line, raw in reader:
        # No two entries have one writer: lines are never compared.
        heapq.heappush(heap, (line.position.at_us, writer, line, raw))
        return


async def _chain(
    objects: ObjectStore, parts: Mapping[PartName, Path | None], missed: Unreadable
) -> AsyncGenerator[tuple[Line, bytes]]:
    for part, path in parts.items():
        try:
            async for raw in raw_lines(objects, part, path):
                try:
                    line = read_line(raw)
                except Corrupt:
                    # What is just being written has no end yet.
                    missed.lines += path is None or raw.endswith(b"\n")
                    continue
                if line.what is What.EVENT:
                    yield line, raw
        except (NotFound, Corrupt):
            missed.lines += 1
