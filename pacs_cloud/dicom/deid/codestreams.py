"""Comments and application data taken out of codestreams: nothing that decodes to pixels.

JPEG and JPEG-LS (ISO/IEC 10918-1 B.1.1, 14495-1 C.1), JPEG 2000 (15444-1 A.9.2, I.4),
JPEG XL (18181-2 9).
"""

import re
from collections.abc import Iterator
from struct import unpack_from
from typing import Final

_JPEG, _J2K, _JP2 = b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "
_JXL: Final = b"\0\0\0\x0cJXL "
_SCAN, _END, _COMMENT, _J2K_COMMENT, _TILE = 0xDA, 0xD9, 0xFE, 0x64, 0x90
_NEXT_MARKER: Final = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
_BOXES: Final = frozenset(
    {b"jP  ", b"ftyp", b"jp2h", b"jp2c", b"JXL ", b"jxll", b"jxlc", b"jxlp", b"jxli"}
)
_PLAIN_JFIF_BYTES: Final = 16


def without_comments(codestream: bytes) -> bytes:
    """Return a frame's codestream without comments; the same bytes where it has none.

    What is no codestream of these kinds, or a broken one, comes back as it is.
    """
    if codestream.startswith(_JPEG):
        pieces = list(_jpeg_pieces(codestream))
    elif codestream.startswith(_J2K):
        pieces = list(_j2k_pieces(codestream))
    elif codestream.startswith((_JP2, _JXL)):
        pieces = list(_jp2_pieces(codestream))
    else:
        return codestream
    joined = b"".join(pieces)
    rest = codestream[len(joined) :]
    if codestream.startswith(joined) and not rest.strip(b"\0"):
        return codestream  # what follows is padding
    return joined


def _jpeg_pieces(data: bytes) -> Iterator[bytes]:
    yield data[:2]
    position = 2
    while position + 4 <= len(data):
        marker = data[position + 1]
        if data[position] != 0xFF:
            break
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker == _END:
            yield data[position : position + 2]
            return
        (length,) = unpack_from(">H", data, position + 2)
        end = position + 2 + length
        if marker == _SCAN:
            found = _NEXT_MARKER.search(data, end)
            end = found.start() if found else len(data)
        if not _is_comment(marker, data[position + 4 : end]):
            yield data[position:end]
        position = end
    # Broken, or cut short: decoders take what is there.
    if position < len(data):
        yield data[position : position + 2] if data[position : position + 2] == b"\xff\xd9" else b""


def _is_comment(marker: int, content: bytes) -> bool:
    if marker == _COMMENT:
        return True
    if not 0xE0 <= marker <= 0xEF:
        return False
    return not (
        (marker == 0xE0 and content.startswith(b"JFIF\0") and len(content) < _PLAIN_JFIF_BYTES)
        or (marker == 0xEE and content.startswith(b"Adobe") and len(content) < _PLAIN_JFIF_BYTES)
        or (marker == 0xE8 and content.startswith(b"mrfx") and len(content) < _PLAIN_JFIF_BYTES)
    )


def _j2k_pieces(data: bytes) -> Iterator[bytes]:
    yield data[:2]
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF and data[position + 1] != _TILE:
        (length,) = unpack_from(">H", data, position + 2)
        end = position + 2 + length
        if data[position + 1] != _J2K_COMMENT:
            yield data[position:end]
        position = end
    yield data[position:]


def _jp2_pieces(data: bytes) -> Iterator[bytes]:
    position = 0
    while position + 8 <= len(data):
        length, kind = unpack_from(">L4s", data, position)
        start = position + 8
        if length == 1 and position + 16 <= len(data):
            (length,) = unpack_from(">Q", data, start)
            start += 8
        end = len(data) if length == 0 else position + length
        if end <= position:
            break
        if kind == b"jp2c":
            codestream = without_comments(data[start:end])
            if codestream is not data and len(codestream) != end - start:
                yield (len(codestream) + 8).to_bytes(4, "big") + b"jp2c" + codestream
            else:
                yield data[position:end]
        elif kind in _BOXES:
            yield data[position:end]
        position = end
