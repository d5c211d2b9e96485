"""Tier policies in words."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pacs_cloud.tiering.cost.figures import size
from pacs_cloud.tiering.policy import Clock, Match, Policy, Step

_DAYS_A_YEAR: Final = 365.25
_FROM_YEARS: Final = 730
_CLOCKS: Final = {
    Clock.STUDY: "after the study",
    Clock.STORED: "after its last instance came in",
    Clock.UNREAD: "after it was last read",
}


@dataclass(frozen=True, slots=True)
class PolicyWords:
    """One policy.

    Attributes:
        name: its own.
        match: which studies it is for.
        steps: each with the class, and when.
        keeps: for how long.
    """

    name: str
    match: str
    steps: tuple[tuple[str, str], ...]
    keeps: str


def words_of(policy: Policy) -> PolicyWords:
    """Return a policy in words."""
    kept = policy.retention_days
    return PolicyWords(
        policy.name,
        "; ".join(_match(policy.match)) or "every study",
        tuple((step.to.value, _when(step)) for step in policy.steps),
        "for ever" if kept is None else f"{_span(kept)} after the study, then it may go",
    )


def _match(match: Match) -> Iterator[str]:
    for what, some in (
        ("of", match.tenants),
        ("with", match.modalities),
        ("described as", match.descriptions),
        ("from", match.institutions),
    ):
        if some:
            yield f"{what} {' or '.join(sorted(some))}"
    if match.least_bytes:
        yield f"of {size(match.least_bytes)} or more"
    if match.most_bytes is not None:
        yield f"of {size(match.most_bytes)} or less"


def _when(step: Step) -> str:
    return f"{_span(step.after_days)} {_CLOCKS[step.clock]}"


def _span(days: int) -> str:
    if days < _FROM_YEARS:
        return f"{days:,} days"
    years = days / _DAYS_A_YEAR
    return f"{round(years)} years" if abs(years - round(years)) < 0.02 else f"{years:.1f} years"
