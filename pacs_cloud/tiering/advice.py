"""What is to be said about tier policies: what is wrong, what costs more than it saves."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pacs_cloud.objectstore.storage_classes import (
    RULES,
    SMALL_BYTES,
    RecallSpeed,
    StorageClass,
    is_colder,
)
from pacs_cloud.tiering.infeasible import Said, in_days, infeasible, too_soon_for_rules
from pacs_cloud.tiering.policy import Clock, Policy
from pacs_cloud.tiering.recall.times import service_arrival_s


class Severity(StrEnum):
    """How bad it is."""

    NOTE = "note"
    """True of every such policy, and good to know."""
    WARNING = "warning"
    """It can be carried out, and is hardly what was meant."""
    ERROR = "error"
    """It cannot be carried out as it is written."""


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to know about a policy.

    Attributes:
        severity: how bad it is.
        policy: its name.
        step: which of its steps, from 1; None: the policy as a whole.
        sentence: what it is, and what to do.
    """

    severity: Severity
    policy: str
    step: int | None
    sentence: str


_YOUNG_DAYS: Final = {StorageClass.GLACIER: 90, StorageClass.DEEP_ARCHIVE: 365}
"""Below these ages studies are still compared with new ones, and a reader waits for hours."""

_YEAR_DAYS: Final = 365
"""A retention of fewer days is mostly one of years, mistyped: laws on images ask for years."""

_LATENESS: Final = {Clock.UNREAD: 0, Clock.STORED: 1, Clock.STUDY: 2}
"""No clock shows more than one behind it: nothing is read before it is stored, or made."""

_DOCUMENTS: Final = frozenset(
    {"AU", "DOC", "ECG", "FID", "HD", "KO", "PLAN", "PR", "REG", "RTPLAN", "RWV", "SMR", "SR"}
)
"""Modalities (PS3.3 C.7.3.1.1.1) of which an instance is mostly a few kilobytes."""


def advise(policies: Sequence[Policy], *, by_rules: bool = True) -> tuple[Advice, ...]:
    """Return what is to be said about the policies of one file, in its order.

    Args:
        policies: of the file.
        by_rules: whether a bucket's lifecycle moves packs, which has rules of its own; else
            the archive does.
    """
    found: list[Advice] = []
    noted: set[StorageClass] = set()
    for place, policy in enumerate(policies):
        by_severity = {
            Severity.ERROR: infeasible(policy, by_rules=by_rules),
            Severity.WARNING: _dubious(policy, policies[:place], by_rules=by_rules),
            Severity.NOTE: _floors(policy, noted),
        }
        found += [
            Advice(severity, policy.name, step, sentence)
            for severity, said in by_severity.items()
            for step, sentence in sorted(said, key=lambda one: one[0] or 0)
        ]
    return tuple(found)


def is_feasible(advice: Sequence[Advice]) -> bool:
    """Tell whether the policies can be carried out: no advice is an error."""
    return all(one.severity is not Severity.ERROR for one in advice)


def _dubious(policy: Policy, before: Sequence[Policy], *, by_rules: bool) -> Said:
    yield from _unreachable(policy, before)
    if policy.steps:
        yield from _small_studies(policy)
    yield from _overtaken(policy)
    yield from _minimum_durations(policy)
    yield from _retention(policy)
    yield from _youth(policy)
    if not by_rules:
        yield from too_soon_for_rules(policy)


def _unreachable(policy: Policy, before: Sequence[Policy]) -> Said:
    broader = next((one.name for one in before if one.match.covers(policy.match)), None)
    if broader is not None:
        yield (
            None,
            (
                f'every study that it is for falls under "{broader}" first: '
                "put it before that one, or take it out"
            ),
        )


def _small_studies(policy: Policy) -> Said:
    most, modalities = policy.match.most_bytes, policy.match.modalities
    if most is not None and most < SMALL_BYTES:
        yield (
            1,
            (
                f"no pack of a study of {most} bytes has the {_in_kib(SMALL_BYTES)} that a move "
                "takes: take the steps out, or raise max_bytes"
            ),
        )
    elif modalities and modalities <= _DOCUMENTS:
        yield (
            1,
            (
                f"packs of {', '.join(sorted(modalities))} are mostly smaller than the "
                f"{_in_kib(SMALL_BYTES)} that a move takes, and stay where they are"
            ),
        )


def _overtaken(policy: Policy) -> Said:
    for number, step in enumerate(policy.steps, 1):
        for later, one in enumerate(policy.steps[number:], number + 1):
            if _LATENESS[one.clock] > _LATENESS[step.clock] and one.after_days <= step.after_days:
                yield (
                    number,
                    (
                        f"step {later} is always due by then, so that this step moves nothing: "
                        "take it out, or give it fewer days"
                    ),
                )
                break


def _minimum_durations(policy: Policy) -> Said:
    for number, step in enumerate(policy.steps, 1):
        least, following = RULES[step.to].minimum_days, _next_by_clock(policy, number)
        if following is None:
            continue
        later = policy.steps[following - 1]
        stay = later.after_days - step.after_days
        if 0 < stay < least and is_colder(later.to, step.to):
            yield (
                following,
                (
                    f"it leaves {step.to} after {in_days(stay)}, and S3 bills {least}: write "
                    f"{step.after_days + least} or more, or take step {number} out"
                ),
            )


def _retention(policy: Policy) -> Said:
    kept = policy.retention_days
    if kept is None:
        return
    if kept < _YEAR_DAYS:
        yield (
            None,
            (
                f"studies need not be kept for longer than {in_days(kept)}, and `tier expired "
                "--delete` deletes them then: see that no law asks for years (retention_years)"
            ),
        )
    for number, step in enumerate(policy.steps, 1):
        left, least = kept - step.after_days, RULES[step.to].minimum_days
        if 0 < left < least and _next_by_clock(policy, number) is None:
            yield (
                number,
                (
                    f"retention ends {in_days(left)} later, and S3 bills {step.to} for {least}: "
                    f"keep studies for {step.after_days + least} days, or see by `cost simulate` "
                    "whether the step saves anything"
                ),
            )


def _next_by_clock(policy: Policy, number: int) -> int | None:
    """Return the number of the step behind step `number` that goes by the same clock."""
    clock = policy.steps[number - 1].clock
    later = enumerate(policy.steps[number:], number + 1)
    return next((place for place, one in later if one.clock is clock), None)


def _youth(policy: Policy) -> Said:
    for number, step in enumerate(policy.steps, 1):
        old = _YOUNG_DAYS.get(step.to, 0)
        if step.after_days < old:
            hours = service_arrival_s(step.to, RecallSpeed.STANDARD) / 3600
            yield (
                number,
                (
                    f"a study may be {in_days(step.after_days)} old, and reading it from {step.to} "
                    f"takes up to {hours:g} hours: write {old} or more, or use "
                    f"{StorageClass.GLACIER_IR}"
                ),
            )


def _floors(policy: Policy, noted: set[StorageClass]) -> Said:
    """Say once for each class what it makes of small packs, which is why they stay."""
    small = _in_kib(SMALL_BYTES)
    for number, step in enumerate(policy.steps, 1):
        rules = RULES[step.to]
        overhead_bytes = rules.cold_overhead_bytes + rules.hot_overhead_bytes
        if step.to in noted:
            continue
        noted.add(step.to)
        if step.to is StorageClass.INTELLIGENT_TIERING:
            why = f"{step.to} never moves an object under {small} to a cheaper tier"
        elif rules.billed_bytes:
            why = f"{step.to} bills every pack as {_in_kib(rules.billed_bytes)} or more"
        elif overhead_bytes:
            why = f"{step.to} bills {_in_kib(overhead_bytes)} more for every pack"
        else:
            continue
        yield number, f"{why}: packs under {small} stay where they are"
        if step.to is StorageClass.INTELLIGENT_TIERING:
            yield (
                number,
                (
                    f"leave the bucket's archive access tiers of {step.to} off: whatever they "
                    "take in has to be recalled before it is read, as from a cold class"
                ),
            )


def _in_kib(length_bytes: int) -> str:
    return f"{length_bytes >> 10} KiB"
