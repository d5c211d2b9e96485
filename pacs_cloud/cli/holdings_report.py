"""`cost report`: what is held, read and written, and a month's bill of it."""

import asyncio
from pathlib import Path

from pacs_cloud.bootstrap.held_report import HeldReport, held_report, prices_of
from pacs_cloud.cli.costing import print_bill, print_source, write_page
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import counting, print_json, print_rows, stdout
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.cost.figures import said, size
from pacs_cloud.tiering.cost.holdings import COUNTS, SIZES, Dimension, plain_shares
from pacs_cloud.tiering.cost.holdings_html import holdings_page
from pacs_cloud.tiering.cost.prices import PriceTable, Region


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
    priced = prices_of(settings, prices, region_name)
    report = asyncio.run(_report(settings, priced, outside_percent))
    holdings = report.holdings
    if html is not None:
        told = report.month, report.estimate, report.region_name, report.today.isoformat()
        write_page(html, holdings_page(holdings, *told))
    if as_json:
        print_json(report.plain())
        return
    stdout.print(f"{holdings.studies} studies; requests of the last {holdings.days} days")
    shares = plain_shares(holdings)
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
    print_bill(report.month)
    kwh, carbon = said(report.estimate.kwh, 2), said(report.estimate.co2_kg, 2)
    stdout.print(f"{kwh} kWh, {carbon} kg CO2 (estimate, bytes at rest)")
    print_source(report.region)


async def _report(
    settings: Settings, prices: tuple[PriceTable, str, Region], outside_percent: int
) -> HeldReport:
    async with open_stores(settings) as stores:
        with counting("counting studies") as progress:
            task = progress.add_task("", total=None)
            return await held_report(
                settings,
                stores,
                prices,
                outside_percent=outside_percent,
                looked=lambda studies: progress.update(task, completed=studies),
            )
