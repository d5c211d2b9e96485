"""`cost report`: what is held, read and written, and a month's bill of it."""

import asyncio
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from pacs_cloud.bootstrap.price_region import price_region
from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.cli.costing import print_bill, print_source, write_page
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import counting, print_json, print_rows, stdout
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.access.log import reads_by_day
from pacs_cloud.tiering.access.sheet import Access, Accesses
from pacs_cloud.tiering.cost.bill import CENT, bill
from pacs_cloud.tiering.cost.energy import footprint
from pacs_cloud.tiering.cost.figures import said, size
from pacs_cloud.tiering.cost.holdings import COUNTS, SIZES, Dimension, Holdings, plain_shares
from pacs_cloud.tiering.cost.holdings_html import holdings_page
from pacs_cloud.tiering.cost.prices import Region, load_prices
from pacs_cloud.tiering.cost.report import plain_line, plain_region


def report_holdings(
    settings: Settings,
    prices: Path | None,
    region_name: str,
    *,
    outside_percent: int,
    html: Path | None,
    as_json: bool,
) -> None:
    """Print what is held, and the bill of a month of it; write the page where it is asked for.

    Raises:
        InvalidRequest: the page cannot be written, or the region lacks a class.
        NotFound: there is no archive, or no such price table or region.
    """
    table = load_prices(prices)
    region_name = price_region(settings, table, region_name)
    region = table.region(region_name)
    today = datetime.fromtimestamp(now_us() / 1e6, UTC).date()
    holdings = asyncio.run(_holdings(settings, region, outside_percent, today))
    month = bill(holdings.usage, region, holdings.days)
    estimate = footprint([holdings.usage], region, table)
    if html is not None:
        write_page(html, holdings_page(holdings, month, estimate, region_name, today.isoformat()))
    shares = plain_shares(holdings)
    if as_json:
        print_json(
            {
                "studies": holdings.studies,
                "days": holdings.days,
                "outside_percent": outside_percent,
                "region": region_name,
                "prices": plain_region(region),
                **{f"by_{dimension}": rows for dimension, rows in shares.items()},
                "lines": [plain_line(line) for line in month.lines],
                "total": str(month.total.quantize(CENT)),
                "kWh": str(estimate.kwh.quantize(CENT)),
                "kg_CO2": str(estimate.co2_kg.quantize(CENT)),
            }
        )
        return
    stdout.print(f"{holdings.studies} studies; requests of the last {holdings.days} days")
    for dimension in Dimension:
        rows = [
            {**row, **{name: size(int(str(row[name]))) for name in SIZES}}
            for row in shares[dimension.value]
        ]
        stdout.print()
        print_rows(rows, (dimension.value, *COUNTS), as_json=False, empty="Nothing is held.")
    stdout.print(
        f"\nA month of {holdings.days} days, if nothing moves and as much comes in and is read:"
    )
    print_bill(month)
    kwh, carbon = said(estimate.kwh, 2), said(estimate.co2_kg, 2)
    stdout.print(f"{kwh} kWh, {carbon} kg CO2 (estimate, bytes at rest)")
    print_source(region)


async def _holdings(
    settings: Settings, region: Region, outside_percent: int, today: date
) -> Holdings:
    holdings = Holdings(now_us(), region, outside_percent=outside_percent)
    async with open_stores(settings) as stores:
        # As many days as the month has, today among them.
        since = today - timedelta(days=holdings.days - 1)
        holdings.accesses = await _accesses(stores.objects, settings.tenant, since)
        with counting("counting studies") as progress:
            task = progress.add_task("", total=None)
            async for state in stores.catalogue.export(settings.tenant):
                holdings.add(state)
                progress.update(task, completed=holdings.studies)
    return holdings


async def _accesses(objects: ObjectStore, tenant: str, since: date) -> Accesses:
    """Return what was read of each study since a day."""
    total: dict[str, Access] = defaultdict(lambda: Access(0, 0, 0, 0))
    async for day in reads_by_day(objects, tenant, since=since):
        for study, one in day.accesses.items():
            total[study] += one
    return dict(total)
