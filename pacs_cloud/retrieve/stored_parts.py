"""The parts of a stored instance that a transcoder needs: its frames, and what is around them."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeAlias

from pacs_cloud.dicom import uid
from pacs_cloud.dicom.byte_order import swap_words, word_bytes
from pacs_cloud.dicom.coding.enclosure import emptied
from pacs_cloud.dicom.coding.recoding import StoredFrame, check_sampling
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.frames import PixelData
from pacs_cloud.dicom.pixel_format import PixelFormat, pixel_format_of
from pacs_cloud.errors import NotFound
from pacs_cloud.retrieve.amended_files import amended_inflated
from pacs_cloud.retrieve.cache import BoundedCache
from pacs_cloud.retrieve.frames import Frames, beside, check_size, frame_table
from pacs_cloud.retrieve.inflated import DataSets
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.retrieve.tables import PackTables

_WHOLE_BYTES: Final = 4 << 20
"""A data set up to this size is read at once: its parts are asked for one by one otherwise."""
_CHUNK_BYTES: Final = 4 << 20
_DELIMITER_BYTES: Final = 8
_FORMAT_BYTES: Final = 1024
"""Of one pixel format in memory, with its key: a header may be megabytes of JSON."""
_FORMATS_BYTES: Final = 8 << 20

Read: TypeAlias = Callable[[int, int], Awaitable[bytes]]
"""Returns a range of a data set, inflated."""


@dataclass(frozen=True, slots=True)
class StoredParts:
    """Reads one instance.

    Attributes:
        located: the instance.
        read: its data set's bytes as stored.
        length_bytes: of its data set, inflated.
    """

    located: Located
    read: Read
    length_bytes: int

    async def whole(self) -> bytes:
        """Return the data set as amendments show it."""
        return await amended_inflated(self.located, await self.read(0, self.length_bytes))

    async def empty(self, pixels: PixelData) -> bytes:
        """Return the data set likewise, with nothing in the place of its pixel data."""
        end = pixels.offset + pixels.length + (_DELIMITER_BYTES if pixels.encapsulated else 0)
        head = await self.read(0, pixels.offset)
        tail = await self.read(end, self.length_bytes) if end < self.length_bytes else b""
        empty = emptied(head, tail, encapsulated=pixels.encapsulated)
        return await amended_inflated(self.located, empty)

    async def codestream(self, ranges: tuple[tuple[int, int], ...]) -> bytes:
        """Return a frame's fragments, joined: one read, as they follow one another."""
        if not ranges:
            return b""
        first = ranges[0][0]
        data = await self.read(first, ranges[-1][1])
        if len(ranges) == 1:
            return data
        return b"".join([data[start - first : end - first] for start, end in ranges])

    async def native_value(self, pixels: PixelData, vr: str) -> AsyncGenerator[bytes]:
        """Yield the value of native pixel data, little endian, a few megabytes at a time.

        Args:
            pixels: where it lies.
            vr: with the words in which big-endian pixels are written.
        """
        is_swapped = self.located.instance.transfer_syntax_uid == uid.EXPLICIT_BE
        word = word_bytes(vr) if is_swapped else 1
        assert _CHUNK_BYTES % word == 0
        end = pixels.offset + pixels.length
        for start in range(pixels.offset, end, _CHUNK_BYTES):
            chunk = await self.read(start, min(start + _CHUNK_BYTES, end))
            yield await beside(swap_words, chunk, vr) if word > 1 else chunk


class Stored:
    """Opens stored instances for a transcoder."""

    def __init__(self, data_sets: DataSets, tables: PackTables) -> None:
        self._data_sets = data_sets
        self._tables = tables
        self._frames = Frames(data_sets)
        self._formats: BoundedCache[PixelFormat] = BoundedCache(_FORMATS_BYTES, "pixel-formats")

    async def parts(self, located: Located) -> StoredParts:
        """Return what reads `located`: a small one has been read then."""
        parts = self._parts_by_range(located)
        if parts.length_bytes > _WHOLE_BYTES:
            return parts
        whole = await parts.read(0, parts.length_bytes)

        async def cut(start: int, end: int) -> bytes:
            return whole[start:end]

        return replace(parts, read=cut)

    async def frame(
        self, located: Located, number: int, parts: StoredParts | None = None
    ) -> StoredFrame:
        """Return frame `number` (1 is the first) for a worker.

        Args:
            located: the instance.
            number: of the frame.
            parts: what reads it already, where that is open.

        Raises:
            NotFound: there is no such frame.
            InvalidInstance: its header does not say what its pixels are, or is wrong; or it is
                too large.
        """
        table = frame_table(located)
        if not 1 <= number <= len(table):
            raise NotFound(f"There is no frame {number}; there are {len(table)}.")
        pixels = located.instance.pixels
        assert pixels is not None
        check_size(located, number)
        described = await self.pixel_format(located)
        check_sampling(pixels, described)
        if not pixels.encapsulated:
            data = await self._frames.data(located, number)
            return StoredFrame(data, uid.EXPLICIT_LE, described)
        parts = parts or self._parts_by_range(located)
        data = await parts.codestream(table.ranges(number - 1))
        return StoredFrame(data, located.instance.transfer_syntax_uid, described)

    def _parts_by_range(self, located: Located) -> StoredParts:
        where = located.data_set()
        length = located.instance.inflated_bytes or where.end - where.start
        return StoredParts(located, partial(self._data_sets.read, located), length)

    async def word_vr(self, located: Located) -> str:
        """Return a VR with the words in which native pixel data is written."""
        return await self._frames.word_vr(located)

    async def pixel_format(self, located: Located) -> PixelFormat:
        """Return what the header says of the pixels; raises InvalidInstance where it does not."""
        instance = located.instance

        async def load() -> tuple[PixelFormat, int]:
            return pixel_format_of(await self.header(located)), _FORMAT_BYTES

        return await self._formats.get((located.pack.pack_id, instance.sop_instance_uid), load)

    async def header(self, located: Located) -> Elements:
        """Return the header of `located` as DICOM JSON, as amendments show it."""
        return await self._tables.shown_header(located.pack, located.instance)
