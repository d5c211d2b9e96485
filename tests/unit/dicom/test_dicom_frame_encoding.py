"""Frames encoded: every bit comes back, and the codestream says what it has to."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from pacs_cloud.dicom.coding.codestream import jpeg_header
from pacs_cloud.dicom.coding.frame_decoding import decode_frame
from pacs_cloud.dicom.coding.frame_encoding import ENCODABLE, LOSSY, can_encode, encode_frame
from pacs_cloud.dicom.pixel_format import PixelFormat
from pacs_cloud.dicom.uid import (
    EXPLICIT_LE,
    HTJ2K_LOSSLESS,
    HTJ2K_LOSSLESS_RPCL,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LOSSLESS_SV1,
    JPEG_LS_LOSSLESS,
    RLE_LOSSLESS,
)
from pacs_cloud.errors import InvalidInstance, Refusal

LOSSLESS = [syntax for syntax in ENCODABLE if syntax not in LOSSY]
CT = PixelFormat(40, 33, 1, 16, 12, 0, "MONOCHROME2")
RGB = PixelFormat(16, 20, 3, 8, 8, 0, "RGB")
COLOURS = ("RGB", "YBR_FULL")
GREYS = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
FORMATS = [
    replace(CT, rows=1, columns=1),
    replace(CT, rows=1),
    replace(CT, columns=1),
    replace(CT, rows=3, columns=5, bits_stored=16),
    replace(CT, pixel_representation=1),
    replace(CT, pixel_representation=1, bits_stored=16),
    replace(CT, bits_stored=10),
    replace(CT, bits_stored=8),
    replace(CT, bits_stored=7),
    replace(CT, bits_allocated=8, bits_stored=1),
    replace(CT, bits_allocated=8, bits_stored=6),
    replace(CT, bits_allocated=8, bits_stored=8, photometric_interpretation="PALETTE COLOR"),
    replace(CT, bits_allocated=8, bits_stored=8, pixel_representation=1),
    replace(CT, bits_allocated=32, bits_stored=32),
    RGB,
    replace(RGB, planar_configuration=1),
    replace(RGB, rows=1, columns=1, planar_configuration=1),
    replace(RGB, photometric_interpretation="YBR_FULL"),
    replace(RGB, bits_allocated=16, bits_stored=12),
    replace(RGB, bits_stored=1),
]


def words(pixel_format: PixelFormat) -> str:
    return f"<{'ui'[pixel_format.pixel_representation]}{pixel_format.bits_allocated // 8}"


def noise(pixel_format: PixelFormat, bits: int, seed: int = 0) -> Any:
    """Samples by pixel, of so many bits."""
    lowest, limit = (-(1 << bits - 1), 1 << bits - 1) if pixel_format.is_signed else (0, 1 << bits)
    generator = np.random.default_rng(seed)
    return generator.integers(lowest, limit, pixel_format.shape).astype(words(pixel_format))


def stored(samples: Any, pixel_format: PixelFormat) -> bytes:
    if pixel_format.planar_configuration == 1:
        return samples.transpose(2, 0, 1).tobytes()
    return samples.tobytes()


def pydicom_reads(codestream: bytes, syntax: str, described: PixelFormat) -> Any:
    options: dict[str, Any] = {
        name: getattr(described, name) for name in PixelFormat.__dataclass_fields__
    }
    return get_decoder(UID(syntax)).as_array(
        encapsulate([codestream]),
        index=0,
        raw=True,
        number_of_frames=1,
        pixel_keyword="PixelData",
        **options,
    )[0]


@pytest.mark.parametrize("syntax", LOSSLESS)
@pytest.mark.parametrize("pixel_format", FORMATS, ids=str)
def test_every_bit_comes_back(syntax: str, pixel_format: PixelFormat) -> None:
    if not can_encode(syntax, pixel_format):
        assert syntax != RLE_LOSSLESS
        assert pixel_format.bits_allocated == 32
        return
    samples = noise(pixel_format, pixel_format.bits_stored)
    codestream, described = encode_frame(stored(samples, pixel_format), pixel_format, syntax)
    native = replace(pixel_format, planar_configuration=0)
    assert decode_frame(codestream, syntax, described) == (samples.tobytes(), native)
    if syntax != JPEG_LOSSLESS_SV1 or pixel_format.bits_stored >= 8:  # GDCM's limit
        assert np.array_equal(pydicom_reads(codestream, syntax, described), samples)


@pytest.mark.parametrize("syntax", LOSSLESS)
@pytest.mark.parametrize("is_signed", [0, 1])
def test_bits_above_the_stored_ones_come_back_too(syntax: str, is_signed: int) -> None:
    pixel_format = replace(CT, pixel_representation=is_signed)
    samples = noise(pixel_format, 16)
    codestream, described = encode_frame(samples.tobytes(), pixel_format, syntax)
    assert decode_frame(codestream, syntax, described)[0] == samples.tobytes()


def formats() -> st.SearchStrategy[PixelFormat]:
    def make(samples: int, allocated: int) -> st.SearchStrategy[PixelFormat]:
        return st.builds(
            PixelFormat,
            rows=st.integers(1, 70),
            columns=st.integers(1, 70),
            samples_per_pixel=st.just(samples),
            bits_allocated=st.just(allocated),
            bits_stored=st.integers(1, allocated),
            pixel_representation=st.integers(0, 1),
            photometric_interpretation=st.sampled_from(GREYS if samples == 1 else COLOURS),
            planar_configuration=st.integers(0, samples // 3),
        )

    return st.tuples(st.sampled_from((1, 3)), st.sampled_from((8, 16))).flatmap(
        lambda shape: make(*shape)
    )


@settings(max_examples=80, deadline=None)
@given(formats(), st.integers(0, 1 << 30), st.integers(1, 16), st.sampled_from(LOSSLESS))
def test_any_format_comes_back(
    pixel_format: PixelFormat, seed: int, bits: int, syntax: str
) -> None:
    assert can_encode(syntax, pixel_format)
    samples = noise(pixel_format, min(bits, pixel_format.bits_allocated), seed)
    codestream, described = encode_frame(stored(samples, pixel_format), pixel_format, syntax)
    assert described.planar_configuration == 0
    native = replace(pixel_format, planar_configuration=0)
    assert decode_frame(codestream, syntax, described) == (samples.tobytes(), native)


@pytest.mark.parametrize("syntax", [JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS, HTJ2K_LOSSLESS_RPCL])
def test_wavelets_transform_rgb_and_say_so(syntax: str) -> None:
    pixels = noise(RGB, 8).tobytes()
    assert encode_frame(pixels, RGB, syntax)[1].photometric_interpretation == "YBR_RCT"
    luminance = replace(RGB, photometric_interpretation="YBR_FULL")
    assert encode_frame(pixels, luminance, syntax)[1] == luminance


@pytest.mark.parametrize("syntax", [RLE_LOSSLESS, JPEG_LOSSLESS_SV1, JPEG_LS_LOSSLESS])
def test_the_others_leave_colour_alone(syntax: str) -> None:
    assert encode_frame(noise(RGB, 8).tobytes(), RGB, syntax)[1] == RGB


def siz_depths(codestream: bytes) -> list[int]:
    count = int.from_bytes(codestream[40:42], "big")
    return [codestream[42 + 3 * n] for n in range(count)]


@pytest.mark.parametrize("syntax", [JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS])
@pytest.mark.parametrize("pixel_format", [CT, replace(CT, pixel_representation=1), RGB])
def test_the_depth_is_that_of_the_bits_stored(syntax: str, pixel_format: PixelFormat) -> None:
    codestream, _ = encode_frame(
        noise(pixel_format, pixel_format.bits_stored).tobytes(), pixel_format, syntax
    )
    depth = pixel_format.bits_stored - 1 | pixel_format.pixel_representation << 7
    assert siz_depths(codestream) == [depth] * pixel_format.samples_per_pixel


@pytest.mark.parametrize("syntax", [JPEG_LOSSLESS_SV1, JPEG_LS_LOSSLESS])
def test_so_is_that_of_jpeg(syntax: str) -> None:
    large = replace(CT, rows=64, columns=64)
    header = jpeg_header(encode_frame(noise(large, 12).tobytes(), large, syntax)[0])
    assert header is not None
    assert (header.rows, header.columns, header.precision) == (64, 64, 12)
    assert header.is_whole


def test_sv1_is_what_it_says() -> None:
    codestream, _ = encode_frame(noise(CT, 12).tobytes(), CT, JPEG_LOSSLESS_SV1)
    assert b"\xff\xc3" in codestream  # SOF3: lossless, Huffman
    scan = codestream.index(b"\xff\xda")
    # one component, table 0, then the predictor: selection value 1 (ISO/IEC 10918-1 H.1.2)
    assert codestream[scan + 4 : scan + 10] == b"\1\1\0\1\0\0"


@pytest.mark.parametrize(
    ("rows", "columns", "decompositions"),
    [(1, 1, 5), (64, 64, 5), (2048, 2048, 5), (2049, 2050, 6), (4097, 5000, 7), (4097, 10, 5)],
)
def test_rpcl_has_what_ps3_5_asks_for(rows: int, columns: int, decompositions: int) -> None:
    """PS3.5 10.18: RPCL, tile-part lengths, and a least resolution of 64 or less on one side."""
    pixel_format = PixelFormat(rows, columns, 1, 8, 8, 0, "MONOCHROME2")
    codestream, _ = encode_frame(bytes(rows * columns), pixel_format, HTJ2K_LOSSLESS_RPCL)
    header = codestream[: codestream.index(b"\xff\x90")]
    cod = header.index(b"\xff\x52")
    assert header[cod + 5] == 2  # RPCL
    assert header[cod + 9] == decompositions
    assert header[cod + 13] == 1  # reversible 5-3
    assert b"\xff\x55" in header  # TLM
    assert b"\xff\x50" in header  # CAP: Part 15


def test_baseline_becomes_ybr_and_stays_near() -> None:
    ramp = np.add.outer(np.arange(64), np.arange(80)).astype(np.uint8)
    rgb = replace(RGB, rows=64, columns=80)
    samples = np.stack([ramp, ramp // 2, 255 - ramp], axis=-1)
    codestream, described = encode_frame(samples.tobytes(), rgb, JPEG_BASELINE)
    assert described == replace(rgb, photometric_interpretation="YBR_FULL_422")
    data, native = decode_frame(codestream, JPEG_BASELINE, described)
    assert native == rgb
    apart = np.frombuffer(data, np.uint8).astype(int) - samples.ravel().astype(int)
    assert np.abs(apart).mean() < 4
    smaller, _ = encode_frame(samples.tobytes(), rgb, JPEG_BASELINE, quality=20)
    assert len(smaller) < len(codestream)


def test_baseline_of_ybr_is_not_converted_again() -> None:
    ybr = replace(RGB, photometric_interpretation="YBR_FULL")
    grey = np.tile(np.array([90, 128, 128], np.uint8), 320).tobytes()
    codestream, described = encode_frame(grey, ybr, JPEG_BASELINE)
    assert described.photometric_interpretation == "YBR_FULL_422"
    assert set(decode_frame(codestream, JPEG_BASELINE, described)[0]) <= {89, 90, 91}


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_subsampled_colour_is_spread_out(syntax: str) -> None:
    subsampled = PixelFormat(1, 4, 3, 8, 8, 0, "YBR_FULL_422")
    pairs = bytes([1, 2, 100, 101, 3, 4, 102, 103])  # Y1 Y2 Cb Cr
    codestream, described = encode_frame(pairs, subsampled, syntax)
    assert described.photometric_interpretation == "YBR_FULL"
    spread = bytes([1, 100, 101, 2, 100, 101, 3, 102, 103, 4, 102, 103])
    assert decode_frame(codestream, syntax, described)[0] == spread


REFUSED: list[tuple[str, PixelFormat]] = [
    *((syntax, replace(CT, bits_allocated=1, bits_stored=1)) for syntax in ENCODABLE),
    *((syntax, replace(CT, bits_stored=17)) for syntax in ENCODABLE),
    *((syntax, replace(CT, rows=0)) for syntax in ENCODABLE),
    *((syntax, replace(RGB, samples_per_pixel=4)) for syntax in ENCODABLE),
    *((syntax, replace(RGB, photometric_interpretation="HSV")) for syntax in ENCODABLE),
    *((syntax, replace(CT, bits_allocated=32)) for syntax in ENCODABLE if syntax != RLE_LOSSLESS),
    *((syntax, PixelFormat(2, 3, 3, 8, 8, 0, "YBR_FULL_422")) for syntax in ENCODABLE),
    (JPEG_BASELINE, CT),
    (JPEG_BASELINE, replace(CT, bits_stored=8)),
    (JPEG_BASELINE, replace(CT, bits_allocated=8, bits_stored=7)),
    (JPEG_BASELINE, replace(CT, bits_allocated=8, bits_stored=8, pixel_representation=1)),
    (
        JPEG_BASELINE,
        replace(CT, bits_allocated=8, bits_stored=8, photometric_interpretation="PALETTE COLOR"),
    ),
    (JPEG_LOSSLESS_SV1, replace(CT, rows=65_501)),
    (EXPLICIT_LE, CT),
    ("1.2.3", CT),
]


@pytest.mark.parametrize(("syntax", "pixel_format"), REFUSED)
def test_what_cannot_be_held_is_refused(syntax: str, pixel_format: PixelFormat) -> None:
    assert not can_encode(syntax, pixel_format)
    with pytest.raises(InvalidInstance) as refused:
        encode_frame(b"", pixel_format, syntax)
    assert refused.value.refusal is Refusal.UNSUPPORTED_SYNTAX


@pytest.mark.parametrize("change", [lambda data: data + b"\0", lambda data: data[:-1]])
def test_pixels_of_another_size_are_unreadable(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(InvalidInstance) as refused:
        encode_frame(change(noise(CT, 12).tobytes()), CT, RLE_LOSSLESS)
    assert refused.value.refusal is Refusal.UNREADABLE


def test_it_can_be_given_to_another_process() -> None:
    for thing in (CT, encode_frame, decode_frame, can_encode):
        assert pickle.loads(pickle.dumps(thing)) == thing
