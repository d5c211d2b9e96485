"""One native frame, encoded for an encapsulated transfer syntax (PS3.5 8.2).

Lossless targets give back every bit of every sample, those above Bits Stored
too: where samples do not keep within Bits Stored, the codestream holds all Bits
Allocated.

A codestream may have an odd length: it is padded where it becomes a fragment
(`FragmentedValue`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pacs_cloud.dicom.coding import direct_encoding
from pacs_cloud.dicom.coding.direct_encoding import Samples
from pacs_cloud.dicom.pixel_format import PixelFormat
from pacs_cloud.dicom.uid import (
    HTJ2K_LOSSLESS,
    HTJ2K_LOSSLESS_RPCL,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LOSSLESS_SV1,
    JPEG_LS_LOSSLESS,
    RLE_LOSSLESS,
)
from pacs_cloud.errors import InvalidInstance, Refusal

_GREY: Final = frozenset({"MONOCHROME1", "MONOCHROME2"})
_COLOUR: Final = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422"})
_MAX_SIDE: Final = 65_500
"""Rows or columns that libjpeg-turbo takes; Rows and Columns themselves end at 65,535."""


def can_encode(transfer_syntax_uid: str, pixel_format: PixelFormat) -> bool:
    """Tell whether frames of this format can be encoded for a transfer syntax.

    Args:
        transfer_syntax_uid: the target: RLE, JPEG Baseline, JPEG Lossless SV1,
            JPEG-LS, JPEG 2000 or HTJ2K, the last four lossless.
        pixel_format: of native frames.
    """
    target = _TARGETS.get(transfer_syntax_uid)
    return target is not None and target.takes(pixel_format)


def encode_frame(
    pixels: bytes, pixel_format: PixelFormat, transfer_syntax_uid: str, *, quality: int = 90
) -> tuple[bytes, PixelFormat]:
    """Return one frame's codestream, and the format that its data set has to say.

    Args:
        pixels: one native little endian frame.
        pixel_format: what they are.
        transfer_syntax_uid: the target.
        quality: 1 to 100, of lossy targets.

    Raises:
        InvalidInstance: UNSUPPORTED_SYNTAX where `can_encode` says no, UNREADABLE
            where `pixels` are not of that size.
    """
    target = _TARGETS.get(transfer_syntax_uid)
    if target is None or not target.takes(pixel_format):
        raise InvalidInstance(
            f"Such pixels cannot be encoded in transfer syntax {transfer_syntax_uid}.",
            Refusal.UNSUPPORTED_SYNTAX,
        )
    samples, native = _by_pixel(pixels, pixel_format)
    codestream = target.encode(samples, native, min(max(quality, 1), 100))
    photometric = target.photometric.get(
        native.photometric_interpretation, native.photometric_interpretation
    )
    return codestream, replace(native, photometric_interpretation=photometric)


@dataclass(frozen=True, slots=True)
class _Target:
    """What a transfer syntax can hold, and what makes it (PS3.5 Tables 8.2.1-1 to 8.2.4-1).

    Attributes:
        encode: samples by pixel, their format and a quality, to a codestream.
        bits_allocated: that it takes.
        photometric: what colour becomes in it; others stay.
        is_lossy: only whole unsigned bytes then, and no palette, whose indices
            have no neighbours.
        max_side: rows or columns that its encoder takes.
    """

    encode: Callable[[Samples, PixelFormat, int], bytes]
    bits_allocated: frozenset[int]
    photometric: dict[str, str]
    is_lossy: bool = False
    max_side: int = 0xFFFF

    def takes(self, pixel_format: PixelFormat) -> bool:
        """Tell whether frames of this format can be encoded."""
        allocated, stored = pixel_format.bits_allocated, pixel_format.bits_stored
        photometric = pixel_format.photometric_interpretation
        if pixel_format.samples_per_pixel == 1:
            is_known = photometric in _GREY or (
                photometric == "PALETTE COLOR" and not self.is_lossy
            )
        else:
            is_known = pixel_format.samples_per_pixel == 3 and photometric in _COLOUR
        return (
            is_known
            and allocated in self.bits_allocated
            and 1 <= stored <= allocated
            and not (self.is_lossy and (stored != allocated or pixel_format.is_signed))
            and not (pixel_format.is_subsampled and pixel_format.columns % 2)
            and all(1 <= side <= self.max_side for side in pixel_format.shape[:2])
        )


def _by_pixel(pixels: bytes, pixel_format: PixelFormat) -> tuple[Samples, PixelFormat]:
    """Return samples in `PixelFormat.shape` and the format they then have."""
    if len(pixels) * 8 != pixel_format.frame_bits:
        raise InvalidInstance("A frame is not of the size of its pixels.", Refusal.UNREADABLE)
    samples = np.frombuffer(pixels, pixel_format.words)
    rows, columns = pixel_format.rows, pixel_format.columns
    native = replace(pixel_format, planar_configuration=0)
    if pixel_format.is_subsampled:
        pairs = samples.reshape(-1, 4)  # Y1 Y2 Cb Cr (PS3.3 C.7.6.3.1.2)
        samples = pairs[:, (0, 2, 3, 1, 2, 3)].reshape(pixel_format.shape)
        return samples, replace(native, photometric_interpretation="YBR_FULL")
    if pixel_format.samples_per_pixel > 1 and pixel_format.planar_configuration == 1:
        samples = samples.reshape(-1, rows, columns).transpose(1, 2, 0)
    # a copy has plain strides, also where a side is 1; codecs refuse others
    return samples.reshape(pixel_format.shape).copy(), native


_WORDS: Final = frozenset({8, 16})
_RCT: Final = {"RGB": "YBR_RCT"}
_TARGETS: Final = {
    RLE_LOSSLESS: _Target(direct_encoding.rle, frozenset({8, 16, 32}), {}),
    JPEG_BASELINE: _Target(
        direct_encoding.jpeg_baseline,
        frozenset({8}),
        {"RGB": "YBR_FULL_422", "YBR_FULL": "YBR_FULL_422"},
        is_lossy=True,
        max_side=_MAX_SIDE,
    ),
    JPEG_LOSSLESS_SV1: _Target(direct_encoding.jpeg_lossless, _WORDS, {}, max_side=_MAX_SIDE),
    JPEG_LS_LOSSLESS: _Target(direct_encoding.jpeg_ls, _WORDS, {}),
    JPEG_2000_LOSSLESS: _Target(direct_encoding.jpeg_2000, _WORDS, _RCT),
    # One codestream serves both: what RPCL asks for does not harm the other.
    HTJ2K_LOSSLESS: _Target(direct_encoding.htj2k, _WORDS, _RCT),
    HTJ2K_LOSSLESS_RPCL: _Target(direct_encoding.htj2k, _WORDS, _RCT),
}
ENCODABLE: Final = tuple(_TARGETS)
"""The transfer syntaxes that frames can be encoded in."""
LOSSY: Final = frozenset(uid for uid, target in _TARGETS.items() if target.is_lossy)
