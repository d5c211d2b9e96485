"""What S3 says of an object, in the port's words."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from pacs_cloud.objectstore.port import Availability, ObjectInfo, ObjectLock
from pacs_cloud.objectstore.storage_classes import StorageClass, archived_in, needs_recall

_EXPIRY = re.compile(r'expiry-date="([^"]+)"')


def told(
    key: str, length_bytes: int, found: Mapping[str, Any], *, reads_cold: bool = False
) -> ObjectInfo:
    """Return HeadObject's answer, or an entry of ListObjectsV2, as an ObjectInfo.

    Args:
        key: the object's.
        length_bytes: its size.
        found: the answer or the entry.
        reads_cold: the store has no recall: it reads every class at once.
    """
    availability, until_us = (Availability.ONLINE, None) if reads_cold else _availability(found)
    return ObjectInfo(
        key,
        length_bytes,
        round(found["LastModified"].timestamp() * 1_000_000),
        found.get("ETag", "").strip('"'),
        _class_of(found),
        availability,
        until_us,
    )


def lock_told(found: Mapping[str, Any]) -> ObjectLock:
    """Return what HeadObject's answer says of the version's locks.

    What the caller may not know (s3:GetObjectRetention, s3:GetObjectLegalHold) is left out.
    """
    until = found.get("ObjectLockRetainUntilDate")
    is_to_come = until is not None and until > datetime.now(UTC)
    return ObjectLock(
        is_held=found.get("ObjectLockLegalHoldStatus") == "ON",
        until_us=round(until.timestamp() * 1_000_000) if until and is_to_come else 0,
    )


def _class_of(found: Mapping[str, Any]) -> str:
    """Return the storage class, with the archive access tier that an object lies in."""
    # S3 does not name its default class in a HEAD.
    storage_class = found.get("StorageClass") or StorageClass.STANDARD.value
    access_tier = found.get("ArchiveStatus", "")
    if storage_class == StorageClass.INTELLIGENT_TIERING and _is_restoring(found):
        access_tier = access_tier or "ARCHIVE_ACCESS"  # it has one, until it has come
    return archived_in(storage_class, access_tier) if access_tier else storage_class


def _is_restoring(found: Mapping[str, Any]) -> bool:
    return 'ongoing-request="true"' in found.get("Restore", "")


def _availability(found: Mapping[str, Any]) -> tuple[Availability, int | None]:
    """Return what `x-amz-restore` and `x-amz-archive-status` say (S3 API, HeadObject)."""
    if _is_restoring(found):
        return Availability.RESTORING, None
    restore = found.get("Restore", "")
    cold = needs_recall(found.get("StorageClass", "")) or found.get("ArchiveStatus")
    if cold and not restore:
        return Availability.OFFLINE, None
    return Availability.ONLINE, _expiry_us(restore)


def _expiry_us(restore: str) -> int | None:
    """Return when the restored copy goes; None where it is not told."""
    expiry = _EXPIRY.search(restore)
    if expiry is None:
        return None
    try:
        return round(parsedate_to_datetime(expiry[1]).timestamp() * 1_000_000)
    except ValueError:
        return None
