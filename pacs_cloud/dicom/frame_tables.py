"""Frame tables from what a data set says about its pixel data.

Encapsulated frames are found by the Extended Offset Table, the Basic Offset
Table, or, with neither, by counting fragments and looking for the codestream's
first marker (PS3.5 A.4). A table that does not point at items is ignored: it is
wrong, and the fragments are still there.
"""

from array import array
from bisect import bisect_left
from typing import Final

from pacs_cloud.dicom.frames import EncapsulatedFrames, FrameTable, NativeFrames
from pacs_cloud.dicom.records import LET_GO_EVERY, Fragments, LetGo, View

_ITEM_HEADER_BYTES: Final = 8
_CODESTREAM_STARTS: Final = (
    b"\xff\xd8\xff",  # JPEG and JPEG-LS: SOI, then a marker
    b"\xff\x4f\xff\x51",  # JPEG 2000 and HTJ2K: SOC, SIZ
    b"\x00\x00\x00\x0cjP  \r\n\x87\n",  # JP2 and JPH boxes, which some writers leave on
)


def native_frames(
    *,
    offset: int,
    length: int,
    pixels: int,
    samples_per_pixel: int,
    bits_allocated: int,
    frame_count: int,
    subsampled: bool,
) -> FrameTable | None:
    """Return the table of native frames, as many as are there whole; None without a shape.

    Args:
        offset: of the value, from the data set's start.
        length: of the value.
        pixels: rows times columns.
        samples_per_pixel: as the header says, at least 1.
        bits_allocated: of one sample.
        frame_count: as the header says, at least 1.
        subsampled: YBR_FULL_422, which stores two samples a pixel (PS3.3 C.7.6.3.1.2).
    """
    bits = pixels * (2 if subsampled else samples_per_pixel) * bits_allocated
    if bits <= 0:
        return None
    return NativeFrames(offset, bits, min(frame_count, length * 8 // bits))


def encapsulated_frames(
    view: View,
    fragments: Fragments,
    frame_count: int,
    extended: tuple[bytes, bytes] | None,
    let_go: LetGo | None = None,
) -> FrameTable | None:
    """Return the table of encapsulated frames, None where they cannot be told apart.

    Args:
        view: the data set; only fragment starts and the offset table are read.
        fragments: the items of the value, the offset table's first.
        frame_count: as the header says, at least 1.
        extended: values of Extended Offset Table and its Lengths, if both are there.
        let_go: called every LET_GO_EVERY fragments that are looked at.
    """
    offsets, lengths = fragments.offsets[1:], fragments.lengths[1:]
    if not offsets:
        return None
    origin = offsets[0] - _ITEM_HEADER_BYTES
    firsts = _by_extended_table(offsets, origin, frame_count, extended)
    if firsts is None and fragments.lengths[0]:
        start = fragments.offsets[0]
        table = bytes(view[start : start + fragments.lengths[0]])
        firsts = _by_table(offsets, origin, frame_count, table, "I")
    if firsts is None:
        firsts = _by_counting(view, offsets, frame_count, let_go)
    if firsts is None:
        return None
    firsts.append(len(offsets))
    return EncapsulatedFrames(offsets, lengths, firsts)


def _by_extended_table(
    offsets: "array[int]", origin: int, frame_count: int, extended: tuple[bytes, bytes] | None
) -> "array[int] | None":
    if extended is None or len(extended[0]) != len(extended[1]):
        return None
    return _by_table(offsets, origin, frame_count, extended[0], "Q")


def _by_table(
    offsets: "array[int]", origin: int, frame_count: int, table: bytes, code: str
) -> "array[int] | None":
    """Return each frame's first fragment, None where the table does not point at items."""
    entries = array(code)
    if len(table) % entries.itemsize:
        return None
    entries.frombytes(table)
    if len(entries) != frame_count or entries[0] != 0:
        return None
    firsts = array("Q")
    for entry in entries:
        content = origin + entry + _ITEM_HEADER_BYTES
        number = bisect_left(offsets, content, firsts[-1] + 1 if firsts else 0)
        if number >= len(offsets) or offsets[number] != content:
            return None
        firsts.append(number)
    return firsts


def _by_counting(
    view: View, offsets: "array[int]", frame_count: int, let_go: LetGo | None
) -> "array[int] | None":
    """Return each frame's first fragment where the fragments themselves tell."""
    if frame_count == 1:
        return array("Q", [0])
    if len(offsets) == frame_count:
        return array("Q", range(frame_count))
    if len(offsets) < frame_count:
        return None
    starts = array("Q")
    for number, offset in enumerate(offsets):
        if let_go is not None and number % LET_GO_EVERY == 0:
            let_go()
        if bytes(view[offset : offset + 12]).startswith(_CODESTREAM_STARTS):
            starts.append(number)
    return starts if len(starts) == frame_count and starts[0] == 0 else None
