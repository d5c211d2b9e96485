"""A video becomes a Video Photographic Image (PS3.3 A.32.7)."""

from collections.abc import Callable, Iterator
from typing import Final

from pacs_cloud.dicom.coding.encapsulating import Span
from pacs_cloud.dicom.composing import Bulk, BulkForm
from pacs_cloud.dicom.elements import element
from pacs_cloud.dicom.pixel_format import PixelFormat
from pacs_cloud.dicom.uid import MPEG4_AVC_HIGH
from pacs_cloud.dicom.wrapping import quicktime
from pacs_cloud.dicom.wrapping.mp4_boxes import DAMAGED
from pacs_cloud.dicom.wrapping.mp4_movie import Movie, Track, movie_of
from pacs_cloud.dicom.wrapping.mp4_samples import samples_of
from pacs_cloud.dicom.wrapping.wrapped import (
    PICTURE,
    Belonging,
    Read,
    Wrapped,
    Wrapping,
    digest_of,
    refused,
)
from pacs_cloud.errors import InvalidInstance, Refusal

VIDEO_PHOTOGRAPHIC: Final = "1.2.840.10008.5.1.4.1.1.77.1.4.1"
MPEG4_AVC_HIGH_4_2: Final = "1.2.840.10008.1.2.4.104"
MOST_BYTES: Final = 1 << 30
"""Of one stream in one fragment, as its transfer syntaxes want it (PS3.5 8.2.7)."""
_VIDEO: Final = Wrapping(VIDEO_PHOTOGRAPHIC, "XC", "Videos", 9002)
_BASELINE, _MAIN, _HIGH = 66, 77, 100
_FITS_MAIN: Final = 0x40
"""constraint_set1_flag: a Baseline stream that every Main and High decoder reads (H.264 A.2.1)."""
_LEVEL_4_1, _LEVEL_4_2 = 41, 42
_HEVC: Final = frozenset({b"hvc1", b"hev1", b"dvh1", b"dvhe"})
_SHORTEST_MS, _LONGEST_MS = 1.0, 60_000.0
"""Of a frame that somebody has taken."""
_MOST_RATIO: Final = 9999.0
_ZEROS: Final = bytes(1 << 16)
_H264: Final = "Save it as MP4 with H.264, at most 1920×1080, and send that."
_HEVC_WORDS: Final = (
    "The video is H.265 (HEVC), which many browsers do not show. On an iPhone choose Settings,"
    " Camera, Formats, Most Compatible before filming; or save it as MP4 with H.264, at most"
    " 1920×1080."
)
_SOUND_WORDS: Final = "The video's sound is not AAC. Save it as MP4 with H.264 and AAC."
_SOUND: Final = b"mp4a"

Write = Callable[[int, bytes], None]
"""Writes bytes over those at an offset; may block."""


def wrapped_video(read: Read, write: Write, length: int, where: Belonging) -> Wrapped:
    """Return an MP4 or QuickTime file of H.264 as an instance: picture, sound and nothing else.

    What cameras write into it besides, places above all, is overwritten in the file; QuickTime's
    headers become MP4's, which is what transfer syntaxes want (PS3.5 8.2.7).

    Args:
        read: reads it.
        write: writes into it.
        length: of it, in bytes.
        where: it belongs.

    Raises:
        InvalidInstance: it is none, damaged, not whole, too long, or of a kind that DICOM has
            no transfer syntax for.
    """
    if length > MOST_BYTES:
        raise refused("A video has up to 1 GB.", Refusal.TOO_LARGE)
    movie = movie_of(read, length)
    video, sounds = _picture_of(movie), _sounds_of(movie)
    syntax = transfer_syntax_of(video)
    frame_ms = 1000 * video.seconds / video.samples
    if not _SHORTEST_MS <= frame_ms <= _LONGEST_MS:
        raise refused("The video does not say how long its frames are.")
    if video.samples > length:
        raise refused(DAMAGED)
    digest = digest_of(read, length)
    for at, what in _edits(movie, (video, *sounds)):
        if isinstance(what, bytes):
            write(at, what)
        else:
            _blank(write, what)
    shape = PixelFormat(video.rows, video.columns, 3, 8, 8, 0, "YBR_PARTIAL_420")
    elements = _VIDEO.elements(
        where,
        digest,
        {
            **PICTURE,
            **shape.elements(),
            "00181063": element("DS", round(frame_ms, 4)),  # Frame Time
            "00180040": element("IS", max(1, round(1000 / frame_ms))),  # Cine Rate
            "00280008": element("IS", video.samples),  # Number of Frames
            "00280009": element("AT", "00181063"),  # Frame Increment Pointer
            "00282110": element("CS", "01"),
            "00282112": element("DS", _ratio(video, length)),
            "00282114": element("CS", "ISO_14496_10"),
            "003A0300": element("SQ"),  # Multiplexed Audio Channels Description Code Sequence
        },
    )
    return Wrapped(elements, syntax, Bulk((Span(0, length),), BulkForm.VIDEO), read)


def transfer_syntax_of(video: Track) -> str:
    """Return the transfer syntax of an H.264 track (PS3.5 8.2.7 to 8.2.8).

    Raises:
        InvalidInstance: there is none for its profile, level or size.
    """
    if len(video.configuration) < 7 or video.configuration[0] != 1:
        raise refused("The video does not say how it is coded.")
    profile, constraints, level = video.configuration[1:4]
    fits = profile in {_MAIN, _HIGH} or (profile == _BASELINE and constraints & _FITS_MAIN)
    if not fits:
        raise _unsupported(f"The video is H.264 of profile {profile}, which DICOM has no place for")
    if level <= _LEVEL_4_1:
        return MPEG4_AVC_HIGH
    if level == _LEVEL_4_2:
        return MPEG4_AVC_HIGH_4_2
    raise _unsupported(f"The video is H.264 of level {level / 10}; DICOM takes up to 4.2")


def _picture_of(movie: Movie) -> Track:
    """Return the one track that is seen."""
    seen = [track for track in movie.tracks if track.handler == b"vide"]
    if len(seen) != 1:
        raise refused("It has no picture." if not seen else "It has several pictures at a time.")
    (video,) = seen
    if video.coding in _HEVC:
        # PS3.5 8.2.10 has a place for it; a browser without such hardware shows nothing.
        raise refused(_HEVC_WORDS, Refusal.UNSUPPORTED_SYNTAX)
    if video.coding not in {b"avc1", b"avc3"} or video.codings != 1:
        raise _unsupported("The video is not H.264 throughout")
    if movie.is_fragmented:
        raise _unsupported("The video is in fragments, made to be streamed")
    if not (video.samples and video.seconds and video.rows and video.columns):
        raise refused("The video is empty.")
    if video.is_elsewhere:
        raise refused("The video's picture lies in another file. Export it as one MP4 file.")
    return video


def _sounds_of(movie: Movie) -> tuple[Track, ...]:
    """Return the tracks that are heard; MP4 takes AAC and MPEG layers alone (PS3.5 8.2.12)."""
    heard = [track for track in movie.tracks if track.handler == b"soun"]
    sounds = tuple(one for one in heard if one.coding == _SOUND and not one.is_elsewhere)
    if heard and not sounds:
        raise refused(_SOUND_WORDS, Refusal.UNSUPPORTED_SYNTAX)
    return sounds


def _edits(movie: Movie, kept: tuple[Track, ...]) -> Iterator[tuple[int, bytes | Span]]:
    """Yield what leaves an MP4 file of the tracks that are kept: bytes, or where zeros go.

    No other byte moves, so that all that is told of places in the file stays true.
    """
    others = set(movie.tracks).difference(kept)
    for box in (*movie.private, *(track.box for track in others)):
        yield box.start, Span(box.start, box.end - box.start)
        yield box.at + 4, b"free"
    left = sum(box.end - box.start for box in movie.media)
    for track in others:
        for where in samples_of(movie, track):
            left -= where.length
            if left < 0:  # told of again and again, a few bytes would be written for ever
                raise refused(DAMAGED)
            yield where.offset, where
    if movie.brand == quicktime.BRAND:
        yield from quicktime.edits(movie, kept)


def _ratio(video: Track, length: int) -> float:
    ratio = video.rows * video.columns * 1.5 * video.samples / length
    return max(1.0, min(round(ratio, 2), _MOST_RATIO))


def _blank(write: Write, span: Span) -> None:
    end = span.offset + span.length
    for start in range(span.offset, end, len(_ZEROS)):
        write(start, _ZEROS[: end - start])


def _unsupported(what: str) -> InvalidInstance:
    return refused(f"{what}. {_H264}", Refusal.UNSUPPORTED_SYNTAX)
