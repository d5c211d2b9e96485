"""One encapsulated frame, decoded to native pixels (PS3.5 8.2).

The codecs are called directly (`direct_decoding`); where a data set and its JPEG 2000
codestream contradict each other, pydicom judges.
Lossless frames come out bit for bit; their colour space stays, because a
conversion would round. JPEG's YBR becomes RGB, which is what its decoders and all
viewers are made for. JPEG 2000's own transforms (RCT, ICT) are undone by its
decoder.
"""

import zlib
from dataclasses import replace
from typing import Any, Final

import numpy as np
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from pacs_cloud.dicom.coding.codestream import claimed_size
from pacs_cloud.dicom.coding.direct_decoding import DIRECT_SYNTAXES, Samples, decode_directly
from pacs_cloud.dicom.pixel_format import MAX_FRAME_BYTES, PixelFormat
from pacs_cloud.dicom.quiet import quiet_pydicom
from pacs_cloud.dicom.uid import (
    DEFLATED_IMAGE_FRAME,
    ENCAPSULATED_UNCOMPRESSED,
    HTJ2K,
    HTJ2K_LOSSLESS,
    HTJ2K_LOSSLESS_RPCL,
    JPEG_2000,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_FULL_PROGRESSION,
    JPEG_SPECTRAL_SELECTION,
    RLE_LOSSLESS,
    is_encapsulated,
)
from pacs_cloud.errors import InvalidInstance, Refusal

LOSSY_JPEG: Final = frozenset(
    {JPEG_BASELINE, JPEG_EXTENDED, JPEG_SPECTRAL_SELECTION, JPEG_FULL_PROGRESSION}
)
_LOSSY_JPEG_BITS: Final = 12
"""The most that a sample of JPEG's DCT processes has (ISO/IEC 10918-1 Table B.2)."""
_WHOLE_BYTES: Final = frozenset({8, 16, 32, 64})
_JUDGED_BY_PYDICOM: Final = frozenset(
    {JPEG_2000_LOSSLESS, JPEG_2000, HTJ2K_LOSSLESS, HTJ2K_LOSSLESS_RPCL, HTJ2K}
)
"""Where data sets and codestreams are known to contradict each other about the sign, and
where JP2 boxes occur. Of pydicom's plugins it is OpenJPEG's that is asked: GDCM's ends
the whole process over some contradictions."""
_PLUGIN: Final = "pylibjpeg"
_STORED_AS_IS: Final = frozenset({DEFLATED_IMAGE_FRAME, ENCAPSULATED_UNCOMPRESSED})


def can_decode(transfer_syntax_uid: str, *, bits_allocated: int = 8, bits_stored: int = 8) -> bool:
    """Tell whether pixel data in this transfer syntax can be given as native pixels.

    Args:
        transfer_syntax_uid: how it is encoded.
        bits_allocated: of one sample; RLE is undone for single bits and whole bytes.
        bits_stored: of one sample; JPEG's lossy processes hold at most 12.
    """
    if transfer_syntax_uid in LOSSY_JPEG:
        return bits_stored <= _LOSSY_JPEG_BITS
    if transfer_syntax_uid == RLE_LOSSLESS:
        return bits_allocated == 1 or bits_allocated in _WHOLE_BYTES
    if not is_encapsulated(transfer_syntax_uid) or transfer_syntax_uid in _STORED_AS_IS:
        return True
    return transfer_syntax_uid in DIRECT_SYNTAXES


def decode_frame(
    codestream: bytes, transfer_syntax_uid: str, pixel_format: PixelFormat
) -> tuple[bytes, PixelFormat]:
    """Return one frame as native little endian bytes, and the format they are in.

    Args:
        codestream: the frame's fragments, joined.
        transfer_syntax_uid: how they are encoded.
        pixel_format: what the data set says of its pixels.

    Raises:
        InvalidInstance: UNSUPPORTED_SYNTAX without a decoder, TOO_LARGE for a frame
            of more than 1 GiB, UNREADABLE when the codestream is broken or does not
            hold such a frame.
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
    if pixel_format.frame_bits > MAX_FRAME_BYTES * 8:
        raise InvalidInstance("A frame has more than 1 GiB of pixels.", Refusal.TOO_LARGE)
    claimed = claimed_size(codestream)
    if claimed is not None and claimed != (pixel_format.rows, pixel_format.columns):
        raise InvalidInstance(
            f"A frame is of {claimed[0]} by {claimed[1]} pixels, its data set says otherwise.",
            Refusal.UNREADABLE,
        )
    samples, photometric = decode_directly(
        codestream, transfer_syntax_uid, pixel_format
    ) or _as_pydicom_judges(codestream, transfer_syntax_uid, pixel_format)
    if photometric == "YBR_FULL_422":
        photometric = "YBR_FULL"  # a decoded frame has all its chroma samples
    native = replace(pixel_format, photometric_interpretation=photometric, planar_configuration=0)
    if pixel_format.bits_allocated == 1:
        data = np.packbits(samples.ravel() != 0, bitorder="little").tobytes()
    else:
        data = samples.astype(samples.dtype.newbyteorder("<"), copy=False).tobytes()
    if len(data) != -(-native.frame_bits // 8):
        raise InvalidInstance("A frame is not of the size of its pixels.", Refusal.UNREADABLE)
    return data, native


def _as_pydicom_judges(
    codestream: bytes, transfer_syntax_uid: str, pixel_format: PixelFormat
) -> tuple[Samples, str]:
    if transfer_syntax_uid not in _JUDGED_BY_PYDICOM:
        raise _undecodable(transfer_syntax_uid)
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
    try:
        with quiet_pydicom():
            samples, described = get_decoder(UID(transfer_syntax_uid)).as_array(
                encapsulate([codestream], has_bot=False),
                index=0,
                raw=True,
                decoding_plugin=_PLUGIN,
                **options,
            )
    except Exception as problem:
        raise _undecodable(transfer_syntax_uid) from problem
    if pixel_format.bits_allocated >= 8:  # pydicom chooses words by the codestream's precision
        kind = samples.dtype.kind
        samples = samples.astype(f"<{kind}{pixel_format.bits_allocated // 8}", copy=False)
    return samples, str(described["photometric_interpretation"])


def _undecodable(transfer_syntax_uid: str) -> InvalidInstance:
    return InvalidInstance(
        f"A frame cannot be decoded ({transfer_syntax_uid}).", Refusal.UNREADABLE
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
