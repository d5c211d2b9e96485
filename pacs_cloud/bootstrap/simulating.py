"""What policies would cost: candidates simulated side by side, for the command and the page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, TypeAlias

from pacs_cloud.bootstrap.services import Stores, now_us
from pacs_cloud.tiering.access.log import reads_by_day
from pacs_cloud.tiering.cost.calendar import MONTHS_A_YEAR, Calendar
from pacs_cloud.tiering.cost.energy import footprint
from pacs_cloud.tiering.cost.hospital import GROWTH, Hospital, Subject, made
from pacs_cloud.tiering.cost.layouts import LAYOUTS
from pacs_cloud.tiering.cost.prices import PriceTable, Speed
from pacs_cloud.tiering.cost.replay import Past
from pacs_cloud.tiering.cost.report import Comparison, Run
from pacs_cloud.tiering.cost.simulation import Terms, simulate
from pacs_cloud.tiering.policy import Policy

_START: Final = date(2027, 1, 1)
"""Of every simulation, so that the same seed gives the same bill on any day."""
STUDIES: Final = 1_000_000
OUTSIDE_PERCENT: Final = 100
"""Of the bytes read, so many leave the region, where nobody says otherwise."""
NOTHING_MOVES: Final = "nothing moves"

Candidate: TypeAlias = tuple[str, tuple[Policy, ...]]
"""A name, and the policies that it stands for."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a simulation is asked for.

    Attributes:
        years: how long.
        studies: how many come in all that time; None: as many as usual.
        seed: of the hospital.
        growth: of its arrivals in a year, 0.04: 4 %; None: the archive's own, or 4 %.
        outside_percent: of the bytes read, how many leave the region.
        speed: of restores.
    """

    years: int
    studies: int | None = None
    seed: int = 1
    growth: float | None = None
    outside_percent: int = OUTSIDE_PERCENT
    speed: Speed = Speed.STANDARD


def made_up(wanted: Wanted) -> Subject:
    """Return a made-up hospital."""
    hospital = Hospital(
        STUDIES if wanted.studies is None else wanted.studies,
        wanted.seed,
        GROWTH if wanted.growth is None else wanted.growth,
        outside_percent=wanted.outside_percent,
    )
    calendar = Calendar(_START, wanted.years * MONTHS_A_YEAR)
    studies, reads = made(hospital, calendar)
    says = f"A made-up hospital, arrivals {hospital.growth:+.1%} a year."
    return Subject(hospital, calendar, studies, reads, says)


async def past_of(stores: Stores, tenant: str) -> Past:
    """Return an archive's own studies and reads; it walks through the catalogue."""
    past = Past(tenant)
    async for state in stores.catalogue.export(tenant):
        past.add(state.study)
    async for day in reads_by_day(stores.objects, tenant):
        past.read(day)
    return past


def replayed(past: Past, wanted: Wanted) -> Subject:
    """Return an archive's past, to be gone through again."""
    return past.subject(
        datetime.fromtimestamp(now_us() / 1e6, UTC).date(),
        wanted.years,
        seed=wanted.seed,
        growth=wanted.growth,
        outside_percent=wanted.outside_percent,
    )


def compare(
    subject: Subject,
    candidates: Sequence[Candidate],
    table: PriceTable,
    region_name: str,
    speed: Speed,
    *,
    stepped: Callable[[], None] = lambda: None,
) -> Comparison:
    """Return what each candidate costs in each layout; it reckons for seconds, or minutes.

    Args:
        subject: whose studies.
        candidates: the first mostly that nothing moves.
        table: of prices.
        region_name: of that.
        speed: of restores.
        stepped: called after each candidate in each layout.

    Raises:
        InvalidRequest: the region lacks a class.
        NotFound: there is no such region.
    """
    region = table.region(region_name)
    runs: list[Run] = []
    for name, policies in candidates:
        for layout in LAYOUTS:
            terms = Terms(subject.calendar, region, layout, speed)
            outcome = simulate(subject.hospital, subject.studies, subject.reads, policies, terms)
            estimate = footprint(outcome.usage, region, table)
            runs.append(Run(name, layout.name, outcome, estimate))
            stepped()
    return Comparison(region_name, region, speed, subject, tuple(runs))
