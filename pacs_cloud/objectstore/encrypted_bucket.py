"""An encrypted store whose objects lie in a bucket: its versions, its uploads and its rules."""

import builtins
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from pacs_cloud.errors import Corrupt
from pacs_cloud.objectstore.earlier import KeepsEarlier
from pacs_cloud.objectstore.encrypted import EncryptedObjectStore, Scratch
from pacs_cloud.objectstore.lifecycles import HasLifecycle
from pacs_cloud.objectstore.port import ObjectInfo, ObjectStore
from pacs_cloud.objectstore.ranges import check_range, end_within
from pacs_cloud.objectstore.sealing import (
    CHUNK_BYTES,
    HEADER_BYTES,
    Rings,
    opened_length,
)
from pacs_cloud.objectstore.uploads import KeepsParts


class BucketStore(ObjectStore, KeepsEarlier, KeepsParts, HasLifecycle, Protocol):
    """All that a bucket's store does."""


class EncryptedBucket(EncryptedObjectStore):
    """As its parent, with what a bucket has besides."""

    def __init__(self, inner: BucketStore, rings: Rings, scratch: Scratch) -> None:
        """Lie over a bucket's store; as the parent."""
        super().__init__(inner, rings, scratch)
        self._bucket = inner

    async def earlier(self, key: str) -> builtins.list[str]:
        """Return the hidden versions; see `KeepsEarlier`."""
        return await self._bucket.earlier(key)

    async def head_version(self, key: str, version: str) -> ObjectInfo:
        """Return what the bucket says of a version; see `KeepsEarlier`."""
        info = await self._bucket.head_version(key, version)
        return replace(info, length_bytes=opened_length(info.length_bytes))

    async def get_version(self, key: str, version: str, start: int, end: int) -> bytes:
        """Return a range of a version; see `KeepsEarlier`."""
        check_range(start, end)
        size = (await self._bucket.head_version(key, version)).length_bytes
        if size < HEADER_BYTES:
            raise Corrupt(f"{key} is not sealed")
        header = await self._bucket.get_version(key, version, 0, HEADER_BYTES)
        seal = await self._seal_of(key, header)
        end = end_within(key, seal.length_bytes, start, end)
        if start == end:
            return b""
        first, sealed_start, sealed_end = seal.span(start, end)
        if sealed_end > size:
            raise Corrupt(f"{key} was cut")
        sealed = await self._bucket.get_version(key, version, sealed_start, sealed_end)
        skipped = first * CHUNK_BYTES
        return seal.opened(first, sealed)[start - skipped : end - skipped]

    async def bring_back(self, key: str, version: str) -> None:
        """Remove newer versions; see `KeepsEarlier`."""
        self._seals.pop(key, None)
        await self._bucket.bring_back(key, version)

    async def drop_uploads(self, prefix: str, *, before_us: int) -> int:
        """Drop uploads that were never completed; see `KeepsParts`."""
        return await self._bucket.drop_uploads(prefix, before_us=before_us)

    @property
    def key_prefix(self) -> str:
        """What is put before every key; see `HasLifecycle`."""
        return self._bucket.key_prefix

    async def moves_by_tag(self) -> bool:
        """Return whether the bucket's rules move what is tagged; see `HasLifecycle`."""
        return await self._bucket.moves_by_tag()

    async def lifecycle(self) -> Mapping[str, Any]:
        """Return the bucket's rules; see `HasLifecycle`."""
        return await self._bucket.lifecycle()
