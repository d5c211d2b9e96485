"""What readers take: requests, retrieved bytes, restores, and bytes that leave the region.

A read is of a whole study. Frame by frame is one ranged read for each instance,
in packs and outside of them alike.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pacs_cloud.objectstore.storage_classes import StorageClass, needs_recall
from pacs_cloud.tiering.cost.hospital import Numbers, Reads
from pacs_cloud.tiering.cost.layouts import Placed
from pacs_cloud.tiering.cost.prices import Speed
from pacs_cloud.tiering.cost.tally import Tally
from pacs_cloud.tiering.cost.timeline import Stay
from pacs_cloud.tiering.cost.usage import Counted, Measure

PAYS_BY_BYTE: Final = frozenset({StorageClass.STANDARD_IA, StorageClass.GLACIER_IR})

# When INTELLIGENT_TIERING moves what nobody has read (S3 User Guide, "How S3
# Intelligent-Tiering works").
_INFREQUENT_DAYS: Final = 30
_ARCHIVE_INSTANT_DAYS: Final = 90


@dataclass(frozen=True, slots=True)
class Reader:
    """How a hospital reads.

    Attributes:
        outside_percent: of the bytes, how many leave the region.
        speed: of restores.
        recall_days: how long a restored copy is kept.
    """

    outside_percent: int
    speed: Speed
    recall_days: int


def count_reads(
    reader: Reader,
    lying: Iterable[tuple[Stay, Placed]],
    reads: Reads,
    gone: Numbers,
    tally: Tally,
) -> None:
    """Count what `reads` take.

    Args:
        reader: how it is read.
        lying: where studies are, and as what; no two of a study's on one day.
        reads: by study, then by day.
        gone: the day of each study's deletion.
        tally: what counts.
    """
    cold: list[tuple[StorageClass, Placed, NDArray[np.bool_]]] = []
    for stay, placed in lying:
        here = (stay.start[reads.study] <= reads.day) & (reads.day < stay.end[reads.study])
        study, day = reads.study[here], reads.day[here]
        _count_requests(reader, stay.storage_class, placed, study, day, tally)
        if stay.storage_class is StorageClass.INTELLIGENT_TIERING:
            _keep_by_access(stay, placed, study, day, tally)
        if needs_recall(stay.storage_class):
            cold.append((stay.storage_class, placed, here))
    _restore(reader, cold, reads, gone, tally)


def _count_requests(
    reader: Reader,
    storage_class: StorageClass,
    placed: Placed,
    study: Numbers,
    day: Numbers,
    tally: Tally,
) -> None:
    tally.count(Counted(Measure.GET, storage_class), placed.instances[study], day)
    still = placed.still_instances[study]
    tally.count(Counted(Measure.GET, StorageClass.STANDARD), still, day)
    tally.count(Counted(Measure.READ_UNITS), placed.read_units[study], day)
    stored = (placed.stored + placed.still_stored)[study]
    tally.count(Counted(Measure.LEAVES), stored * reader.outside_percent // 100, day)
    if storage_class in PAYS_BY_BYTE:
        tally.count(Counted(Measure.RETRIEVED, storage_class), placed.stored[study], day)


def _keep_by_access(stay: Stay, placed: Placed, study: Numbers, day: Numbers, tally: Tally) -> None:
    """Hold what INTELLIGENT_TIERING keeps in the access tier that its last read calls for."""
    there = np.flatnonzero(stay.end > stay.start)
    whose = np.concatenate((there, study))
    since = np.concatenate((stay.start[there], day))
    order = np.lexsort((since, whose))
    whose, since = whose[order], since[order]
    until = stay.end[whose]
    again = whose[1:] == whose[:-1]
    until[:-1][again] = since[1:][again]
    stored = placed.stored[whose]
    infrequent, archive = since + _INFREQUENT_DAYS, since + _ARCHIVE_INSTANT_DAYS
    tiering = stay.storage_class
    tally.hold(Counted(Measure.STORED, tiering), stored, since, np.minimum(infrequent, until))
    tally.hold(Counted(Measure.INFREQUENT, tiering), stored, infrequent, np.minimum(archive, until))
    tally.hold(Counted(Measure.ARCHIVE_INSTANT, tiering), stored, archive, until)


def _restore(
    reader: Reader,
    cold: Iterable[tuple[StorageClass, Placed, NDArray[np.bool_]]],
    reads: Reads,
    gone: Numbers,
    tally: Tally,
) -> None:
    """Count one restore for all the reads that its copy serves."""
    cold = list(cold)
    if not cold:
        return
    any_cold = np.logical_or.reduce([here for _, _, here in cold])
    begins = np.zeros_like(any_cold)
    begins[any_cold] = _restores(
        reads.study[any_cold], reads.day[any_cold], reader.recall_days, len(gone)
    )
    for storage_class, placed, here in cold:
        study, day = reads.study[here & begins], reads.day[here & begins]
        stored = placed.stored[study]
        tally.count(
            Counted(Measure.RESTORE, storage_class, reader.speed), placed.objects[study], day
        )
        tally.count(Counted(Measure.RETRIEVED, storage_class, reader.speed), stored, day)
        until = np.minimum(day + reader.recall_days, gone[study])
        tally.hold(Counted(Measure.RESTORED, storage_class), stored, day, until)


def _restores(study: Numbers, day: Numbers, recall_days: int, studies: int) -> NDArray[np.bool_]:
    """Tell which reads begin a restore: those that no copy of an earlier one serves."""
    begins = np.zeros(len(study), dtype=np.bool_)
    until = np.zeros(studies, dtype=np.int64)
    left = np.arange(len(study))
    while len(left):
        first = np.ones(len(left), dtype=np.bool_)
        first[1:] = study[left[1:]] != study[left[:-1]]
        found = left[first]
        begins[found] = True
        until[study[found]] = day[found] + recall_days
        left = left[day[left] >= until[study[left]]]
    return begins
