"""A QuickTime file said as MP4 has it: same bytes in the same places, but for its headers.

QuickTime is what MP4 was made from. What differs, in a file of H.264 and AAC, is the brand, fields
that MP4 wants empty or takes otherwise, and where a sound's decoder is configured (ISO/IEC
14496-12, -14; Apple's QuickTime File Format).
"""

from collections.abc import Iterator
from typing import Final

from pacs_cloud.dicom.wrapping.mp4_boxes import (
    DAMAGED,
    Box,
    boxes,
    entries,
    inside,
    needed,
    number,
)
from pacs_cloud.dicom.wrapping.mp4_movie import (
    PICTURE_ENTRY_BYTES,
    SAMPLE_TABLE,
    Movie,
    Track,
)
from pacs_cloud.dicom.wrapping.wrapped import Read, refused

BRAND: Final = b"qt  "
_MP4: Final = b"mp42"
_UNDETERMINED: Final = 0x55C4
"""The language `und`, as three letters of five bits."""
_LANGUAGES: Final = range(0x400, 0x7FFF)
"""Of such letters: QuickTime has codes of its own below, and says by the last that none is said."""
_SHOWN: Final = 7
"""Flags of a track that both have: by the next one it is in QuickTime's poster, and its size only a
ratio in MP4 (8.3.2)."""
_PICTURE_BOXES: Final = frozenset({b"avcC", b"btrt", b"pasp", b"clap"})
_SOUND_FIELDS: Final = {0: 28, 1: 44}
"""Bytes of a sound's description before its boxes, by its version; MP4 has the first."""
_STRANGE: Final = (
    "The video is a QuickTime file of a kind that cannot be made MP4 here. Export it as MP4 with"
    " H.264."
)

Edit = tuple[int, bytes]
"""What is written over a file, and where."""


def edits(movie: Movie, kept: tuple[Track, ...]) -> Iterator[Edit]:
    """Yield what makes a QuickTime file an MP4 file.

    Args:
        movie: of brand BRAND.
        kept: its tracks of picture and sound.

    Raises:
        InvalidInstance: it is damaged, or of a kind that is not known here.
    """
    read = movie.read
    kind = _sized(movie.kind, 8)
    yield kind.start, _MP4 + bytes(4)
    for at in range(kind.start + 8, kind.end - 3, 4):
        yield at, _MP4
    header = _sized(needed(read, movie.index, b"mvhd"), 100)
    yield header.end - 28, bytes(24)  # preview, poster, selection, current time
    for track in kept:
        yield from _track(read, track)


def _track(read: Read, track: Track) -> Iterator[Edit]:
    shown = _sized(needed(read, track.box, b"tkhd"), 4).start + 3
    yield shown, bytes((number(read(shown, 1)) & _SHOWN,))
    handler = _sized(needed(read, track.box, b"mdia", b"hdlr"), 25)
    yield handler.start + 4, bytes(4)
    yield handler.start + 12, bytes(handler.end - handler.start - 12)
    header = _sized(needed(read, track.box, b"mdia", b"mdhd"), 24)
    said = number(read(header.end - 4, 2))
    language = said if said in _LANGUAGES else _UNDETERMINED
    yield header.end - 4, language.to_bytes(2) + bytes(2)
    if (picture := inside(read, track.box, b"mdia", b"minf", b"vmhd")) is not None:
        yield _sized(picture, 12).start + 4, bytes(8)
    references = inside(read, track.box, b"mdia", b"minf", b"dinf", b"dref")
    for one in () if references is None else entries(read, references):
        if one.end - one.start != 4:  # a name of this file, as its author called it
            raise refused(_STRANGE)
        yield one.at + 4, b"url "
    if (offsets := inside(read, track.box, *SAMPLE_TABLE, b"ctts")) is not None:
        yield _sized(offsets, 8).start, b"\1"  # of which version they have signs (8.6.1.3)
    for entry in entries(read, needed(read, track.box, *SAMPLE_TABLE, b"stsd")):
        yield from _picture(read, entry) if track.handler == b"vide" else _sound(read, entry)


def _picture(read: Read, entry: Box) -> Iterator[Edit]:
    start = _sized(entry, PICTURE_ENTRY_BYTES).start + PICTURE_ENTRY_BYTES
    yield entry.start + 8, bytes(16)  # version, vendor, qualities
    yield entry.start + 36, bytes(4)
    yield start - 4, b"\0\x18\xff\xff"
    held = [box for box in boxes(read, start, entry.end) if box.kind in _PICTURE_BOXES]
    whole = b"".join(read(box.at, box.end - box.at) for box in held)
    yield start, whole + _rest(entry.end - start - len(whole))


def _sound(read: Read, entry: Box) -> Iterator[Edit]:
    start = _sized(entry, _SOUND_FIELDS[0]).start + _SOUND_FIELDS[0]
    length = _SOUND_FIELDS.get(number(read(entry.start + 8, 2)))
    if length is None:
        raise refused(_STRANGE)
    inner = Box(entry.kind, entry.at, entry.start + length, entry.end)
    decoder = inside(read, inner, b"esds") or inside(read, inner, b"wave", b"esds")
    if decoder is None:
        raise refused(DAMAGED)
    whole = read(decoder.at, decoder.end - decoder.at)
    yield entry.start + 8, bytes(8)
    yield entry.start + 20, bytes(4)
    yield start, whole + _rest(entry.end - start - len(whole))


def _sized(box: Box, length: int) -> Box:
    """Return a box that holds so much at least; raises InvalidInstance."""
    if box.end - box.start < length:
        raise refused(DAMAGED)
    return box


def _rest(length: int) -> bytes:
    """Return what fills what is left: a box, or the few zeros that QuickTime may end with."""
    return length.to_bytes(4) + b"free" + bytes(length - 8) if length >= 8 else bytes(length)
