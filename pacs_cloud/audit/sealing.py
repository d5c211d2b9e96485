"""Parts of journals become objects that are written once."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pacs_cloud.audit.directory import OUTBOX, SENT, abandoned_directories, unavailable
from pacs_cloud.audit.journal import Journal
from pacs_cloud.audit.names import Head, PartName, day_of, day_prefix, part_of_key
from pacs_cloud.errors import Conflict, Denied, PacsError
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.security.audit_line import TAIL_BYTES, stated_hash

log = logging.getLogger(__name__)

_DAY_US: Final = 86_400_000_000
_LOOK_EVERY_S: Final = 60.0
"""How often a writer looks at other chains, however often it seals."""


@dataclass(frozen=True, slots=True)
class SealTerms:
    """How parts are sealed.

    Attributes:
        retain_days: so long the store shall lock each object, where it can; 0: not.
        keeps: whether sealed files stay until they are sent to a syslog server.
    """

    retain_days: float = 0
    keeps: bool = False


class Sealer:
    """Seals the parts of journals that are ended."""

    def __init__(self, objects: ObjectStore, terms: SealTerms, now_us: Callable[[], int]) -> None:
        """Seal into `objects`."""
        self._objects = objects
        self._terms = terms
        self._now_us = now_us
        self._known: dict[tuple[str, str], Head] = {}
        self._looked_s: dict[str, float] = {}

    async def seal(self, journal: Journal, ended: Sequence[PartName]) -> None:
        """Seal parts of a journal that are ended. Repeated: nothing happens.

        Raises:
            Unavailable, Denied: the store or the disk refuses; what is not sealed is kept.
        """
        for part in ended:
            try:
                await self._objects.put_file(part.key, journal.path(part))
            except Conflict:
                log.error("audit_object_differs", extra={"key": part.key})
                await asyncio.to_thread(journal.set_aside, part)
                continue
            await self._retain(part)
            await asyncio.to_thread(journal.forget, part, keep=self._terms.keeps)

    async def heads(self, tenant: str, writer: str) -> list[Head]:
        """Return the ends of a tenant's other chains that are new since the last call.

        At most once a minute, of today and yesterday; nothing where the store does not answer:
        they are named the next time.
        """
        now_s = time.monotonic()
        if now_s - self._looked_s.get(tenant, float("-inf")) < _LOOK_EVERY_S:
            return []
        self._looked_s[tenant] = now_s
        try:
            return await self._look(tenant, writer)
        except PacsError as error:
            log.warning("audit_chains_not_seen", extra={"error": type(error).__name__})
            return []

    async def _look(self, tenant: str, writer: str) -> list[Head]:
        last: dict[str, PartName] = {}
        for day in (day_of(self._now_us() - _DAY_US), day_of(self._now_us())):
            async for info in self._objects.list(day_prefix(tenant, day)):
                part = part_of_key(info.key)
                if part is not None and part.writer != writer:
                    last[part.writer] = max(part, last.get(part.writer, part))
        found: list[Head] = []
        for part in last.values():
            known = self._known.get((tenant, part.writer))
            if known is not None and known.part >= part.number:
                continue
            tail, _ = await self._objects.get_suffix(part.key, TAIL_BYTES)
            digest = stated_hash(tail)
            if digest is not None:
                head = Head(part.writer, part.number, part.day, digest)
                self._known[tenant, part.writer] = head
                found.append(head)
        return found

    async def _retain(self, part: PartName) -> None:
        if self._terms.retain_days <= 0:
            return
        until_us = self._now_us() + round(self._terms.retain_days * _DAY_US)
        try:
            await self._objects.retain(part.key, until_us)
        except Denied:
            # It is sealed all the same: journals that pile up would end in no reading at all.
            log.error("audit_not_locked", extra={"note": "the store refuses its retention"})


async def adopt(root: Path, own: Path, sealer: Sealer, *, keeps: bool) -> int:
    """Seal what processes that are gone have left under `root`; return how many parts.

    With `keeps`, what they have not sent is moved to `own`, an own directory, to be sent. One
    tenant's that cannot be sealed keeps no other's from it.

    Raises:
        Unavailable, Denied: the store or the disk refuses; what is not sealed is kept.
    """
    count, failures = 0, list[PacsError]()
    try:
        for directory in abandoned_directories(root):
            try:
                for tenant in directory.tenants():
                    try:
                        count += await _sealed(directory.path / tenant, tenant, sealer)
                    except PacsError as error:
                        failures.append(error)
                        continue
                    if keeps:
                        _take_outbox(directory.path / tenant, own / tenant)
            finally:
                directory.release()
    except OSError as error:
        raise unavailable(error) from error
    if failures:
        raise failures[0]
    return count


async def _sealed(folder: Path, tenant: str, sealer: Sealer) -> int:
    journal = await asyncio.to_thread(Journal, folder, tenant)
    ended = await asyncio.to_thread(journal.ended)
    await sealer.seal(journal, ended)
    return len(ended)


def _take_outbox(theirs: Path, ours: Path) -> None:
    """Move what is still to be sent, each file behind the note of how far it was sent."""
    if theirs == ours:
        return
    for path in sorted((theirs / OUTBOX).glob("*.jsonl")):
        for folder in (ours / OUTBOX, ours / SENT):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        note = theirs / SENT / path.name
        if note.exists():
            note.rename(ours / SENT / path.name)
        path.rename(ours / OUTBOX / path.name)


def heads_json(heads: Sequence[Head]) -> list[dict[str, object]]:
    """Return heads as JSON's values."""
    return [head.body() for head in heads]
