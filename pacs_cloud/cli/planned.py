"""What is due to move, and what will be: shown, and added up."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final, TypeAlias

from pacs_cloud.bootstrap.price_region import price_region
from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.bootstrap.tier_checks import unmoved_words
from pacs_cloud.bootstrap.tiers import due
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import counting, print_rows, stderr, stdout
from pacs_cloud.cli.tiering import INFEASIBLE, movable_policies
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.cost.bill import CENT
from pacs_cloud.tiering.cost.move_cost import MoveCost
from pacs_cloud.tiering.cost.prices import Region, load_prices
from pacs_cloud.tiering.planning import Move
from pacs_cloud.tiering.policy import Policy

SOON_DAYS: Final = (30, 90)
"""What becomes due within so many days is shown beside what is due now."""
_NOW: Final = "now"
_BY_ITSELF: Final = (
    "INTELLIGENT_TIERING counts here as if all of it were read every month: what nobody reads costs"
    " less, which `pacs-cloud cost simulate` counts"
)
_COLUMNS: Final = (
    *("policy", "from", "to", "when", "first", "kept_by", "packs", "bytes"),
    *("once", "saved_a_month", "currency"),
)


Money: TypeAlias = tuple[Decimal, Decimal]
"""What moves cost once, and save a month."""


@dataclass(frozen=True, slots=True, order=True)
class Group:
    """Moves that are shown in one row.

    Attributes:
        within_days: 0: they are due now; else in so many days, at most.
        policy: which says so.
        lies_in: the class that the packs lie in, or will then.
        to: the one they are due in.
        is_pinned: whether a pin keeps them.
    """

    within_days: int
    policy: str
    lies_in: str
    to: str
    is_pinned: bool


@dataclass(slots=True)
class Plan:
    """Moves, added up.

    Attributes:
        costs: of each group.
        first: in how many days the first of a group is due.
        studies: how many there are of each policy.
        words: what keeps them from being carried out, or may.
    """

    costs: dict[Group, MoveCost]
    first: dict[Group, int] = field(default_factory=dict[Group, int])
    studies: Counter[str] = field(default_factory=Counter[str])
    words: list[str] = field(default_factory=list[str])

    def add(self, move: Move) -> None:
        """Count a move."""
        within = next((days for days in (0, *SOON_DAYS) if move.in_days <= days), move.in_days)
        group = Group(within, move.policy, move.pack.storage_class, move.to.value, move.is_pinned)
        self.costs[group].add(move)
        self.first[group] = min(move.in_days, self.first.get(group, move.in_days))


def show_plan(
    settings: Settings,
    file: Path,
    *,
    in_days: int,
    region_name: str,
    prices: Path | None,
    as_json: bool,
) -> int:
    """Print what is due, or will be in so many days; return the exit code.

    Raises:
        InvalidRequest: the policies or the prices cannot be read.
        NotFound: no archive, no price table, or no such region in it.
    """
    policies = movable_policies(settings, file)
    if policies is None:
        return INFEASIBLE
    table = load_prices(prices)
    region = table.region(price_region(settings, table, region_name))
    plan = asyncio.run(plan_of(settings, policies, region, in_days=in_days))
    begin = datetime.fromtimestamp(now_us() / 1e6, UTC).date() + timedelta(in_days)
    words = [*plan.words, *unused(policies, plan.studies)]
    try:
        money = {one: (cost.once, cost.saved_a_month) for one, cost in plan.costs.items()}
    except InvalidRequest as error:  # a class that the region has no price of
        money = dict[Group, Money]()
        words.append(str(error))
    if any(group.to == StorageClass.INTELLIGENT_TIERING for group in money):
        words.append(_BY_ITSELF)
    rows = [
        _row(
            group,
            plan.costs[group],
            (begin + timedelta(plan.first[group])).isoformat(),
            money.get(group),
        )
        for group in sorted(plan.costs)
    ]
    print_rows(rows, _COLUMNS, as_json=as_json, empty="Nothing is due.")
    if money and not as_json:
        _print_total(money, region)
    for word in words:
        stderr.print(word)
    return 0


async def plan_of(
    settings: Settings, policies: Sequence[Policy], region: Region, *, in_days: int = 0
) -> Plan:
    """Return what is due, and where that is now, what will be soon."""
    plan = Plan(defaultdict(lambda: MoveCost(region)))

    def matched(name: str) -> None:
        plan.studies[name] += 1

    async with open_stores(settings) as stores:
        hindered, unsure = await unmoved_words(stores, policies)
        plan.words += (*hindered, *unsure)
        with counting("packs") as progress:
            task = progress.add_task("", total=None)
            found = due(
                settings,
                stores,
                policies,
                in_days=in_days,
                within_days=0 if in_days else SOON_DAYS[-1],
                matched=matched,
            )
            async for move in found:
                plan.add(move)
                progress.advance(task)
    return plan


def unused(policies: Sequence[Policy], studies: Counter[str]) -> list[str]:
    """Return which policies no study has: mostly their match has a typing mistake."""
    if not studies:
        return []  # there is no study
    return [f"no study matches {one.name!r}" for one in policies if not studies[one.name]]


def _row(group: Group, cost: MoveCost, first: str, money: Money | None) -> dict[str, object]:
    once, saved = ("", "") if money is None else (str(one.quantize(CENT)) for one in money)
    return {
        "policy": group.policy,
        "from": group.lies_in,
        "to": group.to,
        "when": f"within {group.within_days} days" if group.within_days else _NOW,
        "first": first,
        "kept_by": "pin" if group.is_pinned else "",
        "packs": cost.packs,
        "bytes": cost.length_bytes,
        "once": once,
        "saved_a_month": saved,
        "currency": cost.region.currency,
    }


def _print_total(money: Mapping[Group, Money], region: Region) -> None:
    now = [both for one, both in money.items() if not one.is_pinned and not one.within_days]
    once = sum((one for one, _ in now), Decimal(0))
    saved = sum((one for _, one in now), Decimal(0))
    stdout.print(
        f"Now {once.quantize(CENT)} {region.currency} once, {saved.quantize(CENT)} saved a month,"
        f" at list prices of {region.title}, {region.checked}."
    )
