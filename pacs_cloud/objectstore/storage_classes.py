"""Storage classes and what their service asks of an object in each, whatever the price.

The names are S3's; a file store or an on-site bucket uses the same ones for its
tiers. The rules are those of the S3 User Guide, "Understanding and managing
storage classes" and "Transitioning objects": they change what a policy is worth,
and some make it impossible.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from pacs_cloud.errors import InvalidRequest


class StorageClass(StrEnum):
    """From the dearest to keep and cheapest to read, to the opposite."""

    STANDARD = "STANDARD"
    INTELLIGENT_TIERING = "INTELLIGENT_TIERING"
    STANDARD_IA = "STANDARD_IA"
    GLACIER_IR = "GLACIER_IR"
    GLACIER = "GLACIER"
    DEEP_ARCHIVE = "DEEP_ARCHIVE"


class RecallSpeed(StrEnum):
    """How fast a restore is: the slower, the cheaper."""

    BULK = "Bulk"
    STANDARD = "Standard"
    EXPEDITED = "Expedited"


@dataclass(frozen=True, slots=True)
class ClassRules:
    """What one class asks.

    Attributes:
        minimum_days: an object that leaves sooner is billed as if it had stayed so long.
        billed_bytes: an object is billed as at least so large.
        cold_overhead_bytes: billed beside each object, at the class's own price.
        hot_overhead_bytes: likewise, at STANDARD's price: the object's name and metadata.
        lifecycle_days: a lifecycle rule moves an object here no sooner after its creation.
        needs_recall: it can be read only after it was restored.
    """

    minimum_days: int = 0
    billed_bytes: int = 0
    cold_overhead_bytes: int = 0
    hot_overhead_bytes: int = 0
    lifecycle_days: int = 0
    needs_recall: bool = False


TIER_TAG: Final = "pacs-tier"
"""The tag that says into which class an object is due, for lifecycle rules to filter by."""

SMALL_BYTES: Final = 128 << 10
"""Lifecycle rules skip smaller objects unless told otherwise; INTELLIGENT_TIERING does always."""

RULES: Final[Mapping[StorageClass, ClassRules]] = MappingProxyType(
    {
        StorageClass.STANDARD: ClassRules(),
        StorageClass.INTELLIGENT_TIERING: ClassRules(),
        StorageClass.STANDARD_IA: ClassRules(30, SMALL_BYTES, lifecycle_days=30),
        StorageClass.GLACIER_IR: ClassRules(90, SMALL_BYTES),
        StorageClass.GLACIER: ClassRules(90, 0, 32 << 10, 8 << 10, needs_recall=True),
        StorageClass.DEEP_ARCHIVE: ClassRules(180, 0, 32 << 10, 8 << 10, needs_recall=True),
    }
)


def archived_in(storage_class: str, access_tier: str) -> str:
    """Return how a class with an archive access tier of its own is written: `CLASS/TIER`.

    INTELLIGENT_TIERING puts what nobody reads there, where a bucket says so, and then it
    has to be restored, though its class is the same (S3 API, `x-amz-archive-status`).
    """
    return f"{storage_class}/{access_tier}"


def without_access_tier(storage_class: str) -> str:
    """Return the class alone, which is all that a listing tells."""
    return storage_class.partition("/")[0]


ARCHIVE_ACCESS: Final = archived_in(StorageClass.INTELLIGENT_TIERING, "ARCHIVE_ACCESS")
DEEP_ARCHIVE_ACCESS: Final = archived_in(StorageClass.INTELLIGENT_TIERING, "DEEP_ARCHIVE_ACCESS")


def needs_recall(storage_class: str) -> bool:
    """Tell whether an object of this class must be restored before it is read."""
    return storage_class in _COLD or "/" in storage_class


def is_colder(one: StorageClass, than: StorageClass) -> bool:
    """Tell whether an object can be moved down from `than` to `one`.

    INTELLIGENT_TIERING and STANDARD_IA are as warm as each other: lifecycle rules do
    not move from the first to the second.
    """
    return _COLDNESS[one] > _COLDNESS[than]


def class_named(text: str) -> StorageClass | None:
    """Return the class of this name, None for one that is none of ours (such as ONEZONE_IA).

    Of one with an archive access tier that is the class.
    """
    try:
        return StorageClass(without_access_tier(text))
    except ValueError:
        return None


_COLDNESS: Final[Mapping[StorageClass, int]] = MappingProxyType(
    {
        StorageClass.STANDARD: 0,
        StorageClass.INTELLIGENT_TIERING: 1,
        StorageClass.STANDARD_IA: 1,
        StorageClass.GLACIER_IR: 2,
        StorageClass.GLACIER: 3,
        StorageClass.DEEP_ARCHIVE: 4,
    }
)


def is_at_hand(storage_class: str, recalled_until_us: int, now_us: int) -> bool:
    """Tell whether an object can be read now.

    Args:
        storage_class: where it lies.
        recalled_until_us: how long its restored copy stays, microseconds since 1970 UTC;
            0 where there was none.
        now_us: microseconds since 1970 UTC.
    """
    return not needs_recall(storage_class) or now_us < recalled_until_us


_COLD: Final = frozenset(one for one, rules in RULES.items() if rules.needs_recall)
_NEVER_FAST: Final = frozenset({StorageClass.DEEP_ARCHIVE, DEEP_ARCHIVE_ACCESS})


def check_recall(storage_class: str, days: int, speed: RecallSpeed) -> None:
    """Raise InvalidRequest for a recall that no store would take.

    S3 restores for a day at least, and nothing in a deep archive fast (S3 API, RestoreObject).
    """
    if days < 1:
        raise InvalidRequest(f"a recall is for one day or more, not {days}")
    if storage_class in _NEVER_FAST and speed is RecallSpeed.EXPEDITED:
        raise InvalidRequest(f"{storage_class} has no {speed} recall")
