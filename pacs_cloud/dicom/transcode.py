"""Instances in the transfer syntaxes that every peer knows (PS3.5 A.1, A.2).

The SOP Instance UID stays: decompressing changes no pixel that the codestream
holds (PS3.4 B.4.1.3, PS3.5 8.2). What Lossy Image Compression and its ratio say
remains true as well and stays.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any, Final

import orjson

from pacs_cloud.dicom.dataset_json import Conversion
from pacs_cloud.dicom.deflate import DEFAULT_LIMIT_BYTES, inflate
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.frame_decoding import PixelFormat, can_decode, decode_frame
from pacs_cloud.dicom.frames import FrameTable
from pacs_cloud.dicom.memo import Memo
from pacs_cloud.dicom.pixels import pixel_data
from pacs_cloud.dicom.records import Fragments, View
from pacs_cloud.dicom.rewrite import PIXEL_DATA, Edits, NewValue, Rewriter, new_value
from pacs_cloud.dicom.uid import EXPLICIT_LE, IMPLICIT_LE, is_deflated
from pacs_cloud.dicom.walk import Scope, Walk, find
from pacs_cloud.errors import InvalidInstance, InvalidRequest, Refusal

__all__ = [
    "PixelFormat",
    "can_decode",
    "decode_frame",
    "decompress",
    "decompressed_parts",
    "pixel_format_of",
]

_PHOTOMETRIC_INTERPRETATION: Final = 0x00280004
_PLANAR_CONFIGURATION: Final = 0x00280006
_MAX_MODULE_VALUE_BYTES: Final = 1024
_MAX_VALUE_BYTES: Final = 0xFFFFFFFE
_LEFT_OUT: Final = (0x7FE00001, 0x7FE00002, 0x7FE00003)
"""Extended Offset Table, its Lengths, Encapsulated Pixel Data Value Total Length."""


def decompress(
    dataset: View | bytearray, transfer_syntax_uid: str, target: str = EXPLICIT_LE
) -> bytes:
    """Return the data set in `target`, which any peer can read.

    Args:
        dataset: the whole data set without file meta information.
        transfer_syntax_uid: how it is encoded, natively or not.
        target: EXPLICIT_LE or IMPLICIT_LE.

    Raises:
        InvalidInstance: UNSUPPORTED_SYNTAX without a decoder, UNREADABLE for a
            broken data set or codestream, TOO_LARGE for 4 GiB of pixels or more.
        InvalidRequest: another target.
    """
    return b"".join(decompressed_parts(dataset, transfer_syntax_uid, target))


def decompressed_parts(
    dataset: View | bytearray, transfer_syntax_uid: str, target: str = EXPLICIT_LE
) -> Iterator[bytes]:
    """Yield what `decompress` returns in pieces, one frame or a few megabytes at a time.

    The first frame is decoded before anything is yielded; of later ones a broken
    codestream raises in the midst.
    """
    if target not in {EXPLICIT_LE, IMPLICIT_LE}:
        raise InvalidRequest(f"{target} is not a transfer syntax this system transcodes to.")
    if target == transfer_syntax_uid:
        return iter((bytes(dataset),))
    view = dataset if isinstance(dataset, bytes) else memoryview(dataset).cast("B")
    if is_deflated(transfer_syntax_uid):
        view = inflate(view, DEFAULT_LIMIT_BYTES)
    walk = Walk(view, transfer_syntax_uid)
    scope = walk.top()
    found = find(scope.records, PIXEL_DATA)
    edits: Edits = {}
    if found is not None and isinstance(found[6], Fragments):
        edits = _decoded(walk, scope, transfer_syntax_uid, implicit=target == IMPLICIT_LE)
    return Rewriter(walk, implicit=target == IMPLICIT_LE).parts(scope, edits)


def pixel_format_of(elements: Elements) -> PixelFormat:
    """Return the Image Pixel module in `elements`.

    Args:
        elements: DICOM JSON with the attributes (0028,xxxx) of an image.

    Raises:
        InvalidInstance: UNREADABLE, where rows, columns or bits are missing.
    """

    def number(tag: str, default: int | None = None) -> int:
        value: Any = (elements.get(tag, {}).get("Value") or [default])[0]
        if not isinstance(value, (int, float)):
            raise InvalidInstance(f"({tag[:4]},{tag[4:]}) is missing.", Refusal.UNREADABLE)
        return int(value)

    allocated = number("00280100")
    photometric = elements.get("00280004", {}).get("Value") or ["MONOCHROME2"]
    return PixelFormat(
        rows=number("00280010"),
        columns=number("00280011"),
        samples_per_pixel=number("00280002", 1),
        bits_allocated=allocated,
        bits_stored=number("00280101", allocated),
        pixel_representation=number("00280103", 0),
        photometric_interpretation=str(photometric[0]),
        planar_configuration=number("00280006", 0),
    )


def _decoded(walk: Walk, scope: Scope, transfer_syntax_uid: str, *, implicit: bool) -> Edits:
    """Return the edits that put native pixels in the place of encapsulated ones."""
    module = _image_pixel_module(walk, scope)
    stored = pixel_format_of(module)
    pixels = pixel_data(walk.view, scope.records, module)
    if pixels is None or not pixels.frames:
        raise InvalidInstance("The frames cannot be told apart.", Refusal.UNREADABLE)
    frames = pixels.frames
    first, native = decode_frame(_codestream(walk.view, frames, 0), transfer_syntax_uid, stored)
    length = -(-native.frame_bits * len(frames) // 8)
    length += length % 2
    if length > _MAX_VALUE_BYTES:
        raise InvalidInstance("Decompressed, its pixels are 4 GiB or more.", Refusal.TOO_LARGE)

    def value() -> Iterator[bytes]:
        others = (
            decode_frame(_codestream(walk.view, frames, n), transfer_syntax_uid, stored)[0]
            for n in range(1, len(frames))
        )
        return _side_by_side(chain((first,), others), native.frame_bits, length)

    vr = "OW" if implicit or native.bits_allocated > 8 else "OB"
    edits: dict[int, NewValue | None] = {
        **dict.fromkeys(_LEFT_OUT),
        PIXEL_DATA: NewValue(vr, length, value),
    }
    if native.photometric_interpretation != stored.photometric_interpretation:
        photometric = native.photometric_interpretation.encode("ascii")
        edits[_PHOTOMETRIC_INTERPRETATION] = new_value("CS", photometric)
    if native.samples_per_pixel > 1:
        planar = native.planar_configuration.to_bytes(2, "little")
        edits[_PLANAR_CONFIGURATION] = new_value("US", planar)
    return edits


def _image_pixel_module(walk: Walk, scope: Scope) -> Elements:
    small = [
        record
        for record in scope.records
        if record[0] >> 16 == 0x0028 and record[5] - record[3] <= _MAX_MODULE_VALUE_BYTES
    ]
    converted = Conversion(walk, Memo(0)).convert(replace(scope, records=small))
    module: Elements = orjson.loads(converted.json.replace(b"\0", b""))
    return module


def _codestream(view: View, frames: FrameTable, n: int) -> bytes:
    return b"".join(bytes(view[start:stop]) for start, stop in frames.ranges(n))


def _side_by_side(frames: Iterator[bytes], frame_bits: int, length: int) -> Iterator[bytes]:
    """Yield frames as one native value of `length` bytes: frames may share a byte (PS3.5 8.1.1)."""
    carry, carried_bits, written = 0, 0, 0
    for frame in frames:
        if len(frame) != -(-frame_bits // 8):
            raise InvalidInstance("A frame has another size than the first.", Refusal.UNREADABLE)
        if frame_bits % 8 == 0:
            piece = frame
        else:
            carry |= int.from_bytes(frame, "little") << carried_bits
            carried_bits += frame_bits
            whole = carried_bits // 8
            piece = (carry & ((1 << whole * 8) - 1)).to_bytes(whole, "little")
            carry >>= whole * 8
            carried_bits -= whole * 8
        written += len(piece)
        yield piece
    rest = length - written
    if rest:
        yield carry.to_bytes(rest, "little")
