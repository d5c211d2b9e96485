"""The shape of DICOM JSON inside this package (PS3.18 Annex F)."""

from typing import Any, TypeAlias

Element: TypeAlias = dict[str, Any]
"""One attribute: `{"vr": "PN", "Value": [{"Alphabetic": "A^B"}]}`."""

Elements: TypeAlias = dict[str, Element]
"""Attributes by tag, eight upper-case hex digits: `{"00100010": {…}}`."""
