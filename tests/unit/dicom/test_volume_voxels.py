"""Values of every kind of cell, kept in 16 bits and read again."""

import numpy as np
import pytest
from pydicom import examples
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread

from pacs_cloud.dicom.render.grey_shades import VoiFunction, Window
from pacs_cloud.dicom.volume import volume as volume_module
from pacs_cloud.dicom.volume.stacks import stack_of
from pacs_cloud.dicom.volume.voxels import HIGHEST, LOWEST, cells, kept, scale_of, value_range
from pacs_cloud.errors import InvalidInstance, NotAcceptable
from real_files import REAL_DATA
from volume_samples import AXIAL, enhanced, filled, frames_of, series_of, slices_of

_CT = REAL_DATA / "series_CT_dcm_qa_ct"
_MR = REAL_DATA / "series_MR_axial_epi_fmri_sequential_i_to_s"


def _with_pixels(stored: "list[np.ndarray]", **attributes: object) -> list[Dataset]:
    """Return a series with such stored values."""
    series = series_of(shape=(len(stored), *stored[0].shape), spacing=(1, 1, 1), Modality="MR")
    for one, pixels in zip(series, stored, strict=True):
        one.PixelData = pixels.tobytes()
        bits = pixels.dtype.itemsize * 8
        one.BitsAllocated = one.BitsStored = bits
        one.HighBit, one.PixelRepresentation = bits - 1, int(pixels.dtype.kind == "i")
        one.RescaleSlope, one.RescaleIntercept = 1, 0
        for keyword, value in attributes.items():
            setattr(one, keyword, value)
    return series


def _values(series: list[Dataset]) -> np.ndarray:
    """Return a series' values, by its slices in their order from the feet on."""
    volume, _, _ = filled(series)
    return (volume.voxels * volume.scale.slope + volume.scale.intercept)[::-1]


def _stored(dtype: str, seed: int = 7) -> list[np.ndarray]:
    info = np.iinfo(dtype)
    some = np.random.default_rng(seed).integers(info.min, info.max, (4, 8, 8), dtype, endpoint=True)
    some[0, 0, 0], some[0, 0, 1] = info.min, info.max
    return list(some)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16"])
@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (2.5, -100)])
def test_values_of_up_to_16_bits_are_exact(dtype, slope, intercept):
    stored = _stored(dtype)
    series = _with_pixels(stored, RescaleSlope=slope, RescaleIntercept=intercept)
    np.testing.assert_array_equal(_values(series), np.array(stored) * float(slope) + intercept)


def test_bits_around_a_value_are_none_of_it():
    inner = np.random.default_rng(1).integers(0, 1 << 12, (4, 8, 8), np.uint16)
    around = (inner << 2) | 0x8001
    series = _with_pixels(list(around), BitsStored=12, HighBit=13)
    np.testing.assert_array_equal(_values(series), inner)
    signed = _with_pixels(list(around), BitsStored=12, HighBit=13, PixelRepresentation=1)
    np.testing.assert_array_equal(_values(signed), np.where(inner > 2047, inner - 4096.0, inner))


def test_slices_that_mean_different_things_keep_what_they_mean():
    stored = _stored("int16")
    series = _with_pixels(stored)
    for n, one in enumerate(series):
        one.RescaleSlope = 0.01 * (n + 1)
    want = np.array(stored) * (0.01 * np.arange(1, 5))[:, None, None]
    step = 0.04 * 65536 / (HIGHEST - LOWEST)
    np.testing.assert_allclose(_values(series), want, atol=step)


def test_what_scanners_pad_with_takes_no_room_from_what_is_meant():
    stored = [np.full((8, 8), -30_000 + n, np.int16) for n in range(4)]
    for one in stored:
        one[2:6] = 1000
    series = _with_pixels(stored, Modality="CT")
    for n, one in enumerate(series):
        one.RescaleIntercept = n  # so that slices mean different things
    volume, _, _ = filled(series)
    values = _values(series)
    assert values.min() == pytest.approx(-1024)
    np.testing.assert_allclose(values[:, 3, 3], 1000 + np.arange(4), atol=volume.scale.slope)
    assert volume.scale.slope < 0.6


def test_numbers_with_fractions_are_as_long_as_their_tag_says():
    stored = np.random.default_rng(2).normal(0, 3, (4, 8, 8)).astype(np.float32)
    series = _with_pixels(list(stored))
    for one in series:
        one.FloatPixelData = one.PixelData
        del one.PixelData
    want = _values(series)
    for one in series:
        one.BitsAllocated = one.BitsStored = 8
    np.testing.assert_array_equal(_values(series), want)


def test_numbers_with_fractions_are_measured_first():
    stored = np.random.default_rng(2).normal(0, 3, (4, 8, 8)).astype(np.float32)
    stored[1, 2, 3] = np.nan
    stored[2, 0, 0] = np.inf
    series = _with_pixels(list(stored))
    for one in series:
        one.FloatPixelData = one.PixelData
        del one.PixelData
    most = stored[np.isfinite(stored)].max()
    want = np.nan_to_num(stored, nan=0, posinf=most)
    step = (stored[np.isfinite(stored)].max() - stored[np.isfinite(stored)].min()) / 65535
    np.testing.assert_allclose(_values(series), want, atol=1.01 * step)


def test_numbers_of_32_bits_are_measured_first():
    stored = np.random.default_rng(3).integers(0, 10_000_000, (4, 8, 8), np.uint32)
    np.testing.assert_allclose(_values(_with_pixels(list(stored))), stored, atol=160)


def test_what_scanners_pad_with_is_air():
    series = series_of(lambda at: 0 * at[..., 0] - 1024, Modality="CT")
    for one in series:
        one.PixelRepresentation = 1
        one.RescaleIntercept = 0
        one.PixelData = np.full((12, 14), -3000, np.int16).tobytes()
    assert set(np.unique(_values(series))) == {-1024}


def test_a_frame_that_is_too_short_is_refused():
    series = series_of()
    with pytest.raises(InvalidInstance, match="shorter"):
        cells(frames_of(series)[0][:-1], slices_of(series)[0])


def test_an_enhanced_image_is_a_stack_of_its_frames():
    series = series_of()
    mixed = [series[n] for n in (3, 1, 4, 0, 9, 2, 6, 5, 8, 7)]
    for n, one in enumerate(mixed):
        one.RescaleIntercept = -1024 - n
    plain, _, _ = filled(mixed)
    volume, stack, grid = filled([enhanced(mixed)])
    assert (stack.count, grid.shape) == (10, (10, 12, 14))
    np.testing.assert_array_equal(volume.voxels, plain.voxels)


def test_a_single_image_is_no_volume():
    with pytest.raises(NotAcceptable):
        filled([examples.ct])


@pytest.mark.skipif(not _CT.is_dir(), reason="no real DICOM data on this machine")
def test_a_real_head_lies_where_its_scanner_says():
    series = [dcmread(path) for path in sorted(_CT.glob("*.dcm"))]
    volume, stack, grid = filled(series)
    assert (len(stack.slices), grid.shape) == (28, (37, 611, 512))
    assert stack.notes == ("Uneven slices, evened out.", "Gantry tilt, put straight.")
    # Each slice that a plane of the volume meets is found in it, computed by hand.
    checked = 0
    for image in series:
        across, down = np.array(image.ImageOrientationPatient, float).reshape(2, 3)
        stored = image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)
        stored = np.maximum(stored, -1024)
        place = np.array(image.ImagePositionPatient, float)
        for row, column in ((200, 256), (300, 300), (256, 180)):
            at = (
                place + row * image.PixelSpacing[0] * down + column * image.PixelSpacing[1] * across
            )
            index = (at - grid.origin) @ grid.directions.T / grid.spacing
            near = np.rint(index).astype(int)
            if abs(index[0] - near[0]) > 0.02:
                continue
            low = int(np.floor(index[1]))
            share = index[1] - low
            values = volume.voxels[near[0], low : low + 2, near[2]].astype(float)
            found = values[0] * (1 - share) + values[1] * share
            around = stored[row - 1 : row + 2, column]
            assert around.min() - 2 <= found <= around.max() + 2
            checked += 1
    assert checked >= 6


@pytest.mark.skipif(not _MR.is_dir(), reason="no real DICOM data on this machine")
def test_of_a_real_series_over_time_the_first_is_shown():
    series = [dcmread(path) for path in sorted(_MR.glob("*.dcm"))]
    volume, stack, grid = filled(series)
    assert grid.shape == (15, 64, 64)
    assert any("45 images at the same places" in note for note in stack.notes)
    first = sorted(series, key=lambda one: one.InstanceNumber)[:15]
    first.sort(key=lambda one: -float(one.ImagePositionPatient[2]))
    for plane, image in zip(volume.voxels, first, strict=True):
        np.testing.assert_array_equal(plane, image.pixel_array)
    assert tuple(tuple(map(float, v)) for v in np.abs(grid.directions[[2, 1]])) == AXIAL


@pytest.mark.parametrize(("bits", "is_signed"), [(12, False), (16, False), (16, True)])
def test_short_values_in_long_cells_are_exact(bits: int, is_signed: bool) -> None:
    inner = np.random.default_rng(4).integers(0, 1 << bits, (4, 8, 8), np.uint32)
    around = inner if bits == 16 else inner | 0xABC0_0000
    series = _with_pixels(
        list(around), BitsStored=bits, HighBit=bits - 1, PixelRepresentation=int(is_signed)
    )
    want = inner.astype(np.uint16).view(np.int16) if is_signed else inner
    np.testing.assert_array_equal(_values(series), want)


def test_where_stored_values_fall_as_what_they_mean_rises_the_greatest_is_still_the_greatest():
    stored = _stored("int16")
    series = _with_pixels(stored, RescaleSlope=-2, RescaleIntercept=100)
    for one in series:
        del one.WindowCenter, one.WindowWidth
    volume, _, _ = filled(series)
    want = np.array(stored) * -2.0 + 100
    np.testing.assert_allclose(_values(series), want, atol=1e-6)
    assert volume.scale.slope > 0
    assert volume.window.width > 0
    assert list(volume.quantiles) == sorted(volume.quantiles)


@pytest.mark.parametrize(("allocated", "stored"), [(16, 0), (16, 40), (8, 16)])
def test_values_of_bits_that_there_cannot_be_are_no_volume(allocated: int, stored: int) -> None:
    pixels = [np.zeros((8, 8), f"int{allocated}")] * 4
    with pytest.raises(NotAcceptable, match="bits"):
        filled(_with_pixels(pixels, BitsStored=stored, HighBit=max(stored - 1, 0)))


def test_numbers_beyond_all_reason_are_bounded() -> None:
    series = _with_pixels(list(np.zeros((4, 8, 8))))
    stored = np.zeros((8, 8))
    stored[0], stored[1] = 1.7e308, -1.7e308
    for one in series:
        one.DoubleFloatPixelData = stored.tobytes()
        del one.PixelData
    ends = value_range(stored.tobytes(), slices_of(series)[0])
    scale = scale_of(stack_of(slices_of(series)), ends)
    found = kept(stored.tobytes(), slices_of(series)[0], scale)
    assert np.isfinite([scale.slope, scale.intercept]).all()
    assert (found[0] == HIGHEST).all()
    assert (found[1] == LOWEST).all()


def test_what_a_device_says_is_padding_is_outside_however_high_it_is() -> None:
    stored = [np.full((8, 8), 500 + n, np.uint16) for n in range(4)]
    for one in stored:
        one[:2], one[2] = 63_536, 0
    wanted = np.array(stored) * (np.array(stored) != 63_536)
    plain = _with_pixels(stored, PixelPaddingValue=63_536)
    np.testing.assert_array_equal(_values(plain), wanted)
    meaning = _with_pixels(stored, PixelPaddingValue=63_536)
    for one in meaning[1:]:
        one.RescaleSlope = 1.001  # so that slices mean different things
    assert _values(meaning).max() < 510
    series = _with_pixels([one.astype(np.float32) for one in stored])
    for one in series:
        one.FloatPixelData, one.FloatPixelPaddingValue = one.PixelData, 63_536.0
        del one.PixelData
    np.testing.assert_allclose(_values(series), wanted, atol=0.01)


def test_what_is_bright_in_a_volume_is_found_however_long_its_rows_are():
    def cube(points):
        return np.where((np.abs(points) < 30).all(axis=-1), 1000.0, 0.0)

    series = series_of(
        cube, shape=(64, 64, 64), spacing=(1, 1, 1), origin=(-32, -32, -32), Modality="MR"
    )
    for one in series:
        del one.WindowCenter, one.WindowWidth
    # Every so many: each time the first of a row, where there is nothing.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(volume_module, "_SAMPLED", 64 * 64)
        volume, _, _ = filled(series)
    assert volume.quantiles[1:] == (1000.0, 1000.0, 1000.0)
    assert volume.window.width == 1000


def test_a_window_on_numbers_with_fractions_is_exact():
    series = series_of(shape=(4, 12, 14), WindowCenter=0.5, WindowWidth=2)
    for one in series:
        one.FloatPixelData = np.frombuffer(one.PixelData, np.uint16).astype(np.float32).tobytes()
        one.BitsAllocated = 32
        del one.PixelData, one.BitsStored, one.HighBit, one.PixelRepresentation
    volume, _, _ = filled(series)
    assert volume.window == Window(0.5, 2.0, VoiFunction.LINEAR_EXACT)
