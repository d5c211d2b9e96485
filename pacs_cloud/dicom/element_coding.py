"""Elements of DICOM JSON written in any native transfer syntax and character set (PS3.5 7)."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from struct import error, pack
from typing import Any, Final

from pacs_cloud.dicom.byte_order import swap_words
from pacs_cloud.dicom.charset import encode_text
from pacs_cloud.dicom.dicomjson import number_text
from pacs_cloud.dicom.element_json import BINARY_VRS
from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.dicom.explicit_elements import explicit_header, padding, written_vr
from pacs_cloud.dicom.person_name import PersonName
from pacs_cloud.dicom.records import ITEM, ITEM_END, SEQUENCE_END, UNDEFINED
from pacs_cloud.errors import InvalidRequest

_LENGTH_TO_END: Final = 0x00080001
_INTEGERS: Final = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "UV": "Q", "SV": "q"}
_FLOATS: Final = {"FL": "f", "FD": "d"}


@dataclass(frozen=True, slots=True)
class Form:
    """How elements are written; sequences and items without a length.

    Attributes:
        implicit: without a VR.
        little: the byte order.
        charset: the values of Specific Character Set in force.
    """

    implicit: bool
    little: bool
    charset: tuple[str, ...]

    def header(self, tag: int, vr: str, length: int) -> bytes:
        """Return tag, VR and length of an element, as `explicit_elements.explicit_header`."""
        order = "<" if self.little else ">"
        if self.implicit:
            return pack(f"{order}HHL", tag >> 16, tag & 0xFFFF, length)
        return explicit_header(tag, vr, length, order)

    def leaf(self, tag: int, vr: str, value: bytes) -> bytes:
        """Return an element with the bytes of its value, which are made even.

        What is too long for its VR is written as UN (PS3.5 6.2.2).
        """
        value += padding(vr, len(value))
        return self.header(tag, written_vr(vr, len(value)), len(value)) + value

    @property
    def item_start(self) -> bytes:
        """What begins an item."""
        return self._mark(ITEM, UNDEFINED)

    @property
    def item_end(self) -> bytes:
        """What ends one."""
        return self._mark(ITEM_END, 0)

    @property
    def sequence_end(self) -> bytes:
        """What ends a sequence whose header says UNDEFINED."""
        return self._mark(SEQUENCE_END, 0)

    def item(self, content: bytes) -> bytes:
        """Return an item of a sequence."""
        return self.item_start + content + self.item_end

    def sequence(self, tag: int, items: Iterable[bytes]) -> bytes:
        """Return a sequence of `items`, each as `item` returns it."""
        content = b"".join(items)
        if not content:
            return self.header(tag, "SQ", 0)
        return self.header(tag, "SQ", UNDEFINED) + content + self.sequence_end

    def element(self, tag: str, element: Element) -> bytes:
        """Return one element.

        Args:
            tag: eight hex digits.
            element: its `vr`, and `Value` or `InlineBinary`.

        Raises:
            InvalidRequest: a value does not fit its VR.
        """
        number, vr = int(tag, 16), str(element["vr"])
        if vr == "SQ":
            items: list[Elements | None] = element.get("Value") or []
            return self.sequence(number, (self.item(self.elements(one or {})) for one in items))
        try:
            return self.leaf(number, vr, self._value(vr, element))
        except (error, ValueError, TypeError, OverflowError) as problem:
            raise InvalidRequest(f"{tag} cannot be encoded in its VR.") from problem

    def elements(self, elements: Elements) -> bytes:
        """Return a data set; raises as `element`."""
        return b"".join(self.element(tag, elements[tag]) for tag in sorted(elements))

    def _mark(self, tag: int, length: int) -> bytes:
        return pack("<HHL" if self.little else ">HHL", tag >> 16, tag & 0xFFFF, length)

    def _value(self, vr: str, element: Element) -> bytes:
        values: list[Any] = element.get("Value") or []
        order = "<" if self.little else ">"
        if vr in BINARY_VRS:
            raw = base64.b64decode(element.get("InlineBinary") or "", validate=True)
            return raw if self.little else swap_words(raw, vr)
        if vr in _INTEGERS:
            return pack(f"{order}{len(values)}{_INTEGERS[vr]}", *map(int, values))
        if vr in _FLOATS:
            return pack(f"{order}{len(values)}{_FLOATS[vr]}", *map(float, values))
        if vr == "AT":
            tags = [int(value, 16) for value in values]
            halves = [half for tag in tags for half in (tag >> 16, tag & 0xFFFF)]
            return pack(f"{order}{len(halves)}H", *halves)
        return encode_text(text_of(element), self.charset, vr)


def is_length(tag: int) -> bool:
    """Tell whether an element says how long others are: Group Length, or Length to End.

    Both are retired (PS3.5 7.2), and would be wrong in a data set that has changed.
    """
    return not tag & 0xFFFF or tag == _LENGTH_TO_END


def text_of(element: Element) -> str:
    r"""Return the values of a text or a number in text, joined by backslashes."""
    values: list[Any] = element.get("Value") or []
    match element["vr"]:
        case "PN":
            return "\\".join(str(PersonName.from_json(value)) for value in values)
        case "IS":
            whole = (int(v) if isinstance(v, float) and v.is_integer() else v for v in values)
            return "\\".join(map(number_text, whole))
        case _:
            return "\\".join(map(number_text, values))
