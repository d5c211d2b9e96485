"""What is held, read and written, and a month's bill of it: for the command and the page."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from pacs_cloud.bootstrap.price_region import price_region
from pacs_cloud.bootstrap.services import Stores, now_us
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.access.log import reads_by_day
from pacs_cloud.tiering.access.sheet import Access, Accesses
from pacs_cloud.tiering.cost.bill import CENT, Bill, bill
from pacs_cloud.tiering.cost.energy import Footprint, footprint
from pacs_cloud.tiering.cost.holdings import Holdings, plain_shares
from pacs_cloud.tiering.cost.prices import PriceTable, Region, load_prices
from pacs_cloud.tiering.cost.report import plain_line, plain_region


@dataclass(frozen=True, slots=True)
class HeldReport:
    """What `cost report` tells.

    Attributes:
        holdings: what is held.
        month: its bill.
        estimate: of its energy.
        region_name: whose prices.
        region: those.
        today: the day of the count.
        outside_percent: of the bytes read, how many leave the region.
    """

    holdings: Holdings
    month: Bill
    estimate: Footprint
    region_name: str
    region: Region
    today: date
    outside_percent: int

    def plain(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return {
            "studies": self.holdings.studies,
            "days": self.holdings.days,
            "outside_percent": self.outside_percent,
            "region": self.region_name,
            "prices": plain_region(self.region),
            **{f"by_{dimension}": rows for dimension, rows in plain_shares(self.holdings).items()},
            "lines": [plain_line(line) for line in self.month.lines],
            "total": str(self.month.total.quantize(CENT)),
            "kWh": str(self.estimate.kwh.quantize(CENT)),
            "kg_CO2": str(self.estimate.co2_kg.quantize(CENT)),
        }


def prices_of(
    settings: Settings, prices: Path | None = None, region_name: str = ""
) -> tuple[PriceTable, str, Region]:
    """Return a price table, and whose prices of it an archive pays; raises NotFound.

    Args:
        settings: of the archive.
        prices: the table's file; None: the list prices.
        region_name: of that table; "": where the objects lie.
    """
    table = load_prices(prices)
    name = price_region(settings, table, region_name)
    return table, name, table.region(name)


async def held_report(
    settings: Settings,
    stores: Stores,
    prices: tuple[PriceTable, str, Region],
    *,
    outside_percent: int,
    looked: Callable[[int], None] = lambda _: None,
) -> HeldReport:
    """Return what is held, and the bill of a month of it; it walks through the catalogue.

    Args:
        settings: of the archive.
        stores: its stores.
        prices: as `prices_of` returns them.
        outside_percent: of the bytes read, how many leave the region.
        looked: told how many studies have been counted.

    Raises:
        InvalidRequest: the region lacks a class.
        Unavailable: a store cannot be reached.
    """
    table, region_name, region = prices
    today = datetime.fromtimestamp(now_us() / 1e6, UTC).date()
    holdings = Holdings(now_us(), region, outside_percent=outside_percent)
    # As many days as the month has, today among them.
    since = today - timedelta(days=holdings.days - 1)
    holdings.accesses = await _accesses(stores.objects, settings.tenant, since)
    async for state in stores.catalogue.export(settings.tenant):
        holdings.add(state)
        looked(holdings.studies)
    month = bill(holdings.usage, region, holdings.days)
    estimate = footprint([holdings.usage], region, table)
    return HeldReport(holdings, month, estimate, region_name, region, today, outside_percent)


async def _accesses(objects: ObjectStore, tenant: str, since: date) -> Accesses:
    """Return what was read of each study since a day."""
    total: dict[str, Access] = defaultdict(lambda: Access(0, 0, 0, 0))
    async for day in reads_by_day(objects, tenant, since=since):
        for study, one in day.accesses.items():
            total[study] += one
    return dict(total)
