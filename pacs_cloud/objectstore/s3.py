"""The object store in a bucket of any S3-compatible service."""

import asyncio
import builtins
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import obstore
from obstore.store import S3Store

from pacs_cloud.errors import Corrupt, NotFound, Offline, Unavailable
from pacs_cloud.objectstore.budget import ByteBudget
from pacs_cloud.objectstore.claiming import Source, claim
from pacs_cloud.objectstore.keys import check_key, check_prefix
from pacs_cloud.objectstore.payload import unchanging
from pacs_cloud.objectstore.port import CHUNK_BYTES, Availability, ObjectInfo, ObjectLock
from pacs_cloud.objectstore.ranges import check_range, check_suffix, end_within
from pacs_cloud.objectstore.s3_claims import (
    Written,
    be_first,
    claims_by_version,
    refuse_taken,
)
from pacs_cloud.objectstore.s3_clients import S3Config, botocore_options, session_of, stores_of
from pacs_cloud.objectstore.s3_earlier import earlier_versions, get_version, remove_newer
from pacs_cloud.objectstore.s3_errors import VENDOR_ERRORS, code_of, translated
from pacs_cloud.objectstore.s3_info import told
from pacs_cloud.objectstore.s3_lifecycle import lifecycle_of
from pacs_cloud.objectstore.s3_listing import list_folders, list_keys, lists_by_folder
from pacs_cloud.objectstore.s3_locks import (
    can_lock,
    list_versions,
    lock_told,
    put_legal_hold,
    put_retention,
)
from pacs_cloud.objectstore.s3_moves import Mover
from pacs_cloud.objectstore.s3_multipart import drop_uploads, upload_in_parts
from pacs_cloud.objectstore.s3_recall import begin_restore
from pacs_cloud.objectstore.s3_versions import Found, head
from pacs_cloud.objectstore.storage_classes import RecallSpeed, StorageClass, check_recall

if TYPE_CHECKING:  # obstore's own rule: these names exist in its stubs alone
    from obstore import GetOptions, GetResult

SINGLE_PUT_BYTES = 64 << 20
"""Larger files go up in parts."""
UPLOAD_BUDGET_BYTES = 128 << 20
"""What all uploads from files hold in memory at once."""
_STREAM_TRIES = 3

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Open:
    """What an open store holds."""

    client: Any
    reading: S3Store
    writing: S3Store


class S3ObjectStore:
    """Objects in one bucket; `async with` opens it, in the event loop that uses it.

    A key is claimed by a conditional put (If-None-Match: *), so that of any
    number of writers one wins. Deleting removes every version.
    """

    def __init__(self, config: S3Config) -> None:
        self._config = config
        self._held: _Open | None = None
        self._stack = AsyncExitStack()
        self._budget = ByteBudget(UPLOAD_BUDGET_BYTES)
        self._bucket_seen = False
        self._by_folder: bool | None = None
        self._by_version: bool | None = None
        self._locks: bool | None = None
        self._lacking: set[StorageClass] = set()

    async def __aenter__(self) -> Self:
        config = self._config
        session, region = await session_of(config)
        client = await self._stack.enter_async_context(
            session.create_client("s3", region_name=region, **botocore_options(config))
        )
        self._held = _Open(client, *stores_of(config, session, region))
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        self._held = None
        await self._stack.aclose()

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
        check_range(start, end)
        check_key(key)
        if start == end:
            end_within(key, (await self.head(key)).length_bytes, start, end)
            return b""
        found = await self._opened(key, start, end)
        if found is None:
            return b""
        with self._errors(f"get {key}"):
            data = await found.bytes_async()
        if found.range[1] != (found.meta["size"] if end is None else end):
            raise Corrupt(f"{key} has {found.meta['size']} bytes, not {end}")
        return data.to_bytes()

    async def get_suffix(self, key: str, length_bytes: int) -> tuple[bytes, int]:
        """Return the object's end and its size; see the port."""
        check_suffix(length_bytes)
        if not length_bytes:
            return b"", (await self.head(key)).length_bytes
        options: GetOptions = {"range": {"suffix": length_bytes}}
        try:
            found = await obstore.get_async(
                self._store.reading, self._path(check_key(key)), options=options
            )
            data = await found.bytes_async()
        except VENDOR_ERRORS as error:
            ours = translated(f"get {key}", error)
            if isinstance(ours, NotFound | Offline):
                raise ours from error
            # An empty object has no last byte: stores answer 416, or 200.
            if (await self.head(key)).length_bytes == 0:
                return b"", 0
            raise ours from error
        return data.to_bytes(), found.meta["size"]

    async def stream(
        self, key: str, start: int = 0, end: int | None = None, *, chunk_bytes: int = CHUNK_BYTES
    ) -> AsyncIterator[bytes]:
        """Yield a range in chunks; see the port.

        A connection that breaks is opened again where it broke.
        """
        check_range(start, end)
        check_key(key)
        if start == end:
            await self.get(key, start, end)
            return
        found = await self._opened(key, start, end)
        if found is None:
            return
        stop = found.range[1]
        if end is not None and stop < end:
            raise Corrupt(f"{key} has {found.meta['size']} bytes, not {end}")
        tries = 0
        while True:
            try:
                async for chunk in found.stream(min_chunk_size=chunk_bytes):
                    start += len(chunk)
                    tries = 0
                    yield bytes(chunk)
            except VENDOR_ERRORS as error:
                tries += 1
                if tries == _STREAM_TRIES:
                    raise translated(f"get {key}", error) from error
            if start >= stop:
                return
            found = await self._opened(key, start, stop)
            if found is None:
                raise Corrupt(f"{key} was cut at {start} of {stop}")

    async def head(self, key: str) -> ObjectInfo:
        """Return what the bucket says of `key`; see the port."""
        found = await self._head(key)
        return self._told(key, found["ContentLength"], found)

    async def _head(self, key: str) -> Found:
        asking = self._store.client.head_object(**self._target(check_key(key)))
        found: Found = await self._of_one(f"head {key}", asking)
        return found

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        """Yield objects in key order; see the port."""
        check_prefix(prefix)
        if self._by_folder is None:
            await self.ready()
        listing = list_folders if self._by_folder else list_keys
        entries = listing(
            self._store.client,
            self._config.bucket,
            self._path(prefix),
            self._path(after) if after else "",
        )
        with self._errors(f"list {prefix}"):
            async for entry in entries:
                key = entry["Key"].removeprefix(self._config.prefix)
                yield self._told(key, entry["Size"], entry)

    async def delete(self, key: str) -> None:
        """Remove every version of `key`; see the port."""
        target = self._target(check_key(key))
        client = self._store.client
        with self._errors(f"delete {key}"):
            while True:
                page = await client.list_object_versions(
                    Bucket=target["Bucket"], Prefix=target["Key"]
                )
                entries = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
                versions = [e["VersionId"] for e in entries if e["Key"] == target["Key"]]
                for version in versions:
                    await client.delete_object(**target, VersionId=version)
                # Keys that begin with this one sort behind it.
                if not versions or not page.get("IsTruncated"):
                    return

    async def versions(self, prefix: str) -> AsyncIterator[str]:
        """Yield the keys of versions and delete markers; see the port."""
        client, path = self._store.client, self._path(check_prefix(prefix))
        with self._errors(f"versions of {prefix}"):
            async for key in list_versions(client, self._config.bucket, path):
                yield key.removeprefix(self._config.prefix)

    async def earlier(self, key: str) -> builtins.list[str]:
        """Return the hidden versions; see `KeepsEarlier`."""
        with self._errors(f"earlier versions of {key}"):
            return await earlier_versions(self._store.client, self._target(check_key(key)))

    async def head_version(self, key: str, version: str) -> ObjectInfo:
        """Return what the bucket says of a version; see `KeepsEarlier`."""
        with self._errors(f"head a version of {key}"):
            found = await head(self._store.client, self._target(check_key(key)), version)
        return self._told(key, found["ContentLength"], found)

    async def get_version(self, key: str, version: str, start: int, end: int) -> bytes:
        """Return a range of a version; see `KeepsEarlier`."""
        target = self._target(check_key(key))
        with self._errors(f"get a version of {key}"):
            return await get_version(self._store.client, target, version, start, end)

    async def bring_back(self, key: str, version: str) -> None:
        """Remove newer versions; see `KeepsEarlier`."""
        with self._errors(f"bring back a version of {key}"):
            await remove_newer(self._store.client, self._target(check_key(key)), version)

    async def drop_uploads(self, prefix: str, *, before_us: int) -> int:
        """Drop uploads that were never completed; see `KeepsParts`."""
        client, path = self._store.client, self._path(check_prefix(prefix))
        with self._errors(f"uploads of {prefix}"):
            return await drop_uploads(client, self._config.bucket, path, before_us)

    async def lock_of(self, key: str) -> ObjectLock:
        """Return what locks the newest version; see the port."""
        return lock_told(await self._head(key))

    async def set_legal_hold(self, key: str, *, on: bool) -> bool:
        """Set or clear the legal hold of the newest version; see the port."""
        found = await self._head(key)
        if not await self._can_lock():
            return False
        if lock_told(found).is_held is not on:
            with self._errors(f"legal hold of {key}"):
                await put_legal_hold(self._store.client, self._target(key), found, on=on)
        return True

    async def retain(self, key: str, until_us: int) -> bool:
        """Lock the newest version in the mode of the settings; see the port."""
        found, mode = await self._head(key), self._config.lock
        if not mode or not await self._can_lock():
            return False
        if max(lock_told(found).until_us, time.time_ns() // 1000) < until_us:
            with self._errors(f"retention of {key}"):
                await put_retention(self._store.client, self._target(key), found, until_us, mode)
        return True

    async def _can_lock(self) -> bool:
        """Return whether objects are locked here, and shall be."""
        if not self._config.lock:
            return False
        if self._locks is None:
            with self._errors(f"locks of bucket {self._config.bucket}"):
                self._locks = await can_lock(self._store.client, self._config.bucket)
        return self._locks

    async def move(self, key: str, storage_class: StorageClass) -> ObjectInfo:
        """Tag the object for its lifecycle, or copy it onto itself; see the port."""
        config, target = self._config, self._target(check_key(key))
        if self._by_version is None:
            await self.ready()
        mover = Mover(
            self._store.client,
            target,
            key,
            by_tag=config.moves_by_tag,
            loses_tagged=bool(self._by_version),
            reads_cold=config.reads_cold,
            lacking=self._lacking,
        )
        return await self._of_one(f"move {key}", mover.move(storage_class))

    async def recall(self, key: str, days: int, speed: RecallSpeed) -> ObjectInfo:
        """Restore the object where it is cold; see the port."""
        info = await self.head(key)
        check_recall(info.storage_class, days, speed)
        if info.availability is not Availability.OFFLINE:
            return info
        target = self._target(key)
        with self._errors(f"recall {key}"):
            await begin_restore(self._store.client, target, info.storage_class, days, speed)
        return await self.head(key)

    @property
    def key_prefix(self) -> str:
        """What is put before every key; see `HasLifecycle`."""
        return self._config.prefix

    @property
    def moves_by_tag(self) -> bool:
        """Whether the bucket's rules move what is tagged; see `HasLifecycle`."""
        return self._config.moves_by_tag

    async def lifecycle(self) -> Mapping[str, Any]:
        """Return the bucket's rules; see `HasLifecycle`."""
        with self._errors(f"lifecycle of bucket {self._config.bucket}"):
            return await lifecycle_of(self._store.client, self._config.bucket)

    async def ready(self) -> None:
        """Return when the bucket can be listed; raises Unavailable or Denied."""
        with self._errors(f"bucket {self._config.bucket}"):
            answer = await self._store.client.list_objects_v2(Bucket=self._config.bucket, MaxKeys=1)
        self._by_folder = lists_by_folder(answer)
        self._by_version = claims_by_version(answer)

    async def _claim(
        self, key: str, source: Source, put: Callable[[], Awaitable[Written]]
    ) -> ObjectInfo:
        if self._by_version is None:
            await self.ready()
        client, target = self._store.client, self._target(key)

        async def once() -> ObjectInfo:
            with self._errors(f"put {key}"):
                if self._by_version:
                    await refuse_taken(client, target)
                written = await put()
                if self._by_version:
                    await be_first(client, target, written.version)
            return ObjectInfo(key, source.size, time.time_ns() // 1000, written.etag.strip('"'))

        return await claim(self, key, source, once)

    async def _put(
        self, key: str, data: bytes | memoryview, tags: dict[str, str], storage_class: str
    ) -> Written:
        done = await obstore.put_async(
            self._store.writing,
            self._path(key),
            data,
            attributes={"Storage-Class": storage_class} if storage_class else None,
            tags=tags or None,
            mode="create",
            use_multipart=False,
        )
        return Written(done["e_tag"] or "", done["version"])

    async def _put_open(self, key: str, file: int, size: int, tags: dict[str, str]) -> Written:
        storage_class = self._config.storage_class
        if size <= SINGLE_PUT_BYTES:
            async with self._budget.take(size):
                data = await asyncio.to_thread(os.pread, file, size, 0)
                if len(data) != size:
                    raise Corrupt(f"the file to store as {key} was cut")
                return await self._put(key, data, tags, storage_class)
        return await upload_in_parts(
            self._store.client,
            self._target(key),
            file,
            size,
            checksum=bool(self._config.checksum),
            tags=tags,
            storage_class=storage_class,
        )

    async def _opened(self, key: str, start: int, end: int | None) -> "GetResult | None":
        """Return an answer that has begun, None for no bytes at an object's end."""
        options: GetOptions = {}
        if end is not None:
            options = {"range": (start, end)}
        elif start:
            options = {"range": {"offset": start}}
        try:
            return await obstore.get_async(self._store.reading, self._path(key), options=options)
        except VENDOR_ERRORS as error:
            ours = translated(f"get {key}", error)
            if code_of(error) in {"InvalidRange", "416"} and end is None:
                end_within(key, (await self.head(key)).length_bytes, start, None)
                return None
            raise ours from error

    async def _of_one(self, what: str, asking: Awaitable[Result]) -> Result:
        """Return an answer about one object, which may begin with a HEAD."""
        try:
            with self._errors(what):
                return await asking
        except NotFound:
            # The answer to HEAD has no body to tell a missing bucket by.
            if not self._bucket_seen:
                await self.ready()
            raise

    @contextmanager
    def _errors(self, what: str) -> Generator[None]:
        try:
            yield
        except VENDOR_ERRORS as error:
            raise translated(what, error) from error
        self._bucket_seen = True

    @property
    def _store(self) -> _Open:
        if self._held is None:
            raise RuntimeError("an S3ObjectStore is used inside `async with`")
        return self._held

    def _told(self, key: str, length_bytes: int, found: Mapping[str, Any]) -> ObjectInfo:
        return told(key, length_bytes, found, reads_cold=self._config.reads_cold)

    def _path(self, key: str) -> str:
        return self._config.prefix + key

    def _target(self, key: str) -> dict[str, str]:
        return {"Bucket": self._config.bucket, "Key": self._path(key)}
