"""What the HTML reports share: one page, nothing fetched from anywhere, right on a phone."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from pacs_cloud.tiering.cost.bill import Bill
from pacs_cloud.tiering.cost.figures import money, price, quantity
from pacs_cloud.tiering.cost.prices import Region

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
p { overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem .3rem 0; text-align: left; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
figure { margin: 1rem 0; } figcaption { font-size: .9rem; }
svg { display: block; height: auto; min-width: 36rem; width: 100%; }
svg text { fill: currentColor; font-size: 12px; } svg .grid { stroke: var(--line); }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1rem; list-style: none; padding: 0; }
.legend i { border-radius: 2px; display: inline-block; height: .8em; margin-right: .4em;
  width: .8em; }
.bar { background: #2e6f95; border-radius: 2px; display: block; height: .35rem; min-width: 1px; }
summary { cursor: pointer; padding: .4rem 0; }
"""

LINES: Final = ("Line", "Class", "Speed", "Quantity", "Unit", "Price", "Amount")
"""The headings of a bill."""
_BILLED: Final = frozenset({"Quantity", "Price", "Amount"})


def page(title: str, parts: Iterable[str]) -> str:
    """Return a whole document; `parts` are HTML already, the title is text."""
    return "".join(
        [
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            *parts,
            "</body></html>\n",
        ]
    )


def paragraphs(sentences: Iterable[str]) -> str:
    """Return each sentence as a paragraph; empty ones are left out."""
    return "".join(f"<p>{escape(one)}</p>" for one in sentences if one)


def about_prices(region_name: str, region: Region) -> list[str]:
    """Return sentences on whose prices they are, from when, and where they were read."""
    return [
        f"List prices of {region_name} ({region.title}), read {region.checked}.",
        "Check them before money depends on them.",
        f"Prices: {region.source}.",
        f"Catalogue: {region.catalogue.source}." if region.catalogue.source else "",
        f"Energy, of bytes at rest only: {region.energy.source}.",
    ]


def bill_table(bill: Bill) -> str:
    """Return a bill, line by line."""
    rows = [
        (
            line.what,
            line.storage_class or "",
            line.speed or "",
            quantity(line.quantity),
            line.unit,
            price(line.price),
            money(line.amount),
        )
        for line in bill.lines
    ]
    return table(LINES, rows, _BILLED)


def total_of(bill: Bill) -> str:
    """Return what a bill comes to, with its currency."""
    return f"{money(bill.total)} {bill.currency}"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[str]) -> str:
    """Return a table that is moved sideways where it is too wide.

    Args:
        headings: of its columns.
        rows: the cells' text.
        numbers: the headings of columns that hold numbers.
    """
    are_numbers = set(numbers)
    kinds = [' class="number"' if one in are_numbers else "" for one in headings]
    head = "".join(
        f"<th{kind}>{escape(one.replace('_', ' '))}</th>"
        for kind, one in zip(kinds, headings, strict=True)
    )
    body = "".join(_row(kinds, row) for row in rows)
    made = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide">{made}</div>'


def _row(kinds: Sequence[str], cells: Sequence[str]) -> str:
    made = (f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds, cells, strict=True))
    return f"<tr>{''.join(made)}</tr>"
