"""What a hospital's archive uses, month by month, under a policy and in a layout."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pacs_cloud.objectstore.storage_classes import SMALL_BYTES, StorageClass
from pacs_cloud.tiering.cost.bill import Bill, bill, total_of
from pacs_cloud.tiering.cost.calendar import Calendar
from pacs_cloud.tiering.cost.hospital import Hospital, Kind, Numbers, Reads, Studies
from pacs_cloud.tiering.cost.layouts import Layout, Placed, place, repacked
from pacs_cloud.tiering.cost.prices import Region, Speed
from pacs_cloud.tiering.cost.reading import Reader, count_reads
from pacs_cloud.tiering.cost.tally import NEVER, Tally
from pacs_cloud.tiering.cost.timeline import Stay, deleted, stays
from pacs_cloud.tiering.cost.usage import Counted, Measure, Usage, kept, rules_in
from pacs_cloud.tiering.policy import Clock, Facts, Policy

STAYING: Final = Policy("(no policy)")
"""What no policy is for stays in STANDARD for ever."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a run is under, beside its policies.

    Attributes:
        calendar: the months.
        region: whose prices and rules.
        layout: how instances lie in objects.
        speed: of restores.
        recall_days: how long a restored copy is kept.
    """

    calendar: Calendar
    region: Region
    layout: Layout
    speed: Speed = Speed.STANDARD
    recall_days: int = 7


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run came to.

    Attributes:
        studies: how many were under each policy, by its name.
        usage: of each month.
        bills: of each month.
    """

    studies: dict[str, int]
    usage: tuple[Usage, ...]
    bills: tuple[Bill, ...]

    @property
    def total(self) -> Bill:
        """Return the bill of all months."""
        return total_of(self.bills)


def simulate(
    hospital: Hospital,
    studies: Studies,
    reads: Reads,
    policies: Sequence[Policy],
    terms: Terms,
    progress: Callable[[int], None] = lambda _: None,
) -> Outcome:
    """Return what keeping and reading `studies` comes to.

    Args:
        hospital: whose they are.
        studies: as `hospital.made` makes them.
        reads: likewise.
        policies: the first that matches a study is its; what none matches stays.
        terms: what else matters.
        progress: called with how many studies are done.

    Raises:
        InvalidRequest: the region has no price for a class or a speed.
    """
    for step in (step for policy in policies for step in policy.steps):
        terms.region.of(step.to)
    tally = Tally(terms.calendar)
    counted: dict[str, int] = {}
    whose = assigned(policies, hospital, studies)
    done = 0
    for number, policy in enumerate((*policies, STAYING)):
        mine = whose == number
        count = int(mine.sum())
        if count:
            _run(hospital, studies.chosen(mine), reads.chosen(mine), policy, terms, tally)
            done += count
            progress(done)
        if count or policy is not STAYING:
            counted[policy.name] = count
    usage = tally.months()
    lengths = terms.calendar.lengths
    bills = (bill(one, terms.region, days) for one, days in zip(usage, lengths, strict=True))
    return Outcome(counted, usage, tuple(bills))


def assigned(policies: Sequence[Policy], hospital: Hospital, studies: Studies) -> Numbers:
    """Return the place of each study's policy, `len(policies)` where none matches.

    Made-up studies have a modality and a size, but no description and no institution.
    """
    whose = np.full_like(studies.day, len(policies))
    sizes = studies.length_bytes
    for number, policy in reversed(list(enumerate(policies))):
        match = policy.match
        any_size = replace(policy, match=replace(match, least_bytes=0, most_bytes=None))
        kinds = [any_size.matches(_facts(hospital, kind)) for kind in hospital.kinds]
        fits = np.array(kinds)[studies.kind] & (sizes >= match.least_bytes)
        if match.most_bytes is not None:
            fits &= sizes <= match.most_bytes
        whose[fits] = number
    return whose


def _facts(hospital: Hospital, kind: Kind) -> Facts:
    modalities = frozenset(kind.modality.split("+"))
    ages = dict.fromkeys(Clock, 0)
    return Facts(hospital.tenant, modalities, kind.description, kind.institution, 0, ages)


def _run(
    hospital: Hospital,
    studies: Studies,
    reads: Reads,
    policy: Policy,
    terms: Terms,
    tally: Tally,
) -> None:
    """Count what studies under one policy use."""
    skipped = SMALL_BYTES if terms.region.service_rules else 0
    came = place(studies, terms.layout, skipped)
    gone = deleted(policy, studies)
    _store(came, studies.day, tally)
    repack = terms.layout.repack
    if repack is None:
        placed, ready, over, ends = came, studies.day, np.full_like(studies.day, NEVER), gone
    else:
        thousandfold = [round(kind.ratio * 1000) for kind in hospital.kinds]
        ratios = np.array(thousandfold, dtype=np.int64)[studies.kind]
        placed = repacked(studies, repack, ratios, skipped)
        # What is deleted sooner is never repacked.
        ready = np.minimum(studies.day + repack.after_days, gone)
        over = np.where(ready < gone, ready, NEVER)
        ends = np.where(ready < gone, gone, NEVER)
        _get(came, over, tally)
        _store(placed, over, tally)
        before_end = np.minimum(ready + repack.grace_days, gone)
        _hold_standard(came, studies.day, before_end, tally)
        _delete(came, before_end, tally)
    waits = {step.to: rules_in(terms.region, step.to).lifecycle_days for step in policy.steps}
    found = stays(policy, studies, reads, ready, waits)
    if repack is not None:
        # Until then its bytes are those that came in, which the lines above count.
        found[0] = Stay(StorageClass.STANDARD, ready, found[0].end)
    _keep(placed, found, gone, ready, terms, tally)
    _move(placed, found, gone, ready, terms, tally)
    if terms.layout.packed:
        _delete(placed, ends, tally)
    count_reads(
        Reader(hospital.outside_percent, terms.speed, terms.recall_days),
        [
            (Stay(StorageClass.STANDARD, studies.day, ready), came),
            *((stay, placed) for stay in found),
        ],
        reads,
        gone,
        tally,
    )
    # Of what is repacked, the few days before it are billed as if it already were.
    tally.hold(Counted(Measure.CATALOGUE), placed.catalogued, studies.day, gone)


def _store(placed: Placed, day: Numbers, tally: Tally) -> None:
    """Count the requests that bring studies in: each pack's index is an object of its own."""
    objects = placed.objects + placed.still_objects + placed.index_objects
    tally.count(Counted(Measure.PUT, StorageClass.STANDARD), objects, day)
    tally.count(Counted(Measure.WRITE_UNITS), placed.write_units, day)


def _get(placed: Placed, day: Numbers, tally: Tally) -> None:
    objects = placed.objects + placed.still_objects
    tally.count(Counted(Measure.GET, StorageClass.STANDARD), objects, day)


def _delete(placed: Placed, day: Numbers, tally: Tally) -> None:
    """Count that each object's versions are listed; to delete them is free."""
    objects = placed.objects + placed.still_objects + placed.index_objects
    tally.count(Counted(Measure.PUT, StorageClass.STANDARD), objects, day)


def _hold_standard(placed: Placed, start: Numbers, end: Numbers, tally: Tally) -> None:
    stored = placed.stored + placed.still_stored + placed.index_stored
    tally.hold(Counted(Measure.STORED, StorageClass.STANDARD), stored, start, end)


def _keep(
    placed: Placed,
    found: Sequence[Stay],
    gone: Numbers,
    start: Numbers,
    terms: Terms,
    tally: Tally,
) -> None:
    """Count what lies where, and what is missing to the minimum durations."""
    still = placed.still_stored + placed.index_stored
    tally.hold(Counted(Measure.STORED, StorageClass.STANDARD), still, start, gone)
    none = np.zeros_like(still)
    for stay in found:
        rules = rules_in(terms.region, stay.storage_class)
        amounts = kept(stay.storage_class, rules, placed.stored, none, placed.objects)
        if stay.storage_class is StorageClass.INTELLIGENT_TIERING:
            # Which of its access tiers, the readers decide.
            amounts.pop(Counted(Measure.STORED, stay.storage_class))
            monitored = Counted(Measure.MONITORED, stay.storage_class)
            amounts[monitored] = placed.objects
        tally.hold_all(amounts, stay.start, stay.end)
        missing = rules.minimum_days - (stay.end - stay.start)
        short = (missing > 0) & (stay.end > stay.start)
        billed = placed.stored + placed.objects * rules.cold_overhead_bytes
        early = Counted(Measure.EARLY, stay.storage_class)
        if rules.minimum_days:
            tally.count(early, billed * missing * short, stay.end)


def _move(
    placed: Placed,
    found: Sequence[Stay],
    gone: Numbers,
    ready: Numbers,
    terms: Terms,
    tally: Tally,
) -> None:
    """Count what moving takes: a pack is tagged, then a lifecycle rule moves it."""
    tagged = np.full_like(gone, NEVER)
    for stay in found[1:]:
        moved = np.where(stay.end > stay.start, stay.start, NEVER)
        tally.count(Counted(Measure.TRANSITION, stay.storage_class), placed.objects, moved)
        tally.count(Counted(Measure.WRITE_UNITS), placed.move_units, moved)
        if not terms.layout.packed:
            continue
        tagged = np.minimum(tagged, moved)
        # What is due on the day on which it is put, is put with its tag.
        later = np.where(moved > ready, moved, NEVER)
        # A tag is a request of STANDARD's, whatever class the object lies in.
        tally.count(Counted(Measure.PUT, StorageClass.STANDARD), placed.objects, later)
    if terms.layout.packed:
        tally.hold(Counted(Measure.TAGGED), placed.objects, tagged, gone)
