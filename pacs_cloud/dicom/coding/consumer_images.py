"""PNG and GIF become uncompressed pixel data: no transfer syntax holds them (PS3.18 10.5.2)."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import imagecodecs
import numpy as np

from pacs_cloud.dicom.elements import Elements, element
from pacs_cloud.dicom.pixel_format import PixelFormat
from pacs_cloud.errors import InvalidInstance, Refusal

MAX_FILE_BYTES: Final = 64 << 20
_MAX_DECODED_BYTES: Final = 256 << 20
_PNG_START: Final = b"\x89PNG\r\n\x1a\n"
_GIF_STARTS: Final = (b"GIF87a", b"GIF89a")
_GIF_IMAGE, _GIF_EXTENSION, _GIF_END = 0x2C, 0x21, 0x3B
_COLOUR_SAMPLES: Final = 3
_ALPHA_SAMPLES: Final = frozenset({2, 4})
_DECODERS: Final[Mapping[str, Any]] = {
    "image/png": imagecodecs.png_decode,
    "image/gif": imagecodecs.gif_decode,
}
MEDIA: Final = frozenset(_DECODERS)
"""The media types that are read here."""


class PlainImage(NamedTuple):
    """An image without compression.

    Attributes:
        pixels: the value of Pixel Data, little endian, colour by pixel.
        elements: its Image Pixel Description Macro, and Number of Frames where it has several.
    """

    pixels: bytes
    elements: Elements


def decode(media: str, data: bytes) -> PlainImage:
    """Return the image in `data`; transparency is left out.

    Args:
        media: one of MEDIA.
        data: the file, at most MAX_FILE_BYTES.

    Raises:
        InvalidInstance: UNREADABLE, or TOO_LARGE for more than 256 MiB decoded, which
            is found before anything is decoded.
    """
    claimed = _png_bytes(data) if media == "image/png" else _gif_bytes(data)
    if claimed > _MAX_DECODED_BYTES or len(data) > MAX_FILE_BYTES:
        raise InvalidInstance(f"The {media} is too large to be decoded.", Refusal.TOO_LARGE)
    try:
        samples = np.asarray(_DECODERS[media](data))
    except Exception as problem:
        raise _unreadable(media) from problem
    frames = 1
    if media == "image/gif" and samples.ndim == 4:
        frames = samples.shape[0]
    rows, columns = samples.shape[-3:-1] if samples.ndim > 2 else samples.shape
    channels = samples.shape[-1] if samples.ndim > 2 else 1
    if channels in _ALPHA_SAMPLES:
        samples = samples[..., :-1]
        channels -= 1
    bits = samples.dtype.itemsize * 8
    pixels = np.ascontiguousarray(samples, dtype=samples.dtype.newbyteorder("<")).tobytes()
    return PlainImage(pixels, _elements(rows, columns, channels, bits, frames))


def _elements(rows: int, columns: int, samples: int, bits: int, frames: int) -> Elements:
    photometric = "RGB" if samples == _COLOUR_SAMPLES else "MONOCHROME2"
    found = PixelFormat(rows, columns, samples, bits, bits, 0, photometric).elements()
    if frames > 1:
        found["00280008"] = element("IS", frames)
    return found


def _png_bytes(data: bytes) -> int:
    """Return how much a PNG claims to become (ISO/IEC 15948 11.2.2), at four samples."""
    if not data.startswith(_PNG_START) or data[12:16] != b"IHDR" or len(data) < 26:
        raise _unreadable("image/png")
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    return width * height * 4 * (2 if data[24] > 8 else 1)


def _gif_bytes(data: bytes) -> int:
    """Return how much a GIF claims to become: its screen for each image, and these, three samples.

    An image may claim to be larger than its screen, and is decoded as it claims.
    """
    if not data.startswith(_GIF_STARTS):
        raise _unreadable("image/gif")
    try:
        images, cells = _gif_images(data)
    except IndexError as problem:
        raise _unreadable("image/gif") from problem
    width, height = int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    return _COLOUR_SAMPLES * (width * height * images + cells)


def _gif_images(data: bytes) -> tuple[int, int]:
    """Count the images, and their pixels, without decoding them (GIF89a 20, appendix B)."""
    at = 13 + _table_bytes(data[10])
    images = cells = 0
    while data[at] != _GIF_END:
        if data[at] == _GIF_IMAGE:
            images += 1
            width, height = data[at + 5 : at + 7], data[at + 7 : at + 9]
            cells += int.from_bytes(width, "little") * int.from_bytes(height, "little")
            at += 10 + _table_bytes(data[at + 9]) + 1
        elif data[at] == _GIF_EXTENSION:
            at += 2
        else:
            raise _unreadable("image/gif")
        while data[at]:
            at += 1 + data[at]
        at += 1
    return images, cells


def _table_bytes(packed: int) -> int:
    return 3 << ((packed & 7) + 1) if packed & 0x80 else 0


def _unreadable(media: str) -> InvalidInstance:
    return InvalidInstance(f"The {media} cannot be decoded.", Refusal.UNREADABLE)
