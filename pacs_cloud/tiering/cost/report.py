"""The outcome of several runs side by side, as plain values for tables, JSON and charts."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.tiering.cost.bill import CENT, Bill, Line
from pacs_cloud.tiering.cost.calendar import Calendar
from pacs_cloud.tiering.cost.energy import Footprint
from pacs_cloud.tiering.cost.hospital import Hospital, Subject
from pacs_cloud.tiering.cost.prices import TB, Region, Speed
from pacs_cloud.tiering.cost.simulation import Outcome
from pacs_cloud.tiering.cost.usage import Measure, Usage

TRANSFER: Final = "transfer out"
OTHERS: Final = "catalogue and tags"
GROUPS: Final = (*(one.value for one in StorageClass), TRANSFER, OTHERS)
"""What a month's cost is split into, for charts."""

_HELD: Final = frozenset({Measure.STORED, Measure.INFREQUENT, Measure.ARCHIVE_INSTANT})
_FIGURES: Final = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Run:
    """One candidate in one layout.

    Attributes:
        candidate: the name of its policies' file, or of the policy alone.
        layout: its name.
        outcome: what it came to.
        footprint: the estimate of its energy.
    """

    candidate: str
    layout: str
    outcome: Outcome
    footprint: Footprint

    @property
    def name(self) -> str:
        """Return what the run is called in tables and charts."""
        return f"{self.candidate}, {self.layout}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs of one subject in one region, restores at one speed."""

    region_name: str
    region: Region
    speed: Speed
    subject: Subject
    runs: tuple[Run, ...]

    @property
    def hospital(self) -> Hospital:
        """Return whose studies they are."""
        return self.subject.hospital

    @property
    def calendar(self) -> Calendar:
        """Return the months."""
        return self.subject.calendar


def cost_by_group(bill: Bill) -> dict[str, Decimal]:
    """Return a bill's amounts by `GROUPS`."""
    amounts: dict[str, Decimal] = defaultdict(Decimal)
    for line in bill.lines:
        amounts[_group(line)] += line.amount
    return dict(amounts)


def terabytes_by_class(usage: Usage, days: int) -> dict[str, Decimal]:
    """Return what lies in each class on an average day of a month, in TB."""
    held: dict[str, Decimal] = defaultdict(Decimal)
    for counted, amount in usage.items():
        if counted.measure in _HELD and counted.storage_class is not None:
            held[counted.storage_class.value] += Decimal(amount) / (TB * days)
    return dict(held)


def plain_rows(runs: Sequence[Run]) -> list[dict[str, object]]:
    """Return one row for each run, with its saving against the dearest one."""
    totals = [run.outcome.total for run in runs]
    dearest = max(total.total for total in totals)
    return [
        {
            "policies": run.candidate,
            "layout": run.layout,
            "total": str(total.total.quantize(CENT)),
            "currency": total.currency,
            "of_the_dearest": _percent(total.total, dearest),
            "last_month": str(run.outcome.bills[-1].total.quantize(CENT)),
            "kWh": str(run.footprint.kwh.quantize(Decimal(1))),
            "kg_CO2": str(run.footprint.co2_kg.quantize(Decimal(1))),
        }
        for run, total in zip(runs, totals, strict=True)
    ]


def plain_comparison(comparison: Comparison) -> dict[str, Any]:
    """Return everything, for JSON: amounts are text, so that no digit is lost."""
    return {
        "region": comparison.region_name,
        "prices": plain_region(comparison.region),
        "studies": comparison.hospital.studies,
        "of": comparison.subject.says,
        "seed": comparison.hospital.seed,
        "growth": comparison.hospital.growth,
        "restore_speed": comparison.speed.value,
        "outside_percent": comparison.hospital.outside_percent,
        "months": comparison.calendar.names,
        "runs": [
            {
                **row,
                "studies": run.outcome.studies,
                "lines": [plain_line(line) for line in run.outcome.total.lines],
                "monthly": [str(bill.total.quantize(_FIGURES)) for bill in run.outcome.bills],
            }
            for row, run in zip(plain_rows(comparison.runs), comparison.runs, strict=True)
        ],
    }


def plain_region(region: Region) -> dict[str, object]:
    """Return whose prices, from when, and where they were read."""
    return {
        "title": region.title,
        "currency": region.currency,
        "checked": region.checked.isoformat(),
        "source": region.source,
        "catalogue_source": region.catalogue.source,
        "energy_source": region.energy.source,
    }


def plain_line(line: Line) -> dict[str, object]:
    """Return one line of a bill."""
    return {
        "line": line.what,
        "class": None if line.storage_class is None else line.storage_class.value,
        "speed": None if line.speed is None else line.speed.value,
        "quantity": str(line.quantity.quantize(_FIGURES)),
        "unit": line.unit.value,
        "price": str(line.price.normalize()) if line.price else "0",
        "amount": str(line.amount.quantize(_FIGURES)),
    }


def _percent(part: Decimal, whole: Decimal) -> str:
    return f"{part / whole * 100:.1f} %" if whole else ""


def _group(line: Line) -> str:
    if line.storage_class is not None:
        return line.storage_class.value
    return TRANSFER if line.what == Measure.LEAVES else OTHERS
