"""Instances as amendments show them: a new head, and the rest straight from the pack.

What is large in a data set is not read to amend it, so that an instance of any size streams.
It goes out in the transfer syntax that it is stored in, one that is deflated too. Writing a head
anew takes a millisecond or three: threads do it, for there may be hundreds in a row.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, NamedTuple

from pacs_cloud.dicom import uid
from pacs_cloud.dicom.amending import Kept, Part, amended_data_set, kept_element, worth_keeping
from pacs_cloud.dicom.deflate import deflate
from pacs_cloud.dicom.header import BulkValue
from pacs_cloud.errors import Corrupt, InvalidInstance, NotAcceptable
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.pack.crc32 import with_other_beginning
from pacs_cloud.pack.writer import checksum
from pacs_cloud.retrieve.cache import BoundedCache
from pacs_cloud.retrieve.inflated import DataSets
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.retrieve.pieces import Later, Made, Piece, Slice, length_of, stream

_AT_ONCE_BYTES: Final = 8 << 20
"""A file up to this size is read whole, and made ahead of its turn."""
_LARGE_REST_BYTES: Final = 16 << 20
"""Of a data set without what is large in it, more than this is read of one at a time."""
_LOADS_AT_ONCE: Final = 8
_SHOWN_BYTES: Final = 1024
"""What one that is kept takes in memory beside its head, roughly."""


class _Beginning(NamedTuple):
    """How the beginning of a Part 10 file has changed; what follows it has not.

    Attributes:
        before: its CRC-32 as stored.
        after: its CRC-32 as shown.
        rest_bytes: of what follows it.
    """

    before: int
    after: int
    rest_bytes: int


@dataclass(frozen=True, slots=True)
class _Shown:
    """An instance's data set as it is shown.

    Attributes:
        parts: of it.
        beginning: of its file; None where more than that has changed.
    """

    parts: Sequence[Part]
    beginning: _Beginning | None


class AmendedFiles:
    """Gives out instances that amendments touch; others are given out as they are stored."""

    def __init__(
        self,
        objects: ObjectStore,
        data_sets: DataSets,
        *,
        max_kept_bytes: int = 16 << 20,
        max_rest_bytes: int = 512 << 20,
    ) -> None:
        """Prepare.

        Args:
            objects: where packs lie.
            data_sets: inflates those that are stored deflated.
            max_kept_bytes: of heads that are kept in memory.
            max_rest_bytes: of a data set without what is large in it, or of a deflated one
                with it, which is amended in memory.
        """
        self._objects = objects
        self._data_sets = data_sets
        self._kept: BoundedCache[_Shown] = BoundedCache(max_kept_bytes, "amended-files")
        self._max_rest_bytes = max_rest_bytes
        self._slots = asyncio.Semaphore(_LOADS_AT_ONCE)
        self._large_slot = asyncio.Semaphore(1)

    async def data_set(self, located: Located) -> tuple[bytes | Slice, ...]:
        """Return an instance's data set, in the transfer syntax that it is stored in.

        Raises:
            NotAcceptable: it has too much besides pixels to be amended in memory; deflated,
                with its pixels.
            NotFound, Offline, Corrupt, Unavailable: as `ObjectStore.get`.
        """
        if not located.amendments:
            return (located.data_set(),)
        return _pieces(located, await self._shown(located))

    async def file(self, located: Located) -> tuple[bytes | Slice, ...]:
        """Return an instance's Part 10 file; raises as `data_set`."""
        if not located.amendments:
            return (located.file(),)
        return located.file_meta(), *await self.data_set(located)

    def file_in_turn(self, located: Located) -> Piece:
        """Return an instance's Part 10 file as one of many: read when its turn comes.

        Raises:
            NotAcceptable: as `data_set`, at once.
        """
        if not located.amendments:
            return located.file()
        length_bytes = located.instance.inflated_bytes or located.instance.length_bytes
        if length_bytes > self._max_rest_bytes:
            self._rest_bytes(located, worth_keeping(located.instance.bulk))
        if length_bytes <= _AT_ONCE_BYTES:
            return Later(lambda: self._whole_file(located))
        return Made(lambda: self._streamed(located))

    async def measured_file(self, located: Located, crc32: int) -> tuple[Piece, int, int]:
        """Return an instance's Part 10 file, how many bytes it has, and its CRC-32.

        Args:
            located: the instance.
            crc32: of the file as it is stored.

        Raises:
            NotAcceptable, NotFound, Offline, Corrupt, Unavailable: as `data_set`.
        """
        if not located.amendments:
            return located.file(), located.instance.length_bytes, crc32
        shown = await self._shown(located)
        pieces = located.file_meta(), *_pieces(located, shown)
        length = length_of(pieces)
        assert length is not None
        if shown.beginning is not None:
            crc32 = with_other_beginning(crc32, *shown.beginning)
        else:
            crc32 = 0
            async with aclosing(stream(self._objects, pieces)) as chunks:
                async for chunk in chunks:
                    crc32 = checksum(chunk, crc32)
        # Of thousands not every head is held until its turn comes.
        return Made(lambda: self._streamed(located), length), length, crc32

    async def applied(self, located: Located, data_set: bytes | memoryview) -> bytes | memoryview:
        """Return a whole stored data set, which is at hand, as it is shown."""
        if not located.amendments:
            return data_set
        if not uid.is_deflated(located.instance.transfer_syntax_uid):
            return await amended_inflated(located, bytes(data_set))
        # What it inflates to is bounded, and there is one of it at a time.
        pieces = await self.data_set(located)
        return b"".join([chunk async for chunk in stream(self._objects, pieces)])

    async def _whole_file(self, located: Located) -> bytes:
        where = located.file()
        file = await self._objects.get(where.key, where.start, where.end)
        begin = located.instance.dataset_offset
        return file[:begin] + await self.applied(located, file[begin:])

    async def _streamed(self, located: Located) -> AsyncGenerator[bytes]:
        pieces = await self.file(located)
        async with aclosing(stream(self._objects, pieces)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _shown(self, located: Located) -> _Shown:
        return await self._kept.get(located.shown_key, lambda: self._load(located))

    async def _load(self, located: Located) -> tuple[_Shown, int]:
        instance = located.instance
        values = worth_keeping(instance.bulk)
        rest_bytes = self._rest_bytes(located, values)
        if uid.is_deflated(instance.transfer_syntax_uid):
            async with self._large_slot:
                inflated = await self._data_sets.inflated(located)
                whole = await asyncio.to_thread(_deflated, inflated, located)
            shown = _unchanged(located) if whole is None else _Shown((whole,), None)
        else:
            async with self._large_slot if rest_bytes > _LARGE_REST_BYTES else self._slots:
                shown = await self._around(values, located)
        size = sum(len(part) for part in shown.parts if isinstance(part, bytes))
        return shown, size + _SHOWN_BYTES

    def _rest_bytes(self, located: Located, values: Sequence[BulkValue]) -> int:
        """Return how much of a data set is amended in memory; raises NotAcceptable."""
        instance = located.instance
        if uid.is_deflated(instance.transfer_syntax_uid):
            rest_bytes = instance.inflated_bytes or 0
        else:
            rest_bytes = instance.length_bytes - sum(value.length for value in values)
        if rest_bytes > self._max_rest_bytes:
            raise NotAcceptable("An instance is too large to be shown as it was corrected.")
        return rest_bytes

    async def _around(self, values: Sequence[BulkValue], located: Located) -> _Shown:
        """Return a data set as it is shown, read only around its large values."""
        meta_bytes = located.instance.dataset_offset
        length_bytes = located.instance.length_bytes - meta_bytes
        starts = [-meta_bytes, *(value.offset + value.length for value in values)]
        ends = [*(value.offset for value in values), length_bytes]
        read = await asyncio.gather(
            *(self._read(located, *bounds) for bounds in zip(starts, ends, strict=True))
        )
        meta, read[0] = read[0][:meta_bytes], read[0][meta_bytes:]
        kept = [kept_element(value, before) for value, before in zip(values, read, strict=False)]
        # Each piece ends where a large element begins, and begins where one ends.
        begins = [0, *(one.end for one in kept)]
        stored: list[Part] = []
        for place, piece in enumerate(read):
            first = begins[place] - (starts[place] if place else 0)
            last = len(piece) - (ends[place] - kept[place].start if place < len(kept) else 0)
            stored += [piece[first:last], *kept[place : place + 1]]
        rest = b"".join(part for part in stored if isinstance(part, bytes))
        parts = await asyncio.to_thread(_amended, rest, located, kept)
        if parts is None:
            return _unchanged(located)
        return _Shown(parts, _beginning(meta, stored, parts, length_bytes))

    async def _read(self, located: Located, start: int, end: int) -> bytes:
        if start == end:
            return b""
        where = located.data_set(start, end)
        return await self._objects.get(where.key, where.start, where.end)


def _beginning(
    meta: bytes, stored: Sequence[Part], parts: Sequence[Part], length_bytes: int
) -> _Beginning | None:
    """Return how a file's beginning has changed, None where that is not all.

    Args:
        meta: what stands before the data set.
        stored: the parts of the data set as it is: bytes first, and bytes last.
        parts: as it is shown, likewise.
        length_bytes: of the stored data set.
    """
    if stored[1:] != parts[1:]:
        return None
    before, after = stored[0], parts[0]
    assert isinstance(before, bytes)
    assert isinstance(after, bytes)
    known = checksum(meta)
    return _Beginning(checksum(before, known), checksum(after, known), length_bytes - len(before))


def _pieces(located: Located, shown: _Shown) -> tuple[bytes | Slice, ...]:
    return tuple(
        part if isinstance(part, bytes) else located.data_set(part.start, part.end)
        for part in shown.parts
    )


def _unchanged(located: Located) -> _Shown:
    instance = located.instance
    whole = Kept(0, 0, 0, instance.length_bytes - instance.dataset_offset)
    return _Shown((whole,), _Beginning(0, 0, 0))


async def amended_inflated(located: Located, data_set: bytes) -> bytes:
    """Return a data set as it is shown, all of it at hand, inflated before and behind.

    Args:
        located: its instance.
        data_set: as stored; the value of its pixel data may have been taken out.
    """
    if not located.amendments:
        return data_set
    return await asyncio.to_thread(_whole, data_set, located) or data_set


def _deflated(inflated: bytes, located: Located) -> bytes | None:
    """Return a data set that is stored deflated, None where nothing changes."""
    whole = _whole(inflated, located)
    return None if whole is None else deflate(whole)


def _whole(data_set: bytes, located: Located) -> bytes | None:
    """Return a data set as it is shown, all of it at hand; None where nothing changes."""
    parts = _amended(data_set, located)
    if parts is None:
        return None
    return b"".join(part for part in parts if isinstance(part, bytes))


def _amended(rest: bytes, located: Located, kept: Sequence[Kept] = ()) -> list[Part] | None:
    """Return what `amended_data_set` does; raises Corrupt where it cannot read what it could."""
    instance = located.instance
    syntax = instance.transfer_syntax_uid
    try:
        return amended_data_set(rest, syntax, located.amendments, instance.sop_instance_uid, kept)
    except InvalidInstance as error:
        raise Corrupt("A data set can no longer be read.") from error
