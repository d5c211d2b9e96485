"""Locks of an object's version (S3 Object Lock).

A lock is of one version, and keeps that alone: a new one can be written over it, and a
delete marker put above it. A legal hold can be cleared; a retention date can be put off,
and before it is over brought forward by nobody (COMPLIANCE), or by who may bypass it
(GOVERNANCE), which nobody here does.
"""

from datetime import UTC, datetime
from typing import Any, Final, Literal

from botocore.exceptions import ClientError

from pacs_cloud.objectstore.s3_errors import NO_SUCH_FEATURE, code_of
from pacs_cloud.objectstore.s3_versions import Found

LockMode = Literal["GOVERNANCE", "COMPLIANCE"]

_SECOND_US: Final = 1_000_000
_NO_LOCKS: Final = NO_SUCH_FEATURE | {"ObjectLockConfigurationNotFoundError"}


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
