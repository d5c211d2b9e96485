"""Presentation states: what they say, and how a frame looks by them."""

import io
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset

import presentation_samples as samples
from pacs_cloud.dicom.render.frame_picture import Frame, Wanted, presented_picture
from pacs_cloud.dicom.render.picture import PNG
from pacs_cloud.dicom.render.presentation_state import PresentationState, read_state, references
from pacs_cloud.dicom.render.viewport import Region, Viewport
from pacs_cloud.errors import InvalidInstance
from rendering_samples import appearance_of, header_of, make_image, sequence_of

# Each pixel tells where it was: 20 * row + column.
PIXELS = (20 * np.arange(8)[:, None] + np.arange(8)[None, :]).astype(np.uint8)


def state_of(
    image: Dataset, *, frame: int = 1, graphics: bool = True, **form: Any
) -> PresentationState:
    state = pydicom.dcmread(io.BytesIO(samples.make_state(image, "1.2.3.9", **form)))
    header, _ = header_of(state)
    return read_state(header, str(image.SOPInstanceUID), frame, with_graphics=graphics)


def shown(
    pixels: np.ndarray = PIXELS,
    *,
    viewport: Viewport | None = None,
    image: dict[str, Any] | None = None,
    graphics: bool = True,
    **form: Any,
) -> np.ndarray:
    dataset = make_image(pixels, **(image or {}))
    form.setdefault("window", (127.5, 255))
    form.setdefault("SoftcopyVOILUTSequence", None)
    if form["SoftcopyVOILUTSequence"] is None:
        center, width = form["window"]
        form["SoftcopyVOILUTSequence"] = sequence_of(
            WindowCenter=center, WindowWidth=width, VOILUTFunction="LINEAR_EXACT"
        )
    state = state_of(dataset, graphics=graphics, **form)
    frame = Frame(pixels.tobytes(), None, appearance_of(dataset))
    body = presented_picture(frame, state, Wanted(PNG, viewport=viewport))
    return np.asarray(Image.open(io.BytesIO(body)))


class TestReading:
    def test_what_it_is_about(self) -> None:
        image = make_image(PIXELS)
        state = pydicom.dcmread(io.BytesIO(samples.make_state(image, "1.2.3.9", frames=[2, 5])))
        (reference,) = references(header_of(state)[0])
        assert reference.series_instance_uid == "1.2.3.5"
        assert reference.sop_instance_uid == "1.2.3.4"
        assert reference.frames == (2, 5)

    def test_items_about_other_images_or_frames_do_not_count(self) -> None:
        image = make_image(PIXELS)
        other = make_image(PIXELS, SOPInstanceUID="1.2.3.99")
        views = [
            *sequence_of(
                WindowCenter=1, WindowWidth=2, ReferencedImageSequence=[samples.reference(other)]
            ),
            *sequence_of(
                WindowCenter=3,
                WindowWidth=4,
                ReferencedImageSequence=[samples.reference(image, [2])],
            ),
            *sequence_of(WindowCenter=5, WindowWidth=6),
        ]
        for frame, center in ((1, 5), (2, 3)):
            state = state_of(image, frame=frame, SoftcopyVOILUTSequence=views)
            assert state.grey is not None
            assert state.grey.window is not None
            assert state.grey.window.center == center

    def test_corners_of_an_area_may_be_in_any_order(self) -> None:
        state = state_of(
            make_image(PIXELS), DisplayedAreaSelectionSequence=[samples.area((8, 3), (1, 6))]
        )
        assert state.area == Region(0, 2, 8, 6)

    def test_texts_and_lines_are_left_out_where_they_are_not_wanted(self) -> None:
        form = {
            "GraphicLayerSequence": [samples.layer()],
            "GraphicAnnotationSequence": [
                samples.annotation(
                    [samples.graphic("POINT", [1, 1])], [samples.label("DOE", (2, 2))]
                )
            ],
        }
        image = make_image(PIXELS)
        with_them, without = (state_of(image, graphics=wanted, **form) for wanted in (True, False))
        assert len(with_them.marks) == len(with_them.labels) == 1
        assert without.marks == without.labels == ()


class TestGrey:
    def test_the_states_window_counts(self) -> None:
        assert np.array_equal(shown(window=(127.5, 255)), PIXELS)
        assert shown(window=(100.5, 1)).tolist() == ((PIXELS > 100) * 255).tolist()

    def test_what_the_state_does_not_have_is_not_done(self) -> None:
        image = {"PhotometricInterpretation": "MONOCHROME1"}
        assert np.array_equal(shown(image=image), PIXELS)

    def test_its_shape_inverts(self) -> None:
        assert np.array_equal(shown(PresentationLUTShape="INVERSE"), 255 - PIXELS)

    def test_its_rescale_comes_before_the_window(self) -> None:
        image = {"RescaleSlope": 2, "RescaleIntercept": 10}
        inverse = shown(image=image, window=(137.5, 255))
        assert np.abs(inverse.astype(int) - np.clip(2 * PIXELS.astype(int), 0, 255)).max() <= 1


class TestGeometry:
    @pytest.mark.parametrize("rotation", [0, 90, 180, 270])
    @pytest.mark.parametrize("flip", ["N", "Y"])
    def test_it_turns_clockwise_and_then_flips(self, rotation: int, flip: str) -> None:
        expected = np.rot90(PIXELS, -rotation // 90)
        if flip == "Y":
            expected = expected[:, ::-1]
        assert np.array_equal(shown(ImageRotation=rotation, ImageHorizontalFlip=flip), expected)

    def test_an_area_is_cut_out(self) -> None:
        cut = shown(DisplayedAreaSelectionSequence=[samples.area((3, 2), (6, 5))])
        assert np.array_equal(cut, PIXELS[1:5, 2:6])

    def test_beyond_the_image_it_is_black(self) -> None:
        wide = shown(DisplayedAreaSelectionSequence=[samples.area((-3, -3), (8, 8))])
        assert wide.shape == (12, 12)
        assert not wide[:4].any()
        assert not wide[:, :4].any()
        assert np.array_equal(wide[4:, 4:], PIXELS)

    def test_a_viewport_is_fitted(self) -> None:
        area = [samples.area((1, 1), (8, 4))]
        assert shown(DisplayedAreaSelectionSequence=area, viewport=Viewport(64, 64)).shape == (
            32,
            64,
        )
        turned = shown(
            DisplayedAreaSelectionSequence=area,
            viewport=Viewport(64, 64),
            ImageRotation=90,
            ImageHorizontalFlip="N",
        )
        assert turned.shape == (64, 32)

    def test_it_magnifies(self) -> None:
        area = samples.area((1, 1), (8, 8), "MAGNIFY", PresentationPixelMagnificationRatio=3)
        assert shown(DisplayedAreaSelectionSequence=[area]).shape == (24, 24)

    def test_an_absurd_area_is_refused(self) -> None:
        area = samples.area((1, 1), (2_000_000_000, 8))
        with pytest.raises(InvalidInstance):
            shown(DisplayedAreaSelectionSequence=[area])

    def test_a_large_area_makes_no_large_picture(self) -> None:
        area = samples.area((1, 1), (1_000_000, 1_000_000))
        assert max(shown(DisplayedAreaSelectionSequence=[area]).shape) <= 8192


class TestShutters:
    def test_a_rectangle(self) -> None:
        seen = shown(
            ShutterShape="RECTANGULAR",
            ShutterLeftVerticalEdge=3,
            ShutterRightVerticalEdge=6,
            ShutterUpperHorizontalEdge=2,
            ShutterLowerHorizontalEdge=4,
            ShutterPresentationValue=0x8000,
        )
        expected = np.full((8, 8), 0x80)
        expected[1:4, 2:6] = PIXELS[1:4, 2:6]
        assert np.array_equal(seen, expected)

    def test_a_circle(self) -> None:
        seen = shown(
            ShutterShape="CIRCULAR", CenterOfCircularShutter=[4, 5], RadiusOfCircularShutter=1
        )
        assert sorted(zip(*np.nonzero(seen), strict=True)) == [
            (2, 4),
            (3, 3),
            (3, 4),
            (3, 5),
            (4, 4),
        ]

    def test_a_polygon(self) -> None:
        seen = shown(
            ShutterShape="POLYGONAL", VerticesOfThePolygonalShutter=[2, 2, 2, 5, 5, 5, 5, 2]
        )
        assert seen[3, 3] == PIXELS[3, 3]
        assert not seen[6:].any()
        assert not seen[:, 6:].any()

    def test_two_at_once(self) -> None:
        seen = shown(
            ShutterShape=["RECTANGULAR", "CIRCULAR"],
            ShutterLeftVerticalEdge=5,
            ShutterRightVerticalEdge=8,
            ShutterUpperHorizontalEdge=1,
            ShutterLowerHorizontalEdge=8,
            CenterOfCircularShutter=[4, 5],
            RadiusOfCircularShutter=1,
        )
        assert sorted(zip(*np.nonzero(seen), strict=True)) == [(2, 4), (3, 4), (3, 5), (4, 4)]


class TestGraphics:
    BLACK = np.zeros((100, 100), np.uint8)

    def drawn(self, *graphics: Dataset, texts: tuple[Dataset, ...] = (), **form: Any) -> np.ndarray:
        form.setdefault("GraphicLayerSequence", [samples.layer()])
        form["GraphicAnnotationSequence"] = [samples.annotation(graphics, texts)]
        return shown(self.BLACK, **form)

    def test_a_line_is_where_it_is_said_to_be(self) -> None:
        seen = self.drawn(samples.graphic("POLYLINE", [10, 20, 60, 20]))
        rows, columns = np.nonzero(seen)
        assert set(rows) <= {19, 20, 21}
        assert (columns.min(), columns.max()) == (10, 60)

    def test_it_turns_with_the_image(self) -> None:
        line = samples.graphic("POLYLINE", [10, 20, 60, 20])
        seen = self.drawn(line, ImageRotation=90, ImageHorizontalFlip="N")
        rows, columns = np.nonzero(seen)
        assert set(columns) <= {79, 80, 81}
        assert (rows.min(), rows.max()) == (10, 60)

    def test_shares_of_the_area_do_not_turn(self) -> None:
        line = samples.graphic("POLYLINE", [0.1, 0.2, 0.6, 0.2], units="DISPLAY")
        seen = self.drawn(line, ImageRotation=90, ImageHorizontalFlip="Y")
        assert set(np.nonzero(seen)[0]) <= {19, 20, 21}

    def test_it_scales_with_the_area(self) -> None:
        line = samples.graphic("POLYLINE", [50, 60, 75, 60])
        area = samples.area((51, 51), (100, 100))
        seen = self.drawn(line, DisplayedAreaSelectionSequence=[area], viewport=Viewport(100, 100))
        rows, columns = np.nonzero(seen)
        assert set(rows) <= {19, 20, 21}
        assert columns.max() in {49, 50, 51}

    def test_a_circle_goes_through_its_point(self) -> None:
        rows, columns = np.nonzero(self.drawn(samples.graphic("CIRCLE", [50, 50, 70, 50])))
        distances = np.hypot(rows - 50, columns - 50)
        assert distances.min() > 18
        assert distances.max() < 22

    def test_an_ellipse_is_filled(self) -> None:
        seen = self.drawn(samples.graphic("ELLIPSE", [20, 50, 80, 50, 50, 40, 50, 60], filled=True))
        area = np.count_nonzero(seen)
        assert abs(area - np.pi * 30 * 10) < 120

    def test_a_curve_goes_through_its_points(self) -> None:
        seen = self.drawn(samples.graphic("INTERPOLATED", [10, 10, 50, 60, 90, 10]))
        assert seen[58:63, 48:53].any()

    def test_a_point_is_seen(self) -> None:
        seen = self.drawn(samples.graphic("POINT", [30, 40]))
        assert seen[40, 30] == 255

    def test_a_layer_has_its_shade(self) -> None:
        seen = self.drawn(
            samples.graphic("POLYLINE", [10, 20, 60, 20]),
            GraphicLayerSequence=[samples.layer(shade=0x8000)],
        )
        assert seen.max() == 0x80

    def test_a_layer_in_colour_makes_a_picture_in_colour(self) -> None:
        seen = self.drawn(
            samples.graphic("POLYLINE", [10, 20, 60, 20]),
            GraphicLayerSequence=[samples.layer(lab=(34892, 53711, 50116))],  # about pure red
        )
        red, green, blue = seen[20, 30]
        assert red > 230
        assert max(green, blue) < 60

    def test_a_text_is_written_at_its_anchor(self) -> None:
        seen = self.drawn(texts=(samples.label("HERE", (20, 50)),))
        rows, columns = np.nonzero(seen)
        assert 20 <= columns.min() < 40
        assert 40 < rows.mean() < 60

    def test_a_graphic_without_enough_points_is_none(self) -> None:
        assert not self.drawn(samples.graphic("ELLIPSE", [1, 2])).any()
