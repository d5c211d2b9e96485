"""An attribute's value as DICOM writes it, for people."""

from pacs_cloud.dicom.elements import Element
from pacs_cloud.dicom.person_name import PersonName


def element_text(element: Element) -> str:
    """Return the values of `element` with a backslash between, "" where it has none."""
    values = element.get("Value") or ()
    if element.get("vr") == "SQ":
        count = len(values)
        return f"({count} {'item' if count == 1 else 'items'})" if values else ""
    if "InlineBinary" in element or "BulkDataURI" in element:
        return "(bytes)"
    if element.get("vr") == "PN":
        return "\\".join(str(PersonName.from_json(value)) for value in values)
    return "\\".join("" if value is None else str(value) for value in values)
