"""One encapsulated frame, decoded to native pixels (PS3.5 8.2).

pydicom's decoders do the work, with the plugins that are installed: GDCM,
OpenJPEG, CharLS and RLE. Lossless frames come out bit for bit; their colour
space stays, because a conversion would round. JPEG's YBR becomes RGB, which is
what its decoders and all viewers are made for. JPEG 2000's own transforms (RCT,
ICT) are undone by its decoder.
"""

import zlib
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from pacs_cloud.dicom.codestream import claimed_size
from pacs_cloud.dicom.quiet import quiet_pydicom
from pacs_cloud.dicom.uid import (
    DEFLATED_IMAGE_FRAME,
    ENCAPSULATED_UNCOMPRESSED,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    RLE_LOSSLESS,
    is_encapsulated,
)
from pacs_cloud.errors import InvalidInstance, Refusal

_RGB_WANTED: Final = frozenset({JPEG_BASELINE, JPEG_EXTENDED})
_BYTE_BITS: Final = 8
_STORED_AS_IS: Final = frozenset({DEFLATED_IMAGE_FRAME, ENCAPSULATED_UNCOMPRESSED})


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """The Image Pixel module of a frame (PS3.3 C.7.6.3).

    Attributes:
        rows: of the frame.
        columns: of the frame.
        samples_per_pixel: 1 or 3.
        bits_allocated: 1, or a multiple of 8.
        bits_stored: at most `bits_allocated`.
        pixel_representation: 1 for signed values.
        photometric_interpretation: `MONOCHROME2`, `RGB`, `YBR_FULL_422` and so on.
        planar_configuration: 0 colour by pixel, 1 colour by plane.
    """

    rows: int
    columns: int
    samples_per_pixel: int
    bits_allocated: int
    bits_stored: int
    pixel_representation: int
    photometric_interpretation: str
    planar_configuration: int = 0

    @property
    def frame_bits(self) -> int:
        """Bits of one native frame in this format."""
        is_subsampled = self.photometric_interpretation == "YBR_FULL_422"
        samples = 2 if is_subsampled and self.samples_per_pixel == 3 else self.samples_per_pixel
        return self.rows * self.columns * samples * self.bits_allocated


def can_decode(transfer_syntax_uid: str, *, bits_allocated: int = 8, bits_stored: int = 8) -> bool:
    """Tell whether pixel data in this transfer syntax can be given as native pixels.

    Args:
        transfer_syntax_uid: how it is encoded.
        bits_allocated: of one sample; RLE is undone for whole bytes only.
        bits_stored: of one sample; there is no decoder of JPEG Extended with 12 bits.
    """
    if transfer_syntax_uid == JPEG_EXTENDED and bits_stored > _BYTE_BITS:
        return False
    if transfer_syntax_uid == RLE_LOSSLESS and bits_allocated < _BYTE_BITS:
        return False
    if not is_encapsulated(transfer_syntax_uid) or transfer_syntax_uid in _STORED_AS_IS:
        return True
    try:
        return bool(get_decoder(UID(transfer_syntax_uid)).is_available)
    except NotImplementedError:
        return False


def decode_frame(
    codestream: bytes, transfer_syntax_uid: str, pixel_format: PixelFormat
) -> tuple[bytes, PixelFormat]:
    """Return one frame as native little endian bytes, and the format they are in.

    Args:
        codestream: the frame's fragments, joined.
        transfer_syntax_uid: how they are encoded.
        pixel_format: what the data set says of its pixels.

    Raises:
        InvalidInstance: UNSUPPORTED_SYNTAX without a decoder, UNREADABLE when the
            codestream is broken or does not hold such a frame.
    """
    if transfer_syntax_uid in _STORED_AS_IS:
        return _uncompressed(codestream, transfer_syntax_uid, pixel_format), pixel_format
    if not can_decode(
        transfer_syntax_uid,
        bits_allocated=pixel_format.bits_allocated,
        bits_stored=pixel_format.bits_stored,
    ):
        raise InvalidInstance(
            f"There is no decoder for transfer syntax {transfer_syntax_uid}.",
            Refusal.UNSUPPORTED_SYNTAX,
        )
    claimed = claimed_size(codestream)
    if claimed is not None and claimed != (pixel_format.rows, pixel_format.columns):
        raise InvalidInstance(
            f"A frame is of {claimed[0]} by {claimed[1]} pixels, its data set says otherwise.",
            Refusal.UNREADABLE,
        )
    options: dict[str, Any] = {
        "rows": pixel_format.rows,
        "columns": pixel_format.columns,
        "samples_per_pixel": pixel_format.samples_per_pixel,
        "bits_allocated": pixel_format.bits_allocated,
        "bits_stored": pixel_format.bits_stored,
        "pixel_representation": pixel_format.pixel_representation,
        "photometric_interpretation": pixel_format.photometric_interpretation,
        "planar_configuration": pixel_format.planar_configuration,
        "number_of_frames": 1,
        "pixel_keyword": "PixelData",
    }
    wants_rgb = transfer_syntax_uid in _RGB_WANTED
    try:
        with quiet_pydicom():
            pixels, described = get_decoder(UID(transfer_syntax_uid)).as_array(
                encapsulate([codestream], has_bot=False),
                index=0,
                raw=not wants_rgb,
                **options,
            )
    except Exception as problem:
        raise InvalidInstance(
            f"A frame cannot be decoded ({transfer_syntax_uid}).", Refusal.UNREADABLE
        ) from problem
    if pixel_format.bits_allocated == 1:
        data = np.packbits(pixels.ravel() != 0, bitorder="little").tobytes()
    else:
        data = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()
    photometric = str(described["photometric_interpretation"])
    if photometric == "YBR_FULL_422":
        photometric = "YBR_FULL"  # a decoded frame has all its chroma samples
    return data, replace(
        pixel_format, photometric_interpretation=photometric, planar_configuration=0
    )


def _uncompressed(codestream: bytes, transfer_syntax_uid: str, pixel_format: PixelFormat) -> bytes:
    length = -(-pixel_format.frame_bits // 8)
    data = codestream
    if transfer_syntax_uid == DEFLATED_IMAGE_FRAME:
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(codestream, length)
        except zlib.error as problem:
            raise InvalidInstance(
                "A deflated frame cannot be inflated.", Refusal.UNREADABLE
            ) from problem
    if len(data) < length:
        raise InvalidInstance("A frame is shorter than its pixels.", Refusal.UNREADABLE)
    return data[:length]
