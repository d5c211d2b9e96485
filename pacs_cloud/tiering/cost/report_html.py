"""A comparison as one HTML page: charts and bills, nothing fetched from anywhere."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from html import escape
from typing import Final, TypeAlias

from pacs_cloud.tiering.cost.bill import Bill
from pacs_cloud.tiering.cost.charts import nice_top, stacked
from pacs_cloud.tiering.cost.page import (
    about_prices,
    bill_table,
    page,
    paragraphs,
    table,
    total_of,
)
from pacs_cloud.tiering.cost.report import (
    GROUPS,
    Comparison,
    Run,
    cost_by_group,
    plain_rows,
    terabytes_by_class,
)

_Layers: TypeAlias = Mapping[str, Sequence[Decimal]]

COLOURS: Final = dict(
    zip(
        GROUPS,
        ("#d1495b", "#e07b39", "#d9a441", "#66a182", "#2f7fad", "#6a6ee0", "#a98bb8", "#8f969c"),
        strict=True,
    )
)
"""Of `GROUPS` in charts: told apart from each other, on white as on black."""

_NUMBERS: Final = frozenset({"total", "last_month", "kWh", "kg_CO2"})


def page_of(comparison: Comparison) -> str:
    """Return the page. Every name in it is escaped: policies' names are anybody's."""
    title = f"What {comparison.hospital.studies:,} studies cost"
    rows = plain_rows(comparison.runs)
    headings = tuple(rows[0])
    return page(
        title,
        [
            _preface(comparison),
            "<h2>Totals</h2>",
            table(headings, [tuple(str(row[one]) for one in headings) for row in rows], _NUMBERS),
            "<h2>Cost a month</h2>",
            _legend(GROUPS),
            *_figures(cost_charts(comparison)),
            "<h2>What lies where</h2>",
            *_figures(held_charts(comparison)),
            "<h2>Bills, line by line</h2>",
            *(_bill(run.name, run.outcome.total) for run in comparison.runs),
        ],
    )


def _preface(comparison: Comparison) -> str:
    months = comparison.calendar.names
    outside = comparison.hospital.outside_percent
    return paragraphs(
        [
            comparison.subject.says,
            f"From {months[0]} to {months[-1]}, seed {comparison.hospital.seed}.",
            f"{outside} % of the bytes read leave the region; restores are {comparison.speed}.",
            *about_prices(comparison.region_name, comparison.region),
        ]
    )


def cost_charts(comparison: Comparison) -> Iterable[tuple[str, str]]:
    """Yield what each run costs a month, by `GROUPS`: its name, and an SVG; all on one scale."""
    return _charts(comparison, _cost, comparison.region.currency)


def held_charts(comparison: Comparison) -> Iterable[tuple[str, str]]:
    """Yield what lies in each class likewise, in TB."""
    return _charts(comparison, _held, "TB")


def _charts(
    comparison: Comparison, layers_of: Callable[[Run, Comparison], _Layers], unit: str
) -> Iterable[tuple[str, str]]:
    drawn = [(run, layers_of(run, comparison)) for run in comparison.runs]
    top = nice_top(max(_highest(layers) for _, layers in drawn))
    months = comparison.calendar.names
    for run, layers in drawn:
        yield run.name, stacked(run.name, months, layers, COLOURS, top, unit)


def _figures(charts: Iterable[tuple[str, str]]) -> Iterable[str]:
    for name, chart in charts:
        # On a phone a chart keeps letters that can be read, and is moved sideways.
        drawing = f'<div class="wide">{chart}</div>'
        yield f"<figure><figcaption>{escape(name)}</figcaption>{drawing}</figure>"


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
    items = (f'<li><i style="background:{COLOURS[name]}"></i>{escape(name)}</li>' for name in names)
    return f'<ul class="legend">{"".join(items)}</ul>'


def _bill(name: str, bill: Bill) -> str:
    said = f"{escape(name)}: {escape(total_of(bill))}"
    return f"<details><summary>{said}</summary>{bill_table(bill)}</details>"
