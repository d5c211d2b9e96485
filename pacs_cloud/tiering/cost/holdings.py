"""What an archive holds, counted study by study, and what a month of keeping it costs.

Requests are those of the last month: packs that were committed in it were written, and the
access log says how often each study's packs were read. It counts by study: what was read of
one is shared out among its packs by their bytes.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from pacs_cloud.catalogue.elements import first_text
from pacs_cloud.catalogue.records import PackRecord, SeriesRecord, StudyState
from pacs_cloud.objectstore.storage_classes import StorageClass, class_named
from pacs_cloud.tiering.access.sheet import Access, Accesses
from pacs_cloud.tiering.cost.layouts import (
    STUDY_UNITS,
    catalogued_bytes,
    index_bytes,
    pack_units,
    read_units,
    table_units,
)
from pacs_cloud.tiering.cost.prices import Region
from pacs_cloud.tiering.cost.reading import PAYS_BY_BYTE
from pacs_cloud.tiering.cost.usage import Counted, Measure, Usage, kept_pack
from pacs_cloud.tiering.planning import facts_of
from pacs_cloud.tiering.policy import Clock

_DEPARTMENT: Final = "00081040"
_INSTITUTION: Final = "00080080"
_DAYS_A_YEAR: Final = 365.25
_DAY_US: Final = 86_400_000_000
_OBJECTS_WRITTEN: Final = 2
"""For each pack: itself, and its index beside it."""
UNNAMED: Final = "(none)"
COUNTS: Final = ("packs", "instances", "bytes", "writes", "reads", "read_bytes")
"""What is told of each share (`plain_shares`), in the order of columns."""
SIZES: Final = frozenset({"bytes", "read_bytes"})
"""Which of these are bytes."""


class Dimension(StrEnum):
    """By what holdings are told apart."""

    CLASS = "class"
    MODALITY = "modality"
    DEPARTMENT = "department"
    """Institutional Department Name (0008,1040), or else Institution Name (0008,0080)."""
    AGE = "age"
    """Whole years of the study's date, or of its arrival where it has none."""


@dataclass(slots=True)
class Share:
    """A part of what is held: packs, as the bucket has them, with hidden instances too.

    Attributes:
        objects: packs.
        instances: in them.
        stored_bytes: of them.
        writes: requests of the last month that wrote objects.
        reads: requests of the last month that read packs.
        read_bytes: that these returned.
    """

    objects: int = 0
    instances: int = 0
    stored_bytes: int = 0
    writes: int = 0
    reads: int = 0
    read_bytes: int = 0

    def add(self, pack: PackRecord, reads: int, read_bytes: int) -> None:
        """Add one pack, and what was read of it."""
        self.objects += 1
        self.instances += pack.instance_count
        self.stored_bytes += pack.length_bytes
        self.reads += reads
        self.read_bytes += read_bytes


@dataclass(slots=True)
class Holdings:
    """Counts studies as they are given, in any order; keeps sums only.

    Attributes:
        now_us: the moment they are counted for, microseconds since 1970 UTC.
        region: whose prices and rules.
        days: of the month that is billed.
        outside_percent: of the bytes read, how many leave the region.
        accesses: by Study Instance UID, what was read in the last `days` days.
        studies: how many.
        shares: by each dimension and its values.
    """

    now_us: int
    region: Region
    days: int = 30
    outside_percent: int = 100
    accesses: Accesses = field(default_factory=dict[str, Access])
    studies: int = 0
    shares: dict[Dimension, dict[str, Share]] = field(
        default_factory=lambda: {one: defaultdict(Share) for one in Dimension}
    )
    _usage: dict[Counted, int] = field(default_factory=lambda: defaultdict[Counted, int](int))

    def add(self, state: StudyState) -> None:
        """Count one study."""
        self.studies += 1
        series = {one.series_instance_uid: one for one in state.series}
        institution = first_text(state.study.attributes, _INSTITUTION)
        age_days = facts_of(state.study, self.now_us, None).ages[Clock.STUDY]
        age = str(int(age_days / _DAYS_A_YEAR))
        access = self.accesses.get(state.study.study_instance_uid, Access(0, 0, 0, 0))
        weights = [pack.length_bytes for pack in state.packs]
        reads = shared_out(access.pack_reads, weights)
        read_bytes = shared_out(access.length_bytes, weights)
        for pack, requests, length_bytes in zip(state.packs, reads, read_bytes, strict=True):
            own = series.get(pack.series_instance_uid)
            storage_class = class_named(pack.storage_class) or StorageClass.STANDARD
            values = {
                Dimension.CLASS: storage_class.value,
                Dimension.MODALITY: _modality(own),
                Dimension.DEPARTMENT: _department(own) or institution or UNNAMED,
                Dimension.AGE: age,
            }
            for dimension, value in values.items():
                self.shares[dimension][value].add(pack, requests, length_bytes)
            self._keep(pack, storage_class)
            self._read(storage_class, requests, length_bytes)
            if self._is_recent(pack.committed_us):
                # Into STANDARD, wherever it lies by now.
                self._write(pack, values | {Dimension.CLASS: StorageClass.STANDARD.value})
        if access.requests:
            tables = sum(table_units(pack.instance_count) for pack in state.packs)
            units = read_units(len(state.packs), tables)
            self._count(Counted(Measure.READ_UNITS), access.requests * units)
        if self._is_recent(state.study.first_received_us):
            self._count(Counted(Measure.WRITE_UNITS), STUDY_UNITS)
        packs, instances = len(state.packs), sum(pack.instance_count for pack in state.packs)
        self._count(Counted(Measure.CATALOGUE), catalogued_bytes(packs, instances) * self.days)

    @property
    def usage(self) -> Usage:
        """Return a month's use if nothing moves, and as much comes in and is read again.

        Restores are not in it: nobody counts them. INTELLIGENT_TIERING counts as read
        within 30 days.
        """
        return {counted: amount for counted, amount in self._usage.items() if amount}

    def _keep(self, pack: PackRecord, storage_class: StorageClass) -> None:
        for counted, amount in kept_pack(self.region, storage_class, pack.length_bytes).items():
            self._count(counted, amount * self.days)
        index = index_bytes(pack.instance_count)
        self._count(Counted(Measure.STORED, StorageClass.STANDARD), index * self.days)

    def _write(self, pack: PackRecord, values: Mapping[Dimension, str]) -> None:
        for dimension, value in values.items():
            self.shares[dimension][value].writes += _OBJECTS_WRITTEN
        self._count(Counted(Measure.PUT, StorageClass.STANDARD), _OBJECTS_WRITTEN)
        self._count(Counted(Measure.WRITE_UNITS), pack_units(pack.instance_count))

    def _read(self, storage_class: StorageClass, requests: int, length_bytes: int) -> None:
        self._count(Counted(Measure.GET, storage_class), requests)
        self._count(Counted(Measure.LEAVES), length_bytes * self.outside_percent // 100)
        if storage_class in PAYS_BY_BYTE:
            self._count(Counted(Measure.RETRIEVED, storage_class), length_bytes)

    def _is_recent(self, then_us: int) -> bool:
        return self.now_us - then_us < self.days * _DAY_US

    def _count(self, counted: Counted, amount: int) -> None:
        self._usage[counted] += amount


def shared_out(amount: int, weights: Sequence[int]) -> list[int]:
    """Return `amount` in whole parts as large as `weights`, the sum exact.

    What is left over by rounding goes to the heaviest; weights of nothing count as equal.
    """
    if not weights:
        return []
    total = sum(weights)
    if not total:
        weights, total = [1] * len(weights), len(weights)
    parts = [amount * weight // total for weight in weights]
    parts[weights.index(max(weights))] += amount - sum(parts)
    return parts


def plain_shares(holdings: Holdings) -> dict[str, list[Mapping[str, object]]]:
    """Return the shares as rows, the largest first, for tables and JSON."""
    return {
        dimension.value: [
            {
                dimension.value: value,
                "packs": share.objects,
                "instances": share.instances,
                "bytes": share.stored_bytes,
                "writes": share.writes,
                "reads": share.reads,
                "read_bytes": share.read_bytes,
            }
            for value, share in sorted(
                shares.items(), key=lambda one: (-one[1].stored_bytes, one[0])
            )
        ]
        for dimension, shares in holdings.shares.items()
    }


def _modality(series: SeriesRecord | None) -> str:
    return "+".join(sorted(series.modalities)) if series and series.modalities else UNNAMED


def _department(series: SeriesRecord | None) -> str:
    return first_text(series.attributes, _DEPARTMENT) if series else ""
