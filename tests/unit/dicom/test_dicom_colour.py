"""True colour of fewer bits than 8: the largest value that they hold is full intensity."""

import numpy as np
import pytest
from pydicom.dataset import Dataset

from rendering_samples import make_image, shades_of

ALL = np.arange(16, dtype=np.uint8)
PIXELS = np.stack([ALL, ALL[::-1], np.full(16, 8, np.uint8)], -1)[np.newaxis]


def image_of(pixels: np.ndarray, bits: int, **attributes: object) -> Dataset:
    return make_image(pixels, BitsStored=bits, HighBit=bits - 1, **attributes)


@pytest.mark.parametrize("cell", [np.uint8, np.uint16])
def test_rgb_of_4_bits_reaches_from_black_to_white(cell: type) -> None:
    # As DCMTK's dcm2pnm shows it.
    assert np.array_equal(shades_of(image_of(PIXELS.astype(cell), 4)), PIXELS * 17)


def test_rgb_of_one_bit() -> None:
    assert np.array_equal(shades_of(image_of(PIXELS & 1, 1)), (PIXELS & 1) * 255)


@pytest.mark.parametrize("bits", [2, 3, 5, 6, 7])
def test_rgb_is_as_bright_as_grey_of_as_many_bits(bits: int) -> None:
    grey = np.arange(1 << bits, dtype=np.uint8)[np.newaxis]
    window = {"WindowCenter": (1 << bits) / 2, "WindowWidth": 1 << bits}
    colour = shades_of(image_of(np.stack([grey] * 3, -1), bits))
    assert np.array_equal(colour[..., 0], shades_of(image_of(grey, bits, **window)))


def test_ybr_of_4_bits_has_its_grey_in_the_middle() -> None:
    grey = np.stack([ALL, np.full(16, 8, np.uint8), np.full(16, 8, np.uint8)], -1)[np.newaxis]
    shown = shades_of(image_of(grey, 4, PhotometricInterpretation="YBR_FULL"))
    assert np.array_equal(shown, np.stack([ALL * 17] * 3, -1)[np.newaxis])


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_a_frame_with_larger_values_has_more_bits_than_it_says(photometric: str) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (4, 4, 3), np.uint8)
    named = {"PhotometricInterpretation": photometric}
    assert np.array_equal(
        shades_of(image_of(pixels, 4, **named)), shades_of(image_of(pixels, 8, **named))
    )
