"""What is to be said about rules of prefetching: what does nothing, and what comes too late."""

from collections.abc import Iterator, Sequence
from typing import Final

from pacs_cloud.objectstore.storage_classes import RecallSpeed, StorageClass, needs_recall
from pacs_cloud.tiering.advice import Advice, Severity
from pacs_cloud.tiering.policy import Match, Policy
from pacs_cloud.tiering.recall.prefetch_rules import PrefetchRule
from pacs_cloud.tiering.recall.times import offered_speed, service_arrival_s

_HOUR_S: Final = 3600


def advise_prefetch(
    rules: Sequence[PrefetchRule], policies: Sequence[Policy]
) -> tuple[Advice, ...]:
    """Return what is to be said about the rules of one file, in its order.

    Args:
        rules: of prefetching.
        policies: of the same file: where they move what is to be fetched from.
    """
    cold = [step.to for policy in policies for step in policy.steps if needs_recall(step.to)]
    found: list[Advice] = []
    for place, rule in enumerate(rules):
        said = [
            *((Severity.WARNING, one) for one in _dubious(rule, rules[:place])),
            *(_late(rule, cold) if place == 0 or rule.speed != rules[0].speed else ()),
        ]
        found += [Advice(severity, rule.name, None, sentence) for severity, sentence in said]
    return tuple(found)


def _dubious(rule: PrefetchRule, before: Sequence[PrefetchRule]) -> Iterator[str]:
    broader = next((one.name for one in before if _covers(one, rule)), None)
    if broader is not None:
        yield (
            f'every study that it is for falls under "{broader}" first: put it before that one, '
            "or take it out"
        )
    if rule.speed is RecallSpeed.EXPEDITED:
        yield (
            f"nobody waits for a prior yet, and {rule.speed} costs several times as much: leave "
            "speed out"
        )
    wanted = rule.priors
    if (
        wanted.same_modality
        and wanted.modalities
        and rule.modalities
        and not wanted.modalities & rule.modalities
        and len(rule.modalities) == 1
    ):
        yield (
            "no prior has both a modality that it names and the newcomer's: leave same_modality "
            "out, or modality"
        )


def _late(rule: PrefetchRule, cold: Sequence[StorageClass]) -> Iterator[tuple[Severity, str]]:
    if not cold:
        yield (
            Severity.WARNING,
            (
                "no policy of this file moves anything to a class that has to be recalled: it "
                "does nothing, unless rules of the bucket do"
            ),
        )
        return
    speed = rule.speed or RecallSpeed.STANDARD
    hours, slowest = max((service_arrival_s(one, speed) / _HOUR_S, one.value) for one in cold)
    yield (
        Severity.NOTE,
        (
            f"a prior in {slowest} comes up to {hours:g} hours after the study did, at "
            f"{offered_speed(slowest, speed)}: `recall worklist` asks for it the day before"
        ),
    )


def _covers(broad: PrefetchRule, narrow: PrefetchRule) -> bool:
    """Tell whether `broad` is surely for whatever `narrow` is for."""
    is_part = not broad.body_parts or (
        bool(narrow.body_parts) and narrow.body_parts <= broad.body_parts
    )
    return is_part and _match_of(broad).covers(_match_of(narrow))


def _match_of(rule: PrefetchRule) -> Match:
    return Match(rule.tenants, rule.modalities, rule.descriptions, rule.institutions)
