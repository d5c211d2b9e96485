"""What an attribute of DICOM JSON says, as text (PS3.18 F.2)."""

from pacs_cloud.dicom.elements import Element, Elements


def has_value(element: Element | None) -> bool:
    """Return whether `element` is there and says something."""
    if element is None:
        return False
    values = element.get("Value")
    if values:
        return any(value not in (None, "", {}) for value in values)
    return bool(element.get("InlineBinary") or element.get("BulkDataURI"))


def first_text(elements: Elements, tag: str) -> str:
    """Return the first value of `tag` without the blanks around it, "" where there is none.

    Blanks around a value carry no meaning in any VR that is searched as text (PS3.5 6.2).
    """
    for value in elements.get(tag, {}).get("Value") or ():
        if isinstance(value, str):
            return value.strip()
        if isinstance(value, (int, float)):
            return str(value)
    return ""


def name_groups(elements: Elements, tag: str) -> tuple[str, ...]:
    """Return every component group of every value of the PN attribute `tag`, as written."""
    return tuple(
        group
        for value in elements.get(tag, {}).get("Value") or ()
        if isinstance(value, dict)
        for group in value.values()
        if isinstance(group, str) and group
    )
