"""Another storage class for an object of a bucket: by a tag, or by a copy."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from botocore.exceptions import ClientError

from pacs_cloud.errors import Conflict, Corrupt, Denied, InvalidRequest, Offline
from pacs_cloud.objectstore.port import Availability, ObjectInfo
from pacs_cloud.objectstore.s3_errors import NO_SUCH_FEATURE, code_of
from pacs_cloud.objectstore.s3_info import lock_told, told
from pacs_cloud.objectstore.s3_multipart import PARTS_LIMIT, begun, first_of
from pacs_cloud.objectstore.s3_tags import put_tags, see_to_tags, tags_of
from pacs_cloud.objectstore.s3_versions import (
    Found,
    head,
    head_if_there,
    holds_same,
    remove_older,
    same_by_what_is_said,
)
from pacs_cloud.objectstore.storage_classes import (
    TIER_TAG,
    StorageClass,
    class_named,
    is_colder,
)

TAGS_LIMIT = 10
"""S3's, of one object."""
ONE_COPY_BYTES = 512 << 20
"""Larger objects are copied in parts. S3 copies 5 GiB at once, but a store that
answers only when it has done so must do it within one silence of the connection."""
PART_BYTES = 256 << 20
PARALLEL_PARTS = 4
_TRIES = 5
# S3 calls a copy without any change invalid: another mover has made it meanwhile.
_CHANGED = frozenset(
    {"PreconditionFailed", "ConditionalRequestConflict", "412", "409", "InvalidRequest"}
)
# AWS's word, and that of Ceph's gateway.
_NO_SUCH_CLASS = frozenset({"InvalidStorageClass", "InvalidArgument"})
# What some copies must be told again.
_HEADERS = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
    "Metadata",
)
_KMS = ("ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled")
_WHOLE_CHECKSUMS = ("CRC64NVME", "CRC32C", "CRC32")


@dataclass(frozen=True, slots=True)
class Mover:
    """Moves one object.

    Attributes:
        client: aiobotocore's S3 client.
        target: Bucket and Key.
        key: as its store's callers call it.
        by_tag: lifecycle rules move what is tagged, where they can (only down).
        reads_cold: see `s3_info.told`.
        lacking: the classes that the store was found not to have, which this adds to:
            each copy would be made for nothing.
        encryption: what copies are told of it; empty to keep what the object has.
    """

    client: Any
    target: dict[str, str]
    key: str
    by_tag: bool
    reads_cold: bool
    lacking: set[StorageClass]
    encryption: Mapping[str, Any] = field(default_factory=dict[str, Any])

    async def move(self, to: StorageClass) -> ObjectInfo:
        """Move the object, or ask for it; see the port."""
        for _ in range(_TRIES):
            found = await head(self.client, self.target)
            info = self._told(found)
            if class_named(info.storage_class) is to:
                await self._settle(found, to)
                return info
            if self.by_tag and _lifecycle_moves(info.storage_class, to):
                await self._tag(to)
                return info
            if info.availability is not Availability.ONLINE:
                raise Offline(f"{self.key} is in {info.storage_class}, {info.availability}")
            if lock_told(found):
                raise Denied(f"{self.key} is locked, and a copy would escape that")
            if to in self.lacking:
                raise self._has_no(to)
            try:
                version = await self._copy(found, to)
            except ClientError as error:
                if code_of(error) in _NO_SUCH_CLASS:
                    self.lacking.add(to)
                    raise self._has_no(to) from error
                if code_of(error) not in _CHANGED:
                    raise
                continue
            await self._check(found, version, to)
        raise Conflict(f"{self.key} changes again and again")

    async def _settle(self, found: Found, to: StorageClass) -> None:
        """Finish what is left of a move to the class that the object is in."""
        if self.by_tag:
            tags = await self._tags()
            if tags.get(TIER_TAG, to) != to:  # it must not be moved on
                await self._put_tags(tags | {TIER_TAG: to})
        else:
            await remove_older(self.client, self.target, found)

    async def _tag(self, to: StorageClass) -> None:
        tags = await self._tags()
        if tags.get(TIER_TAG) != to:
            await self._put_tags(tags | {TIER_TAG: to})

    async def _tags(self) -> dict[str, str]:
        try:
            return await tags_of(self.client, self.target)
        except ClientError as error:
            if self.by_tag or code_of(error) not in NO_SUCH_FEATURE:
                raise
            return {}

    async def _put_tags(self, tags: dict[str, str]) -> None:
        if len(tags) > TAGS_LIMIT:
            raise Conflict(f"{self.key} has {TAGS_LIMIT} tags of its own")
        await put_tags(self.client, self.target, tags)

    async def _copy(self, found: Found, to: StorageClass) -> str | None:
        """Copy the object onto itself; return the new version's name."""
        tags = await self._tags()
        # A rule must not move it back.
        replaced = tags | {TIER_TAG: to} if self.by_tag or TIER_TAG in tags else {}
        if len(replaced) > TAGS_LIMIT:
            raise Conflict(f"{self.key} has {TAGS_LIMIT} tags of its own")
        options: dict[str, Any] = {"StorageClass": to.value}
        if self.encryption:
            options |= self.encryption
        elif found.get("ServerSideEncryption", "").startswith("aws:kms"):
            options |= {name: found[name] for name in _KMS if name in found}
        if found["ContentLength"] > ONE_COPY_BYTES:
            if replaced or tags:
                options["Tagging"] = urlencode(replaced or tags)
            version = await self._copy_in_parts(found, options)
            if replaced or tags:
                await see_to_tags(self.client, self.target, replaced or tags)
            return version
        if replaced:
            options |= {"TaggingDirective": "REPLACE", "Tagging": urlencode(replaced)}
        if "VersionId" not in found:
            # SeaweedFS else sees nothing that a copy onto itself would change.
            options |= {"MetadataDirective": "REPLACE", **_headers(found)}
        done = await self.client.copy_object(
            **self.target, CopySource=self.target, CopySourceIfMatch=found["ETag"], **options
        )
        if replaced:
            await see_to_tags(self.client, self.target, replaced)
        return done.get("VersionId")

    async def _copy_in_parts(self, found: Found, options: dict[str, Any]) -> str | None:
        options |= _headers(found)
        whole = [one for one in _WHOLE_CHECKSUMS if f"Checksum{one}" in found]
        if whole and found.get("ChecksumType") != "COMPOSITE":
            options |= {"ChecksumAlgorithm": whole[0], "ChecksumType": "FULL_OBJECT"}
        size, slots = found["ContentLength"], asyncio.Semaphore(PARALLEL_PARTS)
        part_bytes = max(PART_BYTES, -(-size // PARTS_LIMIT))

        async def copy(number: int, offset: int) -> dict[str, Any]:
            async with slots:
                done = await self.client.upload_part_copy(
                    **self.target,
                    UploadId=upload_id,
                    PartNumber=number,
                    CopySource=self.target,
                    CopySourceIfMatch=found["ETag"],
                    CopySourceRange=f"bytes={offset}-{min(offset + part_bytes, size) - 1}",
                )
            return {"PartNumber": number, "ETag": done["CopyPartResult"]["ETag"]}

        async with begun(self.client, self.target, **options) as upload_id:
            try:
                async with asyncio.TaskGroup() as group:
                    parts = [
                        group.create_task(copy(number, offset))
                        for number, offset in enumerate(range(0, size, part_bytes), 1)
                    ]
            except BaseExceptionGroup as failed:
                raise first_of(failed) from None
            done = await self.client.complete_multipart_upload(
                **self.target,
                UploadId=upload_id,
                MultipartUpload={"Parts": [part.result() for part in parts]},
                IfMatch=found["ETag"],
            )
        return done.get("VersionId")

    async def _check(self, found: Found, version: str | None, to: StorageClass) -> None:
        """Look at the copy, and remove what it was made of.

        Raises:
            Corrupt: it does not hold what was copied; where the bucket keeps versions,
                that is the newest again.
            InvalidRequest: the store has no such class.
        """
        copied = await head_if_there(self.client, self.target, version)
        if copied is None:
            return  # another mover's is newer, and holds the same
        is_same = same_by_what_is_said(found, copied)
        if is_same is None and "VersionId" in copied:
            is_same = await holds_same(self.client, self.target, found, copied)
        if is_same is False:
            if version is not None:
                await self.client.delete_object(**self.target, VersionId=version)
            raise Corrupt(f"the copy of {self.key} in {to} is not what was copied")
        await remove_older(self.client, self.target, copied)
        lies_in = self._told(copied).storage_class
        if lies_in != to and lies_in == self._told(found).storage_class:
            self.lacking.add(to)
            raise self._has_no(to)

    def _has_no(self, to: StorageClass) -> InvalidRequest:
        return InvalidRequest(f"{self.key} stays: this store has no class {to}")

    def _told(self, found: Found) -> ObjectInfo:
        return told(self.key, found["ContentLength"], found, reads_cold=self.reads_cold)


def _headers(found: Found) -> dict[str, Any]:
    return {name: found[name] for name in _HEADERS if name in found}


def _lifecycle_moves(storage_class: str, to: StorageClass) -> bool:
    """Return whether a lifecycle rule moves objects from one class to the other: only down."""
    known = class_named(storage_class)
    return known is not None and is_colder(to, known)
