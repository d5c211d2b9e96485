"""In what two headers, and two frames, differ."""

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pacs_cloud.dicom.differences import (
    PixelDifference,
    TagDifference,
    difference_shades,
    differing_pixels,
    tag_differences,
)
from pacs_cloud.dicom.pixel_format import PixelFormat

GREY = PixelFormat(4, 5, 1, 16, 12, 0, "MONOCHROME2")
COLOUR = PixelFormat(4, 6, 3, 8, 8, 0, "RGB")
NOTHING = PixelDifference(0, 0)


def test_equal_headers_differ_in_nothing() -> None:
    header = {"00100020": {"vr": "LO", "Value": ["P1"]}, "00081140": {"vr": "SQ", "Value": [{}]}}
    assert list(tag_differences(header, dict(header))) == []


def test_elements_are_compared_into_sequences() -> None:
    one = {
        "00080005": {"vr": "CS"},
        "00081030": {"vr": "LO", "Value": ["first"]},
        "00081140": {
            "vr": "SQ",
            "Value": [{"00081155": {"vr": "UI", "Value": ["1.2"]}}, {"00081150": {"vr": "UI"}}],
        },
        "00091010": {"vr": "UN", "InlineBinary": "AAE="},
    }
    two = {
        "00081030": {"vr": "LO", "Value": ["second"]},
        "00081140": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.3"]}}]},
        "00091010": {"vr": "UN", "InlineBinary": "AAI="},
        "00100020": {"vr": "LO", "Value": ["P1"]},
    }
    assert list(tag_differences(one, two)) == [
        TagDifference("SpecificCharacterSet", "00080005", [], None),
        TagDifference("StudyDescription", "00081030", ["first"], ["second"]),
        TagDifference(
            "ReferencedImageSequence[0].ReferencedSOPInstanceUID", "00081155", ["1.2"], ["1.3"]
        ),
        TagDifference("ReferencedImageSequence[1]", "00081140", {"00081150": {"vr": "UI"}}, None),
        TagDifference("00091010", "00091010", "AAE=", "AAI="),
        TagDifference("PatientID", "00100020", None, ["P1"]),
    ]


def test_a_sequence_against_something_else_is_one_difference() -> None:
    one = {"00081140": {"vr": "SQ", "Value": [{}]}}
    two = {"00081140": {"vr": "UN", "InlineBinary": "AAE="}}
    assert [found.path for found in tag_differences(one, two)] == ["ReferencedImageSequence"]
    assert [found.other for found in tag_differences(one, {})] == [None]


def test_pixels_are_counted_not_bytes() -> None:
    samples = np.arange(20, dtype="<u2").reshape(4, 5)
    other = samples.copy()
    other[0, 0] ^= 0xFFFF
    other[3, 4] ^= 1
    assert differing_pixels(samples.tobytes(), GREY, samples.tobytes(), GREY) == NOTHING
    assert differing_pixels(samples.tobytes(), GREY, other.tobytes(), GREY) == PixelDifference(
        2, 0xFFF
    )


def test_the_largest_difference_is_one_of_values() -> None:
    signed = replace(GREY, pixel_representation=1)
    one = np.zeros(20, dtype="<i2")
    two = one.copy()
    one[3], two[3] = -2048, 2047
    two[4] = -1
    found = differing_pixels(one.tobytes(), signed, two.tobytes(), signed)
    assert found == PixelDifference(2, 4095)


@pytest.mark.parametrize("representation", [0, 1])
def test_bits_above_those_stored_are_no_part_of_a_sample(representation: int) -> None:
    pixels = replace(GREY, pixel_representation=representation)
    one = np.full(20, 0x0800, dtype="<u2")
    two = one | 0xF000  # the sign once more, or an overlay
    assert differing_pixels(one.tobytes(), pixels, two.tobytes(), pixels) == NOTHING


def test_samples_of_32_bits_are_compared_whole() -> None:
    wide = replace(GREY, bits_allocated=32, bits_stored=32)
    one = np.zeros(20, dtype="<u4")
    two = one.copy()
    two[7] = 0xFFFF_FFFF
    found = differing_pixels(one.tobytes(), wide, two.tobytes(), wide)
    assert found == PixelDifference(1, 0xFFFF_FFFF)


def test_colour_by_plane_is_the_same_as_by_pixel() -> None:
    pixels = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    planes = pixels.transpose(2, 0, 1).tobytes()
    by_plane = replace(COLOUR, planar_configuration=1)
    assert differing_pixels(pixels.tobytes(), COLOUR, planes, by_plane) == NOTHING
    other = pixels.copy()
    other[1, 2] += 1
    assert differing_pixels(other.tobytes(), COLOUR, planes, by_plane) == PixelDifference(1, 1)


def test_single_bits_are_pixels() -> None:
    bits = replace(GREY, bits_allocated=1, bits_stored=1)
    one = np.zeros(20, dtype=np.uint8)
    two = one.copy()
    two[[0, 19]] = 1
    frames = [np.packbits(cells, bitorder="little").tobytes() for cells in (one, two)]
    assert differing_pixels(frames[0], bits, frames[1], bits) == PixelDifference(2, 1)


def test_two_pixels_that_share_their_colour_are_one_pair() -> None:
    shared = replace(COLOUR, photometric_interpretation="YBR_FULL_422")
    one = bytearray(48)
    two = bytearray(48)
    two[0] = 9
    assert differing_pixels(bytes(one), shared, bytes(two), shared) == PixelDifference(1, 9)


@pytest.mark.parametrize(
    "other",
    [
        replace(GREY, rows=5, columns=4),
        replace(GREY, pixel_representation=1),
        replace(GREY, photometric_interpretation="MONOCHROME1"),
        replace(GREY, bits_allocated=8),
        replace(GREY, bits_stored=11),
    ],
)
def test_what_cannot_be_laid_upon_each_other_is_not_counted(other: PixelFormat) -> None:
    assert differing_pixels(bytes(40), GREY, bytes(40), other) is None


def test_where_frames_differ_is_seen_the_brighter_the_more() -> None:
    one = np.zeros((4, 5), dtype="<u2")
    two = one.copy()
    two[0, 1], two[2, 3], two[3, 0] = 1, 4000, 2000
    shades = difference_shades(one.tobytes(), GREY, two.tobytes(), GREY)
    assert shades is not None
    assert shades.shape == (4, 5)
    assert [shades[0, 1], shades[2, 3], shades[3, 0]] == [64, 255, 159]
    assert np.count_nonzero(shades) == 3
    same = difference_shades(one.tobytes(), GREY, one.tobytes(), GREY)
    assert same is not None
    assert not same.any()


def test_of_colour_the_sample_counts_that_differs_most() -> None:
    one = np.zeros((4, 6, 3), dtype=np.uint8)
    two = one.copy()
    two[1, 2] = (0, 200, 10)
    shades = difference_shades(one.tobytes(), COLOUR, two.tobytes(), COLOUR)
    assert shades is not None
    assert shades[1, 2] == 255
    assert np.count_nonzero(shades) == 1


def test_a_pair_that_shares_its_colour_is_two_pixels_of_the_picture() -> None:
    shared = replace(COLOUR, photometric_interpretation="YBR_FULL_422")
    one = bytearray(48)
    two = bytearray(48)
    two[4] = 9
    shades = difference_shades(bytes(one), shared, bytes(two), shared)
    assert shades is not None
    assert shades.shape == (4, 6)
    assert shades[0].tolist() == [0, 0, 255, 255, 0, 0]


def test_frames_that_are_no_match_have_no_picture() -> None:
    assert difference_shades(bytes(40), GREY, bytes(72), COLOUR) is None


def plain(samples: "np.ndarray[Any, Any]") -> PixelDifference:
    """Return what is different of distances, one row for each pixel."""
    return PixelDifference(int(samples.any(axis=1).sum()), int(samples.max()))


@pytest.mark.parametrize(
    "pixels",
    [
        replace(GREY, bits_stored=16),
        replace(COLOUR, planar_configuration=1),
        replace(COLOUR, photometric_interpretation="YBR_FULL_422"),
        replace(GREY, bits_allocated=1, bits_stored=1),
    ],
)
def test_frames_of_several_blocks_are_compared_whole(pixels: PixelFormat) -> None:
    pixels = replace(pixels, rows=311, columns=502)
    count, draw = 311 * 502, np.random.default_rng(6)
    length = -(-pixels.frame_bits // 8)
    one = draw.integers(0, 256, length, dtype=np.uint8)
    two = np.where(draw.random(length) < 0.01, ~one, one)
    if pixels.bits_allocated == 1:
        cells = [np.unpackbits(some, count=count, bitorder="little") for some in (one, two)]
    else:
        cells = [some.view(f"<u{pixels.bits_allocated // 8}") for some in (one, two)]
    distance = np.abs(cells[0].astype(np.int64) - cells[1])
    if pixels.is_subsampled:
        distance = distance.reshape(-1, 4)
    elif pixels.planar_configuration:
        distance = distance.reshape(3, -1).T
    else:
        distance = distance.reshape(-1, 1)
    frames = (one.tobytes(), pixels, two.tobytes(), pixels)
    assert differing_pixels(*frames) == plain(distance)
    shades = difference_shades(*frames)
    assert shades is not None
    differs = distance.any(axis=1).repeat(2 if pixels.is_subsampled else 1)
    assert np.array_equal(shades.ravel() > 0, differs)


@pytest.mark.parametrize("bits", [1, 8])
def test_what_a_comparison_takes_does_not_grow_with_the_frame(bits: int) -> None:
    pixels = replace(GREY, rows=2048, columns=4096, bits_allocated=bits, bits_stored=bits)
    one = bytes(pixels.frame_bits // 8)
    two = one[:-1] + b"\1"
    tracemalloc.start()
    try:
        assert differing_pixels(one, pixels, two, pixels) == PixelDifference(1, 1)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        tracemalloc.reset_peak()
        shades = difference_shades(one, pixels, two, pixels)
        assert shades is not None
        assert tracemalloc.get_traced_memory()[1] < shades.nbytes + (8 << 20)
    finally:
        tracemalloc.stop()
