"""What reading and removing packs before their time costs, at a region's list prices."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from pacs_cloud.objectstore.storage_classes import StorageClass, class_named
from pacs_cloud.tiering.cost.bill import bill
from pacs_cloud.tiering.cost.prices import Region
from pacs_cloud.tiering.cost.usage import Counted, Measure, rules_in

_MONTH_DAYS = 30


@dataclass(frozen=True, slots=True)
class LeavingCost:
    """Fees, in the region's currency.

    Attributes:
        retrieval: for what was read.
        early: at most, for the days that packs miss to the minimum duration of the class
            they leave: nobody knows since when they were there.
    """

    retrieval: Decimal
    early: Decimal


def leaving_cost(read_bytes: Mapping[str, int], region: Region) -> LeavingCost:
    """Return what it costs to read packs of some classes and remove them.

    Args:
        read_bytes: of them, by class.
        region: whose prices.

    Raises:
        InvalidRequest: the region has no price of a class.
    """
    read: dict[Counted, int] = defaultdict(int)
    missing: dict[Counted, int] = defaultdict(int)
    for name, length_bytes in read_bytes.items():
        storage_class = class_named(name) or StorageClass.STANDARD
        read[Counted(Measure.RETRIEVED, storage_class)] += length_bytes
        days = rules_in(region, storage_class).minimum_days
        missing[Counted(Measure.STORED, storage_class)] += length_bytes * days
    return LeavingCost(
        bill(read, region, _MONTH_DAYS).total, bill(missing, region, _MONTH_DAYS).total
    )
