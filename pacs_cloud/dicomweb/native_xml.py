"""DICOM JSON as the Native DICOM Model's XML (PS3.19 A.1)."""

import base64
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from pydicom.datadict import keyword_for_tag

from pacs_cloud.dicom.elements import Element, Elements

_PERSON_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_PERSON_NAME_PARTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_FORBIDDEN = dict.fromkeys(
    [*(code for code in range(0x20) if code not in {0x09, 0x0A, 0x0D}), 0xFFFE, 0xFFFF], "\ufffd"
)
"""What XML 1.0 2.2 cannot hold, not even escaped."""


def encode(elements: Elements) -> bytes:
    """Return one data set as a NativeDicomModel document."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM" '
        f'xml:space="preserve">{_data_set(elements)}</NativeDicomModel>'
    ).encode("utf-8", "replace")


def _data_set(elements: Elements) -> str:
    return "".join(
        _attribute(tag, element, _creator(tag, elements)) for tag, element in elements.items()
    )


def _creator(tag: str, elements: Elements) -> str:
    """Return who reserved the block of a private attribute (PS3.5 7.8.1), "" if it has none."""
    if int(tag[3], 16) % 2 == 0 or tag[4:6] == "00":
        return ""
    values = elements.get(f"{tag[:4]}00{tag[4:6]}", {}).get("Value") or [""]
    return str(values[0] or "")


def _attribute(tag: str, element: Element, creator: str) -> str:
    vr = element["vr"]
    keyword = keyword_for_tag(int(tag, 16))
    named = f' keyword="{keyword}"' if keyword else ""
    if creator:
        named += f" privateCreator={quoteattr(creator.translate(_FORBIDDEN))}"
    return f'<DicomAttribute tag="{tag}" vr="{vr}"{named}>{_content(vr, element)}</DicomAttribute>'


def _content(vr: str, element: Element) -> str:
    if "BulkDataURI" in element:
        return f"<BulkData uri={quoteattr(element['BulkDataURI'])}/>"
    if "InlineBinary" in element:
        # Checked here once: what is not base64 was never written by us.
        base64.b64decode(element["InlineBinary"], validate=True)
        return f"<InlineBinary>{element['InlineBinary']}</InlineBinary>"
    values = element.get("Value", ())
    return "".join(_value(vr, number, value) for number, value in enumerate(values, start=1))


def _value(vr: str, number: int, value: Any) -> str:
    if vr == "SQ":
        return f'<Item number="{number}">{_data_set(value or {})}</Item>'
    if value is None:
        return ""  # an empty value keeps its number by the gap
    if vr == "PN":
        return f'<PersonName number="{number}">{_person_name(value)}</PersonName>'
    return f'<Value number="{number}">{_text(value)}</Value>'


def _person_name(name: dict[str, str]) -> str:
    groups: list[str] = []
    for group in _PERSON_NAME_GROUPS:
        if text := name.get(group):
            parts = "".join(
                f"<{part}>{_text(component)}</{part}>"
                for part, component in zip(_PERSON_NAME_PARTS, text.split("^"), strict=False)
                if component
            )
            groups.append(f"<{group}>{parts}</{group}>")
    return "".join(groups)


def _text(value: object) -> str:
    # A bare CR, or one before LF, is no more when the document is read (XML 1.0 2.11).
    return escape(str(value).translate(_FORBIDDEN), {"\r": "&#13;"})
