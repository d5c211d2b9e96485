"""What is due to move, and what will be: found, and added up, for the command and the page."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Final, TypeAlias

from pacs_cloud.bootstrap.services import Stores
from pacs_cloud.bootstrap.tier_checks import unmoved_words
from pacs_cloud.bootstrap.tiers import due
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.cost.bill import CENT
from pacs_cloud.tiering.cost.move_cost import MoveCost
from pacs_cloud.tiering.cost.prices import Region
from pacs_cloud.tiering.planning import Move
from pacs_cloud.tiering.policy import Policy

SOON_DAYS: Final = (30, 90)
"""What becomes due within so many days is shown beside what is due now."""
_NOW: Final = "now"
_BY_ITSELF: Final = (
    "INTELLIGENT_TIERING counts here as if all of it were read every month: what nobody reads costs"
    " less, which `pacs-cloud cost simulate` counts"
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

    def money(self) -> dict[Group, Money]:
        """Return what each group costs and saves; none, and words, where a class has no price."""
        try:
            money = {one: (cost.once, cost.saved_a_month) for one, cost in self.costs.items()}
        except InvalidRequest as error:
            self.words.append(str(error))
            return {}
        if any(group.to == StorageClass.INTELLIGENT_TIERING for group in money):
            self.words.append(_BY_ITSELF)
        return money


async def plan_of(
    settings: Settings,
    stores: Stores,
    policies: Sequence[Policy],
    region: Region,
    *,
    in_days: int = 0,
    looked: Callable[[], None] = lambda: None,
) -> Plan:
    """Return what is due, and where that is now, what will be soon.

    Args:
        settings: of the archive.
        stores: its stores.
        policies: those that can be carried out.
        region: whose prices.
        in_days: how many days from now it is looked at.
        looked: called for each pack that moves.
    """
    plan = Plan(defaultdict(lambda: MoveCost(region)))

    def matched(name: str) -> None:
        plan.studies[name] += 1

    hindered, unsure = await unmoved_words(stores, policies)
    plan.words += (*hindered, *unsure)
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
        looked()
    plan.words += unused(policies, plan.studies)
    return plan


def unused(policies: Sequence[Policy], studies: Counter[str]) -> list[str]:
    """Return which policies no study has: mostly their match has a typing mistake."""
    if not studies:
        return []  # there is no study
    return [f"no study matches {one.name!r}" for one in policies if not studies[one.name]]


def plain_plan(plan: Plan, money: Mapping[Group, Money], begin: date) -> list[dict[str, object]]:
    """Return a plan row by row, as plain values; `begin` is the day from which days count."""
    return [
        _row(
            group,
            plan.costs[group],
            (begin + timedelta(plan.first[group])).isoformat(),
            money.get(group),
        )
        for group in sorted(plan.costs)
    ]


def due_now(money: Mapping[Group, Money], region: Region) -> str:
    """Return what is due now costs and saves, in a sentence."""
    now = [both for one, both in money.items() if not one.is_pinned and not one.within_days]
    once = sum((one for one, _ in now), Decimal(0))
    saved = sum((one for _, one in now), Decimal(0))
    return (
        f"Now {once.quantize(CENT)} {region.currency} once, {saved.quantize(CENT)} saved a month,"
        f" at list prices of {region.title}, {region.checked}."
    )


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
