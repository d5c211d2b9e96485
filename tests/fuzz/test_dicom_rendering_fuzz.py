"""Headers and pixels that nobody meant: a picture, or an error of ours, never another."""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

import presentation_samples as samples
from pacs_cloud.dicom.element_values import DataSet
from pacs_cloud.dicom.render.annotations import patient_lines, technique_lines
from pacs_cloud.dicom.render.appearance import read_appearance
from pacs_cloud.dicom.render.frame_picture import Frame, Wanted, picture, presented_picture
from pacs_cloud.dicom.render.presentation_state import read_state, references
from pacs_cloud.dicom.render.report import report_html, report_text
from pacs_cloud.errors import PacsError
from rendering_samples import header_of, make_image, sequence_of

OWN = Path(pydicom.__file__).parent / "data" / "test_files"

NUMBERS = st.one_of(
    st.integers(-(2**33), 2**33),
    st.sampled_from([0, 1, -1, 255, 256, 65535, 65536, -32768]),
    st.floats(allow_nan=False, allow_infinity=False),  # JSON has no others
)
VALUES = st.one_of(
    st.none(),
    NUMBERS,
    st.text(max_size=8),
    st.just({}),
    st.just({"Alphabetic": None}),
    st.sampled_from(["INVERSE", "SIGMOID", "PALETTE COLOR", "RGB", "YBR_FULL_422", "NaN", "1e400"]),
)
ELEMENTS = st.one_of(
    st.fixed_dictionaries({"vr": st.just("US"), "Value": st.lists(VALUES, max_size=4)}),
    st.just({"vr": "US"}),
    st.builds(
        lambda text: {"vr": "OW", "InlineBinary": text},
        st.sampled_from(["", "AAAA", "?", "AQIDBA=="]),
    ),
)


def _image() -> DataSet:
    dataset = make_image(
        np.arange(16, dtype=np.uint16).reshape(4, 4),
        RescaleSlope=2,
        RescaleIntercept=-5,
        WindowCenter=4,
        WindowWidth=9,
        PixelPaddingValue=3,
        PixelPaddingRangeLimit=4,
        NumberOfFrames=1,
        PixelSpacing=[1, 2],
        PatientName="Doe^Jane",
        PatientBirthDate="19700101",
        StudyTime="10",
        SharedFunctionalGroupsSequence=sequence_of(
            FrameVOILUTSequence=sequence_of(WindowCenter=1, WindowWidth=2),
            PixelValueTransformationSequence=sequence_of(RescaleSlope=1, RescaleIntercept=0),
        ),
    )
    for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        dataset[keyword].VR = "US"
    for group in ("VOILUTSequence", "ModalityLUTSequence", "PresentationLUTSequence"):
        item = sequence_of(LUTDescriptor=[4, 0, 16], LUTData=bytes(range(8)))
        item[0]["LUTDescriptor"].VR, item[0]["LUTData"].VR = "US", "OW"
        setattr(dataset, group, item)
    for name in ("Red", "Green", "Blue"):
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [4, 0, 16])
        dataset[f"{name}PaletteColorLookupTableDescriptor"].VR = "US"
        setattr(dataset, f"{name}PaletteColorLookupTableData", bytes(range(8)))
    for tag, vr, value in (
        (0x60000010, "US", 4),
        (0x60000011, "US", 4),
        (0x60000015, "IS", 1),
        (0x60000050, "SS", [1, 1]),
        (0x60003000, "OW", b"\x0f\xf0"),
    ):
        dataset.add_new(tag, vr, value)
    return header_of(dataset)[0]


def _state() -> DataSet:
    image = make_image(np.zeros((4, 4), np.uint16))
    lines = [
        samples.graphic(kind, data)
        for kind, data in (
            ("POLYLINE", [0, 0, 3, 3]),
            ("CIRCLE", [1, 1, 2, 2]),
            ("ELLIPSE", [0, 1, 3, 1, 1, 0, 1, 3]),
            ("INTERPOLATED", [0, 0, 1, 1, 2, 0]),
            ("POINT", [1, 1]),
        )
    ]
    texts = [samples.label("A", (1, 1)), samples.boxed_label("B", (0, 0), (1, 1))]
    made = samples.make_state(
        image,
        "1.2.9",
        window=(1, 2),
        ImageRotation=90,
        ImageHorizontalFlip="Y",
        ShutterShape=["RECTANGULAR", "CIRCULAR", "POLYGONAL"],
        ShutterLeftVerticalEdge=1,
        ShutterRightVerticalEdge=3,
        ShutterUpperHorizontalEdge=1,
        ShutterLowerHorizontalEdge=3,
        CenterOfCircularShutter=[2, 2],
        RadiusOfCircularShutter=2,
        VerticesOfThePolygonalShutter=[1, 1, 1, 3, 3, 3],
        DisplayedAreaSelectionSequence=[samples.area((1, 1), (4, 4))],
        GraphicLayerSequence=[samples.layer(lab=(1, 2, 3))],
        GraphicAnnotationSequence=[samples.annotation(lines, texts)],
    )
    return header_of(pydicom.dcmread(io.BytesIO(made)))[0]


def _mutated(elements: dict[str, Any], changes: list[tuple[int, Any]]) -> dict[str, Any]:
    """Return `elements` with some of its elements, at any depth, put in place of."""
    places: list[tuple[tuple[Any, ...], str]] = []

    def walk(some: dict[str, Any], path: tuple[Any, ...]) -> None:
        for tag, element in some.items():
            places.append((path, tag))
            if element.get("vr") == "SQ":
                for number, item in enumerate(element.get("Value", ())):
                    walk(item, (*path, tag, number))

    copied: dict[str, Any] = _copy(elements)
    walk(copied, ())
    for place, element in changes:
        path, tag = places[place % len(places)]
        target: Any = copied
        try:
            for sequence, number in zip(path[::2], path[1::2], strict=True):
                target = target[sequence]["Value"][number]
            target[tag] = element
        except (KeyError, IndexError, TypeError, AttributeError):
            continue  # an earlier change has taken it away
    return copied


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(one) for key, one in value.items()}
    return [_copy(one) for one in value] if isinstance(value, list) else value


IMAGE, STATE = _image(), _state()
CHANGES = st.lists(st.tuples(st.integers(0, 200), ELEMENTS), max_size=4)
SLOW = settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])


@SLOW
@given(CHANGES, st.binary(max_size=64))
def test_images(changes: list[tuple[int, Any]], data: bytes) -> None:
    header = DataSet(_mutated(IMAGE.elements, changes))
    patient_lines(header.elements)
    lines = technique_lines(header.elements, 1)
    try:
        appearance = read_appearance(header, 1)
        wanted = Wanted(is_thumbnail=True, shows_overlays=True, right_lines=lines)
        assert picture(Frame(data.ljust(32, b"\1"), None, appearance), wanted)
    except PacsError:
        return


@SLOW
@given(CHANGES)
def test_states(changes: list[tuple[int, Any]]) -> None:
    state = DataSet(_mutated(STATE.elements, changes))
    references(state)
    appearance = read_appearance(IMAGE, 1)
    try:
        shown = read_state(state, "1.2.3.4", 1)
        frame = Frame(bytes(32), None, appearance)
        assert presented_picture(frame, shown, Wanted(is_thumbnail=True))
    except PacsError:
        return


@SLOW
@given(CHANGES)
def test_reports(changes: list[tuple[int, Any]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report: Dataset = pydicom.dcmread(OWN / "test-SR.dcm")
    elements = _mutated(report.to_json_dict(1 << 30, None), changes)
    assert report_html(elements).endswith(b"</html>\n")
    assert report_text(elements)
