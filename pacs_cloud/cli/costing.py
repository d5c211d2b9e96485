"""What the `cost` commands do."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from pacs_cloud.bootstrap.price_region import price_region
from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import counting, print_json, print_rows, stderr, stdout
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.access.log import reads_by_day
from pacs_cloud.tiering.advice import Severity, advise
from pacs_cloud.tiering.cost.bill import Bill
from pacs_cloud.tiering.cost.calendar import MONTHS_A_YEAR, Calendar
from pacs_cloud.tiering.cost.energy import footprint
from pacs_cloud.tiering.cost.explanation import explained
from pacs_cloud.tiering.cost.figures import money, quantity
from pacs_cloud.tiering.cost.hospital import GROWTH, Hospital, Subject, made
from pacs_cloud.tiering.cost.layouts import LAYOUTS
from pacs_cloud.tiering.cost.prices import Region, Speed, load_prices
from pacs_cloud.tiering.cost.replay import Past
from pacs_cloud.tiering.cost.report import (
    Comparison,
    Run,
    plain_comparison,
    plain_line,
    plain_rows,
)
from pacs_cloud.tiering.cost.report_html import page_of
from pacs_cloud.tiering.cost.simulation import Terms, simulate
from pacs_cloud.tiering.policy import Policy
from pacs_cloud.tiering.policy_file import read_policies

_START: Final = date(2027, 1, 1)
"""Of every simulation, so that the same seed gives the same bill on any day."""

STUDIES: Final = 1_000_000

_TOTALS: Final = (
    "policies",
    "layout",
    "total",
    "currency",
    "of_the_dearest",
    "last_month",
    "kWh",
    "kg_CO2",
)
_LINES: Final = ("line", "class", "speed", "quantity", "unit", "price", "amount")


@dataclass(frozen=True, slots=True)
class Asked:
    """What `simulate` was asked.

    Attributes:
        replay: the archive whose own studies and reads are replayed; None: a made-up hospital.
        policies: files; each is one candidate.
        each: or else each of their policies alone is one.
        years: how long.
        studies: how many come in all that time; None: as many as usual.
        seed: of the hospital.
        growth: of its arrivals in a year, 0.04: 4 %; None: the archive's own, or 4 %.
        outside_percent: of the bytes read, how many leave the region.
        speed: of restores.
        prices: the price table; None: the list prices.
        region: of that table.
    """

    replay: Settings | None
    policies: tuple[Path, ...]
    each: bool
    years: int
    studies: int | None
    seed: int
    growth: float | None
    outside_percent: int
    speed: Speed
    prices: Path | None
    region: str


def simulate_policies(asked: Asked, *, lines: bool, html: Path | None, as_json: bool) -> None:
    """Print what each candidate costs in each layout; write the report where it is asked for.

    Raises:
        InvalidRequest: a file cannot be understood, or the region lacks a class.
        NotFound: there is no such price table or region.
    """
    comparison = _compare(asked)
    if html is not None:
        write_page(html, page_of(comparison))
    if as_json:
        print_json(plain_comparison(comparison))
        return
    stderr.print(comparison.subject.says)
    print_rows(plain_rows(comparison.runs), _TOTALS, as_json=False, empty="")
    for run in comparison.runs:
        for name, count in run.outcome.studies.items():
            if run.layout == LAYOUTS[0].name and not count:
                stderr.print(f"{run.candidate}: no study matches {name!r}")
        if lines:
            stdout.print(f"\n{run.name}")
            print_bill(run.outcome.total)
    print_source(comparison.region)


def explain_prices(
    settings: Settings, prices: Path | None, region_name: str, *, as_json: bool
) -> None:
    """Print what each line of a bill is; raises NotFound."""
    table = load_prices(prices)
    region = table.region(price_region(settings, table, region_name))
    columns = ("line", "class", "speed", "price", "per", "what")
    print_rows(explained(region), columns, as_json=as_json, empty="Everything is free.")
    if not as_json:
        print_source(region)


def _compare(asked: Asked) -> Comparison:
    table = load_prices(asked.prices)
    region = table.region(asked.region)
    candidates = list(_candidates(asked.policies, each=asked.each))
    if asked.replay is not None and asked.studies is not None:
        raise InvalidRequest("--studies is for a made-up hospital: a replay has its own")
    runs: list[Run] = []
    with counting("simulating") as progress:
        steps = len(candidates) * len(LAYOUTS)
        task = progress.add_task("", total=steps + 1)
        if asked.replay is None:
            subject = _made_up(asked)
        else:
            subject = asyncio.run(_replayed(asked, asked.replay))
        progress.advance(task)
        for name, policies in candidates:
            for layout in LAYOUTS:
                terms = Terms(subject.calendar, region, layout, asked.speed)
                outcome = simulate(
                    subject.hospital, subject.studies, subject.reads, policies, terms
                )
                estimate = footprint(outcome.usage, region, table)
                runs.append(Run(name, layout.name, outcome, estimate))
                progress.advance(task)
    return Comparison(asked.region, region, asked.speed, subject, tuple(runs))


def _made_up(asked: Asked) -> Subject:
    hospital = Hospital(
        STUDIES if asked.studies is None else asked.studies,
        asked.seed,
        GROWTH if asked.growth is None else asked.growth,
        outside_percent=asked.outside_percent,
    )
    calendar = Calendar(_START, asked.years * MONTHS_A_YEAR)
    studies, reads = made(hospital, calendar)
    says = f"A made-up hospital, arrivals {hospital.growth:+.1%} a year."
    return Subject(hospital, calendar, studies, reads, says)


async def _replayed(asked: Asked, settings: Settings) -> Subject:
    past = Past(settings.tenant)
    async with open_stores(settings) as stores:
        async for state in stores.catalogue.export(settings.tenant):
            past.add(state.study)
        async for day in reads_by_day(stores.objects, settings.tenant):
            past.read(day)
    today = datetime.fromtimestamp(now_us() / 1e6, UTC).date()
    return await asyncio.to_thread(
        past.subject,
        today,
        asked.years,
        seed=asked.seed,
        growth=asked.growth,
        outside_percent=asked.outside_percent,
    )


def _candidates(files: Sequence[Path], *, each: bool) -> Iterator[tuple[str, tuple[Policy, ...]]]:
    """Yield what is compared: first of all that nothing is moved."""
    yield "nothing moves", ()
    stems = Counter(file.stem for file in files)
    for file in files:
        # Two files of one name are told apart by where they lie.
        name = file.stem if stems[file.stem] == 1 else str(file)
        policies = read_policies(file)
        for one in advise(policies):
            if one.severity is Severity.ERROR:
                stderr.print(f'{file}: policy "{one.policy}": {one.sentence}')
        if each:
            for policy in policies:
                yield (policy.name if len(files) == 1 else f"{name}: {policy.name}"), (policy,)
        else:
            yield name, policies


def print_bill(one: Bill) -> None:
    """Print a bill, line by line, and what it comes to."""
    rows = [
        {**plain_line(line), "quantity": quantity(line.quantity), "amount": money(line.amount)}
        for line in one.lines
    ]
    print_rows(rows, _LINES, as_json=False, empty="Nothing is billed.")
    stdout.print(f"{money(one.total)} {one.currency}")


def print_source(region: Region) -> None:
    """Say whose prices they are, and from when."""
    stderr.print(
        f"List prices of {region.title}, read {region.checked}: check them before money "
        "depends on them."
    )


def write_page(path: Path, text: str) -> None:
    """Write a report; raises InvalidRequest where that cannot be."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidRequest(f"cannot write {path}: {error.strerror}") from error
