"""Frames decoded by the codecs themselves: what pydicom says, and what it cannot say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_making import bundled_files, dataset_of, readable, real_files, real_folder
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID
from rle.rle import encode_frame as rle_encode_frame

from pacs_cloud.dicom.coding.codestream import jpeg_header
from pacs_cloud.dicom.coding.direct_decoding import DIRECT_SYNTAXES, decode_directly
from pacs_cloud.dicom.coding.frame_decoding import can_decode, decode_frame
from pacs_cloud.dicom.coding.frame_encoding import ENCODABLE, can_encode, encode_frame
from pacs_cloud.dicom.pixel_format import PixelFormat
from pacs_cloud.dicom.quiet import quiet_pydicom
from pacs_cloud.dicom.uid import (
    HTJ2K_LOSSLESS,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_FULL_PROGRESSION,
    JPEG_LOSSLESS_SV1,
    JPEG_LS_LOSSLESS,
    JPEG_SPECTRAL_SELECTION,
    RLE_LOSSLESS,
)
from pacs_cloud.errors import InvalidInstance, Refusal

TOO_LARGE = 4_000_000  # bytes: of such files, one codec or another takes seconds
LOSSY_JPEG = {JPEG_BASELINE, JPEG_EXTENDED}


def format_of(dataset: Dataset) -> PixelFormat:
    return PixelFormat(
        dataset.Rows,
        dataset.Columns,
        dataset.SamplesPerPixel,
        dataset.BitsAllocated,
        dataset.BitsStored,
        dataset.PixelRepresentation,
        dataset.PhotometricInterpretation,
        dataset.get("PlanarConfiguration", 0),
    )


def first_frame(dataset: Dataset) -> bytes:
    count = int(dataset.get("NumberOfFrames", 1) or 1)
    return next(generate_frames(dataset.PixelData, number_of_frames=count))


def as_pydicom_says(codestream: bytes, syntax: str, pixel_format: PixelFormat) -> Any:
    """Samples and photometric interpretation, None where pydicom has no decoder for them."""
    options: dict[str, Any] = {
        name: getattr(pixel_format, name) for name in PixelFormat.__dataclass_fields__
    }
    try:
        samples, described = get_decoder(UID(syntax)).as_array(
            encapsulate([codestream], has_bot=False),
            index=0,
            raw=syntax not in LOSSY_JPEG,
            number_of_frames=1,
            pixel_keyword="PixelData",
            **options,
        )
    except (RuntimeError, NotImplementedError, ValueError):
        return None
    return samples, str(described["photometric_interpretation"])


def compressed(paths: list[Path]) -> Iterator[tuple[str, bytes, str, PixelFormat]]:
    """Name, first frame, transfer syntax and format of each file with such frames."""
    for path in readable(paths):
        syntax = dataset_of(path)[1]
        if syntax not in DIRECT_SYNTAXES or path.stat().st_size > TOO_LARGE:
            continue
        with quiet_pydicom():
            dataset = dcmread(path, force=True)
            if "PixelData" in dataset:
                yield path.name, first_frame(dataset), syntax, format_of(dataset)


def one_named(name: str) -> Dataset:
    path = next((p for p in [*bundled_files(), *real_files()] if p.name == name), None)
    if path is None:
        pytest.skip(f"no {name} in {real_folder()} (PACS_TEST_REAL_DATA names another folder)")
    return dcmread(path)


def decoded(dataset: Dataset) -> Any:
    pixel_format = format_of(dataset)
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    data, native = decode_frame(first_frame(dataset), syntax, pixel_format)
    kind = "i" if native.is_signed else "u"
    return np.frombuffer(data, f"<{kind}{native.bits_allocated // 8}").reshape(native.shape)


def test_every_first_frame_is_what_pydicom_says() -> None:
    compared = set[str]()
    for name, codestream, syntax, pixel_format in compressed([*bundled_files(), *real_files()]):
        with quiet_pydicom():
            expected = as_pydicom_says(codestream, syntax, pixel_format)
        if expected is None:
            continue
        data, native = decode_frame(codestream, syntax, pixel_format)
        samples, photometric = expected
        assert native.photometric_interpretation == photometric.replace("_422", ""), name
        if native.bits_allocated == 1:
            assert data == np.packbits(samples.ravel(), bitorder="little").tobytes(), name
        else:
            got = np.frombuffer(data, samples.dtype).reshape(samples.shape)
            # Each JPEG decoder may round its colour conversion in its own way.
            apart = np.abs(got.astype(np.int64) - samples.astype(np.int64)).max()
            assert apart <= (1 if syntax in LOSSY_JPEG else 0), name
        compared.add(syntax)
    assert len(compared) >= 5


def test_nearly_all_of_them_need_no_second_opinion() -> None:
    judged = {
        name
        for name, codestream, syntax, pixel_format in compressed(bundled_files())
        if decode_directly(codestream, syntax, pixel_format) is None
    }
    assert judged <= {
        "J2K_pixelrep_mismatch.dcm",  # its codestream says unsigned
        "GDCMJ2K_TextGBR.dcm",  # JP2 boxes
        "JPEG2000-embedded-sequence-delimiter.dcm",  # broken
    }


@pytest.mark.parametrize(
    ("lossy", "lossless", "likeness"),
    [
        ("JPEG-lossy.dcm", "JPEG-LL.dcm", 0.98),  # coarsely compressed
        ("RG2_JPLY.dcm", "RG2_JPLL.dcm", 0.999),
        (
            "CT0012.fragmented_no_bot_jpeg_baseline.51.dcm",
            "CT0012.fragmented_no_bot_jpeg_lossless.57.dcm",
            0.999,
        ),
    ],
)
def test_twelve_bits_are_near_to_the_lossless_version(
    lossy: str, lossless: str, likeness: float
) -> None:
    got, expected = decoded(one_named(lossy)), decoded(one_named(lossless))
    assert np.corrcoef(got.ravel(), expected.ravel())[0, 1] > likeness


def test_the_retired_processes_hold_the_same_image() -> None:
    kind = "CTImage.dcm_JPEGProcess{}TransferSyntax_1.2.840.10008.1.2.4.{}.dcm"
    progressive = one_named(kind.format("10_12", "55"))
    spectral = one_named(kind.format("6_8", "53"))
    lossless = one_named("CTImage.dcm_RLELosslessTransferSyntax_1.2.840.10008.1.2.5.dcm")
    for syntax in (JPEG_FULL_PROGRESSION, JPEG_SPECTRAL_SELECTION):
        assert can_decode(syntax, bits_stored=12)
    assert np.array_equal(decoded(progressive), decoded(spectral))
    likeness = np.corrcoef(decoded(progressive).ravel(), decoded(lossless).ravel())[0, 1]
    assert likeness > 0.99


def test_rle_of_packed_bits_is_what_jpeg_2000_of_them_is() -> None:
    packed, wavelets = one_named("liver_rle.dcm"), one_named("liver_j2k.dcm")
    for dataset in (packed, wavelets):
        assert dataset.BitsAllocated == 1
    first = decode_frame(first_frame(packed), RLE_LOSSLESS, format_of(packed))
    second = decode_frame(
        first_frame(wavelets), str(wavelets.file_meta.TransferSyntaxUID), format_of(wavelets)
    )
    assert first[0] == second[0]
    assert len(first[0]) == 512 * 512 // 8


def test_rle_of_a_byte_for_each_bit() -> None:
    bits = np.arange(7 * 9) % 3 == 0
    codestream = rle_encode_frame(bits.astype(np.uint8).tobytes(), 7, 9, 1, 8, "<")
    data, native = decode_frame(
        codestream, RLE_LOSSLESS, PixelFormat(7, 9, 1, 1, 1, 0, "MONOCHROME2")
    )
    assert native.bits_allocated == 1
    assert data == np.packbits(bits, bitorder="little").tobytes()


def test_a_signed_sample_of_fewer_bits_gets_its_sign() -> None:
    """Others code two's complement in the bits stored; pydicom reads it so."""
    values = np.array([[-2048, -1, 0, 2047]], "<i2")
    unsigned = PixelFormat(1, 4, 1, 16, 12, 0, "MONOCHROME2")
    signed = PixelFormat(1, 4, 1, 16, 12, 1, "MONOCHROME2")
    codestream, _ = encode_frame((values & 0xFFF).tobytes(), unsigned, JPEG_LOSSLESS_SV1)
    header = jpeg_header(codestream)
    assert header is not None
    assert header.precision == 12
    assert decode_frame(codestream, JPEG_LOSSLESS_SV1, signed)[0] == values.tobytes()


@pytest.mark.parametrize("syntax", ENCODABLE)
def test_a_codestream_that_was_cut_is_unreadable(syntax: str) -> None:
    pixel_format = PixelFormat(40, 33, 1, 8, 8, 0, "MONOCHROME2")
    pixels = np.random.default_rng(1).integers(0, 256, 40 * 33).astype(np.uint8).tobytes()
    codestream, described = encode_frame(pixels, pixel_format, syntax)
    for length in (1, 40, len(codestream) // 2, len(codestream) * 9 // 10):
        with pytest.raises(InvalidInstance) as refused:
            decode_frame(codestream[:length], syntax, described)
        assert refused.value.refusal is Refusal.UNREADABLE


@pytest.mark.parametrize("syntax", ENCODABLE)
def test_a_codestream_of_other_pixels_is_unreadable(syntax: str) -> None:
    pixel_format = PixelFormat(8, 8, 1, 8, 8, 0, "MONOCHROME2")
    codestream, described = encode_frame(bytes(range(64)), pixel_format, syntax)
    colour = PixelFormat(8, 8, 3, 8, 8, 0, "RGB")
    with pytest.raises(InvalidInstance):
        decode_frame(codestream, syntax, colour)
    taller = PixelFormat(9, 8, 1, 8, 8, 0, described.photometric_interpretation)
    with pytest.raises(InvalidInstance):
        decode_frame(codestream, syntax, taller)


@pytest.mark.parametrize("syntax", ENCODABLE)
def test_damage_is_refused_or_gives_a_whole_frame(syntax: str) -> None:
    """Whatever a byte becomes, nothing but InvalidInstance is raised."""
    pixel_format = PixelFormat(12, 11, 3, 8, 8, 0, "RGB")
    assert can_encode(syntax, pixel_format)
    # without noise: CharLS takes seconds to see that it has run out of bits
    pixels = (np.arange(12 * 11 * 3) // 20).astype(np.uint8).tobytes()
    codestream, described = encode_frame(pixels, pixel_format, syntax)
    headers = range(0, min(len(codestream), 180), 3)
    for at in headers if syntax != JPEG_LS_LOSSLESS else range(24):
        damaged = bytearray(codestream)
        damaged[at] ^= 0x41
        try:
            data, native = decode_frame(bytes(damaged), syntax, described)
        except InvalidInstance:
            continue
        assert len(data) == len(pixels)
        assert native.shape == pixel_format.shape


def test_a_frame_that_no_device_makes_is_too_large() -> None:
    """A few bytes of a codestream and of a header could claim all memory."""
    with pytest.raises(InvalidInstance) as refused:
        decode_frame(b"", RLE_LOSSLESS, PixelFormat(65_535, 65_535, 3, 8, 8, 0, "RGB"))
    assert refused.value.refusal is Refusal.TOO_LARGE


def test_a_tile_that_does_not_cover_its_image_is_refused() -> None:
    """OpenJPH would look for the missing rows for ever."""
    pixel_format = PixelFormat(70, 65, 1, 8, 8, 0, "MONOCHROME2")
    codestream, _ = encode_frame(bytes(70 * 65), pixel_format, HTJ2K_LOSSLESS)
    damaged = bytearray(codestream)
    damaged[39] = 7  # YTOsiz
    with pytest.raises(InvalidInstance):
        decode_frame(bytes(damaged), HTJ2K_LOSSLESS, pixel_format)


def test_the_codestream_says_what_its_colours_are() -> None:
    """A JFIF segment means YCbCr, component identifiers R, G, B mean RGB."""
    rgb = PixelFormat(8, 8, 3, 8, 8, 0, "RGB")
    red = np.tile(np.array([200, 10, 10], np.uint8), 64).tobytes()
    codestream, described = encode_frame(red, rgb, JPEG_BASELINE)
    assert described.photometric_interpretation == "YBR_FULL_422"
    for pixel_format in (described, rgb):
        data, native = decode_frame(codestream, JPEG_BASELINE, pixel_format)
        assert native.photometric_interpretation == "RGB"
        assert np.allclose(np.frombuffer(data, np.uint8), np.frombuffer(red, np.uint8), atol=4)
    lossless, _ = encode_frame(red, rgb, JPEG_LOSSLESS_SV1)
    mislabelled = PixelFormat(8, 8, 3, 8, 8, 0, "YBR_FULL")
    assert decode_frame(lossless, JPEG_LOSSLESS_SV1, mislabelled) == (red, rgb)
