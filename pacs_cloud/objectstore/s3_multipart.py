"""One object in parts, which appears whole or not at all, and only under a free key."""

import asyncio
import base64
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

from botocore.exceptions import ClientError

from pacs_cloud.objectstore.file_part import FilePart
from pacs_cloud.objectstore.s3_claims import Written
from pacs_cloud.objectstore.s3_errors import NO_SUCH_FEATURE, VENDOR_ERRORS, code_of
from pacs_cloud.objectstore.s3_tags import see_to_tags

PART_BYTES = 16 << 20
PARTS_LIMIT = 10_000
"""S3's limit; above 156 GiB the parts grow."""
PARALLEL_PARTS = 4
ABORT_TIMEOUT_S = 30
_OVER = frozenset({"NoSuchUpload", "404"})
"""It was completed or dropped meanwhile."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload that has begun.

    Attributes:
        client: aiobotocore's S3 client.
        target: Bucket and Key.
        upload_id: S3's name for it.
        checksum: whether the store is given CRC-32s.
    """

    client: Any
    target: dict[str, str]
    upload_id: str
    checksum: bool

    async def part(self, number: int, body: FilePart, crc: int) -> dict[str, Any]:
        """Send a part; return what completing needs to know of it."""
        checksum = {"ChecksumCRC32": _crc_text(crc)} if self.checksum else {}
        sent = await self.client.upload_part(
            **self.target, UploadId=self.upload_id, PartNumber=number, Body=body, **checksum
        )
        return {"PartNumber": number, "ETag": sent["ETag"], **checksum}

    async def complete(self, parts: list[dict[str, Any]], crc: int) -> Written:
        """Make the object appear, if the key is free; return what it is then."""
        whole = {"ChecksumCRC32": _crc_text(crc), "ChecksumType": "FULL_OBJECT"}
        done = await self.client.complete_multipart_upload(
            **self.target,
            UploadId=self.upload_id,
            MultipartUpload={"Parts": parts},
            IfNoneMatch="*",
            **(whole if self.checksum else {}),
        )
        return Written(str(done["ETag"]), done.get("VersionId"))


async def upload_in_parts(
    client: Any,
    target: dict[str, str],
    file: int,
    size: int,
    *,
    checksum: bool,
    tags: dict[str, str],
    storage_class: str,
    encryption: Mapping[str, Any] = MappingProxyType({}),
) -> Written:
    """Send `size` bytes of the open file `file` as one new object; return what it is then.

    PARALLEL_PARTS parts are under way at once, none of them in memory. Whatever
    goes wrong, cancellation included, the parts are dropped; where even that
    fails, the bucket's rule for incomplete uploads drops them.

    Args:
        client: aiobotocore's S3 client.
        target: Bucket and Key.
        file: a descriptor, read by position.
        size: in bytes, more than 0.
        checksum: whether to send CRC-32s, of each part and of the whole.
        tags: at most ten.
        storage_class: "" for the bucket's default.
        encryption: what botocore is told of it.
    """
    options: dict[str, Any] = {**encryption}
    if checksum:
        options |= {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}
    if tags:
        options["Tagging"] = urlencode(tags)
    if storage_class:
        options["StorageClass"] = storage_class
    async with begun(client, target, **options) as upload_id:
        upload = Upload(client, target, upload_id, checksum)
        parts, crc = await _send_parts(upload, file, size)
        written = await upload.complete(parts, crc)
    if tags:
        await see_to_tags(client, target, tags)
    return written


@asynccontextmanager
async def begun(client: Any, target: dict[str, str], **options: Any) -> AsyncGenerator[str]:
    """Begin an upload and give its name; where the block fails, its parts are dropped."""
    upload = await client.create_multipart_upload(**target, **options)
    upload_id = str(upload["UploadId"])
    try:
        yield upload_id
    except BaseException as error:
        try:
            await asyncio.shield(_abort(client, target, upload_id))
        except (*VENDOR_ERRORS, TimeoutError) as left:
            error.add_note(f"the upload's parts are left to the bucket's rule: {left}")
        raise


async def _abort(client: Any, target: dict[str, str], upload_id: str) -> None:
    async with asyncio.timeout(ABORT_TIMEOUT_S):
        await client.abort_multipart_upload(**target, UploadId=upload_id)


async def drop_uploads(client: Any, bucket: str, prefix: str, before_us: int) -> int:
    """Drop the uploads below `prefix` that began before then; return how many."""
    dropped, options = 0, dict[str, str]()
    while True:
        try:
            page = await client.list_multipart_uploads(Bucket=bucket, Prefix=prefix, **options)
        except ClientError as error:
            if code_of(error) not in NO_SUCH_FEATURE:
                raise
            return dropped
        for one in page.get("Uploads", ()):
            is_below = one["Key"].startswith(prefix)  # a server may look at no prefix
            if is_below and one["Initiated"].timestamp() * 1e6 < before_us:
                target = {"Bucket": bucket, "Key": one["Key"]}
                try:
                    await client.abort_multipart_upload(**target, UploadId=one["UploadId"])
                except ClientError as error:
                    if code_of(error) not in _OVER:
                        raise
                dropped += 1
        if not page.get("IsTruncated"):
            return dropped
        options = {
            "KeyMarker": page["NextKeyMarker"],
            "UploadIdMarker": page["NextUploadIdMarker"],
        }


async def _send_parts(upload: Upload, file: int, size: int) -> tuple[list[dict[str, Any]], int]:
    part_bytes = part_size(size)
    slots = asyncio.Semaphore(PARALLEL_PARTS)
    tasks: list[asyncio.Task[dict[str, Any]]] = []
    running = 0

    async def send(number: int, part: FilePart, crc: int) -> dict[str, Any]:
        try:
            return await upload.part(number, part, crc)
        finally:
            slots.release()

    try:
        async with asyncio.TaskGroup() as group:
            for number, offset in enumerate(range(0, size, part_bytes), 1):
                await slots.acquire()
                part = FilePart(file, offset, min(part_bytes, size - offset))
                crc, running = await asyncio.to_thread(part.crc32, running)
                tasks.append(group.create_task(send(number, part, crc)))
    except BaseExceptionGroup as failed:
        raise first_of(failed) from None
    return [task.result() for task in tasks], running


def part_size(size: int) -> int:
    """Return the bytes of each part but the last: 16 MiB, more where 10,000 would not do."""
    least = -(-size // PARTS_LIMIT)
    return max(PART_BYTES, -(-least // (1 << 20)) << 20)


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error that a task group ended with."""
    error = group.exceptions[0]
    return first_of(error) if isinstance(error, BaseExceptionGroup) else error


def _crc_text(crc: int) -> str:
    return base64.b64encode(crc.to_bytes(4, "big")).decode()
