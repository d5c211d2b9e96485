"""Attributes as people read them."""

import pytest

from pacs_cloud.dicom.element_text import element_text
from pacs_cloud.dicom.elements import Element


@pytest.mark.parametrize(
    ("element", "text"),
    [
        ({}, ""),
        ({"vr": "LO"}, ""),
        ({"vr": "LO", "Value": ["a", None, "b"]}, "a\\\\b"),
        ({"vr": "IS", "Value": [7]}, "7"),
        ({"vr": "PN", "Value": [{"Alphabetic": "A^B", "Phonetic": "C"}]}, "A^B==C"),
        ({"vr": "PN", "Value": [{"Alphabetic": "A"}, {"Alphabetic": "B"}]}, "A\\B"),
        ({"vr": "SQ", "Value": [{}, {}]}, "(2 items)"),
        ({"vr": "SQ", "Value": [{}]}, "(1 item)"),
        ({"vr": "SQ"}, ""),
        ({"vr": "OB", "InlineBinary": "AAA="}, "(bytes)"),
    ],
)
def test_values_stand_as_dicom_writes_them(element: Element, text: str) -> None:
    assert element_text(element) == text
