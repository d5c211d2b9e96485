"""What a compressed frame says of itself: its size, its transfer syntax, the image it holds.

A few bytes can claim 60,000 by 60,000 pixels, and a decoder would make room for
them: a frame is decoded only if it claims the size that its data set has.

A client may send compressed pixel data by its media type alone; the transfer syntax and
the attributes of the Image Pixel Description Macro then come from here (PS3.18 10.5.2).
"""

from collections.abc import Iterator
from dataclasses import replace
from struct import error, unpack_from
from typing import Final, NamedTuple

from pacs_cloud.dicom import uid
from pacs_cloud.dicom.pixel_format import PixelFormat

HEAD_BYTES: Final = 1 << 20
"""How much of a frame `claims_of` needs: markers with colour profiles may come first."""
JP2_BOXES_BYTES: Final = 1 << 16
"""What may stand before a codestream; a colour profile is the longest of it."""
J2K_START: Final = b"\xff\x4f\xff\x51"
"""SOC and SIZ (ISO/IEC 15444-1 A.4.1, A.5.1)."""

_JPEG_START: Final = b"\xff\xd8"
_JPEG_END: Final = b"\xff\xd9"
_FRAME_HEADERS: Final = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
"""SOF markers of ISO/IEC 10918-1 Table B.1, and that of JPEG-LS (ISO/IEC 14495-1)."""
_SYNTAXES: Final = {
    # Progressive frames have no transfer syntax any more.
    0xC0: uid.JPEG_BASELINE,
    0xC1: uid.JPEG_EXTENDED,
    0xC3: uid.JPEG_LOSSLESS,
    0xF7: uid.JPEG_LS_LOSSLESS,
}
_WITH_TRANSFORM: Final = frozenset({0xC0, 0xC1})
_APP0: Final = 0xE0
_APP14: Final = 0xEE
_SOS: Final = 0xDA
_FILL: Final = 0xFF
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a segment."""
_NOT_SUBSAMPLED: Final = 0x11
_JP2_SIGNATURE: Final = b"\0\0\0\x0cjP  \r\n\x87\n"
_BOX_BYTES: Final = 8
_LONG_BOX_BYTES: Final = 16
"""Of a box's length and type (ISO/IEC 15444-1 I.4), with a length of 64 bits."""
_JPEG_2000_PART_2_LOSSLESS: Final = "1.2.840.10008.1.2.4.92"
_JPEG_2000_PART_2: Final = "1.2.840.10008.1.2.4.93"
_COLOUR_SAMPLES: Final = 3
_US: Final = 0xFFFF
"""The most that Rows and Columns hold."""


class JpegHeader(NamedTuple):
    """The frame header of JPEG or JPEG-LS (ISO/IEC 10918-1 B.2.2).

    Attributes:
        marker: that begins it, and tells the process.
        rows: 0 where a later marker says it.
        columns: of the frame.
        precision: bits of a sample.
        components: the identifier of each, as far as they are there.
        sampling: the factors of the first one, horizontal and vertical, 4 bits each.
        has_jfif: whether a JFIF segment stands before it, which means YCbCr.
        is_whole: whether the end of the image follows. Within entropy coded data
            its marker cannot occur, so a codestream that was cut has none.
    """

    marker: int
    rows: int
    columns: int
    precision: int
    components: bytes
    sampling: int
    has_jfif: bool
    is_whole: bool


class Claims(NamedTuple):
    """A frame as its own header describes it.

    Attributes:
        transfer_syntax_uid: of the codestream.
        pixel_format: of its image, in the fewest whole bytes that hold a sample.
    """

    transfer_syntax_uid: str
    pixel_format: PixelFormat


def claimed_size(codestream: bytes) -> tuple[int, int] | None:
    """Return rows and columns as the codestream says, None where it does not.

    Args:
        codestream: of JPEG, JPEG-LS, JPEG 2000 or HTJ2K, with or without JP2
            boxes before it; of others nothing is known.
    """
    if codestream.startswith(_JPEG_START):
        header = jpeg_header(codestream)
        return (header.rows, header.columns) if header and header.rows and header.columns else None
    start = codestream.find(J2K_START, 0, JP2_BOXES_BYTES)
    try:
        return None if start < 0 else _jpeg_2000_size(codestream, start)
    except error:  # cut short
        return None


def jpeg_header(codestream: bytes) -> JpegHeader | None:
    """Return the frame header of a JPEG or JPEG-LS codestream, None where it has none."""
    has_jfif = False
    try:
        for marker, at in _segments(codestream):
            if marker in _FRAME_HEADERS:
                return _frame_header(codestream, marker, at, has_jfif=has_jfif)
            has_jfif |= marker == _APP0 and codestream.startswith(b"JFIF", at + 2)
    except error:  # cut short
        return None
    return None


def claims_of(head: bytes) -> Claims | None:
    """Return what a codestream claims, None where it is of no known kind or cut short.

    Args:
        head: its first HEAD_BYTES.
    """
    try:
        if head.startswith(_JPEG_START):
            claims = _jpeg(head)
        else:
            start = head.find(J2K_START, 0, JP2_BOXES_BYTES)
            claims = _jpeg_2000(head, start) if start >= 0 else None
    except (error, IndexError):
        return None
    if claims is None or not all(0 < side <= _US for side in claims.pixel_format.shape[:2]):
        return None
    return claims


def codestream_in(head: bytes, length: int) -> tuple[int, int]:
    """Return where the codestream is in a JPEG 2000 frame, half-open: without JP2 or JPH boxes.

    A transfer syntax holds the codestream alone (PS3.5 8.2.4); consumer files have boxes.

    Args:
        head: the first JP2_BOXES_BYTES of the frame, or all of it.
        length: of the frame.
    """
    if not head.startswith(_JP2_SIGNATURE):
        return 0, length
    at = 0
    while at + _LONG_BOX_BYTES <= len(head):
        size, kind = unpack_from(">L4s", head, at)
        content = at + _BOX_BYTES
        if size == 1:
            (size,) = unpack_from(">Q", head, content)
            content = at + _LONG_BOX_BYTES
        if kind == b"jp2c":
            return content, min(at + size, length) if size else length
        at += max(size, _BOX_BYTES)
    return 0, length


def _segments(codestream: bytes) -> Iterator[tuple[int, int]]:
    """Yield marker and place of each segment, from its length on, up to what is none.

    Raises:
        error: it is cut short within a length.
    """
    at = 2
    while at + 2 <= len(codestream) and codestream[at] == 0xFF:
        marker = codestream[at + 1]
        if marker == _FILL:
            at += 1
            continue
        at += 2
        if marker not in _ALONE:
            (length,) = unpack_from(">H", codestream, at)
            yield marker, at
            at += max(2, length)


def _frame_header(codestream: bytes, marker: int, at: int, *, has_jfif: bool) -> JpegHeader:
    length, precision, rows, columns, count = unpack_from(">HBHHB", codestream, at)
    return JpegHeader(
        marker,
        rows,
        columns,
        precision,
        components=codestream[at + 8 : at + 8 + 3 * count : 3],
        sampling=int.from_bytes(codestream[at + 9 : at + 10], "big"),
        has_jfif=has_jfif,
        is_whole=codestream.rfind(_JPEG_END, at + length) >= 0,
    )


def _jpeg(head: bytes) -> Claims | None:
    frame: JpegHeader | None = None
    transform: int | None = None
    for marker, at in _segments(head):
        if marker == _SOS:
            return None if frame is None else _jpeg_claims(head, frame, at, transform)
        if marker in _SYNTAXES:
            frame = _frame_header(head, marker, at, has_jfif=False)
        elif marker == _APP14 and head[at + 2 : at + 7] == b"Adobe":
            transform = head[at + 13]
    return None


def _jpeg_claims(head: bytes, frame: JpegHeader, scan: int, transform: int | None) -> Claims:
    syntax, samples = _SYNTAXES[frame.marker], len(frame.components)
    parameter = head[scan + 3 + 2 * head[scan + 2]]  # predictor selection, or NEAR of JPEG-LS
    if syntax == uid.JPEG_LOSSLESS and parameter == 1:
        syntax = uid.JPEG_LOSSLESS_SV1
    elif syntax == uid.JPEG_LS_LOSSLESS and parameter:
        syntax = uid.JPEG_LS_NEAR_LOSSLESS
    if samples != _COLOUR_SAMPLES:
        photometric = "MONOCHROME2"
    elif frame.marker in _WITH_TRANSFORM and transform != 0 and frame.components != b"RGB":
        photometric = "YBR_FULL" if frame.sampling == _NOT_SUBSAMPLED else "YBR_FULL_422"
    else:
        photometric = "RGB"
    pixel_format = _pixel_format(frame.rows, frame.columns, samples, frame.precision, photometric)
    return Claims(syntax, pixel_format)


def _jpeg_2000_size(codestream: bytes, start: int) -> tuple[int, int]:
    right, bottom, left, top = unpack_from(">4L", codestream, start + 8)
    return bottom - top, right - left


def _jpeg_2000(head: bytes, start: int) -> Claims | None:
    """Read SIZ and COD (ISO/IEC 15444-1 A.5.1, A.6.1)."""
    rows, columns = _jpeg_2000_size(head, start)
    (capabilities,) = unpack_from(">H", head, start + 6)
    samples, depth = unpack_from(">HB", head, start + 40)[0], head[start + 42]
    at = start + 4 + unpack_from(">H", head, start + 4)[0]
    while head[at : at + 2] != b"\xff\x52":
        if head[at] != 0xFF or head[at + 1] == 0x90:
            return None
        at += 2 + unpack_from(">H", head, at + 2)[0]
    has_transform = head[at + 8]
    is_reversible = head[at + 13] == 1
    if capabilities & 0x4000:  # Part 15: HTJ2K
        # Never the RPCL syntax, which asks for more than can be seen here (PS3.5 A.4.4).
        syntax = uid.HTJ2K_LOSSLESS if is_reversible else uid.HTJ2K
    elif capabilities & 0x8000:
        syntax = _JPEG_2000_PART_2_LOSSLESS if is_reversible else _JPEG_2000_PART_2
    else:
        syntax = uid.JPEG_2000_LOSSLESS if is_reversible else uid.JPEG_2000
    if samples != _COLOUR_SAMPLES:
        photometric = "MONOCHROME2"
    elif has_transform:
        photometric = "YBR_RCT" if is_reversible else "YBR_ICT"
    else:
        photometric = "RGB"
    pixel_format = _pixel_format(rows, columns, samples, (depth & 0x7F) + 1, photometric)
    return Claims(syntax, replace(pixel_format, pixel_representation=depth >> 7))


def _pixel_format(
    rows: int, columns: int, samples: int, bits_stored: int, photometric: str
) -> PixelFormat:
    allocated = 8 if bits_stored <= 8 else 16 if bits_stored <= 16 else 32
    return PixelFormat(rows, columns, samples, allocated, bits_stored, 0, photometric)
