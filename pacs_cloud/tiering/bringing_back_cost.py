"""What recalling packs costs, and bringing them back to STANDARD for good."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.objectstore.storage_classes import (
    RecallSpeed,
    StorageClass,
    class_named,
    is_at_hand,
    needs_recall,
)
from pacs_cloud.tiering.cost.bill import bill
from pacs_cloud.tiering.cost.prices import Region, Speed
from pacs_cloud.tiering.cost.usage import Counted, Measure, kept_pack
from pacs_cloud.tiering.recall.demand import RecallWish
from pacs_cloud.tiering.recall.times import offered_speed

_MONTH_DAYS: Final = 30
_SPEEDS: Final = {
    RecallSpeed.BULK: Speed.BULK,
    RecallSpeed.STANDARD: Speed.STANDARD,
    RecallSpeed.EXPEDITED: Speed.EXPEDITED,
}


@dataclass(frozen=True, slots=True)
class BringingBackCost:
    """What it costs, at one region's list prices.

    Attributes:
        packs: how many come back.
        length_bytes: of them.
        once: for the restores, the retrieval and the copies; without the days that miss to
            the minimum duration of the class they leave.
        more_a_month: of storage, for 30 days.
    """

    packs: int
    length_bytes: int
    once: Decimal
    more_a_month: Decimal


def bringing_back_cost(
    packs: Sequence[PackRecord], region: Region, wish: RecallWish, *, now_us: int
) -> BringingBackCost:
    """Return what bringing `packs`, which lie elsewhere, to STANDARD costs.

    Args:
        packs: which.
        region: whose prices.
        wish: how what is cold is recalled.
        now_us: microseconds since 1970 UTC: what is restored already is not paid for again.
    """
    once: dict[Counted, int] = defaultdict(int)
    before: dict[Counted, int] = defaultdict(int)
    after: dict[Counted, int] = defaultdict(int)
    for pack in packs:
        lies_in = class_named(pack.storage_class) or StorageClass.STANDARD
        length = pack.length_bytes
        for usage, where in ((before, lies_in), (after, StorageClass.STANDARD)):
            for counted, amount in kept_pack(region, where, length).items():
                usage[counted] += amount * _MONTH_DAYS
        if region.service_rules:
            once[Counted(Measure.PUT, StorageClass.STANDARD)] += 1  # the copy
        if not needs_recall(lies_in):
            once[Counted(Measure.RETRIEVED, lies_in)] += length
        elif not is_at_hand(lies_in, pack.recalled_until_us, now_us):
            _recall(once, lies_in, length, wish)
    return BringingBackCost(
        len(packs),
        sum(pack.length_bytes for pack in packs),
        bill(once, region, _MONTH_DAYS).total,
        bill(after, region, _MONTH_DAYS).total - bill(before, region, _MONTH_DAYS).total,
    )


def recall_cost(packs: Sequence[PackRecord], region: Region, wish: RecallWish) -> Decimal:
    """Return what recalling `packs` costs, and keeping their copies for as long as is wished.

    Args:
        packs: those of them that lie in a cold class count.
        region: whose prices, in its currency.
        wish: how they are recalled.

    Raises:
        InvalidRequest: the region has no price of a class.
    """
    once: dict[Counted, int] = defaultdict(int)
    for pack in packs:
        lies_in = class_named(pack.storage_class) or StorageClass.STANDARD
        if needs_recall(lies_in):
            _recall(once, lies_in, pack.length_bytes, wish)
    return bill(once, region, _MONTH_DAYS).total


def _recall(
    once: dict[Counted, int], lies_in: StorageClass, length_bytes: int, wish: RecallWish
) -> None:
    speed = _SPEEDS[offered_speed(lies_in, wish.speed)]
    once[Counted(Measure.RESTORE, lies_in, speed)] += 1
    once[Counted(Measure.RETRIEVED, lies_in, speed)] += length_bytes
    once[Counted(Measure.RESTORED, lies_in)] += length_bytes * wish.days
