"""One frame decoded by the codec itself, where it and the data set agree.

pydicom's decoders judge what data sets say of their codestreams, and cost as
much again as the codec does for a frame. Where both agree there is nothing to
judge. Where they do not, or a codec refuses, nothing is decoded here: pydicom
decides (`frame_decoding`).

imagecodecs holds libjpeg-turbo, CharLS and OpenJPEG, and lets go of the interpreter's
lock while they work. OpenJPEG decodes HTJ2K as well: OpenJPH takes half the time, but
never comes back from a codestream whose tiles do not cover its image, and lets lossy
samples wrap round.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from rle.rle import decode_frame as rle_decode_frame

from pacs_cloud.dicom.coding.codestream import J2K_START, JpegHeader, jpeg_header
from pacs_cloud.dicom.pixel_format import PixelFormat
from pacs_cloud.dicom.uid import (
    HTJ2K,
    HTJ2K_LOSSLESS,
    HTJ2K_LOSSLESS_RPCL,
    JPEG_2000,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_FULL_PROGRESSION,
    JPEG_LOSSLESS,
    JPEG_LOSSLESS_SV1,
    JPEG_LS_LOSSLESS,
    JPEG_LS_NEAR_LOSSLESS,
    JPEG_SPECTRAL_SELECTION,
    RLE_LOSSLESS,
)

Samples: TypeAlias = NDArray[Any]
Decoded: TypeAlias = tuple[Samples, str] | None
"""Samples in `PixelFormat.shape`, a byte each of single bits, else in the words of the
data set; and the photometric interpretation they are in."""

_BYTE_BITS: Final = 8
_BITS_ALLOCATED: Final = frozenset({1, 8, 16, 32, 64})
_RGB_COMPONENTS: Final = frozenset({b"RGB", b"rgb"})
_UNDONE: Final = {"YBR_RCT": "RGB", "YBR_ICT": "RGB"}
"""JPEG 2000's own colour transforms, which its decoder undoes."""


def decode_directly(
    codestream: bytes, transfer_syntax_uid: str, pixel_format: PixelFormat
) -> Decoded:
    """Return the samples of one frame, None where another decoder has to judge.

    Args:
        codestream: the frame's fragments, joined; of the size its data set says.
        transfer_syntax_uid: how they are encoded.
        pixel_format: what the data set says of its pixels.
    """
    decoder = _DECODERS.get(transfer_syntax_uid)
    if decoder is None or pixel_format.samples_per_pixel not in {1, 3}:
        return None
    if pixel_format.bits_allocated not in _BITS_ALLOCATED:
        return None
    try:
        decoded = decoder(codestream, pixel_format)
    except (RuntimeError, ValueError):  # every codec's own error is one of them
        return None
    if decoded is None or decoded[0].shape != pixel_format.shape:
        return None
    return decoded


def _jpeg(codestream: bytes, pixel_format: PixelFormat) -> Decoded:
    header = jpeg_header(codestream)
    if header is None or not header.is_whole:
        return None
    photometric = pixel_format.photometric_interpretation
    if pixel_format.samples_per_pixel == 1:
        samples = imagecodecs.jpeg8_decode(codestream)
    else:
        space = "YCBCR" if "YBR" in _photometric(header, pixel_format) else "RGB"
        samples = imagecodecs.jpeg8_decode(codestream, colorspace=space, outcolorspace="RGB")
        photometric = "RGB"
    return _in_words(samples, header.precision, pixel_format, photometric)


def _jpeg_lossless(codestream: bytes, pixel_format: PixelFormat) -> Decoded:
    header = jpeg_header(codestream)
    if header is None or not header.is_whole:
        return None
    if pixel_format.samples_per_pixel == 1:
        samples = imagecodecs.jpeg8_decode(codestream)
    else:  # whatever the colour space is, it stays
        samples = imagecodecs.jpeg8_decode(codestream, colorspace="RGB", outcolorspace="RGB")
    return _in_words(samples, header.precision, pixel_format, _photometric(header, pixel_format))


def _jpeg_ls(codestream: bytes, pixel_format: PixelFormat) -> Decoded:
    header = jpeg_header(codestream)
    if header is None or not header.is_whole:  # CharLS takes seconds to see that it was cut
        return None
    samples = imagecodecs.jpegls_decode(codestream)
    return _in_words(samples, header.precision, pixel_format, _photometric(header, pixel_format))


def _jpeg_2000(codestream: bytes, pixel_format: PixelFormat) -> Decoded:
    if not codestream.startswith(J2K_START):  # JP2 boxes may speak of colour too
        return None
    samples = imagecodecs.jpeg2k_decode(codestream, numthreads=1)
    if (samples.dtype.kind == "i") != pixel_format.is_signed:
        return None
    photometric = pixel_format.photometric_interpretation
    photometric = _UNDONE.get(photometric, photometric)
    return _in_words(samples, samples.itemsize * _BYTE_BITS, pixel_format, photometric)


def _rle(codestream: bytes, pixel_format: PixelFormat) -> Decoded:
    photometric = pixel_format.photometric_interpretation
    pixels = pixel_format.rows * pixel_format.columns
    if pixel_format.bits_allocated < _BYTE_BITS:
        return _rle_of_bits(codestream, pixels).reshape(pixel_format.shape), photometric
    decoded = _unpacked(codestream, pixels, pixel_format.bits_allocated)
    planes = np.frombuffer(decoded, pixel_format.words).reshape(-1, pixels)
    if len(planes) != pixel_format.samples_per_pixel:
        return None
    samples = np.empty((pixels, len(planes)), planes.dtype)
    for n, plane in enumerate(planes):
        samples[:, n] = plane
    return samples.reshape(pixel_format.shape), photometric


def _rle_of_bits(codestream: bytes, pixels: int) -> Samples:
    """Return frames of single bits: a byte each as PS3.5 G.2 pads them, or packed as some do."""
    try:
        return np.frombuffer(_unpacked(codestream, pixels, _BYTE_BITS), np.uint8)
    except ValueError:
        packed = _unpacked(codestream, -(-pixels // _BYTE_BITS), _BYTE_BITS)
        return np.unpackbits(np.frombuffer(packed, np.uint8), count=pixels, bitorder="little")


def _unpacked(codestream: bytes, pixels: int, bits_allocated: int) -> bytearray:
    """Return the planes of an RLE frame, one after the other, little endian.

    Raises:
        ValueError: it is broken, or not of so many pixels.
    """
    try:
        return rle_decode_frame(codestream, pixels, bits_allocated, "<")
    except BaseException as problem:
        # A panic of the codec, which is in Rust, is a PanicException; it derives from
        # BaseException and cannot be imported, but leaves nothing in disorder.
        if type(problem).__module__ == "pyo3_runtime":
            raise ValueError("The RLE codec gave up.") from problem
        raise


def _photometric(header: JpegHeader, pixel_format: PixelFormat) -> str:
    """Return what the samples in a codestream are: it is asked before the data set is."""
    photometric = pixel_format.photometric_interpretation
    if pixel_format.samples_per_pixel == 1:
        return photometric
    if header.components in _RGB_COMPONENTS:
        return "RGB"
    return "YBR_FULL" if header.has_jfif and "YBR" not in photometric else photometric


def _in_words(
    samples: Samples, precision: int, pixel_format: PixelFormat, photometric: str
) -> Decoded:
    """Return `samples` in the words of the data set, None where they do not fit.

    Args:
        samples: as the codec gives them.
        precision: bits of a sample in the codestream.
        pixel_format: what the data set says.
        photometric: what the samples are.
    """
    if pixel_format.bits_allocated < _BYTE_BITS:
        return samples, photometric
    words = np.dtype(pixel_format.words)
    if samples.itemsize > words.itemsize:
        return None
    unused = words.itemsize * _BYTE_BITS - precision
    needs_sign = words.kind == "i" and samples.dtype.kind == "u"
    samples = samples.astype(words, copy=False)
    if needs_sign and unused > 0:  # two's complement in `precision` bits (PS3.5 8.1.1)
        samples = (samples << unused) >> unused
    return samples, photometric


_DECODERS: Final[dict[str, Callable[[bytes, PixelFormat], Decoded]]] = {
    JPEG_BASELINE: _jpeg,
    JPEG_EXTENDED: _jpeg,
    JPEG_SPECTRAL_SELECTION: _jpeg,
    JPEG_FULL_PROGRESSION: _jpeg,
    JPEG_LOSSLESS: _jpeg_lossless,
    JPEG_LOSSLESS_SV1: _jpeg_lossless,
    JPEG_LS_LOSSLESS: _jpeg_ls,
    JPEG_LS_NEAR_LOSSLESS: _jpeg_ls,
    JPEG_2000_LOSSLESS: _jpeg_2000,
    JPEG_2000: _jpeg_2000,
    HTJ2K_LOSSLESS: _jpeg_2000,
    HTJ2K_LOSSLESS_RPCL: _jpeg_2000,
    HTJ2K: _jpeg_2000,
    RLE_LOSSLESS: _rle,
}
DIRECT_SYNTAXES: Final = frozenset(_DECODERS)
"""Transfer syntaxes that are decoded here, as a rule."""
