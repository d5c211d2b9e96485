"""How each thing that is counted is priced, and what it is, in a sentence."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.tiering.cost.prices import FREE, GB, ClassPrices, Ladder, Recall, Region, flat
from pacs_cloud.tiering.cost.usage import Counted, Measure


class Unit(StrEnum):
    """What a line's quantity is in, and its price is for."""

    GB_MONTH = "GB-month"
    GB = "GB"
    THOUSAND = "1,000"
    MILLION = "million"
    THOUSAND_MONTHS = "1,000 object-months"
    TEN_THOUSAND_MONTHS = "10,000 tag-months"
    KWH = "kWh"


@dataclass(frozen=True, slots=True)
class Tariff:
    """How a measure is priced.

    Attributes:
        unit: of its price.
        ladder: the price, of the class or of the region.
        says: one sentence for people who ask what the line is.
        climbs: lines with the same word here stand on one ladder, one above the other.
    """

    unit: Unit
    ladder: Callable[[Region, Counted], Ladder]
    says: str
    climbs: Callable[[Counted], str] = str


def per(unit: Unit, days: int) -> Decimal:
    """Return how much of what is counted makes one unit, in a month of `days` days."""
    return {
        Unit.GB_MONTH: Decimal(GB * days),
        Unit.GB: Decimal(GB),
        Unit.THOUSAND: Decimal(1_000),
        Unit.MILLION: Decimal(1_000_000),
        Unit.THOUSAND_MONTHS: Decimal(1_000 * days),
        Unit.TEN_THOUSAND_MONTHS: Decimal(10_000 * days),
    }[unit]


def _class_of(region: Region, counted: Counted) -> ClassPrices:
    if counted.storage_class is None:
        raise InvalidRequest(f"{counted.measure.value} is counted in a storage class")
    return region.of(counted.storage_class)


def _standard(region: Region, counted: Counted) -> Ladder:
    del counted
    return region.of(StorageClass.STANDARD).storage


def _recall(region: Region, counted: Counted) -> Recall:
    prices = _class_of(region, counted).recall
    if counted.speed is None:
        raise InvalidRequest("a restore has a speed")
    if region.service_rules and counted.speed not in prices:
        known = ", ".join(prices) or "no restore"
        raise InvalidRequest(
            f"{counted.storage_class} in {region.title} has no {counted.speed} restore, but {known}"
        )
    return prices.get(counted.speed, Recall(gb=FREE, requests_1000=FREE))


def _retrieved(region: Region, counted: Counted) -> Ladder:
    if counted.speed is None:
        return flat(_class_of(region, counted).retrieval_gb)
    return flat(_recall(region, counted).gb)


def _storage_ladder(counted: Counted) -> str:
    return f"storage of {counted.storage_class}"


def _standard_ladder(counted: Counted) -> str:
    del counted
    return f"storage of {StorageClass.STANDARD}"


TARIFFS: Final[Mapping[Measure, Tariff]] = MappingProxyType(
    {
        Measure.STORED: Tariff(
            Unit.GB_MONTH,
            lambda region, counted: _class_of(region, counted).storage,
            "Every byte for every day that it lies in the class.",
            _storage_ladder,
        ),
        Measure.FLOOR: Tariff(
            Unit.GB_MONTH,
            lambda region, counted: _class_of(region, counted).storage,
            "An object under 128 KB is billed as 128 KB in STANDARD_IA and GLACIER_IR.",
            _storage_ladder,
        ),
        Measure.COLD_OVERHEAD: Tariff(
            Unit.GB_MONTH,
            lambda region, counted: _class_of(region, counted).storage,
            "32 KB beside each object in GLACIER and DEEP_ARCHIVE, at the class's price.",
            _storage_ladder,
        ),
        Measure.HOT_OVERHEAD: Tariff(
            Unit.GB_MONTH,
            _standard,
            "8 KB beside each object in GLACIER and DEEP_ARCHIVE, at STANDARD's price.",
            _standard_ladder,
        ),
        Measure.EARLY: Tariff(
            Unit.GB_MONTH,
            lambda region, counted: _class_of(region, counted).storage,
            "What leaves a class before its minimum duration pays the missing days at once.",
            _storage_ladder,
        ),
        Measure.INFREQUENT: Tariff(
            Unit.GB_MONTH,
            lambda region, counted: flat(_class_of(region, counted).infrequent_gb_month),
            "INTELLIGENT_TIERING: what nobody has read for 30 days.",
        ),
        Measure.ARCHIVE_INSTANT: Tariff(
            Unit.GB_MONTH,
            lambda region, counted: flat(_class_of(region, counted).archive_instant_gb_month),
            "INTELLIGENT_TIERING: what nobody has read for 90 days.",
        ),
        Measure.RESTORED: Tariff(
            Unit.GB_MONTH,
            _standard,
            "The copy that a restore keeps for some days, at STANDARD's price.",
            _standard_ladder,
        ),
        Measure.MONITORED: Tariff(
            Unit.THOUSAND_MONTHS,
            lambda region, counted: flat(_class_of(region, counted).monitoring_1000_month),
            "INTELLIGENT_TIERING watches each object of 128 KB or more.",
        ),
        Measure.TAGGED: Tariff(
            Unit.TEN_THOUSAND_MONTHS,
            lambda region, _: flat(region.tags_10k_month),
            "A tag on each pack says which tier its study is due in.",
        ),
        Measure.PUT: Tariff(
            Unit.THOUSAND,
            lambda region, counted: flat(_class_of(region, counted).put_1000),
            "One for each object that is written, and, at STANDARD's price, tagged or deleted.",
        ),
        Measure.GET: Tariff(
            Unit.THOUSAND,
            lambda region, counted: flat(_class_of(region, counted).get_1000),
            "One for each ranged read.",
        ),
        Measure.TRANSITION: Tariff(
            Unit.THOUSAND,
            lambda region, counted: flat(_class_of(region, counted).transition_1000),
            "One for each object that a lifecycle rule moves into the class.",
        ),
        Measure.RETRIEVED: Tariff(
            Unit.GB,
            _retrieved,
            "Bytes read from STANDARD_IA or GLACIER_IR, or restored from GLACIER or DEEP_ARCHIVE.",
        ),
        Measure.RESTORE: Tariff(
            Unit.THOUSAND,
            lambda region, counted: flat(_recall(region, counted).requests_1000),
            "One for each object that is restored, by its speed.",
        ),
        Measure.LEAVES: Tariff(
            Unit.GB,
            lambda region, _: region.transfer_out_gb,
            "Bytes that readers outside of the region get.",
        ),
        Measure.WRITE_UNITS: Tariff(
            Unit.MILLION,
            lambda region, _: flat(region.catalogue.write_million),
            "Writes to the catalogue's table, of 1 KB each; twice that in a transaction.",
        ),
        Measure.READ_UNITS: Tariff(
            Unit.MILLION,
            lambda region, _: flat(region.catalogue.read_million),
            "Consistent reads of the catalogue's table, of 4 KB each.",
        ),
        Measure.CATALOGUE: Tariff(
            Unit.GB_MONTH,
            lambda region, _: flat(region.catalogue.gb_month),
            "The catalogue's items.",
        ),
    }
)
"""Every measure; a test holds that none is missing."""
