"""Elements of DICOM JSON as bytes: read back, they are what they were."""

from typing import Any

import pytest

from pacs_cloud.dicom.dicomjson import read_elements
from pacs_cloud.dicom.element_coding import Form, is_length
from pacs_cloud.dicom.uid import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE
from pacs_cloud.errors import InvalidRequest

FORMS = {
    EXPLICIT_LE: Form(implicit=False, little=True, charset=("ISO_IR 192",)),
    EXPLICIT_BE: Form(implicit=False, little=False, charset=("ISO_IR 192",)),
    IMPLICIT_LE: Form(implicit=True, little=True, charset=("ISO_IR 192",)),
}
ELEMENTS: dict[str, dict[str, Any]] = {
    "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
    "00080008": {"vr": "CS", "Value": ["ORIGINAL", "PRIMARY"]},
    "00080020": {"vr": "DA"},
    "0008002A": {"vr": "DT", "Value": ["20240102101500.5+0100"]},
    "00081190": {"vr": "UR", "Value": ["https://example.org/a?b=c"]},
    "00081195": {"vr": "UI", "Value": ["1.2.3"]},
    "00090010": {"vr": "LO", "Value": ["ACME"]},
    "00100010": {
        "vr": "PN",
        "Value": [{"Alphabetic": "A", "Ideographic": "", "Phonetic": "や"}, {"Alphabetic": "Ü"}],
    },
    "00101010": {"vr": "AS", "Value": ["042Y"]},
    "00104000": {"vr": "LT", "Value": ["a\\b\r\nß"]},
    "00189087": {"vr": "FD", "Value": [1.5, -2.25]},
    "00186020": {"vr": "SL", "Value": [-7]},
    "00200013": {"vr": "IS", "Value": [7, None, -1]},
    "00280009": {"vr": "AT", "Value": ["00181063", "00181065"]},
    "00280010": {"vr": "US", "Value": [65535]},
    "00281053": {"vr": "DS", "Value": [1.5, 100.0]},
    "00281201": {"vr": "OW", "InlineBinary": "AQIDBA=="},
    "00289001": {"vr": "UL", "Value": [4294967295]},
    "0040A043": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["X"]}}, {}]},
    "0040A730": {"vr": "SQ", "Value": []},
    "0072005F": {"vr": "AS", "Value": ["001D"]},
    "00720082": {"vr": "SV", "Value": [-1]},
    "00720083": {"vr": "UV", "Value": [1 << 63]},
}


@pytest.mark.parametrize("syntax", FORMS)
def test_what_is_written_is_read_as_it_was(syntax: str) -> None:
    elements = {tag: ELEMENTS[tag] for tag in sorted(ELEMENTS)}
    written = FORMS[syntax].elements(elements)
    read = read_elements(written, syntax)
    assert read == elements


def test_a_value_too_long_for_its_vr_is_unknown() -> None:
    comment = {"vr": "LT", "Value": ["ß" * 40_000]}
    written = FORMS[EXPLICIT_LE].element("00104000", comment)
    assert written[4:6] == b"UN"
    implicit = FORMS[IMPLICIT_LE].element("00104000", comment)
    assert written[8:] == implicit[4:]


@pytest.mark.parametrize(
    "element",
    [
        {"vr": "US", "Value": [65536]},
        {"vr": "US", "Value": ["many"]},
        {"vr": "FL", "Value": [1e300]},
        {"vr": "AT", "Value": ["PatientName"]},
        {"vr": "OB", "InlineBinary": "!"},
    ],
)
def test_what_does_not_fit_its_vr_is_refused(element: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        FORMS[EXPLICIT_LE].element("00280010", element)


def test_lengths_of_other_elements() -> None:
    assert is_length(0x00080000)
    assert is_length(0x00080001)
    assert not is_length(0x00080005)
