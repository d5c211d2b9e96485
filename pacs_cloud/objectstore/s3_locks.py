"""Locks of an object's version (S3 Object Lock), and its other versions.

A lock is of one version, and keeps that alone: a new one can be written over it, and a
delete marker put above it. A legal hold can be cleared; a retention date can be put off,
and before it is over brought forward by nobody (COMPLIANCE), or by who may bypass it
(GOVERNANCE), which nobody here does.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final, Literal

from botocore.exceptions import ClientError

from pacs_cloud.objectstore.port import ObjectLock
from pacs_cloud.objectstore.s3_errors import NO_SUCH_FEATURE, code_of
from pacs_cloud.objectstore.s3_versions import Found

LockMode = Literal["GOVERNANCE", "COMPLIANCE"]

_SECOND_US: Final = 1_000_000
_NO_LOCKS: Final = NO_SUCH_FEATURE | {"ObjectLockConfigurationNotFoundError"}


def lock_told(found: Found) -> ObjectLock:
    """Return what HeadObject's answer says of the version's locks.

    What the caller may not know (s3:GetObjectRetention, s3:GetObjectLegalHold) is left out.
    """
    until = found.get("ObjectLockRetainUntilDate")
    is_to_come = until is not None and until > datetime.now(UTC)
    return ObjectLock(
        is_held=found.get("ObjectLockLegalHoldStatus") == "ON",
        until_us=round(until.timestamp() * _SECOND_US) if until and is_to_come else 0,
    )


async def can_lock(client: Any, bucket: str) -> bool:
    """Return whether a bucket locks objects: some servers take a lock that nothing comes of."""
    try:
        answer = await client.get_object_lock_configuration(Bucket=bucket)
    except ClientError as error:
        if code_of(error) not in _NO_LOCKS:
            raise
        return False
    return bool(answer["ObjectLockConfiguration"].get("ObjectLockEnabled") == "Enabled")


async def put_legal_hold(client: Any, target: dict[str, str], found: Found, *, on: bool) -> None:
    """Set or clear the legal hold of the version `found`."""
    await client.put_object_legal_hold(
        **target, **_version(found), LegalHold={"Status": "ON" if on else "OFF"}
    )


async def put_retention(
    client: Any, target: dict[str, str], found: Found, until_us: int, mode: LockMode
) -> None:
    """Lock the version `found` until then; one that is in COMPLIANCE stays in that."""
    seconds = -(-until_us // _SECOND_US)
    kept = "COMPLIANCE" if found.get("ObjectLockMode") == "COMPLIANCE" else mode
    until = datetime.fromtimestamp(seconds, UTC)
    retention = {"Mode": kept, "RetainUntilDate": until}
    await client.put_object_retention(**target, **_version(found), Retention=retention)


def _version(found: Found) -> dict[str, str]:
    return {"VersionId": found["VersionId"]} if "VersionId" in found else {}


async def list_versions(client: Any, bucket: str, prefix: str) -> AsyncIterator[str]:
    """Yield the key of each version and delete marker below `prefix`."""
    options: dict[str, str] = {}
    while True:
        page = await client.list_object_versions(Bucket=bucket, Prefix=prefix, **options)
        for entry in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
            if not entry["Key"].endswith("/"):  # a folder, which is no object
                yield entry["Key"]
        if not page.get("IsTruncated"):
            return
        options = {"KeyMarker": page["NextKeyMarker"]}
        if page.get("NextVersionIdMarker"):
            options["VersionIdMarker"] = page["NextVersionIdMarker"]
