"""Frames as they are seen, beside pydicom's own LUT functions and by hand."""

import contextlib
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels.processing import (
    apply_color_lut,
    apply_modality_lut,
    apply_voi_lut,
    convert_color_space,
)

from pacs_cloud.dicom.render.appearance import is_same_in_all_frames, read_appearance
from pacs_cloud.dicom.render.grey_shades import (
    GreyTransform,
    StoredBits,
    VoiFunction,
    Window,
    shade_table,
)
from pacs_cloud.dicom.render.rendering import render
from pacs_cloud.errors import InvalidInstance
from rendering_samples import appearance_of, header_of, make_image, sequence_of, shades_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

OWN = Path(pydicom.__file__).parent / "data" / "test_files"
RAMP = np.linspace(-1024, 3071, 4096).astype(np.int16).reshape(64, 64)


def by_pydicom(dataset: Dataset) -> np.ndarray:
    """Modality and VOI LUT by pydicom, spread over 8 bits as the VOI LUT's range says."""
    values = apply_modality_lut(dataset.pixel_array, dataset)
    with np.errstate(over="ignore"):
        shown = apply_voi_lut(values, dataset).astype(float)
    if "VOILUTSequence" in dataset:
        top = 2 ** dataset.VOILUTSequence[0].LUTDescriptor[2] - 1
        return shown / top * 255
    # pydicom spreads over the range that the rescaled stored bits can have.
    stored = dataset.BitsStored
    low, high = (
        (0, 2**stored - 1)
        if dataset.PixelRepresentation == 0
        else (
            -(2 ** (stored - 1)),
            2 ** (stored - 1) - 1,
        )
    )
    slope, intercept = (
        float(dataset.get("RescaleSlope", 1)),
        float(dataset.get("RescaleIntercept", 0)),
    )
    low, high = low * slope + intercept, high * slope + intercept
    return (shown - low) / (high - low) * 255


def assert_same(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert np.abs(ours.astype(float) - theirs).max() <= 0.51


class TestWindow:
    @pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID", None])
    @pytest.mark.parametrize(("center", "width"), [(40, 400), (-600, 1500), (1000, 2), (100, 1)])
    def test_it_is_pydicoms(self, function: str | None, center: float, width: float) -> None:
        dataset = make_image(
            RAMP, RescaleSlope=1, RescaleIntercept=0, WindowCenter=center, WindowWidth=width
        )
        if function:
            dataset.VOILUTFunction = function
        assert_same(shades_of(dataset), by_pydicom(dataset))

    @given(
        center=st.floats(-2000, 4000),
        width=st.floats(1, 5000),
        slope=st.sampled_from([0.5, 1, 2.25]),
        intercept=st.sampled_from([-1024, 0, 7.5]),
        function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    )
    def test_it_is_pydicoms_for_any(
        self, center: float, width: float, slope: float, intercept: float, function: str
    ) -> None:
        dataset = make_image(
            RAMP,
            RescaleSlope=slope,
            RescaleIntercept=intercept,
            WindowCenter=f"{center:.4f}",
            WindowWidth=f"{width:.4f}",
            VOILUTFunction=function,
        )
        assert_same(shades_of(dataset), by_pydicom(dataset))

    def test_the_first_of_several_counts(self) -> None:
        several = make_image(RAMP, WindowCenter=[40, -600], WindowWidth=[400, 1500])
        assert np.array_equal(
            shades_of(several), shades_of(make_image(RAMP, WindowCenter=40, WindowWidth=400))
        )

    def test_a_width_that_is_none_shows_all_values(self) -> None:
        dataset = make_image(RAMP, WindowCenter=40, WindowWidth=0)
        shades = shades_of(dataset)
        assert (shades.min(), shades.max()) == (0, 255)
        assert np.array_equal(shades, shades_of(make_image(RAMP)))

    def test_without_one_all_values_of_the_frame_are_shown(self) -> None:
        pixels = np.array([[100, 200], [300, 500]], np.uint16)
        assert shades_of(make_image(pixels)).tolist() == [[0, 64], [128, 255]]

    def test_without_one_eight_bits_are_shown_as_they_are(self) -> None:
        pixels = np.array([[0, 7], [130, 201]], np.uint8)
        assert np.array_equal(shades_of(make_image(pixels)), pixels)

    def test_a_frame_of_one_value_is_black(self) -> None:
        assert not shades_of(make_image(np.full((4, 4), 700, np.uint16))).any()


class TestLookupTables:
    def test_a_voi_lut_is_pydicoms(self, real_data: Path) -> None:
        dataset = pydicom.dcmread(real_data / "single" / "vlut_04.dcm")
        assert "VOILUTSequence" in dataset
        assert_same(shades_of(dataset), by_pydicom(dataset))

    def test_a_modality_lut_before_a_window_is_pydicoms(self) -> None:
        entries = (np.arange(256, dtype=np.uint16) ** 2 // 64).astype("<u2")
        dataset = make_image(
            np.arange(256, dtype=np.uint8).reshape(16, 16),
            ModalityLUTSequence=sequence_of(
                LUTDescriptor=[256, 0, 16], ModalityLUTType="US", LUTData=entries.tobytes()
            ),
            WindowCenter=400,
            WindowWidth=600,
        )
        dataset.ModalityLUTSequence[0]["LUTDescriptor"].VR = "US"
        dataset.ModalityLUTSequence[0]["LUTData"].VR = "OW"
        values = entries[dataset.pixel_array]
        expected = np.clip((values - 399.5) / 599 + 0.5, 0, 1) * 255
        assert np.array_equal(apply_modality_lut(dataset.pixel_array, dataset), values)
        assert_same(shades_of(dataset), expected)

    def test_a_presentation_lut_comes_last(self) -> None:
        entries = np.array([0, 4095, 0, 4095], "<u2")
        dataset = make_image(
            np.array([[0, 1], [2, 3]], np.uint16),
            WindowCenter=1.5,
            WindowWidth=3,
            VOILUTFunction="LINEAR_EXACT",
            PresentationLUTSequence=sequence_of(
                LUTDescriptor=[4, 0, 12], LUTData=entries.tobytes()
            ),
        )
        dataset.PresentationLUTSequence[0]["LUTDescriptor"].VR = "US"
        dataset.PresentationLUTSequence[0]["LUTData"].VR = "OW"
        assert shades_of(dataset).tolist() == [[0, 255], [0, 255]]


class TestPolarity:
    PIXELS = np.array([[0, 255]], np.uint8)

    def test_monochrome1_is_inverse(self) -> None:
        dataset = make_image(self.PIXELS, PhotometricInterpretation="MONOCHROME1")
        assert shades_of(dataset).tolist() == [[255, 0]]

    def test_it_is_not_inverted_twice(self) -> None:
        dataset = make_image(
            self.PIXELS, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE"
        )
        assert shades_of(dataset).tolist() == [[255, 0]]

    def test_the_presentation_lut_shape_counts(self) -> None:
        dataset = make_image(self.PIXELS, PresentationLUTShape="INVERSE")
        assert shades_of(dataset).tolist() == [[255, 0]]

    def test_padding_is_black_in_either(self) -> None:
        pixels = np.array([[9, 0, 50, 100]], np.uint16)
        for photometric, expected in (
            ("MONOCHROME2", [[0, 0, 128, 255]]),
            ("MONOCHROME1", [[0, 255, 128, 0]]),
        ):
            dataset = make_image(pixels, PhotometricInterpretation=photometric, PixelPaddingValue=9)
            dataset["PixelPaddingValue"].VR = "US"
            assert shades_of(dataset).tolist() == expected, photometric


class TestStoredBits:
    def test_padding_as_a_range_widens_no_window(self) -> None:
        pixels = np.array([[-2000, -1999, 0, 100]], np.int16)
        dataset = make_image(pixels, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1990)
        dataset["PixelPaddingValue"].VR = dataset["PixelPaddingRangeLimit"].VR = "SS"
        assert shades_of(dataset).tolist() == [[0, 0, 0, 255]]

    def test_a_signed_padding_value_written_as_unsigned_is_known(self) -> None:
        dataset = make_image(np.array([[-2000, 0, 100]], np.int16), PixelPaddingValue=65536 - 2000)
        dataset["PixelPaddingValue"].VR = "US"
        assert shades_of(dataset).tolist() == [[0, 0, 255]]

    def test_the_lowest_ct_number_ends_the_range(self) -> None:
        pixels = np.array([[-2000, -1024, 0, 1024]], np.int16)
        assert shades_of(make_image(pixels, Modality="CT")).tolist() == [[0, 0, 128, 255]]
        assert shades_of(make_image(pixels, Modality="MR"))[0, 1] > 50

    def test_bits_above_the_value_do_not_count(self) -> None:
        pixels = np.array([[0xF000, 0xFFFF, 0x0800, 0x0FFF]], np.uint16)
        dataset = make_image(pixels, BitsStored=12, HighBit=11)
        assert shades_of(dataset).tolist() == [[0, 255, 128, 255]]

    def test_a_value_may_lie_high_in_its_cell(self) -> None:
        pixels = np.array([[0x0000, 0xFFF0, 0x800F, 0x000F]], np.uint16)
        dataset = make_image(pixels, BitsStored=12, HighBit=15)
        assert shades_of(dataset).tolist() == [[0, 255, 128, 0]]

    def test_a_signed_value_of_12_bits(self) -> None:
        pixels = np.array([[0x0800, 0x0000, 0x07FF]], np.uint16)  # -2048, 0, 2047
        dataset = make_image(pixels, BitsStored=12, HighBit=11, PixelRepresentation=1)
        assert shades_of(dataset).tolist() == [[0, 128, 255]]

    def test_a_single_bit(self) -> None:
        dataset = make_image(np.zeros((2, 8), np.uint8), BitsAllocated=1, BitsStored=1, HighBit=0)
        dataset.PixelData = bytes([0b00000001, 0b10000000])
        shades = shades_of(dataset)
        assert shades[0].tolist() == [255, 0, 0, 0, 0, 0, 0, 0]
        assert shades[1].tolist() == [0, 0, 0, 0, 0, 0, 0, 255]

    @pytest.mark.parametrize("dtype", [np.uint32, np.int32])
    def test_32_bits(self, dtype: type) -> None:
        pixels = np.array([[0, 500_000, 1_000_000]], dtype)
        dataset = make_image(pixels, WindowCenter=500_000, WindowWidth=1_000_000)
        dataset.VOILUTFunction = "LINEAR_EXACT"
        assert shades_of(dataset).tolist() == [[0, 128, 255]]

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_floating_point(self, dtype: type) -> None:
        pixels = np.array([[-1.5, 0.0, 1.5, np.nan, np.inf]], dtype)
        assert shades_of(make_image(pixels)).tolist() == [[0, 128, 255, 0, 0]]

    def test_a_linear_window_on_fractions_is_exact(self) -> None:
        pixels = np.array([[0.0, 0.25, 0.5, 1.0]], np.float32)
        dataset = make_image(pixels, WindowCenter=0.5, WindowWidth=1)
        assert shades_of(dataset).tolist() == [[0, 64, 128, 255]]

    def test_a_frame_cut_short_is_refused(self) -> None:
        dataset = make_image(RAMP)
        with pytest.raises(InvalidInstance, match="shorter"):
            render(dataset.PixelData[:-2], appearance_of(dataset))

    @pytest.mark.parametrize(
        "broken",
        [
            {"Rows": 0},
            {"BitsStored": 17},
            {"SamplesPerPixel": 2},
            {"BitsAllocated": 24, "BitsStored": 24},
        ],
    )
    def test_what_is_no_image_is_refused(self, broken: dict[str, int]) -> None:
        dataset = make_image(RAMP, **broken)
        with pytest.raises(InvalidInstance):
            shades_of(dataset)


class TestColour:
    RGB = np.random.default_rng(7).integers(0, 256, (6, 8, 3), np.uint8)

    def test_rgb_is_as_it_is(self) -> None:
        assert np.array_equal(shades_of(make_image(self.RGB)), self.RGB)

    def test_by_plane(self) -> None:
        dataset = make_image(self.RGB, PlanarConfiguration=1)
        dataset.PixelData = np.moveaxis(self.RGB, -1, 0).tobytes()
        assert np.array_equal(shades_of(dataset), self.RGB)

    def test_16_bits(self) -> None:
        dataset = make_image(self.RGB.astype(np.uint16) << 8 | 0x55)
        assert np.array_equal(shades_of(dataset), self.RGB)

    def test_ybr_full_is_pydicoms(self) -> None:
        dataset = make_image(self.RGB, PhotometricInterpretation="YBR_FULL")
        theirs = convert_color_space(self.RGB, "YBR_FULL", "RGB")
        assert np.abs(shades_of(dataset).astype(int) - theirs).max() <= 1

    def test_ybr_full_422(self) -> None:
        dataset = pydicom.dcmread(OWN / "SC_ybr_full_422_uncompressed.dcm")
        theirs = dataset.pixel_array  # RGB already
        assert np.abs(shades_of(dataset).astype(int) - theirs).max() <= 1

    @pytest.mark.parametrize("columns", [3, 5])
    def test_subsampled_colour_of_an_odd_width_is_refused(self, columns: int) -> None:
        made = make_image(np.zeros((3, columns, 3), np.uint8))
        made.PhotometricInterpretation = "YBR_FULL_422"
        with pytest.raises(InvalidInstance, match="odd width"):
            render(made.PixelData, appearance_of(made))

    def test_a_palette_is_pydicoms(self) -> None:
        dataset = pydicom.dcmread(OWN / "examples_palette.dcm")
        header, tag = header_of(dataset)
        appearance = read_appearance(header, 1, tag)
        theirs = apply_color_lut(dataset.pixel_array, dataset)
        assert theirs.dtype == np.uint16
        ours = render(dataset.pixel_array.tobytes(), appearance)
        assert np.array_equal(ours, theirs >> 8)

    def test_a_palette_in_segments_is_pydicoms(self) -> None:
        made = make_image(np.arange(256, dtype=np.uint8).reshape(16, 16))
        made.PhotometricInterpretation = "PALETTE COLOR"
        # Two entries as they are, then a line up, then one down.
        words = np.array([0, 2, 0, 256, 1, 127, 0xFF00, 1, 127, 0x0100], "<u2").tobytes()
        for name in ("Red", "Green", "Blue"):
            setattr(made, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
            made[f"{name}PaletteColorLookupTableDescriptor"].VR = "US"
            setattr(made, f"Segmented{name}PaletteColorLookupTableData", words)
        theirs = apply_color_lut(made.pixel_array, made)
        assert np.abs(shades_of(made).astype(int) - (theirs >> 8)).max() <= 1

    def test_an_indirect_segment_repeats_others(self) -> None:
        made = make_image(np.arange(6, dtype=np.uint8).reshape(1, 6))
        made.PhotometricInterpretation = "PALETTE COLOR"
        # Discrete 10, 20, 30; then the segment at byte 0 once more.
        words = np.array([0, 3, 0x0A00, 0x1400, 0x1E00, 2, 1, 0, 0], "<u2").tobytes()
        for name in ("Red", "Green", "Blue"):
            setattr(made, f"{name}PaletteColorLookupTableDescriptor", [6, 0, 16])
            made[f"{name}PaletteColorLookupTableDescriptor"].VR = "US"
            setattr(made, f"Segmented{name}PaletteColorLookupTableData", words)
        assert shades_of(made)[0, :, 0].tolist() == [10, 20, 30, 10, 20, 30]

    def test_segments_that_come_to_nothing_are_not_repeated_for_ever(self) -> None:
        made = make_image(np.array([[0, 1]], np.uint8))
        made.PhotometricInterpretation = "PALETTE COLOR"
        # Each of the 1000 repeats 10,000 segments without entries.
        words = np.array([2, 10_000, 4000 * 2, 0] * 1000 + [0, 0] * 10_000, "<u2").tobytes()
        for name in ("Red", "Green", "Blue"):
            setattr(made, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
            made[f"{name}PaletteColorLookupTableDescriptor"].VR = "US"
            setattr(made, f"Segmented{name}PaletteColorLookupTableData", words)
        with pytest.raises(InvalidInstance, match="too many segments"):
            shades_of(made)

    def test_a_palette_of_8_bits_said_to_be_16(self) -> None:
        made = make_image(np.array([[0, 1]], np.uint8))
        made.PhotometricInterpretation = "PALETTE COLOR"
        for name in ("Red", "Green", "Blue"):
            setattr(made, f"{name}PaletteColorLookupTableDescriptor", [2, 0, 16])
            made[f"{name}PaletteColorLookupTableDescriptor"].VR = "US"
            setattr(made, f"{name}PaletteColorLookupTableData", np.array([5, 200], "<u2").tobytes())
        assert shades_of(made).tolist() == [[[5] * 3, [200] * 3]]

    @pytest.mark.parametrize("words", [[], [0], [0, 9, 1], [1, 3], [7, 1, 0], [2, 1, 0, 0]])
    def test_broken_segments_are_refused_or_short(self, words: list[int]) -> None:
        made = make_image(np.array([[0, 1]], np.uint8))
        made.PhotometricInterpretation = "PALETTE COLOR"
        for name in ("Red", "Green", "Blue"):
            setattr(made, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
            made[f"{name}PaletteColorLookupTableDescriptor"].VR = "US"
            setattr(
                made,
                f"Segmented{name}PaletteColorLookupTableData",
                np.array(words, "<u2").tobytes(),
            )
        with contextlib.suppress(InvalidInstance):
            assert shades_of(made).shape == (1, 2, 3)


class TestFunctionalGroups:
    def groups(self) -> Dataset:
        pixels = np.concatenate([np.full((2, 2), 100, np.uint16), np.full((2, 2), 200, np.uint16)])
        dataset = make_image(pixels[:2], NumberOfFrames=2)
        dataset.PixelData = pixels.tobytes()
        dataset.SharedFunctionalGroupsSequence = sequence_of(
            PixelValueTransformationSequence=sequence_of(RescaleSlope=2, RescaleIntercept=-100),
            FrameVOILUTSequence=sequence_of(WindowCenter=500, WindowWidth=1000),
            PixelMeasuresSequence=sequence_of(PixelSpacing=[2, 1]),
        )
        dataset.PerFrameFunctionalGroupsSequence = [
            *sequence_of(FrameVOILUTSequence=sequence_of(WindowCenter=100, WindowWidth=400)),
            *sequence_of(
                PixelValueTransformationSequence=sequence_of(RescaleSlope=1, RescaleIntercept=0)
            ),
        ]
        return dataset

    def test_a_frames_own_come_before_the_shared_ones(self) -> None:
        first, second = (appearance_of(self.groups(), frame).grey for frame in (1, 2))
        assert first.window is not None
        assert second.window is not None
        assert (first.slope, first.intercept, first.window.center) == (2, -100, 100)
        assert (second.slope, second.intercept, second.window.center) == (1, 0, 500)

    def test_each_frame_is_shown_by_its_own(self) -> None:
        dataset = self.groups()
        # 100 * 2 - 100 = 100 is the middle of 100±200; 200 lies at a fifth of 500±500.
        assert shades_of(dataset, 1)[0, 0] == 128
        assert shades_of(dataset, 2)[0, 0] == 51

    def test_the_pixel_spacing_is_theirs(self) -> None:
        assert appearance_of(self.groups(), 1).pixel_height == 2


class TestShapes:
    @pytest.mark.parametrize(
        ("attributes", "expected"),
        [
            ({}, 1),
            ({"PixelSpacing": [0.5, 0.25]}, 2),
            ({"ImagerPixelSpacing": [0.2, 0.4]}, 0.5),
            ({"PixelAspectRatio": [3, 4], "PixelSpacing": [1, 1]}, 0.75),
            ({"PixelAspectRatio": [0, 4]}, 1),
        ],
    )
    def test_pixels_may_not_be_square(self, attributes: dict[str, list], expected: float) -> None:
        assert appearance_of(make_image(RAMP, **attributes)).pixel_height == expected


def test_an_angiographic_log_image_has_no_modality_lut_before_its_window() -> None:
    attributes = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.12.1",
        "RescaleSlope": 4,
        "RescaleIntercept": 0,
        "WindowCenter": 128,
        "WindowWidth": 256,
    }
    plain = appearance_of(make_image(RAMP, **attributes, PixelIntensityRelationship="LIN"))
    log = appearance_of(make_image(RAMP, **attributes, PixelIntensityRelationship="LOG"))
    assert (plain.grey.slope, log.grey.slope) == (4, 1)


def test_a_fractional_segmentation_is_shown_up_to_its_highest_value() -> None:
    dataset = make_image(
        np.array([[0, 50, 100]], np.uint8),
        SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4",
        SegmentationType="FRACTIONAL",
        MaximumFractionalValue=100,
    )
    assert shades_of(dataset).tolist() == [[0, 128, 255]]


def test_a_label_map_is_spread_over_its_labels() -> None:
    dataset = make_image(
        np.array([[0, 1, 2]], np.uint8), SOPClassUID="1.2.840.10008.5.1.4.1.1.66.7"
    )
    assert shades_of(dataset).tolist() == [[0, 128, 255]]


def test_every_native_image_of_pydicom_is_rendered() -> None:
    rendered = 0
    for path in sorted(OWN.glob("*.dcm")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                dataset = pydicom.dcmread(path)
                _, tag = header_of(dataset)
            except Exception:  # noqa: BLE001 - what pydicom cannot read is no sample
                continue
        if int(tag, 16) not in dataset or "Rows" not in dataset:
            continue
        syntax = dataset.file_meta.get("TransferSyntaxUID")
        if syntax is None or syntax.is_encapsulated or "truncated" in path.name:
            continue
        shades = shades_of(dataset)
        assert shades.shape[:2] == (dataset.Rows, dataset.Columns), path.name
        rendered += 1
    assert rendered > 20


@given(
    st.sampled_from([8, 16]),
    st.integers(1, 16),
    st.integers(0, 15),
    st.booleans(),
    st.sampled_from(list(VoiFunction)),
)
def test_a_table_has_for_each_cell_the_shade_of_its_value(
    allocated: int, stored: int, high_bit: int, is_signed: bool, function: VoiFunction
) -> None:
    high_bit = min(high_bit, allocated - 1)
    bits = StoredBits(allocated, min(stored, high_bit + 1), high_bit, is_signed)
    transform = GreyTransform(1.5, -20, window=Window(40, 400, function))
    cell = np.uint8 if allocated == 8 else np.uint16
    values = bits.values(np.arange(1 << allocated, dtype=cell))
    expected = transform.shades(values)
    expected[(values >= -3) & (values <= 5)] = 0
    assert np.array_equal(shade_table(bits, transform, (-3.0, 5.0)), expected)


@given(
    st.integers(1, 16),
    st.booleans(),
    st.floats(-3, 3).filter(bool),
    st.floats(-70_000, 70_000),
    st.floats(-70_000, 70_000),
    st.floats(1, 70_000),
    st.sampled_from([VoiFunction.LINEAR, VoiFunction.LINEAR_EXACT]),
    st.booleans(),
)
@example(16, False, 1.0, 0.0, 65_500.0, 64.0, VoiFunction.LINEAR_EXACT, False)
@example(12, False, 1.0, -1024.0, 40.0, 400.0, VoiFunction.LINEAR, True)
def test_a_ramp_gives_the_shades_of_its_transform(
    stored: int,
    is_signed: bool,
    slope: float,
    intercept: float,
    center: float,
    width: float,
    function: VoiFunction,
    is_inverse: bool,
) -> None:
    window = Window(center, width, function)
    transform = GreyTransform(slope, intercept, window=window, is_inverse=is_inverse)
    ramp = transform.ramp
    if ramp is None:
        return
    bits = StoredBits(16, stored, stored - 1, is_signed)
    values = bits.values(np.arange(1 << 16, dtype=np.uint16))
    exact = window.spread(transform.modality_values(values)) * 255
    off = np.abs(ramp.shades(values) - (255 - exact if is_inverse else exact))
    assert off.max() <= 0.5 + 1 / 32


@pytest.mark.parametrize(
    ("window", "has_ramp"),
    [
        (Window(40, 400), True),
        (Window(40, 64.0, VoiFunction.LINEAR_EXACT), True),
        (Window(40, 63.0, VoiFunction.LINEAR_EXACT), False),
        (Window(40, 1), False),
        (Window(40, 400, VoiFunction.SIGMOID), False),
        (Window(1e9, 400), False),
        (None, False),
    ],
)
def test_only_a_line_that_single_precision_can_draw_is_a_ramp(
    window: Window | None, has_ramp: bool
) -> None:
    assert (GreyTransform(window=window).ramp is not None) is has_ramp


@pytest.mark.parametrize(
    ("attributes", "is_same"),
    [
        ({}, True),
        ({"SharedFunctionalGroupsSequence": sequence_of(PatientID="1")}, True),
        ({"PerFrameFunctionalGroupsSequence": sequence_of(PatientID="1")}, False),
    ],
)
def test_frames_with_groups_of_their_own_may_look_different(
    attributes: dict[str, object], is_same: bool
) -> None:
    header, _ = header_of(make_image(np.zeros((2, 2), np.uint8), **attributes))
    assert is_same_in_all_frames(header) is is_same


def test_frames_under_overlays_of_many_frames_look_different() -> None:
    made = make_image(np.zeros((2, 2), np.uint8))
    made.add_new(0x60020015, "IS", 2)
    assert not is_same_in_all_frames(header_of(made)[0])
