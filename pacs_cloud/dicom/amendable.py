"""Which attributes may be shown otherwise than they were received, and values for them."""

import math
from typing import Any, Final

from pydicom.config import RAISE
from pydicom.datadict import dictionary_VM
from pydicom.dataelem import DataElement

from pacs_cloud.dicom.charset import UTF_8
from pacs_cloud.dicom.dicomjson import keyword_of, tag_of, vr_of
from pacs_cloud.dicom.element_coding import Form
from pacs_cloud.dicom.element_json import BINARY_VRS
from pacs_cloud.dicom.elements import Element
from pacs_cloud.dicom.pixel_tags import PIXEL_TAGS
from pacs_cloud.errors import InvalidRequest

_IDENTITY: Final = frozenset({"00080016", "00080018", "0020000D", "0020000E"})
"""SOP Class, SOP Instance, Study Instance and Series Instance UID."""
_SETTLED: Final = frozenset({"00080005", "04000561", "04000550"})
"""Specific Character Set follows what is shown; the others keep what was (C.12.1.1.9)."""
_NO_GROUPS: Final = frozenset({"0000", "0002", "0028", "FFFC", "FFFE"})
"""Commands, file meta information, how pixels are encoded, padding, delimiters."""
_TEXT_VRS: Final = frozenset({"LT", "ST", "UR", "UT"})
"""Of which a backslash is a character, and divides no values (PS3.5 6.2)."""
_INTEGER_VRS: Final = frozenset({"SL", "SS", "SV", "UL", "US", "UV"})
_REAL_VRS: Final = frozenset({"FD", "FL"})
_LINE_ENDS: Final = frozenset("\t\n\f\r")
_FORM: Final = Form(implicit=False, little=True, charset=(UTF_8,))


def not_amendable(tag: str, vr: str) -> str:
    """Return why `tag` may not be amended, "" where it may.

    Args:
        tag: eight upper-case hex digits.
        vr: of its value.
    """
    group = tag[:4]
    if tag in _IDENTITY:
        return "says which instance it is"
    if group in _NO_GROUPS or int(tag, 16) in PIXEL_TAGS or group.startswith(("50", "60", "7F")):
        return "says how the instance or its pixels are encoded"
    if tag in _SETTLED or tag.endswith("0000"):
        return "follows from the rest"
    if int(group, 16) % 2:
        return "is private: nobody here knows what it means"
    if vr in BINARY_VRS:
        return "has no value that can be written"
    return ""


def refuse_unamendable(tag: str, vr: str) -> None:
    """Return where `tag` may be amended; raises InvalidRequest."""
    why = not_amendable(tag, vr)
    if why:
        raise InvalidRequest(f"{keyword_of(tag)} cannot be corrected: it {why}.")


def given_element(name: str, text: str) -> tuple[str, Element]:
    """Return the tag of an attribute that may be amended, and its value from `text`.

    Args:
        name: a keyword or a tag.
        text: as DICOM writes it: values with a backslash between, a name's groups with `=`;
            "" for none.

    Raises:
        InvalidRequest: there is no such attribute, it may not be amended, or the value is
            none of its VR and multiplicity (PS3.5 6.2, PS3.6).
    """
    tag = tag_of(name)
    vr = vr_of(tag)
    refuse_unamendable(tag, vr)
    if not text:
        return tag, {"vr": vr}
    if vr == "SQ":
        raise InvalidRequest(f"{keyword_of(tag)} is a sequence: it can only be emptied.")
    if any(ord(one) < 32 and not (vr in _TEXT_VRS and one in _LINE_ENDS) for one in text):
        raise InvalidRequest(f"The value of {keyword_of(tag)} has a control character.")
    texts = [text] if vr in _TEXT_VRS else text.split("\\")
    _check_multiplicity(tag, len(texts))
    try:
        element = DataElement(int(tag, 16), vr, _values(vr, texts), validation_mode=RAISE)
        json: dict[str, Any] = element.to_json_dict(None, 0)
    except (ValueError, TypeError, OverflowError) as error:
        why = str(error).partition(". Please see")[0]
        raise InvalidRequest(f"No value of {keyword_of(tag)} ({vr}): {why}") from error
    if not all(math.isfinite(one) for one in json.get("Value", ()) if isinstance(one, float)):
        raise InvalidRequest(f"No value of {keyword_of(tag)} ({vr}): it is no finite number.")
    _FORM.element(tag, json)  # what is taken can be sent
    return tag, json


def is_writable(tag: str, element: Element) -> bool:
    """Tell whether any transfer syntax can hold an element as it was read elsewhere.

    Without a VR it is the tag that tells a sequence from other values, in each item too.
    """
    is_private = int(tag[:4], 16) % 2 == 1
    is_sequence = element["vr"] == "SQ"
    if not is_private and is_sequence != (vr_of(tag) == "SQ"):
        return False
    items = element.get("Value") or () if is_sequence else ()
    return all(is_writable(*one) for item in items for one in (item or {}).items())


def _check_multiplicity(tag: str, count: int) -> None:
    try:
        most = str(dictionary_VM(int(tag, 16))).rpartition("-")[2]
    except KeyError:
        return
    if most.isdigit() and count > int(most):
        raise InvalidRequest(f"{keyword_of(tag)} has {most} values at most, not {count}.")


def _values(vr: str, texts: list[str]) -> Any:
    if vr in _INTEGER_VRS:
        return [int(one) for one in texts]
    if vr in _REAL_VRS:
        return [float(one) for one in texts]
    if vr == "AT":
        return [int(tag_of(one), 16) for one in texts]
    return texts[0] if len(texts) == 1 else texts
