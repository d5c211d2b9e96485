"""What an archive holds, counted study by study, and what a month of keeping it costs."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from pacs_cloud.catalogue.elements import first_text
from pacs_cloud.catalogue.records import PackRecord, SeriesRecord, StudyState
from pacs_cloud.objectstore.storage_classes import StorageClass, class_named
from pacs_cloud.tiering.cost.layouts import STUDY_UNITS, catalogued_bytes, index_bytes, pack_units
from pacs_cloud.tiering.cost.prices import Region
from pacs_cloud.tiering.cost.usage import Counted, Measure, Usage, kept_pack
from pacs_cloud.tiering.planning import facts_of
from pacs_cloud.tiering.policy import Clock

_DEPARTMENT: Final = "00081040"
_INSTITUTION: Final = "00080080"
_DAYS_A_YEAR: Final = 365.25
_DAY_US: Final = 86_400_000_000
UNNAMED: Final = "(none)"


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
    """A part of what is held: packs, as the bucket has them, with hidden instances too."""

    objects: int = 0
    instances: int = 0
    stored_bytes: int = 0

    def add(self, pack: PackRecord) -> None:
        """Add one pack."""
        self.objects += 1
        self.instances += pack.instance_count
        self.stored_bytes += pack.length_bytes


@dataclass(slots=True)
class Holdings:
    """Counts studies as they are given, in any order; keeps sums only.

    Attributes:
        now_us: the moment they are counted for, microseconds since 1970 UTC.
        region: whose prices and rules.
        days: of the month that is billed.
        studies: how many.
        shares: by each dimension and its values.
    """

    now_us: int
    region: Region
    days: int = 30
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
        for pack in state.packs:
            own = series.get(pack.series_instance_uid)
            storage_class = class_named(pack.storage_class) or StorageClass.STANDARD
            for dimension, value in (
                (Dimension.CLASS, storage_class.value),
                (Dimension.MODALITY, _modality(own)),
                (Dimension.DEPARTMENT, _department(own) or institution or UNNAMED),
                (Dimension.AGE, age),
            ):
                self.shares[dimension][value].add(pack)
            self._keep(pack, storage_class)
        if self._is_recent(state.study.first_received_us):
            self._count(Counted(Measure.WRITE_UNITS), STUDY_UNITS)
        packs, instances = len(state.packs), sum(pack.instance_count for pack in state.packs)
        self._count(Counted(Measure.CATALOGUE), catalogued_bytes(packs, instances) * self.days)

    @property
    def usage(self) -> Usage:
        """Return a month's use if nothing is moved or deleted, and as much comes in again.

        What is read is in no catalogue. INTELLIGENT_TIERING counts as read within 30 days.
        """
        return {counted: amount for counted, amount in self._usage.items() if amount}

    def _keep(self, pack: PackRecord, storage_class: StorageClass) -> None:
        for counted, amount in kept_pack(self.region, storage_class, pack.length_bytes).items():
            self._count(counted, amount * self.days)
        index = index_bytes(pack.instance_count)
        self._count(Counted(Measure.STORED, StorageClass.STANDARD), index * self.days)
        if self._is_recent(pack.committed_us):
            # The pack, and its index beside it.
            self._count(Counted(Measure.PUT, StorageClass.STANDARD), 2)
            self._count(Counted(Measure.WRITE_UNITS), pack_units(pack.instance_count))

    def _is_recent(self, then_us: int) -> bool:
        return self.now_us - then_us < self.days * _DAY_US

    def _count(self, counted: Counted, amount: int) -> None:
        self._usage[counted] += amount


def plain_shares(holdings: Holdings) -> dict[str, list[Mapping[str, object]]]:
    """Return the shares as rows, the largest first, for tables and JSON."""
    return {
        dimension.value: [
            {
                dimension.value: value,
                "packs": share.objects,
                "instances": share.instances,
                "bytes": share.stored_bytes,
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
