"""A comparison as one HTML page: charts and bills, nothing fetched from anywhere."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from html import escape
from typing import Final, TypeAlias

from pacs_cloud.tiering.cost.bill import CENT, Bill
from pacs_cloud.tiering.cost.charts import nice_top, stacked
from pacs_cloud.tiering.cost.report import (
    GROUPS,
    Comparison,
    Run,
    cost_by_group,
    plain_rows,
    terabytes_by_class,
)

_Layers: TypeAlias = Mapping[str, Sequence[Decimal]]

_COLOURS: Final = dict(
    zip(
        GROUPS,
        ("#d1495b", "#edae49", "#f2c879", "#66a182", "#2e6f95", "#1b3a57", "#8d7a9b", "#9aa0a6"),
        strict=True,
    )
)

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem .3rem 0; text-align: left; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 1rem 0; } figcaption { font-size: .9rem; }
svg { display: block; height: auto; min-width: 36rem; width: 100%; }
svg text { fill: currentColor; font-size: 12px; } svg .grid { stroke: var(--line); }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1rem; list-style: none; padding: 0; }
.legend i { border-radius: 2px; display: inline-block; height: .8em; margin-right: .4em;
  width: .8em; }
summary { cursor: pointer; padding: .4rem 0; }
"""

_HEADINGS: Final = ("Line", "Class", "Speed", "Quantity", "Unit", "Price", "Amount")
_NUMBERS: Final = frozenset({"Quantity", "Price", "Amount", "total", "last_month", "kWh", "kg_CO2"})


def page_of(comparison: Comparison) -> str:
    """Return the page. Every name in it is escaped: policies' names are anybody's."""
    title = f"What {comparison.hospital.studies:,} studies cost"
    return "".join(
        [
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            _preface(comparison),
            "<h2>Totals</h2>",
            _table_of_rows(plain_rows(comparison.runs)),
            "<h2>Cost a month</h2>",
            _legend(GROUPS),
            *_charts(comparison, _cost, comparison.region.currency),
            "<h2>What lies where</h2>",
            *_charts(comparison, _held, "TB"),
            "<h2>Bills, line by line</h2>",
            *(_bill(run.name, run.outcome.total) for run in comparison.runs),
            "</body></html>\n",
        ]
    )


def _preface(comparison: Comparison) -> str:
    region, months = comparison.region, comparison.calendar.names
    outside = comparison.hospital.outside_percent
    sentences = [
        comparison.subject.says,
        f"From {months[0]} to {months[-1]}, seed {comparison.hospital.seed}.",
        f"{outside} % of the bytes read leave the region; restores are {comparison.speed}.",
        f"List prices of {comparison.region_name} ({region.title}), read {region.checked}.",
        "Check them before money depends on them.",
        f"Prices: {region.source}.",
        f"Catalogue: {region.catalogue.source}." if region.catalogue.source else "",
        f"Energy, of bytes at rest only: {region.energy.source}.",
    ]
    return "".join(f"<p>{escape(one)}</p>" for one in sentences if one)


def _charts(
    comparison: Comparison, layers_of: Callable[[Run, Comparison], _Layers], unit: str
) -> Iterable[str]:
    """Yield a chart for each run, all on one scale."""
    drawn = [(run, layers_of(run, comparison)) for run in comparison.runs]
    top = nice_top(max(_highest(layers) for _, layers in drawn))
    months = comparison.calendar.names
    for run, layers in drawn:
        chart = stacked(run.name, months, layers, _COLOURS, top, unit)
        # On a phone a chart keeps letters that can be read, and is moved sideways.
        drawing = f'<div class="wide">{chart}</div>'
        yield f"<figure><figcaption>{escape(run.name)}</figcaption>{drawing}</figure>"


def _highest(layers: _Layers) -> Decimal:
    return max(sum(month, Decimal(0)) for month in zip(*layers.values(), strict=True))


def _cost(run: Run, comparison: Comparison) -> _Layers:
    del comparison
    return _layers([cost_by_group(bill) for bill in run.outcome.bills])


def _held(run: Run, comparison: Comparison) -> _Layers:
    months = zip(run.outcome.usage, comparison.calendar.lengths, strict=True)
    return _layers([terabytes_by_class(usage, days) for usage, days in months])


def _layers(months: Sequence[Mapping[str, Decimal]]) -> _Layers:
    nothing = Decimal(0)
    return {group: [month.get(group, nothing) for month in months] for group in GROUPS}


def _legend(names: Iterable[str]) -> str:
    items = (
        f'<li><i style="background:{_COLOURS[name]}"></i>{escape(name)}</li>' for name in names
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def _bill(name: str, bill: Bill) -> str:
    rows = [
        (
            line.what,
            line.storage_class or "",
            line.speed or "",
            f"{line.quantity:,.3f}",
            line.unit,
            f"{line.price:f}",
            f"{line.amount:,.2f}",
        )
        for line in bill.lines
    ]
    total = f"{bill.total.quantize(CENT):,} {bill.currency}"
    table = _table(_HEADINGS, rows)
    return f"<details><summary>{escape(name)}: {escape(total)}</summary>{table}</details>"


def _table_of_rows(rows: Sequence[Mapping[str, object]]) -> str:
    headings = tuple(rows[0])
    return _table(headings, [tuple(str(row[one]) for one in headings) for row in rows])


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    kinds = [' class="number"' if one in _NUMBERS else "" for one in headings]
    head = "".join(
        f"<th{kind}>{escape(one.replace('_', ' '))}</th>"
        for kind, one in zip(kinds, headings, strict=True)
    )
    body = "".join(_row(kinds, row) for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide">{table}</div>'


def _row(kinds: Sequence[str], cells: Sequence[str]) -> str:
    made = (f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds, cells, strict=True))
    return f"<tr>{''.join(made)}</tr>"
