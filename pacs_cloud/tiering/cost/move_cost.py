"""What moves cost once, and save a month, at a region's prices."""

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal

from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.objectstore.storage_classes import StorageClass, class_named
from pacs_cloud.tiering.cost.bill import bill
from pacs_cloud.tiering.cost.prices import Region
from pacs_cloud.tiering.cost.usage import Counted, Measure, kept_pack
from pacs_cloud.tiering.planning import Move

_MONTH_DAYS = 30


@dataclass(slots=True)
class MoveCost:
    """Moves added up.

    Attributes:
        region: whose prices.
        packs: how many move.
        length_bytes: of their objects.
    """

    region: Region
    packs: int = 0
    length_bytes: int = 0
    _once: dict[Counted, int] = field(default_factory=lambda: defaultdict[Counted, int](int))
    _before: dict[Counted, int] = field(default_factory=lambda: defaultdict[Counted, int](int))
    _after: dict[Counted, int] = field(default_factory=lambda: defaultdict[Counted, int](int))

    def add(self, move: Move) -> None:
        """Count one move."""
        pack = move.pack
        self.packs += 1
        self.length_bytes += pack.length_bytes
        self._keep(self._before, pack, class_named(pack.storage_class) or StorageClass.STANDARD)
        self._keep(self._after, pack, move.to)
        if self.region.service_rules:
            self._once[Counted(Measure.TRANSITION, move.to)] += 1
            self._once[Counted(Measure.PUT, StorageClass.STANDARD)] += 1  # its tag

    @property
    def once(self) -> Decimal:
        """What the moves themselves cost, in the region's currency.

        Without the days that miss to the minimum duration of the class they leave: the
        catalogue does not know since when a pack lies there.
        """
        return bill(self._once, self.region, _MONTH_DAYS).total

    @property
    def saved_a_month(self) -> Decimal:
        """What keeping the packs costs less from then on, for 30 days; below 0: more."""
        before, after = (
            bill(usage, self.region, _MONTH_DAYS).total for usage in (self._before, self._after)
        )
        return before - after

    def _keep(
        self, usage: dict[Counted, int], pack: PackRecord, storage_class: StorageClass
    ) -> None:
        for counted, amount in kept_pack(self.region, storage_class, pack.length_bytes).items():
            usage[counted] += amount * _MONTH_DAYS
