"""DICOM JSON as a client gave it: nothing of it is believed before it is checked (PS3.18 F.2)."""

import re
from typing import Any, Final

from pacs_cloud.dicom.element_json import BINARY_VRS
from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.dicom.explicit_elements import LONG_VRS, SHORT_VRS
from pacs_cloud.errors import InvalidRequest

_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_KEYS: Final = frozenset({"vr", "Value", "InlineBinary", "BulkDataURI"})
_LOWER_KEYS: Final = frozenset({"datafragment", *map(str.lower, _KEYS)})
"""Others, such as a keyword, say nothing that is stored."""
_NAME_GROUPS: Final = frozenset({"Alphabetic", "Ideographic", "Phonetic"})
_NO_ATTRIBUTES: Final = frozenset({0x0000, 0x0002})
"""Groups of commands and of the file meta information, which is ours."""


def uid_in(elements: Elements, tag: str) -> str:
    """Return the UID that is the first value of `tag`, unchecked; "" if there is none."""
    element: Any = elements.get(tag)
    values: Any = element.get("Value") if isinstance(element, dict) else None
    value = values[0] if isinstance(values, list) and values else None
    return value.rstrip("\0 ") if isinstance(value, str) else ""


def bulk_uri(element: Element) -> str | None:
    """Return the BulkDataURI of `element`, None if it has none; raises InvalidRequest."""
    if not isinstance(element, dict):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidRequest("An element of a data set is no JSON object.")
    uri: Any = element.get("BulkDataURI")
    if isinstance(uri, list) and len(uri) == 1:  # as an example in PS3.18 F.4 had it
        uri = uri[0]
    if uri is not None and not isinstance(uri, str):
        raise InvalidRequest("A BulkDataURI is no text.")
    return uri


def attributes_in(elements: Any) -> Elements:
    """Return the elements that are attributes, by upper-case tag, each with a VR there is.

    Those of groups 0000 and 0002 and group lengths are none.

    Raises:
        InvalidRequest: it is no DICOM JSON object, or says one tag twice.
    """
    if not isinstance(elements, dict):
        raise InvalidRequest("A data set is no JSON object.")
    found: Elements = {}
    for name, element in elements.items():  # pyright: ignore[reportUnknownVariableType]
        tag = str(name).upper()  # pyright: ignore[reportUnknownArgumentType]
        if _TAG.fullmatch(tag) is None or tag in found or tag.startswith("FFFE"):
            raise InvalidRequest(f"{tag[:8]!r} is no tag of an attribute, or is there twice.")
        if int(tag[:4], 16) in _NO_ATTRIBUTES or tag.endswith("0000"):
            continue
        vr: Any = element.get("vr") if isinstance(element, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if not isinstance(vr, str) or (vr not in SHORT_VRS and vr not in LONG_VRS):
            raise InvalidRequest(f"{tag} has no VR.")
        if any(key not in _KEYS and key.lower() in _LOWER_KEYS for key in element):  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType, reportUnknownArgumentType]
            raise InvalidRequest(f"{tag} has a value under another name than DICOM JSON's.")
        found[tag] = element
    return found


def checked(tag: str, element: Element) -> Element:
    """Return an element, no sequence, whose values, if any, are where its VR has them.

    Raises:
        InvalidRequest: they are elsewhere, or of a kind that the VR cannot have.
    """
    is_binary = element["vr"] in BINARY_VRS
    if element.get("Value" if is_binary else "InlineBinary") is not None:
        raise InvalidRequest(f"{tag} has a value of another kind than its VR.")
    if not is_binary:
        values: Any = element.get("Value", [])
        kinds = (str, dict) if element["vr"] == "PN" else (str, int, float)
        if (
            not isinstance(values, list)
            or not all(
                value is None or (isinstance(value, kinds) and not isinstance(value, bool))
                for value in values  # pyright: ignore[reportUnknownVariableType]
            )
            or not all(
                _NAME_GROUPS.issuperset(value) for value in values if isinstance(value, dict)
            )
        ):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            raise InvalidRequest(f"{tag} has a Value that its VR cannot have.")
        return element
    inline: Any = element.get("InlineBinary", "")
    if isinstance(inline, list) and len(inline) == 1:  # as an example in PS3.18 F.4 had it
        inline = inline[0]
    if not isinstance(inline, str):
        raise InvalidRequest(f"{tag} has an InlineBinary that is no text.")
    return {"vr": element["vr"], "InlineBinary": "".join(inline.split())}
