"""Rows of a search as they are served: with empty values, URLs, and text in UTF-8."""

from typing import Any, Final

from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.dicomweb import qido_tables
from pacs_cloud.query.request import Level

_STUDY_UID: Final = "0020000D"
_SERIES_UID: Final = "0020000E"
_INSTANCE_UID: Final = "00080018"
_CHARACTER_SET: Final = "00080005"
_UTF8: Final[Element] = {"vr": "CS", "Value": ["ISO_IR 192"]}
_BULK_URI: Final = "BulkDataURI"
_STORED_URI: Final = "instances/"
"""How stored headers refer to bulk data, relative to their series."""


class Completion:
    """What only the edge knows of the rows of one answer."""

    def __init__(self, level: Level, returns: frozenset[str], root: str) -> None:
        """Complete rows.

        Args:
            level: what they are.
            returns: the tags that were asked for.
            root: the absolute URL above `/studies`, without a slash at its end.
        """
        self._level = level
        self._root = root
        self._empty: Elements = {
            tag: {"vr": vr}
            for some, always in qido_tables.ALWAYS.items()
            if some <= level
            for tag, vr in always.items()
            if tag in returns
        }

    def completed(self, row: Elements) -> Elements:
        """Return a row with everything that it must have."""
        url = f"{self._root}/studies/{row[_STUDY_UID]['Value'][0]}"
        if self._level >= Level.SERIES:
            url += f"/series/{row[_SERIES_UID]['Value'][0]}"
        if self._level >= Level.IMAGE:
            url += f"/instances/{row[_INSTANCE_UID]['Value'][0]}"
        full = {**self._empty, **row, qido_tables.RETRIEVE_URL: {"vr": "UR", "Value": [url]}}
        if _CHARACTER_SET in full:
            full[_CHARACTER_SET] = _UTF8
        return full

    def with_urls(self, row: Elements) -> Elements:
        """Return a row whose references to bulk data are absolute."""
        study = row[_STUDY_UID]["Value"][0]
        series = row.get(_SERIES_UID, {}).get("Value", [""])[0]
        base = f"{self._root}/studies/{study}/series/{series}/"
        return {tag: _with_url(element, base) for tag, element in row.items()}


def _with_url(element: Element, base: str) -> Element:
    uri = element.get(_BULK_URI)
    if uri is not None:
        is_relative = str(uri).startswith(_STORED_URI)
        return {**element, _BULK_URI: base + uri} if is_relative else element
    if element["vr"] != "SQ" or not element.get("Value"):
        return element
    items: list[Any] = element["Value"]
    return {
        **element,
        "Value": [
            {tag: _with_url(inner, base) for tag, inner in (item or {}).items()} for item in items
        ],
    }
