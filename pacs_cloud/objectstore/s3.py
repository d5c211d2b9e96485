"""The object store in a bucket of any S3-compatible service."""

import asyncio
import builtins
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Self

import obstore

from pacs_cloud.errors import Corrupt, NotFound, Unavailable
from pacs_cloud.objectstore import s3_reading
from pacs_cloud.objectstore.budget import ByteBudget
from pacs_cloud.objectstore.claiming import Source, claim
from pacs_cloud.objectstore.keys import check_key, check_prefix
from pacs_cloud.objectstore.payload import unchanging
from pacs_cloud.objectstore.port import CHUNK_BYTES, Availability, ObjectInfo, ObjectLock
from pacs_cloud.objectstore.s3_bucket import S3Bucket
from pacs_cloud.objectstore.s3_claims import Written, be_first, refuse_taken
from pacs_cloud.objectstore.s3_clients import S3Config
from pacs_cloud.objectstore.s3_earlier import earlier_versions, get_version, remove_newer
from pacs_cloud.objectstore.s3_info import lock_told
from pacs_cloud.objectstore.s3_lifecycle import lifecycle_of
from pacs_cloud.objectstore.s3_listing import list_folders, list_keys
from pacs_cloud.objectstore.s3_locks import put_legal_hold, put_retention
from pacs_cloud.objectstore.s3_moves import Mover
from pacs_cloud.objectstore.s3_multipart import drop_uploads, upload_in_parts
from pacs_cloud.objectstore.s3_recall import begin_restore
from pacs_cloud.objectstore.s3_version_lists import list_below, remove_all
from pacs_cloud.objectstore.s3_versions import head
from pacs_cloud.objectstore.storage_classes import RecallSpeed, StorageClass, check_recall

SINGLE_PUT_BYTES = 64 << 20
"""Larger files go up in parts."""
UPLOAD_BUDGET_BYTES = 128 << 20
"""What all uploads from files hold in memory at once."""


class S3ObjectStore:
    """Objects in one bucket; `async with` opens it, in the event loop that uses it.

    A key is claimed by a conditional put (If-None-Match: *), so that of any
    number of writers one wins. Deleting removes every version.
    """

    def __init__(self, config: S3Config) -> None:
        self._bucket = S3Bucket(config)
        self._budget = ByteBudget(UPLOAD_BUDGET_BYTES)
        self._lacking: set[StorageClass] = set()

    async def __aenter__(self) -> Self:
        await self._bucket.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._bucket.aclose()

    async def put_new(
        self, key: str, data: bytes | memoryview, *, tags: Mapping[str, str] | None = None
    ) -> ObjectInfo:
        """Write a small object; see the port."""
        data = unchanging(data)
        source = Source(len(data), lambda offset, length: data[offset : offset + length])
        return await self._claim(
            check_key(key), source, lambda: self._put(key, data, dict(tags or {}), "")
        )

    async def put_file(
        self, key: str, path: Path, *, tags: Mapping[str, str] | None = None
    ) -> ObjectInfo:
        """Upload the file at `path`; see the port.

        It is read, not mapped: a bad disk then raises here instead of killing the process.
        """
        check_key(key)
        try:
            file = await asyncio.to_thread(os.open, path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise NotFound(f"no file to store as {key}") from error
        try:
            size = os.fstat(file).st_size
            source = Source(size, lambda offset, length: os.pread(file, length, offset))
            return await self._claim(
                key, source, lambda: self._put_open(key, file, size, dict(tags or {}))
            )
        except OSError as error:
            raise Unavailable(f"{key}: the file to store cannot be read") from error
        finally:
            os.close(file)

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Return a range; see the port."""
        return await s3_reading.get(self._bucket, key, start, end)

    async def get_suffix(self, key: str, length_bytes: int) -> tuple[bytes, int]:
        """Return the object's end and its size; see the port."""
        return await s3_reading.get_suffix(self._bucket, key, length_bytes)

    def stream(
        self, key: str, start: int = 0, end: int | None = None, *, chunk_bytes: int = CHUNK_BYTES
    ) -> AsyncIterator[bytes]:
        """Yield a range in chunks; see the port."""
        return s3_reading.stream(self._bucket, key, start, end, chunk_bytes)

    async def head(self, key: str) -> ObjectInfo:
        """Return what the bucket says of `key`; see the port."""
        return await self._bucket.info(key)

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        """Yield objects in key order; see the port."""
        bucket = self._bucket
        path = bucket.path(check_prefix(prefix))
        listing = list_folders if (await bucket.kind()).lists_by_folder else list_keys
        behind = bucket.path(after) if after else ""
        with bucket.errors(f"list {prefix}"):
            async for entry in listing(bucket.client, bucket.config.bucket, path, behind):
                yield bucket.told(bucket.key(entry["Key"]), entry["Size"], entry)

    async def delete(self, key: str) -> None:
        """Remove every version of `key`; see the port."""
        target = self._bucket.target(key)
        with self._bucket.errors(f"delete {key}"):
            await remove_all(self._bucket.client, target)

    async def versions(self, prefix: str) -> AsyncIterator[str]:
        """Yield the keys of versions and delete markers; see the port."""
        client, path = self._bucket.client, self._bucket.path(check_prefix(prefix))
        with self._bucket.errors(f"versions of {prefix}"):
            async for key in list_below(client, self._bucket.config.bucket, path):
                yield self._bucket.key(key)

    async def earlier(self, key: str) -> builtins.list[str]:
        """Return the hidden versions; see `KeepsEarlier`."""
        with self._bucket.errors(f"earlier versions of {key}"):
            return await earlier_versions(self._bucket.client, self._bucket.target(key))

    async def head_version(self, key: str, version: str) -> ObjectInfo:
        """Return what the bucket says of a version; see `KeepsEarlier`."""
        with self._bucket.errors(f"head a version of {key}"):
            found = await head(self._bucket.client, self._bucket.target(key), version)
        return self._bucket.told(key, found["ContentLength"], found)

    async def get_version(self, key: str, version: str, start: int, end: int) -> bytes:
        """Return a range of a version; see `KeepsEarlier`."""
        target = self._bucket.target(key)
        with self._bucket.errors(f"get a version of {key}"):
            return await get_version(self._bucket.client, target, version, start, end)

    async def bring_back(self, key: str, version: str) -> None:
        """Remove newer versions; see `KeepsEarlier`."""
        with self._bucket.errors(f"bring back a version of {key}"):
            await remove_newer(self._bucket.client, self._bucket.target(key), version)

    async def drop_uploads(self, prefix: str, *, before_us: int) -> int:
        """Drop uploads that were never completed; see `KeepsParts`."""
        client, path = self._bucket.client, self._bucket.path(check_prefix(prefix))
        with self._bucket.errors(f"uploads of {prefix}"):
            return await drop_uploads(client, self._bucket.config.bucket, path, before_us)

    async def lock_of(self, key: str) -> ObjectLock:
        """Return what locks the newest version; see the port."""
        return lock_told(await self._bucket.head(key))

    async def set_legal_hold(self, key: str, *, on: bool) -> bool:
        """Set or clear the legal hold of the newest version; see the port."""
        found = await self._bucket.head(key)
        if not await self._bucket.can_lock():
            return False
        if lock_told(found).is_held is not on:
            with self._bucket.errors(f"legal hold of {key}"):
                await put_legal_hold(self._bucket.client, self._bucket.target(key), found, on=on)
        return True

    async def retain(self, key: str, until_us: int) -> bool:
        """Lock the newest version in the mode of the settings; see the port."""
        bucket = self._bucket
        found, mode = await bucket.head(key), bucket.config.lock
        if not mode or not await bucket.can_lock():
            return False
        if max(lock_told(found).until_us, time.time_ns() // 1000) < until_us:
            with bucket.errors(f"retention of {key}"):
                await put_retention(bucket.client, bucket.target(key), found, until_us, mode)
        return True

    async def move(self, key: str, storage_class: StorageClass) -> ObjectInfo:
        """Tag the object for its lifecycle, or copy it onto itself; see the port."""
        bucket, target = self._bucket, self._bucket.target(key)
        mover = Mover(
            bucket.client,
            target,
            key,
            by_tag=await bucket.moves_by_tag(),
            reads_cold=bucket.config.reads_cold,
            lacking=self._lacking,
            encryption=bucket.config.encryption(key),
        )
        return await bucket.of_one(f"move {key}", mover.move(storage_class))

    async def recall(self, key: str, days: int, speed: RecallSpeed) -> ObjectInfo:
        """Restore the object where it is cold; see the port."""
        info = await self.head(key)
        check_recall(info.storage_class, days, speed)
        if info.availability is not Availability.OFFLINE:
            return info
        target = self._bucket.target(key)
        with self._bucket.errors(f"recall {key}"):
            await begin_restore(self._bucket.client, target, info.storage_class, days, speed)
        return await self.head(key)

    @property
    def key_prefix(self) -> str:
        """What is put before every key; see `HasLifecycle`."""
        return self._bucket.config.prefix

    async def moves_by_tag(self) -> bool:
        """Return whether the bucket's rules move what is tagged; see `HasLifecycle`."""
        return await self._bucket.moves_by_tag()

    async def lifecycle(self) -> Mapping[str, Any]:
        """Return the bucket's rules; see `HasLifecycle`."""
        bucket = self._bucket
        with bucket.errors(f"lifecycle of bucket {bucket.config.bucket}"):
            return await lifecycle_of(bucket.client, bucket.config.bucket)

    async def ready(self) -> None:
        """Return when the bucket can be listed; raises Unavailable or Denied."""
        await self._bucket.ready()

    async def _claim(
        self, key: str, source: Source, put: Callable[[], Awaitable[Written]]
    ) -> ObjectInfo:
        bucket, target = self._bucket, self._bucket.target(key)
        by_version = (await bucket.kind()).claims_by_version

        async def once() -> ObjectInfo:
            with bucket.errors(f"put {key}"):
                if by_version:
                    await refuse_taken(bucket.client, target)
                written = await put()
                if by_version:
                    await be_first(bucket.client, target, written.version)
            return ObjectInfo(key, source.size, time.time_ns() // 1000, written.etag.strip('"'))

        return await claim(self, key, source, once)

    async def _put(
        self, key: str, data: bytes | memoryview, tags: dict[str, str], storage_class: str
    ) -> Written:
        done = await obstore.put_async(
            self._bucket.writing(key),
            self._bucket.path(key),
            data,
            attributes={"Storage-Class": storage_class} if storage_class else None,
            tags=tags or None,
            mode="create",
            use_multipart=False,
        )
        return Written(done["e_tag"] or "", done["version"])

    async def _put_open(self, key: str, file: int, size: int, tags: dict[str, str]) -> Written:
        storage_class = self._bucket.config.storage_class
        if size <= SINGLE_PUT_BYTES:
            async with self._budget.take(size):
                data = await asyncio.to_thread(os.pread, file, size, 0)
                if len(data) != size:
                    raise Corrupt(f"the file to store as {key} was cut")
                return await self._put(key, data, tags, storage_class)
        return await upload_in_parts(
            self._bucket.client,
            self._bucket.target(key),
            file,
            size,
            checksum=bool(self._bucket.config.checksum),
            tags=tags,
            storage_class=storage_class,
            encryption=self._bucket.config.encryption(key),
        )
