"""Planes, slabs and views of a volume, against plain numpy and against what is known of it."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from pacs_cloud.dicom.volume import planes
from pacs_cloud.dicom.volume.bodies import body_of
from pacs_cloud.dicom.volume.casting import Angle, projection, view
from pacs_cloud.dicom.volume.pictures import Pictures, PlanePicture, ViewPicture
from pacs_cloud.dicom.volume.planes import Cut, Mode, cut_plane, sampled
from pacs_cloud.dicom.volume.transfer import transfer_of, views_of
from pacs_cloud.errors import InvalidRequest
from volume_samples import CORONAL, SAGITTAL, filled, ramp, series_of

PNG = "image/png"


def _picture(data):
    return np.asarray(Image.open(BytesIO(data)))


def _meant(volume, kept):
    return kept * volume.scale.slope + volume.scale.intercept


def _noise(points):
    """Return values without any order, the same for the same place."""
    return np.rint(700 * np.sin(points @ (37.7, 91.3, 53.1)))


def _trilinear(values, place):
    """Return a value between those of an array: written for the tests, one point at a time."""
    found, low = 0.0, np.floor(place).astype(int)
    for corner in np.ndindex(2, 2, 2):
        at = low + corner
        weight = np.prod(np.where(corner, place - low, 1 - (place - low)))
        if weight > 1e-12:
            found += weight * values[tuple(at)]
    return found


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("orientation", [None, CORONAL, SAGITTAL])
def test_a_plane_shows_the_values_of_its_place(plane, orientation):
    more = {} if orientation is None else {"orientation": orientation}
    volume, _, grid = filled(series_of(_noise, **more))
    axis = ("axial", "coronal", "sagittal").index(plane)
    for at in (0, grid.shape[axis] - 1, 3):
        index = np.moveaxis(np.indices(grid.shape), 0, -1).take(at, axis).astype(float)
        want = _noise(grid.millimetres(index))
        np.testing.assert_allclose(_meant(volume, cut_plane(volume, Cut(plane, at))), want, atol=1)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_projections_are_what_numpy_says(axis):
    volume, _, _ = filled(series_of(_noise))
    plane = ("axial", "coronal", "sagittal")[axis]
    values = volume.voxels
    np.testing.assert_array_equal(cut_plane(volume, Cut(plane, 0, Mode.MIP)), values.max(axis))
    np.testing.assert_array_equal(cut_plane(volume, Cut(plane, 5, Mode.MINIP)), values.min(axis))
    mean = cut_plane(volume, Cut(plane, 5, Mode.AVERAGE))
    np.testing.assert_allclose(mean, values.mean(axis), atol=0.51)


def test_a_slab_is_as_thick_as_is_asked():
    volume, _, _ = filled(series_of(_noise, spacing=(2.0, 1.0, 1.5)))
    slab = cut_plane(volume, Cut("axial", 5, Mode.MIP, slab_mm=6))
    np.testing.assert_array_equal(slab, volume.voxels[4:7].max(0))
    thin = cut_plane(volume, Cut("axial", 5, Mode.MIP, slab_mm=0.1))
    np.testing.assert_array_equal(thin, volume.voxels[5])
    last = cut_plane(volume, Cut("axial", 9, Mode.MIP, slab_mm=6))
    np.testing.assert_array_equal(last, volume.voxels[7:].max(0))


def test_a_plane_askew_is_trilinear():
    volume, _, grid = filled(series_of(_noise, shape=(12, 13, 14), spacing=(1.0, 1.0, 1.0)))
    cut = Cut("axial", 6, yaw=25, pitch=-15)
    plane = cut_plane(volume, cut)
    for row, column in ((6, 7), (5, 4), (8, 9), (3, 6)):
        point = Pictures(volume).point(cut, column + 0.5, row + 0.5)
        place = (np.array(point["mm"]) - grid.origin) @ grid.directions.T / grid.spacing
        assert plane[row, column] == pytest.approx(_trilinear(volume.voxels, place), abs=1.5)


def test_a_plane_is_turned_about_its_upright_then_about_its_level():
    volume, _, _ = filled(series_of(_noise, shape=(13, 13, 13), spacing=(1.0, 1.0, 1.0)))
    upright = cut_plane(volume, Cut("axial", 6, yaw=90))  # what was right goes to the feet
    np.testing.assert_array_equal(upright, volume.voxels[:, :, 6].T)
    level = cut_plane(volume, Cut("axial", 6, pitch=90))  # what was below goes to the feet
    np.testing.assert_array_equal(level, volume.voxels[:, 6])
    assert Pictures(volume).point(Cut("axial", 6, yaw=90), 0.5, 0.5)["at"] == {
        "axial": 0,
        "coronal": 0,
        "sagittal": 6,
    }


def test_a_plane_askew_of_even_values_is_even_and_black_outside():
    volume, _, _ = filled(series_of(lambda at: 0 * at[..., 0] + 300, shape=(11, 13, 15)))
    plane = cut_plane(volume, Cut("coronal", 6, yaw=40, pitch=30))
    assert set(np.unique(_meant(volume, plane))) == {-1024, 300}
    np.testing.assert_array_equal(plane, plane[::-1, ::-1])  # as far outside on every side
    for mode in (Mode.MIP, Mode.MINIP, Mode.AVERAGE):
        slab = cut_plane(volume, Cut("coronal", 6, mode, 2, yaw=20, pitch=10))
        assert _meant(volume, slab[slab.shape[0] // 2, slab.shape[1] // 2]) == 300


def test_a_plane_that_is_turned_by_nothing_is_the_plain_one():
    volume, _, _ = filled(series_of(_noise, spacing=(1.0, 1.0, 1.0)))
    turned = cut_plane(volume, Cut("sagittal", 4, yaw=1e-9))
    np.testing.assert_array_equal(turned, cut_plane(volume, Cut("sagittal", 4)))


def test_no_picture_of_a_plane_askew_takes_more_samples_than_there_is_time_for(monkeypatch):
    volume, _, _ = filled(series_of(_noise, spacing=(1.0, 1.0, 100.0)))
    samples: list[int] = []

    def counted(volume, points):
        samples.append(points[0].size)
        return sampled(volume, points)

    monkeypatch.setattr(planes, "sampled", counted)
    shown = _picture(Pictures(volume).plane(PlanePicture(Cut("axial", 5, yaw=1), size=1400)))
    assert shown.shape == (12, 1400)
    assert sum(samples) == 1024 * 9


def test_there_is_no_plane_beyond_the_last():
    volume, _, _ = filled(series_of())
    with pytest.raises(InvalidRequest, match="at: there are 10 axial planes"):
        cut_plane(volume, Cut("axial", 10))


def test_a_picture_has_its_window_and_its_size():
    volume, _, _ = filled(series_of(ramp, shape=(10, 12, 14), spacing=(1.0, 1.0, 1.0)))
    pictures = Pictures(volume)
    shown = _picture(
        pictures.plane(PlanePicture(Cut("axial", 0), window=(40, 201), media_type=PNG))
    )
    want = np.clip((_meant(volume, volume.voxels[0]) - 39.5) / 200 + 0.5, 0, 1) * 255
    np.testing.assert_allclose(shown, want, atol=1)
    small = _picture(pictures.plane(PlanePicture(Cut("axial", 0), size=7, media_type=PNG)))
    assert small.shape == (6, 7)


def test_what_is_inverse_is_shown_so():
    plain, _, _ = filled(series_of())
    inverse, _, _ = filled(series_of(PhotometricInterpretation="MONOCHROME1"))
    wanted = PlanePicture(Cut("axial", 3), media_type=PNG)
    one, other = (_picture(Pictures(volume).plane(wanted)) for volume in (plain, inverse))
    np.testing.assert_allclose(one.astype(int) + other, 255, atol=1)


@pytest.mark.parametrize(
    ("photometric", "lut_shape"), [("MONOCHROME2", "INVERSE"), ("MONOCHROME1", "IDENTITY")]
)
def test_a_presentation_lut_says_what_is_bright(photometric, lut_shape):
    said = {"PhotometricInterpretation": photometric, "PresentationLUTShape": lut_shape}
    volume, _, _ = filled(series_of(**said))
    assert volume.is_inverse == (lut_shape == "INVERSE")


def test_a_point_tells_its_place_and_value():
    volume, _, grid = filled(series_of(spacing=(2.0, 1.0, 1.5)))
    found = Pictures(volume).point(Cut("coronal", 4), x=0.6, y=1.1)
    assert found["at"] == {"axial": 0, "coronal": 4, "sagittal": 0}
    assert found["value"] == pytest.approx(
        float(ramp(grid.millimetres(np.array([0, 4, 0.0])))), abs=1
    )
    beyond = Pictures(volume).point(Cut("coronal", 4), x=-50, y=1)
    assert beyond["value"] is None


def _ball(points):
    """Return bone in a ball to the left, in front and up, and air around it."""
    middle = np.array((12.0, -10.0, 14.0))
    return np.where(np.linalg.norm(points - middle, axis=-1) < 6, 800.0, -1000.0)


@pytest.fixture(scope="module")
def ball():
    volume, _, _ = filled(
        series_of(_ball, shape=(48, 48, 48), spacing=(1, 1, 1), origin=(-24, -24, -24))
    )
    return volume


def _middle(shades):
    """Return where the light of a picture lies, from its middle: to the right, and below."""
    light = np.asarray(shades, float)
    light = light if light.ndim == 2 else light.sum(axis=2)
    rows, columns = np.indices(light.shape)
    half = light.shape[0] / 2
    total = light.sum()
    return (columns * light).sum() / total - half, (rows * light).sum() / total - half


@pytest.mark.parametrize(
    ("angle", "right", "below"),
    [
        (Angle(0, 0), 12, -14),  # from the front: the patient's left is on the right
        (Angle(180, 0), -12, -14),
        (Angle(90, 0), 10, -14),  # from the patient's right: the front is on the right
        (Angle(-90, 0), -10, -14),
        (Angle(0, 90), 12, 10),  # from above: the front is below
        (Angle(0, -90), 12, -10),
        # Between: turned about the patient's length, then tilted, by hand.
        (Angle(30, 0), 10 * 0.5 + 12 * 0.866, -14),
        (Angle(-60, 0), -10 * 0.866 + 12 * 0.5, -14),
        (Angle(0, 40), 12, -14 * 0.766 + 10 * 0.643),
        (Angle(50, -25), 10 * 0.766 + 12 * 0.643, -14 * 0.906 + (-10 * 0.643 + 12 * 0.766) * 0.423),
    ],
)
@pytest.mark.parametrize("preset", ["bone", "mip"])
def test_a_view_shows_things_where_they_are(ball, angle, right, below, preset):
    size = 96
    shown = _picture(Pictures(ball).view(ViewPicture(angle, preset, size, media_type=PNG)))
    if shown.ndim == 2:
        shown = np.where(shown > 128, shown, 0)
    found = _middle(shown)
    pixels = size / (48 * 1.15)
    assert found == pytest.approx((right * pixels, below * pixels), abs=2.5)


def test_zoom_makes_larger(ball):
    near, far = (
        _picture(Pictures(ball).view(ViewPicture(Angle(0, 0, zoom), "bone", 96, media_type=PNG)))
        for zoom in (1.0, 0.5)
    )
    assert (near.sum(axis=2) > 60).sum() > 3 * (far.sum(axis=2) > 60).sum()


@pytest.mark.parametrize(("yaw", "is_white"), [(0, True), (180, False), (25, True), (-155, False)])
def test_what_lies_in_front_hides_what_lies_behind(yaw, is_white):
    cube = {"shape": (32, 32, 32), "spacing": (1, 1, 1), "origin": (-16, -16, -16)}
    front = series_of(lambda at: np.where(at[..., 1] < 0, 1000.0, 250.0), **cube)
    volume, _, _ = filled(front)
    wanted = ViewPicture(Angle(yaw), "vessels", 64, media_type=PNG)
    red, _, blue = _picture(Pictures(volume).view(wanted))[24:40, 24:40].mean(axis=(0, 1))
    assert red > 80
    assert (blue > 0.7 * red) == is_white


def test_a_ray_meets_the_greatest_value():
    volume, _, grid = filled(
        series_of(_noise, shape=(20, 20, 20), spacing=(1, 1, 1), origin=(0, 0, 0))
    )
    body = body_of(volume.voxels, grid, 1 << 20)
    assert body.voxels is volume.voxels
    from_front = projection(body, Angle(0, 0, 1.15), 20, volume.scale.outside)
    np.testing.assert_array_equal(from_front, volume.voxels.max(1))
    from_right = projection(body, Angle(90, 0, 1.15), 20, volume.scale.outside)
    np.testing.assert_array_equal(from_right, volume.voxels.max(2)[:, ::-1])


def test_bodies_have_cubic_voxels():
    volume, _, grid = filled(series_of(ramp, shape=(10, 24, 24), spacing=(4.0, 1.0, 1.0)))
    body = body_of(volume.voxels, grid, 1 << 20)
    assert body.voxels.shape == (40, 24, 24)
    place = np.array([(17 + 0.5) / 4 - 0.5, 3, 4])
    assert _meant(volume, body.voxels[17, 3, 4]) == pytest.approx(
        float(ramp(grid.millimetres(place))), abs=1.5
    )
    coarse = body_of(volume.voxels, grid, 1000)
    assert coarse.voxels.size <= 1000
    assert max(coarse.spacing) < 1.5 * min(coarse.spacing)


def test_views_are_those_that_its_values_have():
    of_ct, _, _ = filled(series_of())
    of_mr, _, _ = filled(series_of(Modality="MR"))
    assert views_of(of_ct) == ("bone", "soft-tissue", "vessels", "lung", "mip")
    assert views_of(of_mr) == ("soft-tissue", "vessels", "mip")
    with pytest.raises(InvalidRequest, match="preset: of this volume it is one of soft-tissue"):
        Pictures(of_mr).view(ViewPicture(Angle(), "bone"))


def test_air_is_black_in_every_view():
    volume, _, grid = filled(series_of(lambda at: 0 * at[..., 0] - 1000, spacing=(1, 1, 1)))
    body = body_of(volume.voxels, grid, 1 << 20)
    for name in ("bone", "soft-tissue", "vessels", "lung"):
        transfer = transfer_of(volume, name)
        assert not view(body, transfer.levels(body.voxels), transfer, Angle(20, 30), 64).any()


@pytest.mark.parametrize("high", [5_000, 15_000, 30_000])
@pytest.mark.parametrize("name", ["soft-tissue", "vessels"])
def test_however_bright_a_volume_is_its_views_go_up_to_its_brightest(high: int, name: str) -> None:
    volume, _, _ = filled(
        series_of(lambda at: 0 * at[..., 0], spacing=(1, 1, 1)),
    )
    volume = replace(volume, modality="MR", quantiles=(0, high / 2, high, high))
    transfer = transfer_of(volume, name)
    assert transfer.opacity.max() == pytest.approx(0.9)
    assert transfer.scale > 0
