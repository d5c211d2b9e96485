"""DICOM JSON as the Native DICOM Model, read back by pydicom's and dicomweb-client's reader."""

import xml.etree.ElementTree as ET

import pytest
from dicomweb_client.web import _load_xml_dataset

from pacs_cloud.dicomweb.native_xml import encode

SPACE = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"


def test_values_have_numbers_and_empty_ones_a_gap() -> None:
    model = ET.fromstring(encode({"00080008": {"vr": "CS", "Value": ["A", None, "B"]}}))
    (attribute,) = model
    assert attribute.attrib == {"tag": "00080008", "vr": "CS", "keyword": "ImageType"}
    assert [(value.get("number"), value.text) for value in attribute] == [("1", "A"), ("3", "B")]


def test_names_have_groups_and_components() -> None:
    name = {"Alphabetic": "Doe^Jane^^Dr", "Ideographic": "山田"}
    model = ET.fromstring(encode({"00100010": {"vr": "PN", "Value": [name]}}))
    person = model[0][0]
    assert person.tag == f"{SPACE}PersonName"
    found = {
        group.tag.removeprefix(SPACE): {part.tag.removeprefix(SPACE): part.text for part in group}
        for group in person
    }
    assert found == {
        "Alphabetic": {"FamilyName": "Doe", "GivenName": "Jane", "NamePrefix": "Dr"},
        "Ideographic": {"FamilyName": "山田"},
    }


def test_sequences_bulk_and_inline_binary() -> None:
    model = ET.fromstring(
        encode(
            {
                "00081140": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2"]}}]},
                "7FE00010": {"vr": "OW", "BulkDataURI": 'http://h/a?b="c"&d'},
                "00091001": {"vr": "UN", "InlineBinary": "AQI="},
            }
        )
    )
    assert model[0][0].tag == f"{SPACE}Item"
    assert model[0][0][0][0].text == "1.2"
    assert model[1][0].get("uri") == 'http://h/a?b="c"&d'
    assert model[2][0].text == "AQI="
    assert "keyword" not in model[2].attrib


def test_private_attributes_name_their_creator() -> None:
    private = {
        "00090010": {"vr": "LO", "Value": ['ACME "1"']},
        "00091001": {"vr": "UN", "InlineBinary": "AQI="},
        "00091101": {"vr": "UN", "InlineBinary": "AQI="},
    }
    model = ET.fromstring(encode({"00081140": {"vr": "SQ", "Value": [private]}, **private}))
    for level in (model[0][0], model[1:]):
        creator, known, orphan = level
        assert known.get("privateCreator") == 'ACME "1"'
        assert "privateCreator" not in creator.attrib | orphan.attrib


@pytest.mark.parametrize("text", ["<&>\"'", "a\tb\nc", "\x00\x1b\ufffe", "\ud800", "é山"])
def test_any_text_is_well_formed(text: str) -> None:
    model = ET.fromstring(encode({"00104000": {"vr": "LT", "Value": [text]}}))
    read = model[0][0].text
    assert read is not None
    assert len(read) == len(text)


def test_dicomweb_client_reads_it() -> None:
    elements = {
        "00081199": {
            "vr": "SQ",
            "Value": [{"00081155": {"vr": "UI", "Value": ["1.2.3"]}}],
        }
    }
    dataset = _load_xml_dataset(ET.fromstring(encode(elements)))
    assert dataset.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3"


def test_carriage_returns_survive() -> None:
    document = encode({"00104000": {"vr": "LT", "Value": ["a\r\nb\rc\nd"]}})
    value = ET.fromstring(document).find(f".//{SPACE}Value")
    assert value is not None
    assert value.text == "a\r\nb\rc\nd"
