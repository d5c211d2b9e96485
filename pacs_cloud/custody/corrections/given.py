"""Attributes as somebody writes them who corrects them."""

from collections.abc import Iterable

from pacs_cloud.dicom.amendable import given_element
from pacs_cloud.dicom.dicomjson import keyword_of
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.errors import InvalidRequest


def given_elements(given: Iterable[str]) -> Elements:
    """Return what `KEY=VALUE`s say; without a value an attribute is emptied.

    Raises:
        InvalidRequest: one is none, is given twice, or may not be corrected.
    """
    elements: Elements = {}
    for one in given:
        name, has_value, text = one.partition("=")
        if not has_value:
            raise InvalidRequest(f"an attribute is given as KEY=VALUE, not {one[:64]!r}")
        tag, element = given_element(name.strip(), text.strip())
        if tag in elements:
            raise InvalidRequest(f"{keyword_of(tag)} is given twice")
        elements[tag] = element
    return elements
