"""Frames of compressed pixel data become the fragments of an encapsulated value (PS3.5 A.4)."""

from array import array
from collections.abc import Iterator, Sequence
from struct import pack
from sys import byteorder
from typing import Final, NamedTuple, TypeAlias

from pacs_cloud.dicom.explicit_elements import LONG_LIMIT, SEQUENCE_DELIMITER
from pacs_cloud.errors import InvalidInstance, Refusal


class Span(NamedTuple):
    """Bytes of bulk data that lie elsewhere.

    Attributes:
        offset: of the first byte.
        length: in bytes.
    """

    offset: int
    length: int


Piece: TypeAlias = bytes | Span

ITEM_BYTES: Final = 8
"""Of an item's tag and length."""
ITEM_TAG: Final = pack("<HH", 0xFFFE, 0xE000)
_VIDEO_FRAGMENT_BYTES: Final = 1 << 30
_MAX_BASIC_OFFSET: Final = 0xFFFFFFFF


class OffsetTables(NamedTuple):
    """Where frames begin, from the first byte of the first one's item.

    Attributes:
        basic: the Basic Offset Table, empty where the extended one is needed.
        offsets: the value of Extended Offset Table (7FE0,0001), else empty.
        lengths: the value of Extended Offset Table Lengths (7FE0,0002), else empty.
    """

    basic: bytes
    offsets: bytes = b""
    lengths: bytes = b""


NO_TABLES: Final = OffsetTables(b"")


def offset_tables(frames: Sequence[Span], *, extended: bool = False) -> OffsetTables:
    """Return the tables for `frames`, each of which becomes one fragment.

    Args:
        frames: their bytes.
        extended: write the extended table even where the basic one would do; it is
            always written where an offset is over 32 bits (PS3.5 A.4, PS3.3 C.7.6.3.1.8).
    """
    offsets, lengths = array("Q"), array("Q")
    position = 0
    for _, length in frames:
        offsets.append(position)
        lengths.append(length + length % 2)
        position += ITEM_BYTES + length + length % 2
    if extended or (offsets and offsets[-1] > _MAX_BASIC_OFFSET):
        return OffsetTables(b"", _little(offsets), _little(lengths))
    return OffsetTables(_little(array("I", offsets)))


def fragments(frames: Sequence[Span], tables: OffsetTables) -> Iterator[Piece]:
    """Yield the items of an encapsulated value and its delimiter, one fragment a frame.

    Raises:
        InvalidInstance: TOO_LARGE for a frame that no fragment holds.
    """
    yield item_header(len(tables.basic)) + tables.basic
    for frame in frames:
        if frame.length > LONG_LIMIT:
            raise InvalidInstance("A frame is over 4 GiB.", Refusal.TOO_LARGE)
        yield from _fragment(frame)
    yield SEQUENCE_DELIMITER


def video_fragments(parts: Sequence[Span]) -> Iterator[Piece]:
    """Yield the items of a video and its delimiter: one stream, cut where it is long.

    Its frames cannot be told apart, so that the Basic Offset Table is empty (PS3.5 8.2.5).
    """
    yield item_header(0)
    for offset, length in parts:
        end = offset + length
        for start in range(offset, end, _VIDEO_FRAGMENT_BYTES):
            yield from _fragment(Span(start, min(_VIDEO_FRAGMENT_BYTES, end - start)))
    yield SEQUENCE_DELIMITER


def _fragment(span: Span) -> Iterator[Piece]:
    yield item_header(span.length + span.length % 2)
    yield span
    if span.length % 2:
        yield b"\0"


def item_header(length: int) -> bytes:
    """Return what begins a fragment, or the Basic Offset Table, of `length` bytes."""
    return ITEM_TAG + pack("<L", length)


def _little(numbers: "array[int]") -> bytes:
    if byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()
