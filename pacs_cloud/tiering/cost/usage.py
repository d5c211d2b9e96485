"""What is counted of an archive in a month, before anybody asks for its price.

Bytes and objects that are kept are counted in byte-days and object-days: whole
numbers, which add up exactly however the month is cut.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from pacs_cloud.objectstore.storage_classes import RULES, SMALL_BYTES, ClassRules, StorageClass
from pacs_cloud.tiering.cost.prices import Region, Speed

Whole = TypeVar("Whole", int, NDArray[np.int64])


class Measure(StrEnum):
    """What is counted; each is a line of the bill for each class it was counted in."""

    STORED = "storage"
    FLOOR = "storage below the smallest billed size"
    COLD_OVERHEAD = "storage of the service's index"
    HOT_OVERHEAD = "storage of names and metadata"
    EARLY = "days missing to the minimum duration"
    INFREQUENT = "storage, infrequent access tier"
    ARCHIVE_INSTANT = "storage, archive instant access tier"
    RESTORED = "storage of restored copies"
    MONITORED = "monitoring and automation"
    TAGGED = "object tags"
    PUT = "PUT, COPY, POST, LIST requests"
    GET = "GET and all other requests"
    TRANSITION = "lifecycle transitions"
    RETRIEVED = "retrieved bytes"
    RESTORE = "restore requests"
    LEAVES = "data transfer out"
    WRITE_UNITS = "catalogue write units"
    READ_UNITS = "catalogue read units"
    CATALOGUE = "catalogue storage"


@dataclass(frozen=True, slots=True)
class Counted:
    """One thing that is counted.

    Attributes:
        measure: what.
        storage_class: in which class; of a transition the one moved to; None: in none.
        speed: of a restore and of what it retrieves; None: without one.
    """

    measure: Measure
    storage_class: StorageClass | None = None
    speed: Speed | None = None


Usage: TypeAlias = Mapping[Counted, int]
"""Byte-days, object-days, bytes, requests or units in one month, as the measure says."""


NO_RULES = ClassRules()


def rules_in(region: Region, storage_class: StorageClass) -> ClassRules:
    """Return what the class asks of its objects in `region`: nothing, on disks of one's own."""
    return RULES[storage_class] if region.service_rules else NO_RULES


def shortfall(size_bytes: Whole, floor_bytes: int) -> Whole:
    """Return how many bytes an object (or each of an array) is billed beyond its own."""
    return (floor_bytes - size_bytes) * (size_bytes < floor_bytes)


def kept(
    storage_class: StorageClass, rules: ClassRules, stored: Whole, short: Whole, objects: Whole
) -> dict[Counted, Whole]:
    """Return what keeping objects is billed as, each amount per day that they are kept.

    Args:
        storage_class: where they lie.
        rules: of that class, there.
        stored: their bytes.
        short: their bytes short of the smallest billed size.
        objects: how many.
    """
    made = {Counted(Measure.STORED, storage_class): stored}
    if rules.billed_bytes:
        made[Counted(Measure.FLOOR, storage_class)] = short
    if rules.cold_overhead_bytes:
        made[Counted(Measure.COLD_OVERHEAD, storage_class)] = objects * rules.cold_overhead_bytes
    if rules.hot_overhead_bytes:
        made[Counted(Measure.HOT_OVERHEAD, storage_class)] = objects * rules.hot_overhead_bytes
    return made


def kept_pack(region: Region, storage_class: StorageClass, length_bytes: int) -> dict[Counted, int]:
    """Return what keeping one pack is billed as, per day: its bytes, its tag, its watching.

    What lies in INTELLIGENT_TIERING counts as read within 30 days.
    """
    rules = rules_in(region, storage_class)
    short = shortfall(length_bytes, rules.billed_bytes)
    made = kept(storage_class, rules, length_bytes, short, 1)
    if storage_class is StorageClass.INTELLIGENT_TIERING and length_bytes >= SMALL_BYTES:
        made[Counted(Measure.MONITORED, storage_class)] = 1
    if storage_class is not StorageClass.STANDARD:
        made[Counted(Measure.TAGGED)] = 1
    return made
