"""Frames of an instance: as stored, without item tags; native ones little endian."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from pacs_cloud import metrics
from pacs_cloud.dicom import uid
from pacs_cloud.dicom.byte_order import swap_words, word_bytes
from pacs_cloud.dicom.frames import FrameTable, NativeFrames, extract_bits
from pacs_cloud.dicom.pixel_format import MAX_FRAME_BYTES
from pacs_cloud.errors import InvalidInstance, NotFound, Refusal
from pacs_cloud.retrieve.inflated import DataSets
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.retrieve.pieces import Made, Piece

_WORDS = {16: "OW", 32: "OF", 64: "OD"}
_LARGE_BYTES = 1 << 20


async def beside(work: Callable[..., bytes], data: bytes, *more: object) -> bytes:
    """Return `work(data, *more)`, in a thread where `data` is so large that others would wait."""
    if len(data) > _LARGE_BYTES:
        return await asyncio.to_thread(work, data, *more)
    return work(data, *more)


class Frames:
    """Frames as pieces of a response; neighbouring ones become one ranged read."""

    def __init__(self, data_sets: DataSets) -> None:
        self._data_sets = data_sets

    def pieces(self, located: Located, number: int) -> Sequence[Piece]:
        """Return frame `number` (1 is the first) in its stored transfer syntax.

        Native frames come as the client expects them: little endian, inflated, and
        from the first bit of a byte on.

        Raises:
            NotFound: the instance has no such frame, or its frames cannot be told apart.
        """
        table = frame_table(located)
        if not 1 <= number <= len(table):
            raise NotFound(f"There is no frame {number}; there are {len(table)}.")
        metrics.FRAMES.labels("stored").inc()
        ranges = table.ranges(number - 1)
        syntax = located.instance.transfer_syntax_uid
        is_native = isinstance(table, NativeFrames)
        if uid.is_deflated(syntax) or (
            is_native and (syntax == uid.EXPLICIT_BE or not table.is_byte_aligned)
        ):
            return (Made(lambda: self._made(located, number)),)
        return tuple(located.data_set(start, end) for start, end in ranges)

    def count(self, located: Located) -> int:
        """Return how many frames there are whole; raises NotFound as `pieces`."""
        return len(frame_table(located))

    async def data(self, located: Located, number: int) -> bytes:
        """Return what the pieces of frame `number`, which there is, hold together."""
        table = frame_table(located)
        is_native = isinstance(table, NativeFrames)
        is_swapped = is_native and located.instance.transfer_syntax_uid == uid.EXPLICIT_BE
        read = self._swapped if is_swapped else self._data_sets.read
        ranges = table.ranges(number - 1)
        if not ranges:
            return b""
        # One read for all fragments: they follow one another.
        first = ranges[0][0]
        data = await read(located, first, ranges[-1][1])
        if len(ranges) > 1:
            data = b"".join([data[start - first : end - first] for start, end in ranges])
        if isinstance(table, NativeFrames) and not table.is_byte_aligned:
            data = await beside(extract_bits, data, *table.bits(number - 1))
        return data

    async def _made(self, located: Located, number: int) -> AsyncIterator[bytes]:
        yield await self.data(located, number)

    async def _swapped(self, located: Located, start: int, end: int) -> bytes:
        """Return a range of big-endian pixel data, which may cut words, little endian."""
        pixels = located.instance.pixels
        assert pixels is not None
        vr = await self.word_vr(located)
        word = word_bytes(vr)
        first = start - (start - pixels.offset) % word
        last = min(end + (pixels.offset - end) % word, pixels.offset + pixels.length)
        stored = await self._data_sets.read(located, first, last)
        data = await beside(swap_words, stored, vr)
        return data[start - first : end - first]

    async def word_vr(self, located: Located) -> str:
        """Return a VR with the words in which big-endian pixel data is written."""
        pixels = located.instance.pixels
        assert pixels is not None
        if pixels.bits_allocated in _WORDS:
            return _WORDS[pixels.bits_allocated]
        # Cells of a byte or less are swapped only within OW: the element itself says which
        # it is, in the 2 bytes that stand 8 before its value (PS3.5 7.1.2).
        vr = await self._data_sets.read(located, pixels.offset - 8, pixels.offset - 6)
        return vr.decode("latin-1")


def frame_table(located: Located) -> FrameTable:
    """Return where the frames lie.

    Raises:
        NotFound: there are none, or they cannot be told apart.
    """
    pixels = located.instance.pixels
    if pixels is None:
        raise NotFound("The instance has no frames.")
    if pixels.frames is None:
        raise NotFound("The frames of this instance cannot be told apart.")
    return pixels.frames


def stored_bytes(located: Located, number: int) -> int:
    """Return in how many bytes frame `number`, which there is, is stored."""
    return sum(end - start for start, end in frame_table(located).ranges(number - 1))


def check_size(located: Located, number: int) -> None:
    """Refuse to work on frame `number`, which there is, before anything of it is read.

    Raises:
        InvalidInstance: TOO_LARGE, over MAX_FRAME_BYTES as it is stored, or as it will be native.
    """
    pixels = located.instance.pixels
    assert pixels is not None
    cells = pixels.rows * pixels.columns * pixels.samples_per_pixel
    if max(cells * pixels.bits_allocated // 8, stored_bytes(located, number)) > MAX_FRAME_BYTES:
        raise InvalidInstance("A frame is too large to be worked on.", Refusal.TOO_LARGE)
