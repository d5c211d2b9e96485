"""A photograph becomes a VL Photographic Image (PS3.3 A.32.4)."""

import base64
import struct
import warnings
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from io import BytesIO
from typing import Final

from PIL import Image
from PIL.Image import Transpose

from pacs_cloud.dicom.composing import Bulk
from pacs_cloud.dicom.elements import Element, Elements, element
from pacs_cloud.dicom.pixel_format import PixelFormat
from pacs_cloud.dicom.uid import EXPLICIT_LE, JPEG_BASELINE
from pacs_cloud.dicom.wrapping.jpeg_parts import JpegParts, parts_of
from pacs_cloud.dicom.wrapping.wrapped import (
    PICTURE,
    Belonging,
    Read,
    Wrapped,
    Wrapping,
    one_frame,
    plain,
    refused,
)
from pacs_cloud.errors import Refusal

VL_PHOTOGRAPHIC: Final = "1.2.840.10008.5.1.4.1.1.77.1.4"
PNG: Final = b"\x89PNG\r\n\x1a\n"
MOST_BYTES: Final = 64 << 20
MOST_PIXELS: Final = 50 << 20
"""Three bytes of memory each, where they have to be decoded."""
_PHOTO: Final = Wrapping(VL_PHOTOGRAPHIC, "XC", "Photographs", 9001)
_ORIENTATION, _EXIF, _TAKEN = 0x0112, 0x8769, 0x9003
_UPRIGHT: Final = 1
_TURNED: Final = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
"""What an orientation asks for (EXIF 2.3, 4.6.4 A). Pillow's own way writes the EXIF anew, too."""
_BROKEN: Final = (
    *(OSError, SyntaxError, ValueError, EOFError, KeyError, TypeError, AttributeError),
    *(struct.error, Image.DecompressionBombError),
)
"""What Pillow says of damaged files."""
_QUALITY: Final = 95
_ISO_JPEG: Final = "ISO_10918_1"
_ICC_CLASS, _ICC_SPACE, _ICC_ID = slice(12, 16), slice(16, 20), slice(84, 100)
_ICC_HEADER_BYTES: Final = 128


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a camera wrote beside a picture, as far as it stays.

    Attributes:
        orientation: how it has to be turned, of `_TURNED`; 1: not at all.
        taken: when; None where it does not say.
    """

    orientation: int
    taken: datetime | None


def wrapped_photo(data: bytes, where: Belonging) -> Wrapped:
    """Return a JPEG or PNG file as an instance; no pixel tells more than it shows.

    A baseline JPEG that is upright stays as it is, compressed, but for what cameras write into
    it: places, names, small copies. One that lies on its side, or is of another kind, is
    compressed anew. Of its metadata the time it was taken stays, and its colour profile.

    Args:
        data: the file, at most `MOST_BYTES`.
        where: it belongs.

    Raises:
        InvalidInstance: it is neither, damaged, not whole, or too large.
    """
    if len(data) > MOST_BYTES:
        raise refused(f"A photograph has up to {MOST_BYTES >> 20} MB.", Refusal.TOO_LARGE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes: they are checked here
            made = _from_png(data) if data.startswith(PNG) else _from_jpeg(data)
    except _BROKEN as error:
        raise refused("The picture is damaged, or ends in the middle.") from error
    taken = made.taken
    more: Elements = {**PICTURE, **made.elements}
    if taken is not None:
        more["00080022"] = element("DA", taken.strftime("%Y%m%d"))
        more["00080032"] = element("TM", taken.strftime("%H%M%S"))
    elements = _PHOTO.elements(where, sha256(data).digest(), more)
    return Wrapped(elements, made.transfer_syntax_uid, made.bulk, made.read)


@dataclass(frozen=True, slots=True)
class _Picture:
    elements: Elements
    transfer_syntax_uid: str
    bulk: Bulk
    read: Read
    taken: datetime | None


def _from_jpeg(data: bytes) -> _Picture:
    parts = parts_of(data)
    _check_size(parts.columns, parts.rows)
    with Image.open(BytesIO(data), formats=["JPEG"]) as picture:
        seen = _seen(picture)
        as_it_is = parts.is_baseline and parts.components in {1, 3} and seen.orientation == _UPRIGHT
        if as_it_is:
            # At an eighth of its size all of it is read all the same.
            picture.draft(picture.mode, (max(1, picture.width // 8), max(1, picture.height // 8)))
            picture.load()
            steps = [parts]
        else:
            steps = [parts, parts_of(_anew(_turned(picture, seen.orientation)))]
    shown = steps[-1]
    icc = parts.icc if parts.components == shown.components else b""
    elements = {
        **_format(shown.rows, shown.columns, _photometric(shown)).elements(),
        **_lossy(steps),
        **_icc(icc, shown.components),
    }
    return _Picture(elements, JPEG_BASELINE, *one_frame(shown.stream), seen.taken)


def _from_png(data: bytes) -> _Picture:
    _check_size(*(int.from_bytes(data[at : at + 4], "big") for at in (16, 20)))  # its IHDR
    with Image.open(BytesIO(data), formats=["PNG"]) as picture:
        _check_size(*picture.size)  # a second IHDR counts
        seen = _seen(picture)
        icc = picture.info.get("icc_profile") or b""
        pixels = _opaque(_turned(picture, seen.orientation))
    is_grey = pixels.mode == "L"
    photometric = "MONOCHROME2" if is_grey else "RGB"
    elements = {
        **_format(pixels.height, pixels.width, photometric).elements(),
        "00282110": element("CS", "00"),
        **_icc(icc, 1 if is_grey else 3),
    }
    return _Picture(elements, EXPLICIT_LE, *plain(pixels.tobytes()), seen.taken)


def _check_size(columns: int, rows: int) -> None:
    if columns * rows > MOST_PIXELS or max(columns, rows) > 0xFFFF:
        raise refused(f"A photograph has up to {MOST_PIXELS >> 20} megapixels.", Refusal.TOO_LARGE)


def _seen(picture: Image.Image) -> _Seen:
    """Return what stays of a picture's EXIF; where that is damaged, nothing."""
    try:
        exif = picture.getexif()
        orientation = exif.get(_ORIENTATION, _UPRIGHT)
        taken = str(exif.get_ifd(_EXIF).get(_TAKEN, ""))
    except _BROKEN:
        return _Seen(_UPRIGHT, None)
    try:
        moment = datetime.strptime(taken.rstrip("\0 "), "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007 - cameras say no zone
    except ValueError:
        moment = None
    return _Seen(orientation if orientation in _TURNED else _UPRIGHT, moment)


def _turned(picture: Image.Image, orientation: int) -> Image.Image:
    """Return a picture upright."""
    how = _TURNED.get(orientation)
    return picture if how is None else picture.transpose(how)


def _anew(picture: Image.Image) -> bytes:
    """Return a picture as a baseline JPEG without metadata."""
    turned = picture if picture.mode == "L" else picture.convert("RGB")
    turned.info.clear()
    written = BytesIO()
    turned.save(written, "JPEG", quality=_QUALITY, subsampling="4:2:2", exif=b"", icc_profile=None)
    return written.getvalue()


def _opaque(picture: Image.Image) -> Image.Image:
    """Return a picture in grey or in colour, 8 bits a sample, on white where one saw through."""
    if picture.mode in {"I;16", "I;16B", "I"}:
        return picture.point(lambda value: value / 256).convert("L")
    if picture.has_transparency_data:
        seen = picture.convert("RGBA")
        ground = Image.new("RGBA", seen.size, "white")
        ground.alpha_composite(seen)
        picture = ground.convert("L" if picture.mode == "LA" else "RGB")
    return picture.convert("L" if picture.mode in {"1", "L"} else "RGB")


def _photometric(parts: JpegParts) -> str:
    if parts.components == 1:
        return "MONOCHROME2"
    return "RGB" if parts.is_rgb else "YBR_FULL_422"  # whatever its subsampling (PS3.5 8.2.1)


def _format(rows: int, columns: int, photometric: str) -> PixelFormat:
    samples = 1 if photometric == "MONOCHROME2" else 3
    return PixelFormat(rows, columns, samples, 8, 8, 0, photometric)


def _lossy(steps: list[JpegParts]) -> Elements:
    """Return what says how often, and how much, a picture was compressed (PS3.3 C.7.6.1.1.5)."""
    ratios = [one.rows * one.columns * one.components / len(one.stream) for one in steps]
    return {
        "00282110": element("CS", "01"),
        "00282112": element("DS", *(round(ratio, 2) for ratio in ratios)),
        "00282114": element("CS", *(_ISO_JPEG for _ in steps)),
    }


def _icc(profile: bytes, components: int) -> dict[str, Element]:
    """Return a colour profile as that of an input device, which DICOM wants (PS3.3 C.11.15)."""
    space = b"RGB " if components == 3 else b"GRAY"
    if len(profile) < _ICC_HEADER_BYTES or profile[_ICC_SPACE] != space or components == 1:
        return {}
    changed = bytearray(profile)
    changed[_ICC_CLASS] = b"scnr"
    changed[_ICC_ID] = bytes(16)  # it was of another header: not said (ICC.1 7.2.18)
    return {"00282000": {"vr": "OB", "InlineBinary": base64.b64encode(changed).decode()}}
