"""Boxes, which MP4 and QuickTime files are made of (ISO/IEC 14496-12 4.2), by offset."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pacs_cloud.dicom.wrapping.wrapped import Read, refused

DAMAGED: Final = "The video's index is damaged."
TOO_MANY: Final = "The video is in too many parts."
MOST_BOXES: Final = 100_000
_MOST_CONTENT: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Box:
    """One box.

    Attributes:
        kind: its four letters.
        at: where it begins in the file.
        start: where what it holds begins.
        end: where it ends.
    """

    kind: bytes
    at: int
    start: int
    end: int


def boxes(read: Read, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes from `start` to `end`; up to seven bytes behind them are nothing.

    Raises:
        InvalidInstance: one of them ends beyond, or they are too many.
    """
    at = start
    for _ in range(MOST_BOXES):
        if at + 8 > end:
            return
        header = read(at, 16)
        size, kind = number(header[:4]), header[4:8]
        head = 8
        if size == 1:
            size, head = number(header[8:16]), 16
        elif size == 0:  # to the end of the file
            size = end - at
        if size < head or at + size > end:
            raise refused("The video is damaged, or ends in the middle.")
        yield Box(kind, at, at + head, at + size)
        at += size
    raise refused(TOO_MANY)


def inside(read: Read, above: Box | None, *kinds: bytes) -> Box | None:
    """Return the first box that lies at a path of kinds within `above`; None: none does."""
    for kind in kinds:
        if above is None:
            return None
        held = boxes(read, above.start, above.end)
        above = next((box for box in held if box.kind == kind), None)
    return above


def needed(read: Read, above: Box, *kinds: bytes) -> Box:
    """Return the same; raises InvalidInstance where there is none."""
    found = inside(read, above, *kinds)
    if found is None:
        raise refused(DAMAGED)
    return found


def entries(read: Read, above: Box) -> Iterator[Box]:
    """Yield the boxes of a table that says before how many they are (`stsd`, `dref`)."""
    return boxes(read, above.start + 8, above.end)


def content(read: Read, box: Box) -> bytes:
    """Return what a box holds, the first 64 KiB of it."""
    return read(box.start, min(box.end - box.start, _MOST_CONTENT))


def number(data: bytes) -> int:
    """Return an unsigned integer, as all of them are written here."""
    return int.from_bytes(data, "big")
