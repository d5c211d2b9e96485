"""What the viewer is told of an image beside its pixels."""

from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file

from pacs_cloud.web.light.frame_looks import look_of, place_of, rate_of, windows_of
from pacs_cloud.web.light.frame_order import along


def header_of(name: str, **changes: Any) -> dict[str, Any]:
    dataset = dcmread(str(get_testdata_file(name)), stop_before_pixels=True)
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return dataset.to_json_dict()


def test_a_ct_says_how_large_and_where_it_is() -> None:
    header = header_of("CT_small.dcm")
    look = look_of(header)
    assert (look["columns"], look["rows"], look["tall"]) == (128, 128, 1.0)
    assert look["spacing"] == [0.661468, 0.661468]
    assert look["directions"] == [1, 0, 0, 0, 1, 0]
    assert look["unit"] == "HU"
    assert look["range"] == [-1024, 3071]
    said = header_of("CT_small.dcm")
    said["00280106"], said["00280107"] = ({"vr": "SS", "Value": [one]} for one in (128, 2191))
    assert look_of(said)["range"] == [-896, 1167]
    assert "colour" not in look
    place = place_of("1.2", header)
    assert (place.number, place.position[2]) == (1.0, -75.699997)


def test_windows_have_names() -> None:
    changes = {
        "WindowCenter": [40, -600, 5],
        "WindowWidth": [400, 1500, 0],
        "WindowCenterWidthExplanation": ["SOFT", "LUNG"],
    }
    assert windows_of(header_of("CT_small.dcm", **changes)) == [
        [40.0, 400.0, "SOFT"],
        [-600.0, 1500.0, "LUNG"],
    ]
    assert windows_of(header_of("CT_small.dcm")) == []


def test_what_the_frames_of_one_instance_share_counts() -> None:
    look = look_of(header_of("MR_small.dcm"))
    assert look["columns"] == 64
    shared, measures, voi = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [2.0, 1.0]
    voi.WindowCenter, voi.WindowWidth = 300, 600
    shared.PixelMeasuresSequence, shared.FrameVOILUTSequence = [measures], [voi]
    changed = header_of("MR_small.dcm", SharedFunctionalGroupsSequence=[shared])
    look = look_of(changed)
    assert (look["spacing"], look["tall"]) == ([2.0, 1.0], 2.0)
    assert windows_of(changed) == [[300.0, 600.0, ""]]


def test_a_projection_has_the_spacing_of_its_detector() -> None:
    header = header_of("CT_small.dcm", ImagerPixelSpacing=[0.2, 0.2])
    header.pop("00280030")
    header.pop("00200037")
    header |= {"00200020": {"vr": "CS", "Value": ["L", "F"]}}
    look = look_of(header)
    assert (look["spacing"], look["projected"], look["sides"]) == ([0.2, 0.2], True, ["L", "F"])


def test_a_spacing_that_nobody_calibrated_is_the_detector_s() -> None:
    same = {"PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.2, 0.2]}
    assert look_of(header_of("CT_small.dcm", **same))["projected"] is True
    calibrated = {**same, "PixelSpacing": [0.15, 0.15]}
    look = look_of(header_of("CT_small.dcm", **calibrated))
    assert (look["spacing"], "projected" in look) == ([0.15, 0.15], False)


def test_each_frame_of_an_instance_lies_and_looks_as_it_says() -> None:
    frames: list[Dataset] = []
    for z, orientation, width in ((-5, [1, 0, 0, 0, 1, 0], 400), (-5, [0, 1, 0, 0, 0, -1], 80)):
        frame, plane, place, voi = Dataset(), Dataset(), Dataset(), Dataset()
        plane.ImageOrientationPatient, place.ImagePositionPatient = orientation, [7, 8, z]
        voi.WindowCenter, voi.WindowWidth = 40, width
        frame.PlaneOrientationSequence, frame.PlanePositionSequence = [plane], [place]
        frame.FrameVOILUTSequence = [voi]
        frames.append(frame)
    anatomy = Dataset()
    anatomy.FrameLaterality = "L"
    frames[0].FrameAnatomySequence = [anatomy]
    header = header_of("CT_small.dcm", PerFrameFunctionalGroupsSequence=frames)
    first, second = look_of(header, 1), look_of(header, 2)
    # Letters that say left where it is in front would be worse than none.
    assert (first["directions"], second["directions"]) == ([1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1])
    assert (first["laterality"], "laterality" in second) == ("L", False)
    assert [windows_of(header, n) for n in (1, 2)] == [[[40, 400, ""]], [[40, 80, ""]]]
    assert [along(place_of("1.2", header, n)) for n in (1, 2)] == [-5, -7]


@pytest.mark.parametrize("bits", [0, -5, 2000, 10**12])
def test_no_number_of_bits_is_too_much(bits: int) -> None:
    header = header_of("MR_small.dcm")
    header["00280101"] = {"vr": "DS", "Value": [bits]}
    low, high = look_of(header)["range"]
    assert high - low < 1 << 32


def test_colour_has_no_window() -> None:
    look = look_of(header_of("examples_rgb_color.dcm"))
    assert look["colour"] is True
    assert "range" not in look


def test_films_say_how_fast_they_are() -> None:
    assert rate_of(header_of("CT_small.dcm")) is None
    assert rate_of(header_of("CT_small.dcm", CineRate=25)) == 25
    assert rate_of(header_of("CT_small.dcm", FrameTime=40)) == 25
    assert rate_of(header_of("CT_small.dcm", FrameTime=0)) is None
