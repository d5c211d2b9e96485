"""The order in which a series is looked through."""

import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pydicom import dcmread

from pacs_cloud.web.light.frame_order import Place, along, in_order
from real_files import REAL_DATA

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


def slices(numbers: list[int], depths: list[float], acquisition: int = 1) -> list[Place]:
    return [
        Place(f"1.{number}", number, acquisition, AXIAL, (-100.0, -100.0, depth))
        for number, depth in zip(numbers, depths, strict=True)
    ]


def numbers(places: list[Place]) -> list[float]:
    return [places[at].number for at in in_order(places)]


def test_it_goes_through_the_body_in_the_direction_of_the_numbers() -> None:
    assert numbers(slices([1, 2, 3, 4], [30.0, 20.0, 10.0, 0.0])) == [1, 2, 3, 4]
    assert numbers(slices([1, 2, 3, 4], [0.0, 10.0, 20.0, 30.0])) == [1, 2, 3, 4]


def test_where_they_lie_counts_more_than_their_numbers() -> None:
    # Interleaved: odd slices were numbered first.
    assert numbers(slices([1, 2, 3, 4, 5, 6], [0, 20, 40, 10, 30, 50])) == [1, 4, 2, 5, 3, 6]


def test_directions_that_differ_by_next_to_nothing_are_one() -> None:
    # Some scanners write 0.125 as 0.1249999 in one slice, and as 0.1250001 in the next.
    places = [
        Place(f"1.{n}", n, 1, (0.992, 0.125 + at, 0.0, -0.125 - at, 0.992, 0.0), (0.0, 0.0, depth))
        for n, depth, at in ((1, 0.0, 1e-7), (2, 10.0, -1e-7), (3, 20.0, 1e-7), (4, 30.0, -1e-7))
    ]
    assert numbers(places) == [1, 2, 3, 4]


def test_one_pass_follows_the_other() -> None:
    places = slices([1, 2, 3, 4, 5, 6], [0.0, 10.0, 20.0, 0.0, 10.0, 20.0])
    assert numbers(places) == [1, 2, 3, 4, 5, 6]
    # Each place is imaged twice before the next one: still a pass through all of them.
    assert numbers(slices([1, 2, 3, 4], [0.0, 0.0, 10.0, 10.0])) == [1, 3, 2, 4]


def test_a_slice_that_was_imaged_again_stands_beside_the_other() -> None:
    assert numbers(slices([1, 2, 3, 4], [0.0, 10.0, 20.0, 10.0])) == [1, 2, 4, 3]


def test_directions_stand_apart() -> None:
    plan = Place("9", 1, 1, CORONAL, (0.0, 0.0, 0.0))
    places = [*slices([2, 3], [0.0, 10.0]), plan]
    assert numbers(places) == [1, 2, 3]


def test_what_has_no_place_comes_by_its_number() -> None:
    places = [Place("a", 10), Place("b", 9), Place("c", 9), Place("d", 1, 2)]
    assert [places[at].uid for at in in_order(places)] == ["b", "c", "a", "d"]
    assert in_order([]) == []
    assert along(places[0]) is None


def test_depth_is_that_along_the_normal() -> None:
    (place,) = slices([1], [-37.5])
    assert along(place) == -37.5


@given(
    some.lists(some.integers(0, 40), min_size=1, max_size=30, unique=True),
    some.randoms(use_true_random=False),
)
def test_it_does_not_matter_how_they_came(depths: list[int], chance: random.Random) -> None:
    places = slices(list(range(1, len(depths) + 1)), [float(one) for one in depths])
    wanted = numbers(places)
    chance.shuffle(places)
    assert numbers(places) == wanted
    assert sorted(wanted) == list(range(1, len(depths) + 1))


@pytest.mark.skipif(not REAL_DATA.exists(), reason=f"no real DICOM files at {REAL_DATA}")
@pytest.mark.parametrize(
    ("folder", "passes"),
    [("series_CT_dcm_qa_ct", 1), ("series_MR_axial_epi_fmri_sequential_i_to_s", 4)],
)
def test_real_series_come_pass_by_pass(folder: str, passes: int) -> None:
    places = [_place(path) for path in sorted((REAL_DATA / folder).glob("*.dcm"))]
    random.Random(1).shuffle(places)
    ordered = [places[at] for at in in_order(places)]
    assert [place.number for place in ordered] == list(range(1, len(places) + 1))
    depths = [along(place) or 0.0 for place in ordered]
    rises = [before < after for before, after in pairwise(depths)]
    assert min(rises.count(True), rises.count(False)) == passes - 1


def _place(path: Path) -> Place:
    header = dcmread(path, stop_before_pixels=True)
    return Place(
        header.SOPInstanceUID,
        float(header.InstanceNumber),
        float(header.get("AcquisitionNumber") or 0),
        tuple(map(float, header.ImageOrientationPatient)),
        tuple(map(float, header.ImagePositionPatient)),
    )
