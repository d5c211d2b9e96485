"""Packs read to their end, one after another, and what is found kept.

A pack that needs recall is passed over and counted. One that the catalogue does not know
is the sweep's affair: it is on its way in, or on its way out.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.custody.deep import check_bytes
from pacs_cloud.custody.findings import Finding, FindingKind
from pacs_cloud.custody.fixity.findings import OpenFindings
from pacs_cloud.custody.fixity.pace import Pace
from pacs_cloud.custody.fixity.round import Round, write_round
from pacs_cloud.custody.pack_check import check_pack
from pacs_cloud.custody.stored_pack import key_of
from pacs_cloud.custody.walk import PACKS
from pacs_cloud.errors import Denied, NotFound
from pacs_cloud.objectstore.keys import PackKey, parse_pack_key
from pacs_cloud.objectstore.port import Availability, ObjectInfo, ObjectStore

_WRITTEN_BYTES: Final = 256 << 20
_WRITTEN_PACKS: Final = 200
"""After so much it is written down what is behind; a reader that dies repeats no more."""

Progress = Callable[[int, int], None]
"""Told how many bytes were read, and how many there are to read."""


@dataclass(frozen=True, slots=True)
class Reread:
    """What was read.

    Attributes:
        packs: read to their end.
        length_bytes: of their objects.
        cold: packs that were passed over because they need recall.
        mended: packs that had a finding, and have none any more.
        findings: what is wrong with what was read, notes left out.
    """

    packs: int = 0
    length_bytes: int = 0
    cold: int = 0
    mended: int = 0
    findings: tuple[Finding, ...] = ()

    def __add__(self, other: "Reread") -> "Reread":
        return Reread(
            self.packs + other.packs,
            self.length_bytes + other.length_bytes,
            self.cold + other.cold,
            self.mended + other.mended,
            self.findings + other.findings,
        )


class Reader:
    """Reads packs one after another, and keeps what it finds."""

    def __init__(
        self,
        objects: ObjectStore,
        catalogue: Catalogue,
        now_us: int,
        pace: Pace,
        progress: Progress | None = None,
    ) -> None:
        """Read for one caller.

        Args:
            objects: the store.
            catalogue: the catalogue.
            now_us: microseconds since 1970 UTC.
            pace: how fast.
            progress: called as bytes come; `total_bytes` is what it is told.
        """
        self.total_bytes = 0
        self._objects = objects
        self._catalogue = catalogue
        self._now_us = now_us
        self._pace = pace
        self._progress = progress
        self._read_bytes = 0
        self._open = OpenFindings(objects)
        self._has_loaded = False
        self._known: dict[PackKey, Reread] = {}
        self._series: tuple[str, str, str] | None = None
        self._records: Mapping[PackKey, PackRecord] = {}

    async def read_on(self, at: Round, limit_bytes: int | None) -> Reread:
        """Read on from where the round is, so many bytes and to the end of a pack.

        None: to the round's end.
        """
        total = Reread()
        left = limit_bytes
        while not at.is_over and (left is None or left > 0):
            most = _WRITTEN_BYTES if left is None else min(left, _WRITTEN_BYTES)
            infos, is_last = await self._next(at.after, most)
            done, behind = await self._read_once(infos)
            total += done
            length_bytes = sum(info.length_bytes for info in infos)
            if left is not None:
                left -= length_bytes
            at = await write_round(
                self._objects,
                replace(
                    at,
                    after=infos[-1].key if infos else at.after,
                    packs=at.packs + len(infos),
                    length_bytes=at.length_bytes + length_bytes,
                    cold=at.cold + behind.cold,
                    read=at.read + behind.packs,
                    read_bytes=at.read_bytes + behind.length_bytes,
                    is_over=is_last,
                ),
            )
        return total

    async def _read_once(self, infos: Iterable[ObjectInfo]) -> tuple[Reread, Reread]:
        """Read what `read_found` has not; return that, and that with what it has."""
        fresh: list[tuple[PackKey, ObjectInfo]] = []
        known: list[Reread] = []
        for info in infos:
            key = parse_pack_key(info.key)
            if key in self._known:
                known.append(self._known[key])
                self._tell(info.length_bytes)
            elif key is not None:
                fresh.append((key, info))
        done = await self.read_all(fresh)
        return done, sum(known, done)

    async def _next(self, after: str, most_bytes: int) -> tuple[list[ObjectInfo], bool]:
        """Return some objects behind `after`, and whether they are the last."""
        infos: list[ObjectInfo] = []
        length_bytes = 0
        async for info in self._objects.list(PACKS, after=after):
            if length_bytes >= most_bytes or len(infos) == _WRITTEN_PACKS:
                return infos, False
            infos.append(info)
            length_bytes += info.length_bytes
        return infos, True

    async def read_found(self) -> Reread:
        """Read again what had findings; `read_on` does not then."""
        await self.forget_removed()
        found = [(key, await _head(self._objects, key)) for key in self._open.packs]
        self.total_bytes += sum(info.length_bytes for _, info in found if info is not None)
        total = Reread()
        for key, info in found:
            done = await self.read_all([(key, info)])
            self._known[key] = replace(done, mended=0, findings=())
            total += done
        return total

    async def forget_removed(self) -> None:
        """Drop the findings about packs that are gone for good: nobody can mend them."""
        await self._load()
        for key in self._open.packs:
            if await self._record(key) is None and await _head(self._objects, key) is None:
                await self._open.settle(key, (), self._now_us)

    async def read_all(self, packs: Iterable[tuple[PackKey, ObjectInfo | None]]) -> Reread:
        """Read `packs`; with None a listing does not know the object."""
        await self._load()
        total = Reread()
        for key, info in packs:
            before = self._read_bytes
            is_cold = info is not None and info.availability is not Availability.ONLINE
            findings = [] if is_cold else await self._check(key, info)
            if findings is None:
                continue
            is_cold = is_cold or any(one.kind is FindingKind.COLD for one in findings)
            faults = tuple(one for one in findings if one.is_fault)
            if is_cold:
                # What was found before is neither mended nor found again.
                total += Reread(cold=1, findings=faults)
            else:
                is_mended = await self._open.settle(key, faults, self._now_us)
                length_bytes = info.length_bytes if info else 0
                total += Reread(1, length_bytes, 0, is_mended, faults)
            # With the bytes that nobody had to read.
            self._tell(before + (info.length_bytes if info else 0) - self._read_bytes)
        return total

    async def _check(self, key: PackKey, info: ObjectInfo | None) -> list[Finding] | None:
        """Return what is wrong with a pack, None where the catalogue does not know it."""
        record = await self._record(key)
        if record is None:
            return None
        report = await check_pack(self._objects, self._catalogue, key, record, info)
        if report.pack is not None:
            report.findings += [
                one async for one in check_bytes(self._objects, key, report.pack, self._took)
            ]
        if report.findings:
            # It may have been removed, or merged into another, while it was read.
            self._series = None
            if await self._record(key) is None:
                return None
        return report.findings

    async def _record(self, key: PackKey) -> PackRecord | None:
        series = key.tenant, key.study_instance_uid, key.series_instance_uid
        if self._series != series or key not in self._records:
            records = await self._catalogue.packs(*series)
            self._series, self._records = series, {key_of(one): one for one in records}
        return self._records.get(key)

    async def _load(self) -> None:
        if not self._has_loaded:
            await self._open.load()
            self._has_loaded = True

    async def _took(self, length_bytes: int) -> None:
        self._tell(length_bytes)
        await self._pace.took(length_bytes)

    def _tell(self, length_bytes: int) -> None:
        self._read_bytes += length_bytes
        if self._progress is not None:
            self._progress(self._read_bytes, max(self.total_bytes, self._read_bytes))


async def _head(objects: ObjectStore, key: PackKey) -> ObjectInfo | None:
    try:
        return await objects.head(key.pack)
    except (NotFound, Denied):
        return None
