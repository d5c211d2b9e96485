"""An object store of which every object is encrypted before it leaves this process."""

import asyncio
import errno
import os
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, aclosing
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pacs_cloud.errors import Corrupt, NotFound, StorageFull, Unavailable
from pacs_cloud.objectstore.claiming import Source, claim
from pacs_cloud.objectstore.keys import check_key
from pacs_cloud.objectstore.payload import unchanging
from pacs_cloud.objectstore.port import CHUNK_BYTES, ObjectInfo, ObjectLock, ObjectStore
from pacs_cloud.objectstore.ranges import check_range, check_suffix, end_within
from pacs_cloud.objectstore.sealing import CHUNK_BYTES as SEAL_CHUNK_BYTES
from pacs_cloud.objectstore.sealing import (
    HEADER_BYTES,
    SEALED_CHUNK_BYTES,
    KeyRing,
    Rings,
    Seal,
    opened_length,
    sealed_length,
)
from pacs_cloud.objectstore.storage_classes import RecallSpeed, StorageClass

SEALS_KEPT = 10_000
"""Of objects that were read; each is the key of one, some hundred bytes."""
_INLINE_BYTES = 256 << 10
"""Less is encrypted at once: a thread would cost more."""
_SEALED_AT_ONCE = 1 << 20

Scratch = Callable[[], AbstractContextManager[tuple[str, int]]]
"""Gives the path and the descriptor of a new file, gone when the block ends."""
Result = TypeVar("Result")


class EncryptedObjectStore:
    """Objects of another store, sealed (`sealing`): sizes and ranges are of what was sealed.

    Keys, tags, times and sizes stay visible to whoever sees the store. What is not sealed,
    or for other keys, is Corrupt or Denied, never read.
    """

    def __init__(self, inner: ObjectStore, rings: Rings, scratch: Scratch) -> None:
        """Lie over a store.

        Args:
            inner: the store, already open.
            rings: the key-encryption keys, by what they are for.
            scratch: where files are sealed to, before `inner` takes them.
        """
        self._inner = inner
        self._rings = rings
        self._scratch = scratch
        self._seals: OrderedDict[str, Seal] = OrderedDict()

    async def put_new(
        self, key: str, data: bytes | memoryview, *, tags: Mapping[str, str] | None = None
    ) -> ObjectInfo:
        """Seal and write a small object; see the port."""
        check_key(key)
        data = unchanging(data)
        source = Source(len(data), lambda offset, length: data[offset : offset + length])

        async def put() -> ObjectInfo:
            ring = await self._rings.ring_of(key)
            sealed = await _worked(len(data), lambda: _sealed(ring, key, data))
            return _opened(await self._inner.put_new(key, sealed, tags=tags))

        return await claim(self, key, source, put)

    async def put_file(
        self, key: str, path: Path, *, tags: Mapping[str, str] | None = None
    ) -> ObjectInfo:
        """Seal the file into another, which the store takes; see the port."""
        check_key(key)
        try:
            file = await asyncio.to_thread(os.open, path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise NotFound(f"no file to store as {key}") from error
        try:
            size = os.fstat(file).st_size
            source = Source(size, lambda offset, length: os.pread(file, length, offset))

            async def put() -> ObjectInfo:
                ring = await self._rings.ring_of(key)
                with self._scratch() as (sealed, into):
                    await asyncio.to_thread(_seal_file, ring, key, file, size, into)
                    return _opened(await self._inner.put_file(key, Path(sealed), tags=tags))

            return await claim(self, key, source, put)
        except OSError as error:
            raise _unavailable(key, error) from error
        finally:
            os.close(file)

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Return a range; see the port."""
        check_range(start, end)
        check_key(key)
        if start == 0 and end is None:
            return await self._whole(key)
        return await self._with_seal(key, lambda seal: self._range(key, seal, start, end))

    async def get_suffix(self, key: str, length_bytes: int) -> tuple[bytes, int]:
        """Return the object's end and its size; see the port."""
        check_suffix(length_bytes)
        check_key(key)

        async def read(seal: Seal) -> tuple[bytes, int]:
            size = seal.length_bytes
            return await self._range(key, seal, max(0, size - length_bytes), size), size

        return await self._with_seal(key, read)

    async def stream(
        self, key: str, start: int = 0, end: int | None = None, *, chunk_bytes: int = CHUNK_BYTES
    ) -> AsyncIterator[bytes]:
        """Yield a range in chunks; see the port."""
        check_range(start, end)
        check_key(key)

        async def begin(seal: Seal) -> tuple[AsyncGenerator[bytes], bytes]:
            pieces = self._pieces(key, seal, start, end, chunk_bytes)
            return pieces, await anext(pieces, b"")

        pieces, piece = await self._with_seal(key, begin)
        waiting = bytearray()
        async with aclosing(pieces):
            while piece:
                waiting += piece
                while len(waiting) >= chunk_bytes:
                    yield bytes(waiting[:chunk_bytes])
                    del waiting[:chunk_bytes]
                piece = await anext(pieces, b"")
        if waiting:
            yield bytes(waiting)

    async def head(self, key: str) -> ObjectInfo:
        """Return what the store says of `key`; see the port."""
        return _opened(await self._inner.head(key))

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        """Yield objects in key order; one that cannot be sealed has 0 bytes; see the port."""
        async for info in self._inner.list(prefix, after=after):
            yield _opened(info)

    async def delete(self, key: str) -> None:
        """Remove `key`; see the port."""
        self._seals.pop(key, None)
        await self._inner.delete(key)

    def versions(self, prefix: str) -> AsyncIterator[str]:
        """Yield the keys of versions; see the port."""
        return self._inner.versions(prefix)

    async def lock_of(self, key: str) -> ObjectLock:
        """Return what locks the object; see the port."""
        return await self._inner.lock_of(key)

    async def set_legal_hold(self, key: str, *, on: bool) -> bool:
        """Set or clear the legal hold; see the port."""
        return await self._inner.set_legal_hold(key, on=on)

    async def retain(self, key: str, until_us: int) -> bool:
        """Lock the object until then; see the port."""
        return await self._inner.retain(key, until_us)

    async def move(self, key: str, storage_class: StorageClass) -> ObjectInfo:
        """Ask for another storage class; see the port."""
        return _opened(await self._inner.move(key, storage_class))

    async def recall(self, key: str, days: int, speed: RecallSpeed) -> ObjectInfo:
        """Begin to make a cold object readable; see the port."""
        return _opened(await self._inner.recall(key, days, speed))

    async def ready(self) -> None:
        """Return when the store answers; see the port."""
        await self._inner.ready()

    async def _with_seal(self, key: str, read: Callable[[Seal], Awaitable[Result]]) -> Result:
        """Return what `read` does, with a seal that is kept, or else the object's own."""
        kept = self._seals.get(key)
        if kept is not None:
            self._seals.move_to_end(key)
            try:
                return await read(kept)
            except Corrupt:
                self._seals.pop(key, None)  # the key may have been removed and written anew
        seal = await self._seal_of(key, await self._inner.get(key, 0, HEADER_BYTES))
        self._seals[key] = seal
        if len(self._seals) > SEALS_KEPT:
            self._seals.popitem(last=False)
        return await read(seal)

    async def _seal_of(self, key: str, header: bytes) -> Seal:
        return (await self._rings.ring_of(key)).open(key, header)

    async def _whole(self, key: str) -> bytes:
        sealed = await self._inner.get(key)
        seal = await self._seal_of(key, sealed[:HEADER_BYTES])
        if len(sealed) != sealed_length(seal.length_bytes):
            raise Corrupt(f"{key} has not the size that it was sealed with")
        chunks = memoryview(sealed)[HEADER_BYTES:]
        return await _worked(len(chunks), lambda: seal.opened(0, chunks))

    async def _range(self, key: str, seal: Seal, start: int, end: int | None) -> bytes:
        end = end_within(key, seal.length_bytes, start, end)
        if start == end:
            await self._inner.head(key)  # is it there?
            return b""
        first, sealed_start, sealed_end = seal.span(start, end)
        sealed = await self._inner.get(key, sealed_start, sealed_end)
        data = await _worked(len(sealed), lambda: seal.opened(first, sealed))
        skipped = first * SEAL_CHUNK_BYTES
        return data[start - skipped : end - skipped]

    async def _pieces(
        self, key: str, seal: Seal, start: int, end: int | None, chunk_bytes: int
    ) -> AsyncGenerator[bytes]:
        """Yield the range in pieces of any size above 0."""
        end = end_within(key, seal.length_bytes, start, end)
        if start == end:
            await self._inner.head(key)
            return
        number, sealed_start, sealed_end = seal.span(start, end)
        at_once = max(1, chunk_bytes // SEAL_CHUNK_BYTES) * SEALED_CHUNK_BYTES
        left, waiting = sealed_end - sealed_start, bytearray()
        inner = self._inner.stream(key, sealed_start, sealed_end, chunk_bytes=at_once)
        async for sealed in inner:
            waiting += sealed
            left -= len(sealed)
            whole = len(waiting) - (len(waiting) % SEALED_CHUNK_BYTES if left else 0)
            if not whole:
                continue
            chunks, waiting = waiting[:whole], waiting[whole:]
            data = await _worked(whole, lambda now=number, some=chunks: seal.opened(now, some))
            position = number * SEAL_CHUNK_BYTES
            yield data[max(0, start - position) : end - position]
            number += -(-whole // SEALED_CHUNK_BYTES)


def _sealed(ring: KeyRing, key: str, data: bytes | memoryview) -> bytes:
    header, seal = ring.new(key, len(data))
    return b"".join([header, *seal.sealed(0, data)])


def _seal_file(ring: KeyRing, key: str, file: int, size: int, into: int) -> None:
    header, seal = ring.new(key, size)
    with open(into, "wb", closefd=False) as out:
        out.write(header)
        for offset in range(0, max(1, size), _SEALED_AT_ONCE):
            wanted = min(_SEALED_AT_ONCE, size - offset)
            data = os.pread(file, wanted, offset)
            if len(data) != wanted:
                raise Corrupt(f"the file to store as {key} was cut")
            out.writelines(seal.sealed(offset // SEAL_CHUNK_BYTES, data))


async def _worked(length_bytes: int, work: Callable[[], bytes]) -> bytes:
    """Return what `work` on so many bytes makes, outside the event loop where that is much."""
    return work() if length_bytes <= _INLINE_BYTES else await asyncio.to_thread(work)


def _opened(info: ObjectInfo) -> ObjectInfo:
    return replace(info, length_bytes=opened_length(info.length_bytes))


def _unavailable(key: str, error: OSError) -> Unavailable:
    kind = StorageFull if error.errno in {errno.ENOSPC, errno.EDQUOT} else Unavailable
    return kind(f"{key}: the file to store cannot be sealed: {error.strerror}")
