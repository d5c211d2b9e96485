"""What an archive holds, and a month's bill of it, as one HTML page."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Final

from pacs_cloud.tiering.cost.bill import Bill
from pacs_cloud.tiering.cost.energy import Footprint
from pacs_cloud.tiering.cost.figures import said, size
from pacs_cloud.tiering.cost.holdings import COUNTS, SIZES, Dimension, Holdings, plain_shares
from pacs_cloud.tiering.cost.page import (
    about_prices,
    bill_table,
    page,
    paragraphs,
    total_of,
)

_NAMES: Final = {
    Dimension.CLASS: "By storage class",
    Dimension.MODALITY: "By modality",
    Dimension.DEPARTMENT: "By department",
    Dimension.AGE: "By age, in whole years",
}


def holdings_page(
    holdings: Holdings, month: Bill, estimate: Footprint, region_name: str, read_on: str
) -> str:
    """Return the page. Every name in it is escaped: departments' names are anybody's.

    Args:
        holdings: what is held.
        month: its bill.
        estimate: of its energy.
        region_name: whose prices.
        read_on: the day of the count, for the title.
    """
    shares = plain_shares(holdings)
    prices = about_prices(region_name, holdings.region)
    return page(
        f"What {holdings.studies:,} studies take, {read_on}",
        [
            paragraphs([*_preface(holdings, month, estimate), *prices]),
            *(
                f"<h2>{_NAMES[dimension]}</h2>{_shares(dimension.value, shares[dimension.value])}"
                for dimension in Dimension
            ),
            "<h2>The bill, line by line</h2>",
            bill_table(month),
        ],
    )


def _preface(holdings: Holdings, month: Bill, estimate: Footprint) -> list[str]:
    costs = f"A month of keeping it: {total_of(month)}, {said(estimate.kwh, 2)} kWh,"
    carbon = f"{said(estimate.co2_kg, 2)} kg CO2 (an estimate, of bytes at rest only)."
    requests = f"Requests are those of the last {holdings.days} days;"
    leaving = f"{holdings.outside_percent} % of the bytes read leave the region."
    return [f"{costs} {carbon}", f"{requests} {leaving}"]


def _shares(name: str, rows: Iterable[Mapping[str, object]]) -> str:
    """Return a table with a bar for how much of the bytes each row has."""
    rows = list(rows)
    most = max((_count(row, "bytes") for row in rows), default=0)
    head = "".join(f'<th class="number">{one.replace("_", " ")}</th>' for one in COUNTS)
    body = "".join(
        f"<tr><td>{escape(str(row[name]))}{_bar(_count(row, 'bytes'), most)}</td>"
        + "".join(f'<td class="number">{_said(row, one)}</td>' for one in COUNTS)
        + "</tr>"
        for row in rows
    )
    made = f"<table><thead><tr><th>{name}</th>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide">{made}</div>'


def _bar(amount: int, most: int) -> str:
    return f'<i class="bar" style="width:{amount * 100 // most if most else 0}%"></i>'


def _said(row: Mapping[str, object], name: str) -> str:
    amount = _count(row, name)
    return size(amount) if name in SIZES else f"{amount:,}"


def _count(row: Mapping[str, object], name: str) -> int:
    return int(str(row[name]))
