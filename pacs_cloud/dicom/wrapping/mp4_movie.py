"""An MP4 or QuickTime file (ISO/IEC 14496-12), read as far as a DICOM video needs it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from pacs_cloud.dicom.wrapping.mp4_boxes import (
    DAMAGED,
    MOST_BOXES,
    TOO_MANY,
    Box,
    boxes,
    content,
    entries,
    inside,
    needed,
    number,
)
from pacs_cloud.dicom.wrapping.wrapped import Read, refused
from pacs_cloud.errors import Refusal

SAMPLE_TABLE: Final = (b"mdia", b"minf", b"stbl")
"""Where a track has what tells of its samples."""
PICTURE_ENTRY_BYTES: Final = 78
"""Of a visual sample entry, behind its own header, before its boxes (12.1.3)."""
_MOST_MOOV_BYTES: Final = 64 << 20
_WITHIN: Final[Mapping[bytes, frozenset[bytes]]] = {
    b"moov": frozenset({b"mvhd", b"iods", b"mvex", b"trak"}),
    b"trak": frozenset({b"tkhd", b"edts", b"mdia"}),
    b"mdia": frozenset({b"mdhd", b"hdlr", b"elng", b"minf"}),
    b"minf": frozenset({b"vmhd", b"smhd", b"nmhd", b"dinf", b"stbl"}),
    b"stbl": frozenset(
        {b"stsd", b"stts", b"ctts", b"cslg", b"stss", b"stsz", b"stz2", b"stsc", b"stco", b"co64"}
        | {b"stsh", b"padb", b"stdp", b"sdtp", b"sgpd", b"sbgp", b"subs", b"saiz", b"saio"}
    ),
}
"""What is needed to show a movie, by where it stands. In all else cameras write where they were
(`udta`, `meta`, `uuid`, `gps `, even `free`), and programs whatever they like."""


@dataclass(frozen=True, slots=True)
class Track:
    """One track of a movie.

    Attributes:
        box: it.
        handler: what it is: `vide`, `soun`, …
        coding: of its first sample description: `avc1`, `hvc1`, `mp4a`, …
        codings: how many of these it has.
        is_elsewhere: whether its samples, or some, lie in another file.
        columns: of a video, as it is coded.
        rows: likewise.
        configuration: of a video, its `avcC`.
        samples: how many: of a video, its frames.
        seconds: how long.
    """

    box: Box
    handler: bytes
    coding: bytes
    codings: int
    is_elsewhere: bool
    columns: int
    rows: int
    configuration: bytes
    samples: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Movie:
    """What an MP4 file says of itself.

    Attributes:
        read: reads its index, by offsets in the file.
        kind: the box that says what file it is.
        brand: of the file.
        index: the box that tells of the tracks.
        media: the boxes that their samples lie in.
        tracks: of the movie.
        is_fragmented: whether its samples are told of all over the file.
        private: boxes that tell more than the movie shows; none of them is needed.
    """

    read: Read
    kind: Box
    brand: bytes
    index: Box
    media: tuple[Box, ...]
    tracks: tuple[Track, ...]
    is_fragmented: bool
    private: tuple[Box, ...]


def movie_of(read: Read, length: int) -> Movie:
    """Return what an MP4 file is.

    Args:
        read: reads it.
        length: of it, in bytes.

    Raises:
        InvalidInstance: it is no such file, ends in the middle, or is in too many parts.
    """
    top = list(boxes(read, 0, length))
    if not top or top[0].kind != b"ftyp":
        raise refused("It is no MP4 file.")
    moov = next((box for box in top if box.kind == b"moov"), None)
    if moov is None:
        raise refused("The video has no index: its recording was not brought to an end.")
    if moov.end - moov.at > _MOST_MOOV_BYTES:
        raise refused("The video's index is too long.", Refusal.TOO_LARGE)
    index = read(moov.at, moov.end - moov.at)

    def read_moov(offset: int, count: int) -> bytes:
        return index[offset - moov.at : offset - moov.at + count]

    within = list(islice(_within(read_moov, moov), MOST_BOXES + 1))
    if len(within) > MOST_BOXES:
        raise refused(TOO_MANY)
    below = [box for above, box in within if above == b"moov"]
    kinds = {box.kind for box in (*top, *below)}
    media = tuple(box for box in top if box.kind == b"mdat")
    private = [box for box in top if box.kind != b"mdat" and box not in (top[0], moov)]
    private += [box for above, box in within if box.kind not in _WITHIN[above]]
    return Movie(
        read_moov,
        top[0],
        read(top[0].start, 4),
        moov,
        media,
        tuple(_track(read_moov, box) for box in below if box.kind == b"trak"),
        bool(kinds & {b"moof", b"mvex"}),
        tuple(private),
    )


def _track(read: Read, trak: Box) -> Track:
    table = needed(read, trak, *SAMPLE_TABLE)
    handler = content(read, needed(read, trak, b"mdia", b"hdlr"))[8:12]
    header = content(read, needed(read, trak, b"mdia", b"mdhd"))
    is_long = header[:1] == b"\1"
    scale, lasts = (header[20:24], header[24:32]) if is_long else (header[12:16], header[16:20])
    descriptions = needed(read, table, b"stsd")
    entry = next(entries(read, descriptions), None)
    if entry is None or not number(scale):
        raise refused(DAMAGED)
    columns = rows = 0
    configuration = b""
    if handler == b"vide":
        columns, rows = (number(read(entry.start + at, 2)) for at in (24, 26))
        held = boxes(read, entry.start + PICTURE_ENTRY_BYTES, entry.end)
        avcc = next((box for box in held if box.kind == b"avcC"), None)
        configuration = b"" if avcc is None else content(read, avcc)
    sizes = inside(read, table, b"stsz") or inside(read, table, b"stz2")
    return Track(
        trak,
        handler,
        entry.kind,
        number(read(descriptions.start + 4, 4)),
        _is_elsewhere(read, trak),
        columns,
        rows,
        configuration,
        0 if sizes is None else number(read(sizes.start + 8, 4)),
        number(lasts) / number(scale),
    )


def _is_elsewhere(read: Read, trak: Box) -> bool:
    references = inside(read, trak, b"mdia", b"minf", b"dinf", b"dref")
    if references is None:
        return False
    # The last flag: in this file (8.7.2).
    return not all(read(one.start + 3, 1)[-1:] == b"\1" for one in entries(read, references))


def _within(read: Read, above: Box) -> Iterator[tuple[bytes, Box]]:
    """Yield the boxes of an index, each with the kind of the one that it stands in."""
    for box in boxes(read, above.start, above.end):
        yield above.kind, box
        if box.kind in _WITHIN and box.kind in _WITHIN[above.kind]:
            yield from _within(read, box)  # four deep at most: none stands within itself
