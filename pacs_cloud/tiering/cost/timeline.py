"""On which days studies are in which class, under one policy.

Studies move at the beginning of a day, before anybody reads them on it, and only
to colder classes: what was read again stays where it is, and pays for the reading.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.tiering.cost.hospital import Numbers, Reads, Studies
from pacs_cloud.tiering.cost.tally import NEVER
from pacs_cloud.tiering.policy import Clock, Policy, Step


@dataclass(frozen=True, slots=True)
class Stay:
    """The days that studies are in one class: half-open, none where `end` is `start`.

    Attributes:
        storage_class: which.
        start: the first day of each study.
        end: the day of the next move, or of the study's deletion.
    """

    storage_class: StorageClass
    start: Numbers
    end: Numbers


def stays(
    policy: Policy,
    studies: Studies,
    reads: Reads,
    ready: Numbers,
    waits: Mapping[StorageClass, int],
) -> list[Stay]:
    """Return the stays of studies, from STANDARD downwards.

    Args:
        policy: the one they are all under.
        studies: which.
        reads: of them.
        ready: the day on which its objects are made, before which each is not moved.
        waits: how many days later, at the soonest, a lifecycle rule moves them to a class.
    """
    gone = deleted(policy, studies)
    reached: list[Numbers] = []
    for step in policy.steps:
        # What is due sooner is tagged already, whoever reads it meanwhile.
        moved = np.maximum(_reached(step, studies, reads, ready), ready + waits[step.to])
        reached.append(np.minimum(moved, gone))
    # A step that a later one has overtaken is not made at all.
    found: list[Stay] = []
    leaves = gone
    for step, start in zip(reversed(policy.steps), reversed(reached), strict=True):
        found.append(Stay(step.to, np.minimum(start, leaves), leaves))
        leaves = np.minimum(start, leaves)
    found.append(Stay(StorageClass.STANDARD, studies.day, leaves))
    return found[::-1]


def deleted(policy: Policy, studies: Studies) -> Numbers:
    """Return the day on which each study's retention is over; `NEVER` without one."""
    if policy.retention_days is None:
        return np.full_like(studies.day, NEVER)
    return studies.day + policy.retention_days


def _reached(step: Step, studies: Studies, reads: Reads, ready: Numbers) -> Numbers:
    """Return the first day, from `ready` on, on which each study has the step's age."""
    if step.clock is not Clock.UNREAD:
        return np.maximum(studies.day + step.after_days, ready)
    before = previous(studies.day, reads)
    last = studies.day.copy()
    last[reads.study] = reads.day  # they come by day, so the last one stays
    found = np.maximum(last + step.after_days, ready)
    aged = np.maximum(before + step.after_days, ready[reads.study])
    in_time = aged <= reads.day
    np.minimum.at(found, reads.study[in_time], aged[in_time])
    return found


def previous(day: Numbers, reads: Reads) -> Numbers:
    """Return for each read the day of the one before it, or else the study's `day`."""
    before = day[reads.study]
    again = reads.study[1:] == reads.study[:-1]
    before[1:][again] = reads.day[:-1][again]
    return before
