"""A data set as a tree that can be changed, and its bytes in Explicit VR Little Endian.

What is large stays where it lies: a span of the file, read when it is written.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

from pydicom.datadict import dictionary_VR

from pacs_cloud.dicom.byte_order import swap_words
from pacs_cloud.dicom.charset import decode, encode_text, terms_of
from pacs_cloud.dicom.element_coding import Form, is_length
from pacs_cloud.dicom.element_json import BINARY_VRS
from pacs_cloud.dicom.explicit_elements import (
    ITEM_DELIMITER,
    ITEM_START,
    LONG_VRS,
    SEQUENCE_DELIMITER,
    SHORT_VRS,
    padding,
    written_vr,
)
from pacs_cloud.dicom.pixel_tags import PIXEL_TAGS
from pacs_cloud.dicom.records import UNDEFINED, Fragments, Record, View
from pacs_cloud.dicom.walk import Scope, Walk

SMALL_BYTES: Final = 1 << 16
"""A longer value is a span."""
_CHUNK_BYTES: Final = 1 << 20
_TEXT_VRS: Final = frozenset(
    {
        *("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO"),
        *("LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"),
    }
)
_FORM: Final = Form(implicit=False, little=True, charset=())


@dataclass(frozen=True, slots=True)
class Span:
    """A value that lies in the file.

    Attributes:
        start: of its bytes, in the data set.
        stop: behind them.
        fragments: where those of an encapsulated value lie, else None.
        is_big: its words are big endian.
        cell_bits: of pixel data, Bits Allocated.
    """

    start: int
    stop: int
    fragments: Fragments | None = None
    is_big: bool = False
    cell_bits: int = 0

    @property
    def length(self) -> int:
        """In bytes, as it lies."""
        return self.stop - self.start


@dataclass(slots=True)
class DataSet:
    """One data set, the whole or an item.

    Attributes:
        elements: by tag, ascending.
        charset: the value of Specific Character Set in force, as stored.
    """

    elements: "dict[int, Element]"
    charset: bytes

    def text(self, tag: int) -> str:
        """Return the text of an element, all its values; "" without it."""
        found = self.elements.get(tag)
        return text_of(found, self) if found is not None else ""

    def put(self, tag: int, vr: str, value: "Value") -> None:
        """Set an element."""
        self.elements[tag] = Element(tag, vr, value)

    def put_text(self, tag: int, vr: str, text: str) -> None:
        """Set an element to a text."""
        self.put(tag, vr, encode_text(text, terms_of(self.charset), vr))


@dataclass(slots=True)
class Element:
    """One element.

    Attributes:
        tag: group and element.
        vr: its VR.
        value: little endian bytes, a span, or the items of a sequence.
    """

    tag: int
    vr: str
    value: "Value"


Value: TypeAlias = "bytes | Span | list[DataSet]"


def text_of(element: Element, around: DataSet) -> str:
    """Return the text of an element that is no span and no sequence; "" for those."""
    if not isinstance(element.value, bytes):
        return ""
    return decode(element.value, terms_of(around.charset), element.vr)


def read_tree(walk: Walk) -> DataSet:
    """Return the data set as a tree; raises InvalidInstance (UNREADABLE, TOO_LARGE)."""
    return _data_set(walk, walk.top())


def _data_set(walk: Walk, scope: Scope) -> DataSet:
    found: dict[int, Element] = {}
    for record in scope.records:
        tag = record[0]
        if is_length(tag):
            continue
        vr = walk.vr(record, scope)
        if vr == "SQ":
            items = walk.items_if_any(record, scope)
            if items is not None:
                inner = [walk.inner(item, scope, f"{scope.path}{tag:08X}/") for item in items]
                found[tag] = Element(tag, vr, [_data_set(walk, one) for one in inner])
                continue
            vr = "UN"
        found[tag] = _leaf(walk, scope, record, vr)
    return DataSet(found, scope.charset)


def _leaf(walk: Walk, scope: Scope, record: Record, vr: str) -> Element:
    tag, _, _, _, value, stop, inside = record
    if isinstance(inside, Fragments):
        return Element(tag, vr if vr in BINARY_VRS else "OB", Span(value, stop, inside))
    if vr not in SHORT_VRS and vr not in LONG_VRS:
        vr = "UN"
    if vr in _TEXT_VRS and not tag & 0x10000:
        vr = _dictionary_text_vr(tag) or vr
    cell_bits = walk.bits_allocated(scope) if tag in PIXEL_TAGS else 0
    if stop - value > SMALL_BYTES or tag in PIXEL_TAGS:
        return Element(tag, vr, Span(value, stop, None, not walk.little, cell_bits))
    raw = bytes(walk.view[value:stop])
    return Element(tag, vr, raw if walk.little else swap_words(raw, vr, cell_bits))


@lru_cache(4096)
def _dictionary_text_vr(tag: int) -> str:
    """Return the VR that a text has in the dictionary, whatever was written; "" for none."""
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return ""
    return vr if vr in _TEXT_VRS else ""


def span_parts(view: View, span: Span, vr: str) -> Iterator[bytes]:
    """Yield the bytes of a span, little endian, a megabyte at a time."""
    for at in range(span.start, span.stop, _CHUNK_BYTES):
        chunk = bytes(view[at : min(span.stop, at + _CHUNK_BYTES)])
        yield swap_words(chunk, vr, span.cell_bits) if span.is_big else chunk


def parts_before(data_set: DataSet, view: View, tag: int) -> Iterator[bytes]:
    """Yield the bytes of all elements before `tag`."""
    yield from _parts(data_set, view, 0, tag)


def parts_after(data_set: DataSet, view: View, tag: int) -> Iterator[bytes]:
    """Yield the bytes of all elements behind `tag`."""
    yield from _parts(data_set, view, tag + 1, 1 << 32)


def element_header(tag: int, vr: str, length: int) -> bytes:
    """Return what begins an element; UNDEFINED for a length that a delimiter ends."""
    return _FORM.header(tag, vr, length)


def _parts(data_set: DataSet, view: View, first: int, end: int) -> Iterator[bytes]:
    for tag in sorted(data_set.elements):
        if first <= tag < end:
            yield from _element_parts(data_set.elements[tag], view)


def _element_parts(element: Element, view: View) -> Iterator[bytes]:
    tag, vr, value = element.tag, element.vr, element.value
    if isinstance(value, list):
        yield _FORM.header(tag, "SQ", UNDEFINED if value else 0)
        for item in value:
            yield ITEM_START
            yield from _parts(item, view, 0, 1 << 32)
            yield ITEM_DELIMITER
        if value:
            yield SEQUENCE_DELIMITER
    elif isinstance(value, bytes):
        yield _FORM.leaf(tag, vr, value)
    elif value.fragments is not None:
        yield _FORM.header(tag, vr, UNDEFINED)
        yield from span_parts(view, value, vr)
    else:
        length = value.length
        yield _FORM.header(tag, written_vr(vr, length), length + length % 2)
        yield from span_parts(view, value, vr)
        yield padding(vr, length)
