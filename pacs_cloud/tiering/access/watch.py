"""An object store that tells how much of packs is read through it."""

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from pacs_cloud.objectstore.port import CHUNK_BYTES, ObjectInfo, ObjectLock, ObjectStore
from pacs_cloud.objectstore.storage_classes import RecallSpeed, StorageClass

_PACKS: Final = "packs/"

PackRead: TypeAlias = Callable[[str, int], None]
"""Is told of each read of a pack: its key, and how many bytes came."""


class WatchedObjects:
    """The same store; what is read of packs is told."""

    def __init__(self, objects: ObjectStore, read: PackRead) -> None:
        """Tell `read` of what is read of `objects`."""
        self._objects = objects
        self._read = read

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """As the store, and told."""
        data = await self._objects.get(key, start, end)
        if key.startswith(_PACKS):
            self._read(key, len(data))
        return data

    async def get_suffix(self, key: str, length_bytes: int) -> tuple[bytes, int]:
        """As the store, and told."""
        data, size_bytes = await self._objects.get_suffix(key, length_bytes)
        if key.startswith(_PACKS):
            self._read(key, len(data))
        return data, size_bytes

    def stream(
        self, key: str, start: int = 0, end: int | None = None, *, chunk_bytes: int = CHUNK_BYTES
    ) -> AsyncIterator[bytes]:
        """As the store, and told: also of what came before the reader went away."""
        chunks = self._objects.stream(key, start, end, chunk_bytes=chunk_bytes)
        return self._told(key, chunks) if key.startswith(_PACKS) else chunks

    async def _told(self, key: str, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        length_bytes = 0
        try:
            async for chunk in chunks:
                length_bytes += len(chunk)
                yield chunk
        finally:
            if length_bytes:
                self._read(key, length_bytes)

    async def put_new(
        self, key: str, data: bytes | memoryview, *, tags: Mapping[str, str] | None = None
    ) -> ObjectInfo:
        """As the store."""
        return await self._objects.put_new(key, data, tags=tags)

    async def put_file(
        self, key: str, path: Path, *, tags: Mapping[str, str] | None = None
    ) -> ObjectInfo:
        """As the store."""
        return await self._objects.put_file(key, path, tags=tags)

    async def head(self, key: str) -> ObjectInfo:
        """As the store."""
        return await self._objects.head(key)

    def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        """As the store."""
        return self._objects.list(prefix, after=after)

    async def delete(self, key: str) -> None:
        """As the store."""
        await self._objects.delete(key)

    def versions(self, prefix: str) -> AsyncIterator[str]:
        """As the store."""
        return self._objects.versions(prefix)

    async def lock_of(self, key: str) -> ObjectLock:
        """As the store."""
        return await self._objects.lock_of(key)

    async def set_legal_hold(self, key: str, *, on: bool) -> bool:
        """As the store."""
        return await self._objects.set_legal_hold(key, on=on)

    async def retain(self, key: str, until_us: int) -> bool:
        """As the store."""
        return await self._objects.retain(key, until_us)

    async def move(self, key: str, storage_class: StorageClass) -> ObjectInfo:
        """As the store."""
        return await self._objects.move(key, storage_class)

    async def recall(self, key: str, days: int, speed: RecallSpeed) -> ObjectInfo:
        """As the store."""
        return await self._objects.recall(key, days, speed)

    async def ready(self) -> None:
        """As the store."""
        await self._objects.ready()
