"""What a compressed frame says of its own size, before a decoder believes it.

A few bytes can claim 60,000 by 60,000 pixels, and a decoder would make room for
them: a frame is decoded only if it claims the size that its data set has.
"""

from struct import error, unpack_from
from typing import Final

_J2K_START: Final = b"\xff\x4f\xff\x51"
_JPEG_START: Final = b"\xff\xd8"
_FRAME_HEADERS: Final = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
"""SOF markers of ISO/IEC 10918-1 Table B.1, and that of JPEG-LS (ISO/IEC 14495-1)."""
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a segment."""
_JP2_BOXES_BYTES: Final = 4096


def claimed_size(codestream: bytes) -> tuple[int, int] | None:
    """Return rows and columns as the codestream says, None where it does not.

    Args:
        codestream: of JPEG, JPEG-LS, JPEG 2000 or HTJ2K, with or without JP2
            boxes before it; of others nothing is known.
    """
    try:
        if codestream.startswith(_JPEG_START):
            return _jpeg_size(codestream)
        start = codestream.find(_J2K_START, 0, _JP2_BOXES_BYTES)
        if start < 0:
            return None
        right, bottom, left, top = unpack_from(">4L", codestream, start + 8)
        return bottom - top, right - left
    except error:  # cut short
        return None


def _jpeg_size(codestream: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 2 <= len(codestream):
        if codestream[at] != 0xFF:
            return None
        marker = codestream[at + 1]
        if marker == 0xFF:  # fill
            at += 1
            continue
        at += 2
        if marker in _ALONE:
            continue
        if marker in _FRAME_HEADERS:
            rows, columns = unpack_from(">HH", codestream, at + 3)
            return (rows, columns) if rows and columns else None
        (length,) = unpack_from(">H", codestream, at)
        at += max(2, length)
    return None
