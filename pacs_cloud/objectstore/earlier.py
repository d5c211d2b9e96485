"""Stores that keep what was written over or seems removed: an object's earlier versions."""

from collections.abc import AsyncIterator
from typing import Protocol, runtime_checkable

from pacs_cloud.objectstore.port import CHUNK_BYTES, ObjectInfo


@runtime_checkable
class KeepsEarlier(Protocol):
    """What an object store does besides its port where its bucket keeps versions.

    Every verb raises `Unavailable` and `Denied` as the port's do.
    """

    async def earlier(self, key: str) -> list[str]:
        """Return the names of the versions of `key` that are hidden by newer ones, newest first.

        Of one that seems removed these are all. Empty where the bucket keeps none.
        """
        ...

    async def head_version(self, key: str, version: str) -> ObjectInfo:
        """Return what the store says of a version; raises NotFound."""
        ...

    async def get_version(self, key: str, version: str, start: int, end: int) -> bytes:
        """Return bytes `start` to `end` (half-open, within it) of a version.

        Raises:
            NotFound: there is no such version.
            Offline: it is in a cold tier and not restored.
        """
        ...

    async def bring_back(self, key: str, version: str) -> None:
        """Remove all that is newer than a version, so that it is what is read again.

        Repeatable; one that died on the way has removed some of it.

        Raises:
            NotFound: there is no such version; nothing was removed.
            Denied: something newer is locked.
        """
        ...


class AsOf:
    """One object as it was: reads of a version, by the verbs of the port."""

    def __init__(self, objects: KeepsEarlier, version: str) -> None:
        self._objects = objects
        self._version = version

    async def get(self, key: str) -> bytes:
        """Return all of it."""
        info = await self._objects.head_version(key, self._version)
        return await self._read(key, 0, info.length_bytes)

    async def get_suffix(self, key: str, length_bytes: int) -> tuple[bytes, int]:
        """Return its last bytes, and its size."""
        size = (await self._objects.head_version(key, self._version)).length_bytes
        return await self._read(key, max(0, size - length_bytes), size), size

    async def stream(
        self, key: str, start: int = 0, end: int | None = None, *, chunk_bytes: int = CHUNK_BYTES
    ) -> AsyncIterator[bytes]:
        """Yield a range in chunks."""
        if end is None:
            end = (await self._objects.head_version(key, self._version)).length_bytes
        for offset in range(start, end, chunk_bytes):
            yield await self._read(key, offset, min(offset + chunk_bytes, end))

    async def _read(self, key: str, start: int, end: int) -> bytes:
        if start == end:
            return b""
        return await self._objects.get_version(key, self._version, start, end)
