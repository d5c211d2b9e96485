"""Slices, stacks and grids: what is where, whatever direction it was acquired in."""

import math

import numpy as np
import pytest

from pacs_cloud.dicom.volume.grid import AXES
from pacs_cloud.dicom.volume.planes import plane_shape
from pacs_cloud.dicom.volume.stacks import stack_of
from pacs_cloud.errors import NotAcceptable
from volume_samples import AXIAL, CORONAL, SAGITTAL, filled, ramp, series_of, slices_of

_TURNED = math.radians(10)
OBLIQUE = (
    (math.cos(_TURNED), math.sin(_TURNED), 0.0),
    (
        -math.sin(_TURNED) * math.cos(0.3),
        math.cos(_TURNED) * math.cos(0.3),
        math.sin(0.3),
    ),
)


def _values(volume, grid):
    """Return a volume's values, and where in the patient each lies."""
    index = np.moveaxis(np.indices(grid.shape), 0, -1).astype(float)
    return volume.voxels * volume.scale.slope + volume.scale.intercept, grid.millimetres(index)


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, SAGITTAL, OBLIQUE])
@pytest.mark.parametrize("is_reversed", [False, True])
def test_every_value_lies_where_it_was_measured(orientation, is_reversed):
    series = series_of(orientation=orientation)
    volume, stack, grid = filled(series[::-1] if is_reversed else series)
    values, places = _values(volume, grid)
    assert stack.notes == ()
    np.testing.assert_allclose(values, np.rint(ramp(places)), atol=0.6)


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, SAGITTAL])
def test_every_volume_is_held_the_same_way_round(orientation):
    _, _, grid = filled(series_of(orientation=orientation))
    np.testing.assert_allclose(grid.directions, [[0, 0, -1], [0, 1, 0], [1, 0, 0]], atol=1e-9)
    labels = [plane_shape(grid, axis).labels for axis in range(3)]
    assert labels == [("R", "L", "A", "P"), ("R", "L", "H", "F"), ("A", "P", "H", "F")]


def test_an_end_that_is_askew_has_two_letters():
    _, _, grid = filled(series_of(orientation=OBLIQUE))
    assert plane_shape(grid, AXES.index("axial")).labels == ("R", "L", "AF", "PH")


def test_pictures_have_square_pixels():
    _, _, grid = filled(series_of(shape=(10, 12, 14), spacing=(2.0, 1.0, 1.5)))
    shape = plane_shape(grid, AXES.index("sagittal"))
    assert (shape.width, shape.height) == (12, 20)
    assert shape.mm == (1.0, 1.0)
    axial = plane_shape(grid, AXES.index("axial"))
    assert (axial.width, axial.height, axial.mm) == (21, 12, (1.0, 1.0))


def test_a_tilted_gantry_is_put_straight():
    tilt = (0.0, 1.3, 2.0)  # not along the normal
    volume, stack, grid = filled(series_of(shape=(10, 40, 14), step=tilt))
    assert "Gantry tilt, put straight." in stack.notes
    assert grid.shape == (10, 40 + math.ceil(9 * 1.3 / 1.0), 14)
    values, places = _values(volume, grid)
    # Each slice lies somewhere else, and its edge is mixed with the air around it.
    is_there = np.pad(values > -1024, ((0, 0), (1, 1), (0, 0)))
    inside = is_there[:, 2:] & is_there[:, 1:-1] & is_there[:, :-2]
    assert inside.sum() > 10 * 37 * 14
    np.testing.assert_allclose(values[inside], ramp(places)[inside], atol=1.1)


def test_missing_slices_are_filled_in_and_told():
    kept = (0, 1, 2, 3, 5, 6, 7, 8, 9)
    volume, stack, grid = filled(series_of(places=kept))
    assert stack.count == 10
    assert stack.notes == ("Slices missing, filled in from their neighbours: 1.",)
    values, places = _values(volume, grid)
    np.testing.assert_allclose(values, ramp(places), atol=1.1)


def test_uneven_slices_are_evened_out():
    places = (0, 1, 2, 3, 4, 5, 5.5, 6.5, 7.5, 8.5, 9.5)
    volume, stack, grid = filled(series_of(places=places))
    assert not stack.is_even
    values, where = _values(volume, grid)
    np.testing.assert_allclose(values, ramp(where), atol=8)  # the last lies half a gap beyond
    np.testing.assert_allclose(values[1:], ramp(where)[1:], atol=1.1)


def test_what_lies_far_away_is_left_out():
    _, stack, _ = filled(series_of(places=(0, 1, 2, 3, 4, 5, 6, 40, 41)))
    assert stack.count == 7
    assert "2 images far from the others: left out." in stack.notes


def test_localizers_are_left_out():
    plan = series_of(shape=(3, 12, 14), orientation=CORONAL, ImageType=["X", "Y", "LOCALIZER"])
    _, stack, _ = filled([*plan, *series_of()])
    assert (stack.count, stack.members[0]) == (10, 3)
    assert stack.notes == ("3 images that lie otherwise: left out.",)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}),
        ({"EchoNumbers": 1, "EchoTime": 2.5}, {"EchoNumbers": 2, "EchoTime": 80}),
    ],
)
def test_of_two_times_or_echoes_one_is_shown(first, second):
    one, other = series_of(**first), series_of(field=lambda at: ramp(at) + 500, **second)
    mixed = [it for pair in zip(other, one, strict=True) for it in pair]
    volume, stack, grid = filled([*mixed, *series_of(shape=(1, 12, 14), **first)])
    values, places = _values(volume, grid)
    off = np.rint(values - ramp(places))
    assert stack.count == 10
    assert len(np.unique(np.abs(off) > 250)) == 1  # all of one kind
    assert any("same places" in note for note in stack.notes)


def test_of_two_acquisitions_that_overlap_the_longer_is_shown_alone():
    one = series_of(places=range(7), AcquisitionNumber=1)
    other = series_of(lambda at: ramp(at) + 500, places=range(5, 10), AcquisitionNumber=2)
    volume, stack, grid = filled([*other, *one])
    values, places = _values(volume, grid)
    assert stack.count == 7
    np.testing.assert_allclose(values, ramp(places), atol=0.6)


def test_copies_that_nothing_tells_apart_are_shown_once():
    _, stack, _ = filled([*series_of(), *series_of()])
    assert (stack.count, len(stack.slices)) == (10, 10)


def test_a_volume_over_its_memory_is_made_coarser():
    fine, _, _ = filled(series_of(shape=(16, 32, 32), spacing=(1.0, 1.0, 1.0)))
    coarse, _, grid = filled(series_of(shape=(16, 32, 32), spacing=(1.0, 1.0, 1.0)), 8 << 10)
    assert grid.bytes <= 8 << 10
    assert grid.shape == (16, 16, 16)
    values, places = _values(coarse, grid)
    np.testing.assert_allclose(values, ramp(places), atol=1.1)
    assert fine.grid.bytes == 16 * 32 * 32 * 2


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"ImagePositionPatient": None}, "do not say where"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "do not say where"),
        ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, "do not say where"),
        ({"PixelSpacing": [0, 1]}, "do not say where"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "colour"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour"),
        ({"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}, "no grey values"),
    ],
)
def test_what_no_volume_can_be_made_of_says_why(attributes, words):
    with pytest.raises(NotAcceptable, match=words):
        slices_of(series_of(**attributes))


def test_two_slices_are_no_volume():
    with pytest.raises(NotAcceptable, match="fewer than three"):
        stack_of(slices_of(series_of(shape=(2, 12, 14))))


def test_slices_beside_one_another_are_no_volume():
    with pytest.raises(NotAcceptable, match="beside one another"):
        stack_of(slices_of(series_of(step=(0.0, 30.0, 2.0))))


def test_slices_that_lie_closer_than_their_pixels_are_all_there_when_made_coarser():
    # The volume is halved from slice to slice until there is one; then only its pixels are left.
    series = series_of(lambda at: 0 * at[..., 0] + 7, shape=(3, 64, 64), spacing=(0.01, 1, 1))
    volume, _, grid = filled(series, 2000)
    assert (grid.shape, grid.steps) == ((1, 16, 16), (2, 4, 4))
    np.testing.assert_array_equal(volume.voxels * volume.scale.slope + volume.scale.intercept, 7)
