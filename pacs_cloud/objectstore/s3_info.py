"""What S3 says of an object, in the port's words."""

from collections.abc import Mapping
from typing import Any

from pacs_cloud.objectstore.port import Availability, ObjectInfo
from pacs_cloud.objectstore.storage_classes import needs_recall


def told(key: str, length_bytes: int, found: Mapping[str, Any]) -> ObjectInfo:
    """Return HeadObject's answer, or an entry of ListObjectsV2, as an ObjectInfo."""
    return ObjectInfo(
        key,
        length_bytes,
        round(found["LastModified"].timestamp() * 1_000_000),
        found.get("ETag", "").strip('"'),
        # S3 does not name its default class in a HEAD.
        found.get("StorageClass") or "STANDARD",
        _availability(found),
    )


def _availability(found: Mapping[str, Any]) -> Availability:
    """Return what `x-amz-restore` and `x-amz-archive-status` say (S3 API, HeadObject)."""
    restore = found.get("Restore", "")
    if 'ongoing-request="true"' in restore:
        return Availability.RESTORING
    cold = needs_recall(found.get("StorageClass", "")) or found.get("ArchiveStatus")
    return Availability.OFFLINE if cold and not restore else Availability.ONLINE
