"""Palette colour: three lookup tables, plain or in segments (PS3.3 C.7.6.3.1.5, C.7.9.2)."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pacs_cloud.dicom.element_values import DataSet
from pacs_cloud.dicom.render.grey_shades import Numbers, Shades
from pacs_cloud.errors import InvalidInstance, Refusal

_DESCRIPTORS: Final = ("00281101", "00281102", "00281103")
_DATA: Final = ("00281201", "00281202", "00281203")
_SEGMENTED: Final = ("00281221", "00281222", "00281223")
_MAX_ENTRIES: Final = 1 << 16
_MAX_SEGMENTS: Final = 1 << 17
"""Of one palette: those without entries, repeated by others, would never come to an end."""
_MAX_WORDS: Final = 4 * _MAX_SEGMENTS
"""Of one segmented palette: more than its segments can need."""


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours by stored value.

    Attributes:
        first: the value that gets the first colour; lower ones too.
        rgb: the colours, 3 bytes each.
    """

    first: int
    rgb: bytes

    def colours(self, values: Numbers) -> Shades:
        """Return the colour of each value, in one more dimension."""
        table = np.frombuffer(self.rgb, np.uint8).reshape(-1, 3)
        return table[np.clip(values.astype(np.int64) - self.first, 0, len(table) - 1)]


def read_palette(image: DataSet) -> Palette | None:
    """Return the palette in `image`, None where it has none.

    Raises:
        InvalidInstance: UNREADABLE, it has one that cannot be read.
    """
    planes: list[Numbers] = []
    firsts: list[int] = []
    wide = False
    for descriptor, plain, segmented in zip(_DESCRIPTORS, _DATA, _SEGMENTED, strict=True):
        described = image.numbers(descriptor)
        if len(described) < 3:
            return None
        count, first, bits = (int(number) for number in described[:3])
        count = count % _MAX_ENTRIES or _MAX_ENTRIES
        data = image.binary(plain)
        if data:
            entries = _words(data, count, bits)
        else:
            entries = _expanded(image.binary(segmented), count, bits)
        if not len(entries):
            raise InvalidInstance("A palette has no data.", Refusal.UNREADABLE)
        planes.append(entries)
        firsts.append(first)
        wide |= bits > 8
    shortest = min(len(plane) for plane in planes)
    table = np.stack([plane[:shortest] for plane in planes], axis=-1)
    # Some devices say 16 bits and write 8: taken at their word all would be black.
    if wide and int(table.max()) > 0xFF:
        table = table >> 8
    return Palette(firsts[0], np.minimum(table, 0xFF).astype(np.uint8).tobytes())


def _words(data: bytes, count: int, bits: int) -> Numbers:
    if bits <= 8 and len(data) < 2 * count:
        return np.frombuffer(data, np.uint8)[:count].astype(np.int64)
    return np.frombuffer(data[: len(data) // 2 * 2], "<u2")[:count].astype(np.int64)


def _expanded(data: bytes, count: int, bits: int) -> Numbers:
    """Return the entries that segments describe: discrete, linear, indirect (PS3.3 C.7.9.2)."""
    cell = np.dtype("<u2" if bits > 8 else np.uint8)
    words = np.frombuffer(data[: len(data) // cell.itemsize * cell.itemsize], cell)
    segments = _Segments(words[:_MAX_WORDS].tolist(), cell.itemsize, count)
    try:
        segments.expand(0)
    except IndexError as error:
        raise InvalidInstance("A palette's segments are cut short.", Refusal.UNREADABLE) from error
    return np.array(segments.entries[:count], np.int64)


class _Segments:
    """The segments of a palette, and the entries that they have come to so far."""

    def __init__(self, words: list[int], word_bytes: int, count: int) -> None:
        self.entries: list[int] = []
        self._words = words
        self._word_bytes = word_bytes
        self._count = count
        self._left = _MAX_SEGMENTS

    def expand(self, at: int, segments: int | None = None) -> None:
        """Append the entries of the segments from `at` on: all, or so many, none indirect."""
        words, entries = self._words, self.entries
        left = len(words) if segments is None else segments
        # A padding byte may follow.
        while at + 1 < len(words) and left and len(entries) < self._count:
            kind, length = words[at], words[at + 1]
            left -= 1
            self._left -= 1
            if self._left < 0:
                raise InvalidInstance("A palette has too many segments.", Refusal.TOO_LARGE)
            if kind == 0:
                entries.extend(words[at + 2 : at + 2 + length])
                at += 2 + length
            elif kind == 1:
                before, last = (entries[-1] if entries else 0), words[at + 2]
                entries.extend(
                    round(before + (last - before) * step / length) for step in range(1, length + 1)
                )
                at += 3
            elif kind == 2 and segments is None:
                span = 4 // self._word_bytes  # a byte offset of 32 bits, its low part first
                parts = words[at + 2 : at + 2 + span]
                offset = sum(part << 8 * self._word_bytes * n for n, part in enumerate(parts))
                self.expand(offset // self._word_bytes, length)
                at += 2 + span
            else:
                raise InvalidInstance(
                    "A palette has a segment of no known kind.", Refusal.UNREADABLE
                )
