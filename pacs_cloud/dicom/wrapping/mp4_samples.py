"""Where the samples of a track lie in an MP4 file (ISO/IEC 14496-12 8.7)."""

import sys
from array import array
from bisect import bisect
from collections.abc import Iterator
from typing import Final

from pacs_cloud.dicom.coding.encapsulating import Span
from pacs_cloud.dicom.wrapping.mp4_boxes import DAMAGED, TOO_MANY, Box, inside, needed, number
from pacs_cloud.dicom.wrapping.mp4_movie import SAMPLE_TABLE, Movie, Track
from pacs_cloud.dicom.wrapping.wrapped import Read, refused

_MOST_CHUNKS: Final = 1 << 20


def samples_of(movie: Movie, track: Track) -> Iterator[Span]:
    """Yield where they lie, chunk by chunk.

    Raises:
        InvalidInstance: they do not lie where samples lie, or are not told of as usual.
    """
    if track.is_elsewhere or not track.samples:
        return
    table = needed(movie.read, track.box, *SAMPLE_TABLE)
    starts = [box.start for box in movie.media]
    for offset, length in _chunks(movie.read, table, track.samples):
        around = bisect(starts, offset) - 1
        if around < 0 or offset + length > movie.media[around].end:
            raise refused(DAMAGED)
        yield Span(offset, length)


def _chunks(read: Read, table: Box, samples: int) -> Iterator[tuple[int, int]]:
    sizes = needed(read, table, b"stsz")
    same = number(read(sizes.start + 4, 4))
    each = array("I") if same else _numbers(read, sizes, 12, samples, "I")
    runs = needed(read, table, b"stsc")
    counts = number(read(runs.start + 4, 4))
    run = _numbers(read, runs, 8, 3 * counts, "I")
    short = inside(read, table, b"stco")
    places = short or needed(read, table, b"co64")
    chunks = number(read(places.start + 4, 4))
    if chunks > _MOST_CHUNKS:
        raise refused(TOO_MANY)
    at = _numbers(read, places, 8, chunks, "I" if short else "Q")
    done = expected = 0
    for which in range(counts):
        first, count = run[3 * which] - 1, run[3 * which + 1]
        behind = run[3 * which + 3] - 1 if which + 1 < counts else chunks
        if not expected == first < behind <= chunks:
            raise refused(DAMAGED)
        for chunk in range(first, behind):
            yield at[chunk], same * count if same else sum(each[done : done + count])
            done += count
        expected = behind
    if done != samples:
        raise refused(DAMAGED)


def _numbers(read: Read, box: Box, skip: int, count: int, code: str) -> "array[int]":
    """Return so many integers of a box, as many bytes behind its start."""
    found = array(code)
    length = count * found.itemsize
    if box.start + skip + length > box.end:
        raise refused(DAMAGED)
    found.frombytes(read(box.start + skip, length))
    if sys.byteorder == "little":
        found.byteswap()
    return found
