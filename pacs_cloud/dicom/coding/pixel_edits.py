"""What a data set says of its pixels, edited for those that they become."""

from typing import Final

from pacs_cloud.dicom.coding.frame_encoding import LOSSY
from pacs_cloud.dicom.coding.value_parts import NativeValue
from pacs_cloud.dicom.explicit_elements import LONG_LIMIT
from pacs_cloud.dicom.pixel_format import PixelFormat
from pacs_cloud.dicom.pixel_tags import FRAGMENT_TAGS
from pacs_cloud.dicom.rewrite import Edits, NewValue, new_value
from pacs_cloud.dicom.uid import JPEG_BASELINE
from pacs_cloud.dicom.walk import Scope, Walk, find
from pacs_cloud.errors import InvalidInstance, Refusal

_PHOTOMETRIC_INTERPRETATION: Final = 0x00280004
_PLANAR_CONFIGURATION: Final = 0x00280006
_LOSSY_IMAGE_COMPRESSION: Final = 0x00282110
_LOSSY_IMAGE_COMPRESSION_RATIO: Final = 0x00282112
_LOSSY_IMAGE_COMPRESSION_METHOD: Final = 0x00282114
_METHODS: Final = {JPEG_BASELINE: b"ISO_10918_1"}
"""PS3.3 C.7.6.1.1.5.1."""


def native_length(pixel_format: PixelFormat, count: int) -> int:
    """Return the bytes of `count` native frames; raises InvalidInstance (TOO_LARGE) from 4 GiB."""
    length = NativeValue(pixel_format.frame_bits, count).length_bytes
    if length > LONG_LIMIT:
        raise InvalidInstance("Decompressed, its pixels are 4 GiB or more.", Refusal.TOO_LARGE)
    return length


def native_vr(pixel_format: PixelFormat, *, implicit: bool) -> str:
    """Return the VR of native pixels (PS3.5 8.1.2, A.1)."""
    return "OW" if implicit or pixel_format.bits_allocated > 8 else "OB"


def lossy_edits(walk: Walk, scope: Scope, target: str, ratio: float) -> Edits:
    """Return what a data set says of having been compressed in `target`: nothing if losslessly.

    Args:
        walk: over the data set, for what it says of earlier lossy compression.
        scope: its top level.
        target: an encapsulated transfer syntax.
        ratio: how many times fewer bytes its pixels now have.
    """
    if target not in LOSSY:
        return {}
    method = _METHODS[target]
    return {
        _LOSSY_IMAGE_COMPRESSION: new_value("CS", b"01"),
        _LOSSY_IMAGE_COMPRESSION_RATIO: _one_more(
            walk, scope, _LOSSY_IMAGE_COMPRESSION_RATIO, "DS", f"{ratio:.2f}".encode("ascii")
        ),
        _LOSSY_IMAGE_COMPRESSION_METHOD: _one_more(
            walk, scope, _LOSSY_IMAGE_COMPRESSION_METHOD, "CS", method
        ),
    }


def format_edits(stored: PixelFormat, new: PixelFormat) -> dict[int, NewValue | None]:
    """Return the edits for new pixels: their module where it has changed, no old offset tables."""
    edits: dict[int, NewValue | None] = dict.fromkeys(FRAGMENT_TAGS)
    if new.photometric_interpretation != stored.photometric_interpretation:
        photometric = new.photometric_interpretation.encode("ascii")
        edits[_PHOTOMETRIC_INTERPRETATION] = new_value("CS", photometric)
    if new.samples_per_pixel > 1:
        planar = new.planar_configuration.to_bytes(2, "little")
        edits[_PLANAR_CONFIGURATION] = new_value("US", planar)
    return edits


def _one_more(walk: Walk, scope: Scope, tag: int, vr: str, value: bytes) -> NewValue:
    """Return an element's values and one more: each compression adds its own (C.7.6.1.1.5.2)."""
    found = find(scope.records, tag)
    earlier = bytes(walk.view[found[4] : found[5]]).strip(b" \0") if found is not None else b""
    return new_value(vr, earlier + b"\\" + value if earlier else value)
