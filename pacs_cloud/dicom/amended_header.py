"""A header as amendments show it: the new values, and what was there before (PS3.3 C.12.1.1.9)."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pacs_cloud.dicom.amendment import Amendment
from pacs_cloud.dicom.charset import TEXT_VRS, UTF_8, holds
from pacs_cloud.dicom.element_coding import is_length, text_of
from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.dicom.part10 import IMPLEMENTATION_VERSION_NAME

ORIGINAL_ATTRIBUTES: Final = "04000561"
CHARACTER_SET: Final = "00080005"
MODIFIED_ATTRIBUTES: Final = "04000550"
_DATE_TIME: Final = "04000562"
_SYSTEM: Final = "04000563"
_SOURCE: Final = "04000564"
_REASON: Final = "04000565"
_OURS: Final = frozenset({ORIGINAL_ATTRIBUTES, CHARACTER_SET})
"""What follows from the amendments; none says them itself."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UTF_8: Final[Element] = {"vr": "CS", "Value": [UTF_8]}


@dataclass(frozen=True, slots=True)
class Change:
    """What one amendment changes in one instance.

    Attributes:
        amendment: which.
        elements: what it shows that was not shown before.
        previous: what was shown instead; None where there was nothing.
    """

    amendment: Amendment
    elements: Elements
    previous: dict[str, Element | None]

    @property
    def said(self) -> Elements:
        """What an item of Original Attributes Sequence says beside the previous values."""
        amendment = self.amendment
        moment = _EPOCH + timedelta(microseconds=amendment.amended_us)
        return {
            _DATE_TIME: _of("DT", moment.strftime("%Y%m%d%H%M%S.%f+0000")),
            # Of type 1: where nobody is named, it is we who amended.
            _SYSTEM: _of("LO", amendment.system or IMPLEMENTATION_VERSION_NAME),
            _SOURCE: _of("LO", amendment.source),
            _REASON: _of("CS", amendment.reason.value),
        }


def looked_at(amendments: Iterable[Amendment]) -> frozenset[str]:
    """Return the tags of which `changes` needs to know what is stored."""
    return frozenset(tag for one in amendments for tag in one.elements) - _OURS


def changes(
    stored: Elements, amendments: Iterable[Amendment], sop_instance_uid: str
) -> list[Change]:
    """Return what amendments change in an instance, one after the other.

    What has no value and shall have none stays as it is, there or not.

    Args:
        stored: at least those of its elements that `looked_at` names.
        amendments: those that touch its series, in order.
        sop_instance_uid: which instance.
    """
    found: list[Change] = []
    shown: dict[str, Element | None] = dict(stored)
    for one in amendments:
        if not one.touches(sop_instance_uid):
            continue
        new = {
            tag: element if _has_value(element) else empty(element["vr"])
            for tag, element in one.elements.items()
            if tag not in _OURS
        }
        new = {
            tag: element
            for tag, element in new.items()
            if shown.get(tag) != element
            and (_has_value(element) or _has_value(shown.get(tag) or {}))
        }
        new = {tag: _in_ours(element) for tag, element in new.items()}
        if not new:
            continue
        found.append(Change(one, new, {tag: shown.get(tag) for tag in new}))
        shown |= new
    return found


def empty(vr: str) -> Element:
    """Return an element without a value, as headers have it."""
    return {"vr": vr, "Value": []} if vr == "SQ" else {"vr": vr}


def shown_of(made: Iterable[Change]) -> Elements:
    """Return the elements that changes show, the latest of each tag."""
    shown: Elements = {}
    for change in made:
        shown |= change.elements
    return shown


def fits(terms: Sequence[str], made: Iterable[Change]) -> bool:
    """Tell whether all text of changes can be written in a character set.

    Args:
        terms: the values of Specific Character Set.
        made: the changes.
    """
    texts = {
        pair
        for change in made
        for pair in (
            *_texts(change.elements),
            ("LO", change.amendment.system),
            ("LO", change.amendment.source),
        )
    }
    return all(text.isascii() or holds(terms, text, vr) for vr, text in texts)


def amended_header(
    header: Elements, amendments: Collection[Amendment], sop_instance_uid: str
) -> Elements:
    """Return an instance's header as amendments show it, by ascending tag.

    It is what the header of the amended data set would be (`amending.amended_data_set`).

    Args:
        header: DICOM JSON, all of it.
        amendments: those that touch its series, in order.
        sop_instance_uid: which instance.
    """
    if not amendments:  # as nearly always
        return header
    made = changes(header, amendments, sop_instance_uid)
    if not made:
        return header
    shown = {tag: element for tag, element in header.items() if not is_length(int(tag, 16))}
    terms = [str(value or "") for value in header.get(CHARACTER_SET, {}).get("Value", ())]
    is_recoded = not fits(terms, made)
    if is_recoded:
        shown = _in_utf_8(shown) | {CHARACTER_SET: _UTF_8}
    original = shown.get(ORIGINAL_ATTRIBUTES, {"vr": "SQ"})
    before: list[Any] = original.get("Value", []) if original["vr"] == "SQ" else []
    items = [
        {MODIFIED_ATTRIBUTES: _modified(change, is_recoded=is_recoded), **change.said}
        for change in made
    ]
    shown |= shown_of(made)
    shown[ORIGINAL_ATTRIBUTES] = {"vr": "SQ", "Value": [*before, *items]}
    return {tag: shown[tag] for tag in sorted(shown)}


def _modified(change: Change, *, is_recoded: bool) -> Element:
    previous = {
        tag: empty(change.elements[tag]["vr"]) if element is None else element
        for tag, element in sorted(change.previous.items())
    }
    return {"vr": "SQ", "Value": [_in_utf_8(previous) if is_recoded else previous]}


def _in_ours(element: Element) -> Element:
    """Return a new element whose items name no character set: all is written in one."""
    if element["vr"] != "SQ" or not element.get("Value"):
        return element
    items = [
        {tag: _in_ours(one) for tag, one in (item or {}).items() if tag != CHARACTER_SET}
        for item in element["Value"]
    ]
    return {**element, "Value": items}


def _in_utf_8(elements: Elements) -> Elements:
    """Return a data set whose text is in UTF-8, without what says how long others are."""
    return {
        tag: _recoded(tag, element)
        for tag, element in elements.items()
        if not is_length(int(tag, 16))
    }


def _recoded(tag: str, element: Element) -> Element:
    if tag == CHARACTER_SET:
        return _UTF_8
    if element["vr"] == "SQ" and element.get("Value"):
        return {**element, "Value": [_in_utf_8(item or {}) for item in element["Value"]]}
    return element


def _texts(elements: Elements) -> Iterator[tuple[str, str]]:
    """Yield the VR and the text of whatever is written in the character set."""
    for element in elements.values():
        if element["vr"] == "SQ":
            for item in element.get("Value") or ():
                yield from _texts(item or {})
        elif element["vr"] in TEXT_VRS:
            yield element["vr"], text_of(element)


def _has_value(element: Element) -> bool:
    return bool(element.get("Value") or element.get("InlineBinary") or "BulkDataURI" in element)


def _of(vr: str, text: str) -> Element:
    return {"vr": vr, "Value": [text]} if text else {"vr": vr}
