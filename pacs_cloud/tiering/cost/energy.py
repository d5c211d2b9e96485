"""An estimate of the energy that stored bytes take, and of its CO2.

Bytes at rest only: no requests, no network, no readers. A class's power per TB is its
medium's (or that of one's own disks), times the copies kept and the building's overhead.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.tiering.cost.prices import TB, PriceTable, Region
from pacs_cloud.tiering.cost.usage import Measure, Usage

_AT_REST: Final = frozenset(
    {
        Measure.STORED,
        Measure.INFREQUENT,
        Measure.ARCHIVE_INSTANT,
        Measure.COLD_OVERHEAD,
        Measure.HOT_OVERHEAD,
        Measure.RESTORED,
    }
)
_IN_STANDARD: Final = frozenset({Measure.HOT_OVERHEAD, Measure.RESTORED})
_HOURS_A_DAY: Final = 24


@dataclass(frozen=True, slots=True)
class Footprint:
    """Energy in kWh, and what the grid emits for it in kg of CO2 equivalent."""

    kwh: Decimal
    co2_kg: Decimal


def footprint(usage: Iterable[Usage], region: Region, table: PriceTable) -> Footprint:
    """Return the estimate for some months of use in a region of the table."""
    kwh = Decimal(0)
    for month in usage:
        for counted, byte_days in month.items():
            if counted.measure in _AT_REST and counted.storage_class is not None:
                standard = counted.measure in _IN_STANDARD
                lies_in = StorageClass.STANDARD if standard else counted.storage_class
                watts = _watts(region, table, lies_in)
                kwh += Decimal(byte_days) / TB * watts * _HOURS_A_DAY / 1000
    return Footprint(kwh, kwh * region.energy.g_per_kwh / 1000)


def _watts(region: Region, table: PriceTable, storage_class: StorageClass) -> Decimal:
    """Return what a TB of the class draws, in W."""
    prices, energy = region.of(storage_class), region.energy
    if prices.hardware is not None:
        return prices.hardware.watts_tb * prices.hardware.copies * energy.pue
    return table.media[prices.medium] * energy.copies * energy.pue
