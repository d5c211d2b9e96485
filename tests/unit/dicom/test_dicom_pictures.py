"""Viewports, overlays, encodings and text: from shades to the bytes of a picture."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pacs_cloud.dicom.render.annotations import patient_lines, technique_lines
from pacs_cloud.dicom.render.burnt_text import burn_lines, text_font
from pacs_cloud.dicom.render.frame_picture import Frame, Wanted, animation, picture
from pacs_cloud.dicom.render.grey_shades import Window
from pacs_cloud.dicom.render.overlays import read_overlays
from pacs_cloud.dicom.render.picture import GIF, JPEG, PNG, encode
from pacs_cloud.dicom.render.viewport import Viewport, fitted, scaled
from pacs_cloud.errors import InvalidInstance, InvalidRequest
from rendering_samples import appearance_of, header_of, make_image

QUARTERS = np.zeros((8, 8), np.uint8)
QUARTERS[:4, 4:], QUARTERS[4:, :4], QUARTERS[4:, 4:] = 60, 120, 240


def opened(body: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(body)))


def frame_of(pixels: np.ndarray, **attributes: object) -> Frame:
    dataset = make_image(pixels, **attributes)
    return Frame(pixels.tobytes(), None, appearance_of(dataset))


class TestViewport:
    def test_it_fits_without_distortion(self) -> None:
        assert fitted(200, 100, 50, 50) == (50, 25)
        assert fitted(100, 200, 500, 50) == (25, 50)
        assert fitted(10, 10, 300, 200) == (200, 200)
        assert fitted(10_000, 1, 100, 100) == (100, 1)

    def test_tall_pixels_make_a_taller_picture(self) -> None:
        assert scaled(QUARTERS, Viewport(64, 64), 2).shape == (64, 32)
        assert scaled(QUARTERS, Viewport(64, 64), 0.5).shape == (32, 64)

    def test_a_region_is_cut_out(self) -> None:
        assert (scaled(QUARTERS, Viewport(4, 4, 4, 0, 4, 4), 1) == 60).all()
        assert (scaled(QUARTERS, Viewport(4, 4, 4, 4), 1) == 240).all()

    def test_a_region_that_reaches_out_of_the_image_ends_with_it(self) -> None:
        assert scaled(QUARTERS, Viewport(8, 8, 6, 0, 100, 4), 1).shape == (8, 4)

    def test_it_flips(self) -> None:
        flipped = scaled(QUARTERS, Viewport(8, 8, flips_horizontally=True), 1)
        assert np.array_equal(flipped, QUARTERS[:, ::-1])
        flipped = scaled(QUARTERS, Viewport(8, 8, flips_vertically=True), 1)
        assert np.array_equal(flipped, QUARTERS[::-1])

    @pytest.mark.parametrize("viewport", [Viewport(8, 8, 8), Viewport(8, 8, 0, 9, 2, 2)])
    def test_a_region_outside_is_refused(self, viewport: Viewport) -> None:
        with pytest.raises(InvalidRequest):
            scaled(QUARTERS, viewport, 1)

    def test_smaller_is_averaged(self) -> None:
        board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
        small = scaled(board, Viewport(16, 16), 1)
        assert np.abs(small.astype(int) - 127).max() <= 16

    def test_colour_too(self) -> None:
        colour = np.stack([QUARTERS] * 3, axis=-1)
        assert scaled(colour, Viewport(16, 16), 1).shape == (16, 16, 3)


class TestEncoding:
    RAMP = np.tile(np.arange(256, dtype=np.uint8), (64, 1))

    def test_png_loses_nothing(self) -> None:
        assert np.array_equal(opened(encode(self.RAMP, PNG)), self.RAMP)
        colour = np.stack([self.RAMP, self.RAMP[:, ::-1], self.RAMP // 2], axis=-1)
        assert np.array_equal(opened(encode(colour, PNG)), colour)

    def test_jpeg_is_baseline_and_near(self) -> None:
        body = encode(self.RAMP, JPEG, 95)
        image = Image.open(io.BytesIO(body))
        assert (image.format, image.mode) == ("JPEG", "L")
        assert b"\xff\xc0" in body  # SOF0
        assert np.abs(opened(body).astype(int) - self.RAMP).max() <= 4

    def test_quality_decides_the_size(self) -> None:
        noise = np.random.default_rng(1).integers(0, 256, (64, 64), np.uint8)
        sizes = [len(encode(noise, JPEG, quality)) for quality in (1, 50, 100)]
        assert sizes == sorted(set(sizes))

    def test_gif_of_grey_loses_nothing(self) -> None:
        body = encode(self.RAMP, GIF)
        image = Image.open(io.BytesIO(body))
        assert image.format == "GIF"
        assert np.array_equal(np.asarray(image.convert("L")), self.RAMP)

    def test_what_is_larger_than_a_jpeg_can_be_is_refused(self) -> None:
        with pytest.raises(InvalidInstance):
            encode(np.zeros((1, 65_501), np.uint8), JPEG)


class TestAnimation:
    def frames(self) -> list[Frame]:
        return [frame_of(np.full((8, 8), value, np.uint16)) for value in (0, 500, 1000)]

    def test_its_frames_share_one_window(self) -> None:
        body = animation(self.frames(), [40, 40, 80], Wanted(GIF))
        image = Image.open(io.BytesIO(body))
        seen, shown_ms = [], []
        for number in range(image.n_frames):
            image.seek(number)
            seen.append(int(np.asarray(image.convert("L"))[0, 0]))
            shown_ms.append(image.info["duration"])
        assert seen == [0, 128, 255]
        assert shown_ms == [40, 40, 80]
        assert image.info["loop"] == 0

    def test_equal_frames_take_their_time_too(self) -> None:
        same = [frame_of(np.full((8, 8), 7, np.uint8))] * 4
        image = Image.open(io.BytesIO(animation(same, [100] * 4, Wanted(GIF))))
        total = 0
        for number in range(image.n_frames):
            image.seek(number)
            total += image.info["duration"]
        assert total == 400


class TestPicture:
    def test_a_window_takes_the_place_of_the_images_own(self) -> None:
        frame = frame_of(np.array([[0, 100]], np.uint16), WindowCenter=0, WindowWidth=2)
        shown = picture(frame, Wanted(PNG, window=Window(100, 401)))
        assert opened(shown)[0, 1] == 128

    def test_without_a_viewport_it_has_the_images_size(self) -> None:
        frame = frame_of(QUARTERS, PixelAspectRatio=[2, 1])
        assert opened(picture(frame, Wanted(PNG))).shape == (8, 8)

    @pytest.mark.parametrize(
        ("shape", "ratio", "expected"),
        [
            ((600, 300), [1, 1], (256, 128)),
            ((100, 40), [1, 1], (100, 40)),
            ((100, 100), [1, 2], (50, 100)),
        ],
    )
    def test_a_thumbnail_is_small_and_not_distorted(
        self, shape: tuple[int, int], ratio: list[int], expected: tuple[int, int]
    ) -> None:
        frame = frame_of(np.zeros(shape, np.uint8), PixelAspectRatio=ratio)
        assert opened(picture(frame, Wanted(PNG, is_thumbnail=True))).shape == expected

    def test_overlays_are_burnt_in_where_they_are_wanted(self) -> None:
        dataset = make_image(np.zeros((4, 4), np.uint8))
        dataset.add_new(0x60000010, "US", 2)
        dataset.add_new(0x60000011, "US", 2)
        dataset.add_new(0x60000040, "CS", "G")
        dataset.add_new(0x60000050, "SS", [2, 3])
        dataset.add_new(0x60000100, "US", 1)
        dataset.add_new(0x60000102, "US", 0)
        dataset.add_new(0x60003000, "OW", bytes([0b1001, 0]))
        frame = Frame(bytes(16), None, appearance_of(dataset))
        assert not opened(picture(frame, Wanted(PNG))).any()
        burnt = opened(picture(frame, Wanted(PNG, shows_overlays=True)))
        assert sorted(zip(*np.nonzero(burnt), strict=True)) == [(1, 2), (2, 3)]

    def test_an_overlay_of_many_frames_has_a_plane_for_each(self) -> None:
        dataset = make_image(np.zeros((2, 4), np.uint8))
        for tag, value in (
            (0x60000010, 2),
            (0x60000011, 4),
            (0x60000015, 2),
            (0x60000051, 2),
        ):
            dataset.add_new(tag, "IS" if tag == 0x60000015 else "US", value)
        dataset.add_new(0x60000050, "SS", [1, 1])
        dataset.add_new(0x60003000, "OW", bytes([0x0F, 0xF0]))
        header, _ = header_of(dataset)
        assert list(read_overlays(header, 1)) == []
        assert [one.bits for one in read_overlays(header, 2)] == [b"\x0f"]
        assert [one.bits for one in read_overlays(header, 3)] == [b"\xf0"]

    def test_planes_need_not_begin_at_a_byte(self) -> None:
        dataset = make_image(np.zeros((3, 3), np.uint8))
        planes = np.random.default_rng(1).integers(0, 2, (5, 9))
        for tag, value in ((0x60000010, 3), (0x60000011, 3), (0x60000015, 5)):
            dataset.add_new(tag, "IS" if tag == 0x60000015 else "US", value)
        dataset.add_new(0x60000050, "SS", [1, 1])
        dataset.add_new(0x60003000, "OW", np.packbits(planes, bitorder="little").tobytes())
        header, _ = header_of(dataset)
        for frame, plane in enumerate(planes, 1):
            (overlay,) = read_overlays(header, frame)
            assert np.array_equal(overlay.mask(3, 3), plane.reshape(3, 3) == 1)

    def test_lines_are_written_into_it(self) -> None:
        frame = frame_of(np.zeros((256, 256), np.uint8))
        plain = opened(picture(frame, Wanted(PNG)))
        written = opened(picture(frame, Wanted(PNG, left_lines=("DOE JANE",))))
        assert not plain.any()
        assert written[:40, :128].max() == 255
        assert not written[128:].any()


class TestText:
    def test_what_no_font_has_stands_as_a_box(self) -> None:
        blank = np.zeros((64, 200), np.uint8)
        assert burn_lines(blank, ["𓀀"], []).any()

    def test_accents_are_not_lost_silently(self) -> None:
        drawn, _ = text_font("Müller", 16)
        assert drawn in {"Müller", "Muller"}

    def test_control_characters_are_spaces(self) -> None:
        assert text_font("a\nb\0c", 16)[0] == "a b c"

    def test_long_lines_are_cut(self) -> None:
        assert len(text_font("x" * 10_000, 16)[0]) == 120

    def test_the_patient(self) -> None:
        header = {
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane", "Ideographic": "山^花"}]},
            "00100020": {"vr": "LO", "Value": ["P1"]},
            "00100030": {"vr": "DA", "Value": ["19700203"]},
            "00100040": {"vr": "CS", "Value": ["F"]},
        }
        assert patient_lines(header) == ("Doe Jane 山 花", "P1", "1970-02-03 F")
        assert patient_lines({}) == ()

    def test_the_technique_names_no_patient(self) -> None:
        header = {
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
            "00080020": {"vr": "DA", "Value": ["20240102"]},
            "00080060": {"vr": "CS", "Value": ["CT"]},
            "00200013": {"vr": "IS", "Value": [7]},
            "00280008": {"vr": "IS", "Value": [3]},
        }
        lines = technique_lines(header, 2)
        assert "Image 7 Frame 2/3" in lines
        assert not any("Doe" in line for line in lines)


def test_a_shown_range_is_kept_by_replace() -> None:
    frame = frame_of(np.array([[0, 10]], np.uint16))
    narrowed = replace(frame.appearance, shown=(0.0, 20.0))
    assert opened(picture(replace(frame, appearance=narrowed), Wanted(PNG)))[0, 1] == 128
