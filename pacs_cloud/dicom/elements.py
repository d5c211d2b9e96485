"""The shape of DICOM JSON inside this package (PS3.18 Annex F)."""

from typing import Any, TypeAlias

Element: TypeAlias = dict[str, Any]
"""One attribute: `{"vr": "PN", "Value": [{"Alphabetic": "A^B"}]}`."""

Elements: TypeAlias = dict[str, Element]
"""Attributes by tag, eight upper-case hex digits: `{"00100010": {…}}`."""


def element(vr: str, *values: Any) -> Element:
    """Return an attribute; of no values, or of an empty text alone, an empty one."""
    return {"vr": vr} if values in ((), ("",)) else {"vr": vr, "Value": list(values)}
