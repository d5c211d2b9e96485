"""Rows of DICOM JSON that somebody else's server made, read as if it were hostile."""

import re
from typing import Any, Final, cast

from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.errors import Unavailable
from pacs_cloud.remote.words import without_controls

_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_VR: Final = re.compile(r"[A-Z]{2}")
_DEPTH: Final = 32
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")


def read_rows(answer: object) -> list[Elements]:
    """Return the rows of a search's answer (PS3.18 F.2): attributes that have a value, by tag.

    What is malformed in a row is left out; control characters are, too.

    Raises:
        Unavailable: it is no list of rows.
    """
    if not isinstance(answer, list):
        raise Unavailable("the answer is no list of DICOM JSON")
    return [read_elements(row) for row in cast("list[object]", answer)]


def read_elements(row: object, depth: int = 0) -> Elements:
    """Return one data set of DICOM JSON: its attributes that have a value, by ascending tag."""
    if not isinstance(row, dict) or depth > _DEPTH:
        raise Unavailable("the answer is no DICOM JSON")
    found: Elements = {}
    for tag, given in cast("dict[str, object]", row).items():
        if _TAG.fullmatch(tag) and isinstance(given, dict):
            element = _element(cast("dict[str, Any]", given), depth)
            if element is not None:
                found[tag.upper()] = element
    return dict(sorted(found.items()))


def _element(given: dict[str, Any], depth: int) -> Element | None:
    vr, values = given.get("vr"), given.get("Value")
    if not isinstance(vr, str) or not _VR.fullmatch(vr) or not isinstance(values, list):
        return None
    some = [_value(vr, value, depth) for value in cast("list[object]", values)]
    return {"vr": vr, "Value": some} if some else None


def _value(vr: str, value: object, depth: int) -> object:
    if vr == "SQ":
        return read_elements(value if value is not None else {}, depth + 1)
    if vr == "PN":
        groups = cast("dict[str, object]", value) if isinstance(value, dict) else {}
        named = {name: groups.get(name) for name in _GROUPS}
        return {
            name: without_controls(text) for name, text in named.items() if isinstance(text, str)
        }
    if isinstance(value, str):
        return without_controls(value)
    return value if isinstance(value, int | float) else None


def first_text(elements: Elements, tag: str) -> str:
    """Return the first value of an attribute as text, "" where it has none."""
    value = elements[tag]["Value"][0] if tag in elements else ""
    return value if isinstance(value, str) else ""
