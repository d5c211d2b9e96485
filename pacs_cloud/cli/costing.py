"""What the `cost` commands do."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pacs_cloud.bootstrap.price_region import price_region
from pacs_cloud.bootstrap.simulating import (
    NOTHING_MOVES,
    Wanted,
    compare,
    made_up,
    past_of,
    replayed,
)
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import counting, print_json, print_rows, stderr, stdout
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.advice import Severity, advise
from pacs_cloud.tiering.cost.bill import Bill
from pacs_cloud.tiering.cost.explanation import explained
from pacs_cloud.tiering.cost.figures import money, quantity
from pacs_cloud.tiering.cost.hospital import Subject
from pacs_cloud.tiering.cost.layouts import LAYOUTS
from pacs_cloud.tiering.cost.prices import Region, Speed, load_prices
from pacs_cloud.tiering.cost.replay import Past
from pacs_cloud.tiering.cost.report import (
    Comparison,
    plain_comparison,
    plain_line,
    plain_rows,
)
from pacs_cloud.tiering.cost.report_html import page_of
from pacs_cloud.tiering.policy import Policy
from pacs_cloud.tiering.policy_file import read_policies

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


def _replayed(settings: Settings, wanted: Wanted) -> Subject:
    """Return an archive's past, to be gone through again; raises InvalidRequest."""
    past = asyncio.run(_past(settings))
    try:
        return replayed(past, wanted)
    except InvalidRequest as error:
        raise InvalidRequest(
            f"{error}; without --replay a made-up hospital is simulated"
        ) from error


def _compare(asked: Asked) -> Comparison:
    table = load_prices(asked.prices)
    region = table.region(asked.region)
    candidates = list(_candidates(asked.policies, each=asked.each, by_rules=region.service_rules))
    if asked.replay is not None and asked.studies is not None:
        raise InvalidRequest("--studies is for a made-up hospital: a replay has its own")
    wanted = Wanted(
        asked.years,
        asked.studies,
        asked.seed,
        asked.growth,
        asked.outside_percent,
        asked.speed,
    )
    with counting("simulating") as progress:
        task = progress.add_task("", total=len(candidates) * len(LAYOUTS) + 1)
        subject = made_up(wanted) if asked.replay is None else _replayed(asked.replay, wanted)
        progress.advance(task)
        return compare(
            subject,
            candidates,
            table,
            asked.region,
            asked.speed,
            stepped=lambda: progress.advance(task),
        )


async def _past(settings: Settings) -> Past:
    async with open_stores(settings) as stores:
        return await past_of(stores, settings.tenant)


def _candidates(
    files: Sequence[Path], *, each: bool, by_rules: bool
) -> Iterator[tuple[str, tuple[Policy, ...]]]:
    """Yield what is compared: first of all that nothing is moved.

    Args:
        files: of policies.
        each: each policy alone is compared.
        by_rules: a bucket's lifecycle moves packs.
    """
    yield NOTHING_MOVES, ()
    stems = Counter(file.stem for file in files)
    for file in files:
        # Two files of one name are told apart by where they lie.
        name = file.stem if stems[file.stem] == 1 else str(file)
        policies = read_policies(file)
        for one in advise(policies, by_rules=by_rules):
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
