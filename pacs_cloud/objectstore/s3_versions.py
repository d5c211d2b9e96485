"""Versions of one object that hold the same bytes, of which the newest is enough."""

import re
from collections.abc import Mapping
from typing import Any

from blake3 import blake3
from botocore.exceptions import ClientError

from pacs_cloud.objectstore.s3_errors import VENDOR_ERRORS, code_of, translated
from pacs_cloud.objectstore.s3_info import lock_told
from pacs_cloud.objectstore.s3_version_lists import list_of_one

READ_BYTES = 1 << 20
_CHECKSUMS = (
    "ChecksumCRC64NVME",
    "ChecksumSHA256",
    "ChecksumSHA1",
    "ChecksumCRC32C",
    "ChecksumCRC32",
)
_MD5 = re.compile(r'"[0-9a-f]{32}"')

Found = Mapping[str, Any]
"""HeadObject's answer, with checksums."""


async def head(client: Any, target: dict[str, str], version: str | None = None) -> Found:
    """Return what the store says of the newest version, or of this one."""
    options = {} if version is None else {"VersionId": version}
    answer: Found = await client.head_object(**target, ChecksumMode="ENABLED", **options)
    return answer


async def head_if_there(client: Any, target: dict[str, str], version: str | None) -> Found | None:
    """Return the same of one version; None where another mover removed it meanwhile."""
    try:
        return await head(client, target, version)
    except ClientError as error:
        if code_of(error) not in {"404", "NoSuchVersion", "NoSuchKey"}:
            raise
        return None


async def remove_older(client: Any, target: dict[str, str], found: Found) -> None:
    """Remove the versions that are older than `found` and hold the same.

    What holds something else is somebody's mistake, or what it replaced: it stays, as
    do locked ones. Never touching newer ones lets several callers do this at once.

    Raises:
        Offline, Denied, Unavailable: an older one cannot be compared; it stays.
    """
    newest = found.get("VersionId")
    if newest is None:
        return  # the bucket keeps none
    is_older = False
    for one in (await list_of_one(client, target)).versions:
        version = one["VersionId"]
        if version == newest:
            is_older = True
        elif is_older:
            older = await head_if_there(client, target, version)
            if older is None or lock_told(older):
                continue
            if await holds_same(client, target, older, found):
                await client.delete_object(**target, VersionId=version)


async def holds_same(client: Any, target: dict[str, str], one: Found, other: Found) -> bool:
    """Return whether two versions hold the same bytes, which are read where nothing else tells.

    Raises:
        Offline, Denied, NotFound, Unavailable: they cannot be read.
    """
    said = same_by_what_is_said(one, other)
    if said is None:
        try:
            digests = [await _digest(client, target, found) for found in (one, other)]
        except VENDOR_ERRORS as error:
            # Of this one object, mostly: others can be moved.
            what = f"comparing two versions of {target['Key']}, which both stay"
            raise translated(what, error) from error
        said = digests[0] == digests[1]
    return said


def same_by_what_is_said(one: Found, other: Found) -> bool | None:
    """Return whether two versions hold the same bytes; None where nothing said tells.

    A checksum tells where both have it, of the whole object. An ETag tells where it
    is an MD5 (not of an upload in parts, nor of what KMS encrypts).
    """
    if one["ContentLength"] != other["ContentLength"]:
        return False
    if "COMPOSITE" not in {one.get("ChecksumType"), other.get("ChecksumType")}:
        for name in _CHECKSUMS:
            if one.get(name) and other.get(name) and "-" not in one[name] + other[name]:
                return bool(one[name] == other[name])
    tags = [found.get("ETag", "") for found in (one, other)]
    if tags[0] == tags[1] and tags[0]:
        return True
    is_md5 = all(
        _MD5.fullmatch(found.get("ETag", ""))
        and not found.get("ServerSideEncryption", "").startswith("aws:kms")
        for found in (one, other)
    )
    return False if is_md5 else None


async def _digest(client: Any, target: dict[str, str], found: Found) -> bytes:
    digest = blake3()
    answer = await client.get_object(**target, VersionId=found["VersionId"])
    async with answer["Body"] as body:
        while chunk := await body.read(READ_BYTES):
            digest.update(chunk)
    return digest.digest()
