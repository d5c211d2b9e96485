"""What the walk over a data set finds: where elements lie, and the limits it keeps."""

import mmap
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import Final, TypeAlias

from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

from pacs_cloud.dicom.pixel_tags import PIXEL_TAGS
from pacs_cloud.errors import InvalidInstance, Refusal

View: TypeAlias = bytes | mmap.mmap | memoryview

LetGo: TypeAlias = Callable[[], None]
"""Called every LET_GO_EVERY fragments: each touches a page of a mapped file, and the
kernel maps its neighbours too, so whoever mapped it can give them back."""
LET_GO_EVERY: Final = 256

SHORT_VRS: Final = frozenset(vr.encode() for vr in EXPLICIT_VR_LENGTH_16)
LONG_VRS: Final = frozenset(vr.encode() for vr in EXPLICIT_VR_LENGTH_32)

LITTLE_ENDIAN, BIG_ENDIAN = (
    tuple(Struct(order + code).unpack_from for code in ("HH2sH", "HHL", "L")) for order in "<>"
)
"""What reads an explicit element header, an implicit one, and a length."""

UNDEFINED: Final = 0xFFFFFFFF
NO_LENGTH: Final = b"\xff\xff\xff\xff"
"""UNDEFINED as it is stored."""
ITEM: Final = 0xFFFEE000
ITEM_END: Final = 0xFFFEE00D
SEQUENCE_END: Final = 0xFFFEE0DD

NEIGHBOUR_TAGS: Final = frozenset(
    {0x00283006, 0x54000110, 0x54000112, 0x5400100A, 0x54001010, *PIXEL_TAGS}
)
"""Without a VR of their own, these take it from a neighbour (LUT Descriptor,
Waveform Bits Allocated), so their bytes alone do not say what they are."""

PLAIN: Final = 0
"""The bytes of the element, with the character set and the Pixel Representation
in force, decide its JSON."""
CAREFUL: Final = 1
"""More than that has to be looked at."""

MEMO_LIMIT: Final = 65_536
"""Bytes; a larger element is never remembered."""
LARGE: Final = 1_048_576
"""Bytes; where an element of this size begins, the part copied from a writable
buffer ends."""
INLINE_LIMIT: Final = 1024
"""Bytes; a larger binary value is bulk data."""
MAX_DEPTH: Final = 64
"""Sequences within sequences; structured reports seen in practice stay under 20."""
MAX_ELEMENTS: Final = 1_000_000
"""Elements and items of one header; each takes 16 bytes of JSON or more."""
MAX_FRAGMENTS: Final = 4_000_000


@dataclass(slots=True)
class Item:
    """One item of a sequence: its elements and how they are written."""

    implicit: bool
    records: "list[Record]"
    ordered: bool


@dataclass(slots=True)
class Fragments:
    """The items of an encapsulated value: offsets and lengths of their contents."""

    offsets: "array[int]"
    lengths: "array[int]"


Inside: TypeAlias = list[Item] | Fragments
Record: TypeAlias = tuple[int, int, bytes | None, int, int, int, Inside | None]
"""(tag, PLAIN or CAREFUL, VR or None, start, value start, stop, contents of an
undefined length). Offsets from the data set's start; `stop` lies after a
delimiter, if there is one."""


def unreadable(message: str) -> InvalidInstance:
    """Return the refusal of a data set that cannot be decoded."""
    return InvalidInstance(message, Refusal.UNREADABLE)


def name_of(tag: int) -> str:
    """Return `tag` as people write it: (0010,0010)."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
