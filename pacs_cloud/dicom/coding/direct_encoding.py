"""Samples of one frame, encoded by the codec itself.

Each encoder takes samples by pixel in `PixelFormat.shape`, their format, and a
quality of 1 to 100 that only lossy ones heed; what they cannot hold,
`frame_encoding` keeps away from them. Where samples keep within Bits Stored, that
is the codestream's precision, else Bits Allocated is. JPEG and JPEG-LS know no
sign: a signed sample is coded as the word it is stored in, so that no decoder has
to extend it.
"""

from typing import Any, Final, TypeAlias

import imagecodecs
import numpy as np
from jpeg_ls import encode_buffer as jpeg_ls_encode
from numpy.typing import NDArray
from rle.utils import encode_pixel_data as rle_encode

from pacs_cloud.dicom.pixel_format import PixelFormat

Samples: TypeAlias = NDArray[Any]

_THUMBNAIL_SIDE: Final = 64
_SMALL_BYTES: Final = 4096
_DECOMPOSITIONS: Final = 5
_MAX_DECOMPOSITIONS: Final = 32
_SIZ_COMPONENT_COUNT: Final = 40
"""Where the number of components lies in a J2K codestream, after SOC and most of SIZ
(ISO/IEC 15444-1 A.5.1); three bytes for each follow, the first of them its depth."""
_SIGNED: Final = 0x80


def rle(samples: Samples, pixel_format: PixelFormat, _quality: int) -> bytes:
    """Return an RLE frame (PS3.5 G), a plane for each byte of each sample."""
    return rle_encode(
        samples.tobytes(),
        byteorder="<",
        rows=pixel_format.rows,
        columns=pixel_format.columns,
        samples_per_pixel=pixel_format.samples_per_pixel,
        bits_allocated=pixel_format.bits_allocated,
    )


def jpeg_baseline(samples: Samples, pixel_format: PixelFormat, quality: int) -> bytes:
    """Return JPEG Baseline, colour as YCbCr with half the chroma samples of a row."""
    if pixel_format.samples_per_pixel == 1:
        return bytes(imagecodecs.jpeg8_encode(samples, quality))
    space = "RGB" if pixel_format.photometric_interpretation == "RGB" else "YCBCR"
    return bytes(
        imagecodecs.jpeg8_encode(
            samples, quality, colorspace=space, outcolorspace="YCBCR", subsampling="422"
        )
    )


def jpeg_lossless(samples: Samples, pixel_format: PixelFormat, _quality: int) -> bytes:
    """Return JPEG Lossless with selection value 1 (ISO/IEC 10918-1 H)."""
    samples, precision = _unsigned(samples, pixel_format)
    space: str | None = None
    if pixel_format.samples_per_pixel > 1:
        # Nothing is converted. Of YCbCr, libjpeg-turbo would use two Huffman tables and
        # name but one of them; without a name, the data set says what the samples are.
        space = "RGB" if pixel_format.photometric_interpretation == "RGB" else "UNKNOWN"
    return bytes(
        imagecodecs.jpeg8_encode(
            samples,
            colorspace=space,
            outcolorspace=space,
            lossless=True,
            predictor=1,
            bitspersample=precision,
        )
    )


def jpeg_ls(samples: Samples, pixel_format: PixelFormat, _quality: int) -> bytes:
    """Return JPEG-LS without loss (ISO/IEC 14495-1), colour interleaved by sample."""
    samples, precision = _unsigned(samples, pixel_format)
    if samples.nbytes < _SMALL_BYTES:  # there, pyjpegls makes too little room for the result
        return bytes(imagecodecs.jpegls_encode(samples))
    return bytes(
        jpeg_ls_encode(
            samples.tobytes(),
            pixel_format.rows,
            pixel_format.columns,
            pixel_format.samples_per_pixel,
            precision,
            interleave_mode=2 if pixel_format.samples_per_pixel > 1 else 0,
        )
    )


def jpeg_2000(samples: Samples, pixel_format: PixelFormat, _quality: int) -> bytes:
    """Return reversible JPEG 2000 (ISO/IEC 15444-1), RGB by the reversible transform."""
    precision = max(2, _precision(samples, pixel_format))  # of 1, OpenJPEG codes no colour
    return bytes(
        imagecodecs.jpeg2k_encode(
            samples,
            level=0,
            codecformat="J2K",
            planar=False,
            bitspersample=precision,
            resolutions=_resolutions(pixel_format),
            reversible=True,
            mct=pixel_format.photometric_interpretation == "RGB",
            numthreads=1,
        )
    )


def _resolutions(pixel_format: PixelFormat) -> int:
    """Return how many resolutions there are to code: OpenJPEG wants a pixel in the least."""
    return min(_DECOMPOSITIONS + 1, min(pixel_format.shape[:2]).bit_length())


def htj2k(samples: Samples, pixel_format: PixelFormat, _quality: int) -> bytes:
    """Return reversible HTJ2K (ISO/IEC 15444-15) that also keeps to PS3.5 10.18: RPCL, TLM."""
    precision = max(2, _precision(samples, pixel_format))
    is_whole = precision == samples.itemsize * 8
    if not is_whole:
        # imagecodecs knows depths of whole bytes only. Samples less their middle are what
        # a codestream of the right depth holds (its DC level shift), so that the depth
        # itself is all that differs, and is set below.
        words = "<i1" if precision <= 8 else "<i2"
        middle = 0 if pixel_format.is_signed else 1 << (precision - 1)
        samples = (samples.astype(np.int32) - middle).astype(words)
    codestream = bytearray(
        imagecodecs.htj2k_encode(
            samples,
            rgb=pixel_format.photometric_interpretation == "RGB",
            planar=False,
            resolutions=_decompositions(pixel_format),
            reversible=True,
            tlm=True,
            tilepart=1,
        )
    )
    if not is_whole:
        count = int.from_bytes(codestream[_SIZ_COMPONENT_COUNT : _SIZ_COMPONENT_COUNT + 2], "big")
        for n in range(count):
            depth = (precision - 1) | (_SIGNED if pixel_format.is_signed else 0)
            codestream[_SIZ_COMPONENT_COUNT + 2 + 3 * n] = depth
    return bytes(codestream)


def _decompositions(pixel_format: PixelFormat) -> int:
    """Return so many that the least resolution is a thumbnail (PS3.5 10.18)."""
    side = min(pixel_format.shape[:2])
    enough = (-(-side // _THUMBNAIL_SIDE) - 1).bit_length()
    return min(max(_DECOMPOSITIONS, enough), _MAX_DECOMPOSITIONS)


def _precision(samples: Samples, pixel_format: PixelFormat) -> int:
    """Return Bits Stored, or Bits Allocated where a sample does not keep within them."""
    stored, allocated = pixel_format.bits_stored, pixel_format.bits_allocated
    if stored == allocated:
        return allocated
    lowest, limit = 0, 1 << stored
    if pixel_format.is_signed:
        lowest, limit = -(1 << stored - 1), 1 << stored - 1
    fits = int(samples.min()) >= lowest and int(samples.max()) < limit
    return stored if fits else allocated


def _unsigned(samples: Samples, pixel_format: PixelFormat) -> tuple[Samples, int]:
    """Return samples as JPEG and JPEG-LS have them, and the bits of one: at least 2."""
    if pixel_format.is_signed:
        return samples.view(f"<u{samples.itemsize}"), pixel_format.bits_allocated
    precision = max(2, _precision(samples, pixel_format))
    return samples.astype("<u1" if precision <= 8 else "<u2", copy=False), precision
