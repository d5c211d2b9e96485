"""A JPEG file's marker segments (ISO/IEC 10918-1 B), and the file without what they tell.

Cameras write into them where and by whom a picture was taken, and small copies of it as it
was before somebody cut it.
"""

import re
from dataclasses import dataclass
from typing import Final

from pacs_cloud.dicom.wrapping.wrapped import refused

START: Final = b"\xff\xd8\xff"
_BASELINE: Final = 0xC0
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _END, _COMMENT = 0xDA, 0xD9, 0xFE
_APPLICATION: Final = range(0xE0, 0xF0)
_ADOBE, _ICC = 0xEE, 0xE2
_ADOBE_BYTES: Final = 12
"""Of its segment, as Adobe's TN 5116 has it; others write on behind them."""
_ICC_NAME: Final = b"ICC_PROFILE\0"
_NEXT_MARKER: Final = re.compile(rb"(?<!\xff)\xff++[^\x00\xd0-\xd7]")
"""The first one behind a scan: neither stuffing nor a restart. A run of fill bytes is looked at
once, however long it is."""
_MOST_SEGMENTS: Final = 5000
_MOST_ICC_BYTES: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class JpegParts:
    """What a JPEG says of itself.

    Attributes:
        stream: the picture alone, from SOI to EOI: its tables, its frame, its scans, and
            Adobe's segment, without which its colours could not be told.
        is_baseline: whether it is sequential, of 8 bits, by Huffman codes.
        rows: of pixels.
        columns: of pixels.
        components: how many colours; 1 or 3 where it is a DICOM image.
        is_rgb: whether these are red, green and blue rather than YCbCr.
        icc: its colour profile, b"" without one.
    """

    stream: bytes
    is_baseline: bool
    rows: int
    columns: int
    components: int
    is_rgb: bool
    icc: bytes = b""


def parts_of(data: bytes) -> JpegParts:
    """Return what a JPEG file is; what stands behind its end is not looked at.

    Raises:
        InvalidInstance: it is damaged, or ends in the middle.
    """
    if not data.startswith(START):
        raise refused("It is no JPEG.")
    kept = bytearray(data[:2])
    frame = b""
    kind = adobe = -1
    profiles: dict[int, bytes] = {}
    at = 2
    for _ in range(_MOST_SEGMENTS):
        marker, start = _marker(data, at)
        if marker == _END:
            kept += b"\xff\xd9"
            break
        end = start + int.from_bytes(data[start : start + 2], "big")
        body = data[start + 2 : end]
        if end < start + 2 or end > len(data):
            raise _cut()
        if marker in _FRAMES:
            kind, frame = marker, body
        elif marker == _ADOBE and body.startswith(b"Adobe") and len(body) >= _ADOBE_BYTES:
            adobe = body[11]
            kept += b"\xff\xee" + bytes((0, 2 + _ADOBE_BYTES)) + body[:_ADOBE_BYTES]
        elif marker == _ICC and body.startswith(_ICC_NAME) and len(body) > 14:
            profiles[body[12]] = body[14:]
        if marker == _SCAN:
            following = _NEXT_MARKER.search(data, end)
            if following is None:
                raise _cut()
            end = following.start()
        if marker not in _APPLICATION and marker != _COMMENT:
            kept += b"\xff" + bytes((marker,)) + data[start:end]
        at = end
    else:
        raise refused("The JPEG has too many segments.")
    if len(frame) < 6 or len(frame) < 6 + 3 * frame[5]:
        raise refused("The JPEG has no picture.")
    rows, columns = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    if not rows or not columns:
        raise refused("The JPEG does not say how large it is.")
    components = frame[5]
    names = bytes(frame[6 + 3 * number] for number in range(components))
    is_rgb = components == 3 and (adobe == 0 or (adobe < 0 and names == b"RGB"))
    icc = b"".join(profiles[number] for number in sorted(profiles))
    return JpegParts(
        bytes(kept),
        kind == _BASELINE and frame[0] == 8,
        rows,
        columns,
        components,
        is_rgb,
        icc if len(icc) <= _MOST_ICC_BYTES else b"",
    )


def _marker(data: bytes, at: int) -> tuple[int, int]:
    """Return the marker at a place, and where what follows it begins."""
    if data[at : at + 1] != b"\xff":
        raise _cut() if at >= len(data) else refused("The JPEG is damaged.")
    while data[at : at + 1] == b"\xff":
        at += 1
    if at >= len(data):
        raise _cut()
    return data[at], at + 1


def _cut() -> Exception:
    return refused("The JPEG ends in the middle.")
