"""What of a tier policy cannot be carried out as it is written, in words.

The rules are the services' own (`storage_classes.RULES`), whatever the prices.
"""

from collections.abc import Iterator
from typing import Final, TypeAlias

from pacs_cloud.objectstore.storage_classes import RULES, StorageClass, is_colder
from pacs_cloud.tiering.policy import Clock, Policy, Step

Said: TypeAlias = Iterator[tuple[int | None, str]]
"""The number of the step, from 1, or None for the whole policy; and what to do about it."""

_CLOCK_NAMES: Final = {
    Clock.STUDY: "study_age_days",
    Clock.STORED: "stored_days",
    Clock.UNREAD: "unread_days",
}
_AS_WARM: Final = {StorageClass.STANDARD_IA, StorageClass.INTELLIGENT_TIERING}


def infeasible(policy: Policy, *, by_rules: bool = True) -> Said:
    """Yield what cannot be carried out; `by_rules`: where a bucket's lifecycle moves packs."""
    yield from _sizes(policy)
    yield from _order(policy)
    yield from _days(policy)
    if by_rules:
        yield from too_soon_for_rules(policy)
    yield from _retention(policy)


def in_days(count: int) -> str:
    """Return `1 day`, `2 days`."""
    return f"{count} day{'' if count == 1 else 's'}"


def _sizes(policy: Policy) -> Said:
    least, most = policy.match.least_bytes, policy.match.most_bytes
    if most is not None and most < least:
        yield (
            None,
            (
                f"no study has at least {least} and at most {most} bytes: "
                "min_bytes must not be above max_bytes"
            ),
        )


def _order(policy: Policy) -> Said:
    coldest = StorageClass.STANDARD
    for number, step in enumerate(policy.steps, 1):
        to = step.to
        if is_colder(to, coldest):
            coldest = to
        elif to is StorageClass.STANDARD:
            yield number, "nothing moves back to STANDARD: take the step out"
        elif to is not coldest and {to, coldest} == _AS_WARM:
            yield (
                number,
                (
                    f"{to} is no colder than {coldest}, which a step before it moves to: "
                    "keep one of the two"
                ),
            )
        else:
            yield (
                number,
                (
                    f"{to} is not colder than {coldest}, which a step before it moves to: "
                    "order the steps from warm to cold, or take this one out"
                ),
            )


def _days(policy: Policy) -> Said:
    for number, step in enumerate(policy.steps, 1):
        before = [one.after_days for one in policy.steps[: number - 1] if one.clock is step.clock]
        if before and step.after_days <= max(before):
            yield (
                number,
                (
                    f"{_when(step)} is no later than {in_days(max(before))} of a step before it: "
                    f"write {max(before) + 1} or more"
                ),
            )


def too_soon_for_rules(policy: Policy) -> Said:
    """Yield which steps come sooner than a lifecycle of S3 moves anything there."""
    for number, step in enumerate(policy.steps, 1):
        least = RULES[step.to].lifecycle_days
        if step.after_days < least:
            yield (
                number,
                (
                    f"S3 moves nothing to {step.to} before it is {least} days old: "
                    f"write {least} or more instead of {_when(step)}"
                ),
            )


def _retention(policy: Policy) -> Said:
    kept = policy.retention_days
    if kept is None:
        return
    for number, step in enumerate(policy.steps, 1):
        # By whatever clock, a study's own age is no less than the step's days.
        if kept <= step.after_days:
            yield (
                number,
                (
                    f"{_when(step)} is never reached, since retention ends after {kept}: "
                    "take the step out, or keep studies for longer"
                ),
            )


def _when(step: Step) -> str:
    return f"{_CLOCK_NAMES[step.clock]} = {step.after_days}"
