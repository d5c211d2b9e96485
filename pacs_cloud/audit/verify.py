"""Finds whatever was changed, dropped, doubled or put in between in an audit trail.

One pass over sorted listings, chain by chain side by side; memory goes by how many chains
there are. What a chain's end was is known to other chains, and to its writer's own disk.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from pacs_cloud.audit.chain_note import read_state, states_in
from pacs_cloud.audit.directory import journal_directories
from pacs_cloud.audit.names import (
    AUDIT,
    Head,
    PartName,
    day_prefix,
    head_from,
    is_head_of,
    part_of_key,
)
from pacs_cloud.audit.reading import local_parts, raw_lines
from pacs_cloud.errors import Corrupt, NotFound
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.security.audit_line import (
    TAIL_BYTES,
    Follow,
    Line,
    Position,
    What,
    stated_hash,
)

_KEPT_PARTS: Final = 1000
"""Of each chain so many ends are remembered, for what other chains say of them."""

_MOST_DAYS: Final = 31


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was written.

    Attributes:
        place: the object's key, or a file's name.
        line: which line, 1 for the first; 0: all of it.
        what: what is wrong with it.
    """

    place: str
    line: int
    what: str


@dataclass(slots=True)
class Checked:
    """How much was looked at."""

    parts: int = 0
    events: int = 0
    chains: int = 0


@dataclass(slots=True)
class _Chain:
    first: int
    number: int
    day: str
    follow: Follow
    ends: dict[int, str] = field(default_factory=dict[int, str])


class Verification:
    """Looks at one tenant's trail."""

    def __init__(
        self, objects: ObjectStore, root: Path | None, tenant: str, *, since_day: str = ""
    ) -> None:
        """Look at what is sealed in `objects`, and at journals below `root` on this disk.

        With `since_day`, `yyyymmdd`, what was begun before is not looked at, nor missed.
        """
        self.checked = Checked()
        self._objects = objects
        self._root = root
        self._tenant = tenant
        self._since = since_day
        self._chains: dict[str, _Chain] = {}
        self._local: dict[PartName, Path] = {}
        self._said: dict[tuple[str, int], list[tuple[Head, str]]] = {}

    async def run(self) -> AsyncIterator[Finding]:
        """Yield what is wrong, as it is found.

        Raises:
            Unavailable, Denied, Offline: as the store.
        """
        # Journals before objects: what is sealed meanwhile is met there.
        heads, damaged = await asyncio.to_thread(self._states)
        self._local = await asyncio.to_thread(local_parts, self._root, self._tenant)
        for finding in damaged:
            yield finding
        prefix = f"{AUDIT}{self._tenant}/"
        async for info in self._objects.list(prefix, after=f"{prefix}{self._since}"):
            part = part_of_key(info.key)
            if part is None:
                yield Finding(info.key, 0, "is no part of an audit trail")
                continue
            self._local.pop(part, None)
            async for finding in self._part(part, None):
                yield finding
        for part, path in sorted(self._local.items()):
            if part.day >= self._since:
                async for finding in self._part(part, path):
                    yield finding
        for head, place in heads:
            for finding in self._hear(head, place):
                yield finding
        async for finding in self._unheard():
            yield finding

    def _states(self) -> tuple[list[tuple[Head, str]], list[Finding]]:
        """Return what writers on this disk keep of their chains, and what is wrong with that."""
        heads: list[tuple[Head, str]] = []
        findings: list[Finding] = []
        for directory in journal_directories(self._root) if self._root is not None else ():
            folder = directory / self._tenant
            for path in states_in(folder):
                place = f"{directory.name}/{self._tenant}/{path.name}"
                try:
                    state = read_state(path)
                    if state is not None:
                        heads.append((head_from({**state.body, "hash": state.prev}), place))
                except (Corrupt, ValueError, TypeError):
                    findings.append(Finding(place, 0, "is not as it was written"))
            findings += [
                Finding(f"{directory.name}/{self._tenant}/{path.name}", 0, "is not what is sealed")
                for path in sorted(folder.glob("*.differs"))
            ]
        return heads, findings

    async def _part(self, part: PartName, path: Path | None) -> AsyncGenerator[Finding]:
        chain = self._chains.get(part.writer)
        if chain is None:
            # The first is known; later ones only where nothing before them is looked at.
            follow = Follow(Position()) if part.number == 0 else Follow()
            chain = self._chains[part.writer] = _Chain(
                part.number, part.number - 1, part.day, follow
            )
            self.checked.chains += 1
            if part.number and not self._since:
                yield Finding(part.key, 0, f"is part {part.number}: those before it are missing")
        if part.number <= chain.number:
            yield Finding(part.key, 0, f"is a second part {part.number} of its chain")
            async for finding in self._lines(part, path, Follow()):
                yield finding
            return
        while chain.number + 1 < part.number:
            late = await self._find(part.writer, chain.number + 1, chain.day, part.day)
            if late is None:
                missing = f"{chain.number + 1} to {part.number - 1}"
                yield Finding(part.key, 0, f"comes behind parts that are missing: {missing}")
                chain.follow = Follow()
                break
            async for finding in self._part(late, self._local.pop(late, None)):
                yield finding
        async for finding in self._lines(part, path, chain.follow):
            yield finding
        chain.number, chain.day = part.number, part.day
        end = chain.follow.after.hash if chain.follow.after is not None else ""
        chain.ends[part.number] = end
        if len(chain.ends) > _KEPT_PARTS:
            del chain.ends[next(iter(chain.ends))]
        for head, place in self._said.pop((part.writer, part.number), ()):
            if head.hash != end:
                yield Finding(part.key, 0, f"does not end as {place} says")

    async def _lines(
        self, part: PartName, path: Path | None, follow: Follow
    ) -> AsyncGenerator[Finding]:
        self.checked.parts += 1
        place = part.key if path is None else part.file
        count, last = 0, None
        async for raw in self._raw(part, path):
            if not raw:
                yield Finding(place, 0, "is gone, or cut, or not what was stored")
                follow.after = None
                return
            if path is not None and not raw.endswith(b"\n"):
                break  # it is being written, or was when its process died
            count += 1
            is_first, is_behind = count == 1, last is What.END
            line, wrong = follow.line(raw)
            last = line.what if line is not None else None
            if wrong:
                yield Finding(place, count, wrong)
            if line is None:
                continue
            self.checked.events += line.what is What.EVENT
            if is_first != (line.what is What.PART) or (is_first and not is_head_of(line, part)):
                yield Finding(place, count, "does not begin its part" if is_first else "begins one")
            if is_behind:
                yield Finding(place, count, "is behind the end of its part")
            for finding in self._heard(line, place, count):
                yield finding
        if path is None and last is not What.END:
            yield Finding(place, count, "is the last one, and does not end its part")

    async def _raw(self, part: PartName, path: Path | None) -> AsyncIterator[bytes]:
        """Yield a part's lines; an empty one where the store cannot give it, or all of it."""
        try:
            async for raw in raw_lines(self._objects, part, path):
                yield raw
        except (NotFound, Corrupt):
            yield b""

    def _heard(self, line: Line, place: str, number: int) -> list[Finding]:
        """Return what is wrong with what a line says of other chains."""
        if line.what is not What.END:
            return []
        try:
            heads = [head_from(said) for said in line.body["heads"]]
        except (KeyError, TypeError, ValueError):
            return [Finding(place, number, "says nothing of other chains")]
        return [finding for head in heads for finding in self._hear(head, place)]

    def _hear(self, head: Head, place: str) -> list[Finding]:
        """Compare what somebody says of a chain's end with what it is, now or once it is met."""
        chain = self._chains.get(head.writer)
        if head.day < self._since or (chain is not None and head.part < chain.first):
            return []
        if chain is None or head.part > chain.number:
            self._said.setdefault((head.writer, head.part), []).append((head, place))
            return []
        if head.part in chain.ends and chain.ends[head.part] != head.hash:
            what = f"part {head.part} of it does not end as {place} says"
            return [Finding(f"{day_prefix(self._tenant, head.day)}{head.writer}/", 0, what)]
        return []

    async def _unheard(self) -> AsyncGenerator[Finding]:
        """Yield the parts that somebody has seen, and nobody finds."""
        for (writer, number), said in sorted(self._said.items()):
            head, place = said[0]
            late = await self._find(writer, number, head.day, head.day)
            if late is None:
                where = f"{day_prefix(self._tenant, head.day)}{writer}/{number:08x}"
                yield Finding(where, 0, f"is missing: {place} has seen it")
                continue
            tail, _ = await self._objects.get_suffix(late.key, TAIL_BYTES)
            if stated_hash(tail) != head.hash:
                yield Finding(late.key, 0, f"does not end as {place} says")

    async def _find(self, writer: str, number: int, first: str, last: str) -> PartName | None:
        """Return a part begun between two days that was sealed while we read, behind our back."""
        for part in self._local:
            if (part.writer, part.number) == (writer, number):
                return part
        for day in _days(first, last):
            prefix = f"{day_prefix(self._tenant, day)}{writer}/{number:08x}-"
            async for info in self._objects.list(prefix):
                part = part_of_key(info.key)
                if part is not None:
                    return part
        return None


def _days(first: str, last: str) -> list[str]:
    """Return the days from one to another one, of many the last ones."""
    end = datetime.strptime(last, "%Y%m%d").replace(tzinfo=UTC)
    days = [f"{end - timedelta(days=back):%Y%m%d}" for back in range(_MOST_DAYS)]
    return [day for day in reversed(days) if day >= first] or [last]
