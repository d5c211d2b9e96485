from io import BytesIO

import pytest
from dicom_making import bundled_files, dataset_of, implicit
from pydicom.filereader import read_dataset

from pacs_cloud.dicom.dicomjson import (
    encode_dataset,
    keyword_of,
    path_of,
    read_elements,
    tag_of,
    to_dataset,
    vr_of,
)
from pacs_cloud.dicom.quiet import quiet_pydicom
from pacs_cloud.dicom.uid import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE
from pacs_cloud.errors import InvalidRequest

ELEMENTS = {
    "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
    "00080061": {"vr": "CS", "Value": ["CT", "MR"]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller^Hans", "Ideographic": "山田"}]},
    "00100020": {"vr": "LO"},
    "00200013": {"vr": "IS", "Value": [7]},
    "00200032": {"vr": "DS", "Value": [1.5, -2.0, 1e-05]},
    "00280009": {"vr": "AT", "Value": ["00181063"]},
    "00280010": {"vr": "US", "Value": [512]},
    "00282000": {"vr": "OB", "InlineBinary": "AQI="},
    "00400275": {
        "vr": "SQ",
        "Value": [{"00400009": {"vr": "SH", "Value": ["S1"]}}, {}],
    },
}


@pytest.mark.parametrize("name", ["PatientName", "00100010", "(0010,0010)", "0010,0010"])
def test_names_of_an_attribute(name: str) -> None:
    assert tag_of(name) == "00100010"


def test_hex_digits_in_lower_case() -> None:
    assert tag_of("7fe00010") == "7FE00010"
    assert tag_of("00091abc") == "00091ABC"


@pytest.mark.parametrize(
    "name", ["", "Patientname", "0010001", "001000100", "(0010,0010", "x" * 999]
)
def test_what_is_no_name_is_a_bad_request(name: str) -> None:
    with pytest.raises(InvalidRequest):
        tag_of(name)


def test_dictionary() -> None:
    assert vr_of("00100010") == "PN"
    assert vr_of("00280120") == "US"
    assert vr_of("7FE00010") == "OW"
    assert vr_of("00091001") == "UN"
    assert keyword_of("00100010") == "PatientName"
    assert keyword_of("00091001") == "00091001"


def test_paths() -> None:
    expected = ("00400275", "00400009")
    assert path_of("RequestAttributesSequence.ScheduledProcedureStepID") == expected
    assert path_of("00400275.00400009") == expected
    assert path_of("PatientName") == ("00100010",)
    with pytest.raises(InvalidRequest, match="no sequence"):
        path_of("PatientName.PatientID")
    with pytest.raises(InvalidRequest):
        path_of("RequestAttributesSequence.")


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE])
def test_elements_survive_a_data_set(syntax: str) -> None:
    data = encode_dataset(to_dataset(ELEMENTS, ["ISO_IR 192"]), syntax)
    assert read_elements(data, syntax) == ELEMENTS


def test_pydicom_reads_the_answer() -> None:
    data = encode_dataset(to_dataset(ELEMENTS, ["ISO_IR 192"]), IMPLICIT_LE)
    dataset = read_dataset(BytesIO(data), is_implicit_VR=True, is_little_endian=True)
    assert dataset.PatientName == "Müller^Hans=山田"
    assert dataset.ModalitiesInStudy == ["CT", "MR"]


def test_the_character_set_is_the_callers() -> None:
    latin = to_dataset(ELEMENTS, ["ISO_IR 100"])
    assert latin.SpecificCharacterSet == "ISO_IR 100"
    assert b"M\xfcller^Hans=??" in encode_dataset(latin, EXPLICIT_LE)
    assert "SpecificCharacterSet" not in to_dataset(ELEMENTS)
    assert to_dataset({}, ["", "ISO 2022 IR 87"]).SpecificCharacterSet == ["", "ISO 2022 IR 87"]


@pytest.mark.parametrize(
    "elements",
    [
        {"0010": {"Value": ["x"]}},
        {"XXXXXXXX": {"vr": "LO"}},
        {"00280010": {"vr": "US", "Value": ["x"]}},
        {"00400275": {"vr": "SQ", "Value": ["x"]}},
        {"00282000": {"vr": "OB", "InlineBinary": "!"}},
        {"00280009": {"vr": "AT", "Value": ["zz"]}},
    ],
)
def test_what_is_no_dicom_json_is_a_bad_request(elements: dict[str, dict[str, object]]) -> None:
    with pytest.raises(InvalidRequest):
        encode_dataset(to_dataset(elements), EXPLICIT_LE)


def test_an_identifier_needs_no_uids() -> None:
    raw = implicit(0x00080052, b"STUDY ") + implicit(0x00100010, b"A*")
    assert read_elements(raw, IMPLICIT_LE) == {
        "00080052": {"vr": "CS", "Value": ["STUDY"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "A*"}]},
    }


def test_search_attributes_of_real_headers_survive() -> None:
    for path in bundled_files():
        if path.parent.name != "charset_files" or path.name in {"chrH32.dcm", "chrX2.dcm"}:
            continue
        dataset, syntax = dataset_of(path)
        elements = read_elements(dataset, syntax)
        name = elements.get("00100010")
        with quiet_pydicom():
            again = to_dataset({"00100010": name} if name else {}, ["ISO_IR 192"])
        data = encode_dataset(again, EXPLICIT_LE)
        assert read_elements(data, EXPLICIT_LE).get("00100010") == name
