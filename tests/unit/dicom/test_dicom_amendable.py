"""What may be corrected, and which values an attribute can get."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import keyword_dict

from pacs_cloud.dicom.amendable import given_element, is_writable, not_amendable
from pacs_cloud.dicom.attributes import PATIENT_TAGS
from pacs_cloud.dicom.dicomjson import encode_element, to_element, vr_of
from pacs_cloud.dicom.quiet import quiet_pydicom
from pacs_cloud.errors import InvalidRequest


@pytest.mark.parametrize(
    ("name", "text", "tag", "element"),
    [
        (
            "PatientName",
            "DOE^JANE",
            "00100010",
            {"vr": "PN", "Value": [{"Alphabetic": "DOE^JANE"}]},
        ),
        (
            "PatientName",
            "YAMADA^TAROU=山田^太郎",
            "00100010",
            {
                "vr": "PN",
                "Value": [{"Alphabetic": "YAMADA^TAROU", "Ideographic": "山田^太郎"}],
            },
        ),
        ("PatientBirthDate", "19700131", "00100030", {"vr": "DA", "Value": ["19700131"]}),
        ("00080050", "A 7", "00080050", {"vr": "SH", "Value": ["A 7"]}),
        ("(0020,0013)", "7", "00200013", {"vr": "IS", "Value": [7]}),
        ("PatientWeight", "70.5", "00101030", {"vr": "DS", "Value": [70.5]}),
        ("OtherPatientIDs", "A\\B", "00101000", {"vr": "LO", "Value": ["A", "B"]}),
        ("PatientComments", "a\\b\r\nc", "00104000", {"vr": "LT", "Value": ["a\\b\r\nc"]}),
        ("RecommendedDisplayFrameRateInFloat", "2.5", "00089459", {"vr": "FL", "Value": [2.5]}),
        ("PatientID", "", "00100020", {"vr": "LO"}),
        ("OtherPatientIDsSequence", "", "00101002", {"vr": "SQ"}),
    ],
)
def test_values_are_read_by_their_vr(
    name: str, text: str, tag: str, element: dict[str, object]
) -> None:
    assert given_element(name, text) == (tag, element)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("PatientBirthDate", "31.1.1970", "DA"),
        ("PatientSex", "female", "CS"),
        ("PatientName", "X" * 65, "64"),
        ("AccessionNumber", "X" * 17, "16"),
        ("AccessionNumber", "A\\B", "1 values at most"),
        ("InstanceNumber", "seven", "IS"),
        ("RecommendedDisplayFrameRateInFloat", "fast", "FL"),
        ("PatientID", "a\x1bb", "control"),
        ("PatientComments", "a\x00b", "control"),
        ("OtherPatientIDsSequence", "A", "emptied"),
        ("NoSuchThing", "A", "neither"),
    ],
)
def test_values_that_cannot_be_are_refused(name: str, text: str, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        given_element(name, text)


@pytest.mark.parametrize(
    "name",
    [
        "SOPClassUID",
        "SOPInstanceUID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "TransferSyntaxUID",
        "Rows",
        "PhotometricInterpretation",
        "PixelData",
        "FloatPixelData",
        "SpecificCharacterSet",
        "OriginalAttributesSequence",
        "60003000",
        "00091001",
        "00420011",  # Encapsulated Document
    ],
)
def test_what_an_instance_is_stays(name: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot be corrected"):
        given_element(name, "1")


def test_all_of_a_patient_may_be_amended() -> None:
    assert [not_amendable(tag, vr_of(tag)) for tag in PATIENT_TAGS] == [""] * len(PATIENT_TAGS)


_TAGS = st.sampled_from([f"{tag:08X}" for tag in keyword_dict.values()])
_TEXTS = st.one_of(
    st.text(max_size=70),
    st.text("0123456789.+-eE^=\\\\ AYMWD", max_size=30),
    st.integers().map(str),
    st.floats().map(str),
    st.dates().map(lambda day: day.strftime("%Y%m%d")),
)


@given(_TAGS, _TEXTS)
def test_whatever_is_taken_can_be_written(name: str, text: str) -> None:
    try:
        tag, element = given_element(name, text)
    except InvalidRequest:
        return
    assert orjson.loads(orjson.dumps(element)) == element
    if element["vr"] != "SQ":
        with quiet_pydicom():
            assert encode_element(to_element(tag, element))


@pytest.mark.parametrize(
    ("tag", "element", "is_one"),
    [
        ("00100010", {"vr": "PN", "Value": [{"Alphabetic": "A"}]}, True),
        ("00100020", {"vr": "UN", "InlineBinary": "QUI="}, True),
        ("00101002", {"vr": "SQ", "Value": [{"00100020": {"vr": "LO"}}, None]}, True),
        ("00101002", {"vr": "SQ", "Value": [{"00111001": {"vr": "SQ", "Value": []}}]}, True),
        ("00101002", {"vr": "UN", "InlineBinary": "QUI="}, False),
        ("00100020", {"vr": "SQ", "Value": []}, False),
        ("00101002", {"vr": "SQ", "Value": [{"00081032": {"vr": "LO"}}]}, False),
    ],
)
def test_what_is_no_sequence_by_its_tag_is_not_written_as_one(
    tag: str, element: dict[str, Any], is_one: bool
) -> None:
    assert is_writable(tag, element) == is_one
