"""A data set in another native transfer syntax: the same elements, other element headers.

Values stay byte for byte, except that words of a big endian data set are swapped.
Group lengths (gggg,0000), which would be wrong now, are left out (PS3.5 7.2).
Sequences and items are written without a length, so that nothing has to be
measured before it is written.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from pacs_cloud.dicom.byte_order import swap_words
from pacs_cloud.dicom.element_coding import Form
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
from pacs_cloud.dicom.pixel_tags import PIXEL_DATA_TAG
from pacs_cloud.dicom.records import UNDEFINED, Fragments, Item, Record
from pacs_cloud.dicom.walk import Scope, Walk

_CHUNK_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class NewValue:
    """What stands in an element's place.

    Attributes:
        vr: of the new value.
        length: in bytes, even.
        parts: makes the value's bytes, `length` of them in all.
    """

    vr: str
    length: int
    parts: Callable[[], Iterator[bytes]]


Edits: TypeAlias = Mapping[int, NewValue | None]
"""By tag, at the top level: a new value, or None to leave the element out."""


def new_value(vr: str, value: bytes) -> NewValue:
    """Return `value`, padded to an even length, as an element's new value."""
    padded = value + padding(vr, len(value))
    return NewValue(vr, len(padded), lambda: iter((padded,)))


class Rewriter:
    """Writes one data set in Explicit or Implicit VR Little Endian."""

    def __init__(self, walk: Walk, *, implicit: bool) -> None:
        """Prepare to write.

        Args:
            walk: the data set to read.
            implicit: write Implicit VR Little Endian, else Explicit.
        """
        self._walk = walk
        self._form = Form(implicit=implicit, little=True, charset=())

    def parts(self, scope: Scope, edits: Edits) -> Iterator[bytes]:
        """Yield the bytes of the new data set, in pieces of a few megabytes at most.

        Args:
            scope: the whole data set, of the same walk.
            edits: what to write otherwise.

        Raises:
            InvalidInstance: UNREADABLE or TOO_LARGE, possibly after some pieces.
        """
        waiting = sorted((tag for tag, edit in edits.items() if edit is not None), reverse=True)
        for record in scope.records:
            tag = record[0]
            while waiting and waiting[-1] < tag:
                yield from self._edited(waiting.pop(), edits)
            if tag not in edits and tag & 0xFFFF:
                yield from self._element(record, scope)
            elif waiting and waiting[-1] == tag:
                yield from self._edited(waiting.pop(), edits)
        while waiting:
            yield from self._edited(waiting.pop(), edits)

    def _edited(self, tag: int, edits: Edits) -> Iterator[bytes]:
        edit = edits[tag]
        if edit is not None:
            yield self._form.header(tag, edit.vr, edit.length)
            yield from edit.parts()

    def _element(self, record: Record, scope: Scope) -> Iterator[bytes]:
        tag, _, written, start, value, stop, inside = record
        if self._is_unchanged(written, scope):
            yield from self._copy(start, stop)
            return
        vr = self._walk.vr(record, scope)
        if vr == "SQ":
            items = self._walk.items_if_any(record, scope)
            if items is not None:
                yield from self._sequence(tag, items, scope)
                return
            vr = "UN"
        if isinstance(inside, Fragments):
            yield self._form.header(tag, vr if vr in BINARY_VRS else "OB", UNDEFINED)
            yield from self._copy(value, stop)
            return
        cell_bits = 0
        if tag == PIXEL_DATA_TAG and not self._walk.little:
            cell_bits = self._walk.bits_allocated(scope)
        yield from self._leaf(tag, vr, value, stop, cell_bits)

    def _sequence(self, tag: int, items: list[Item], scope: Scope) -> Iterator[bytes]:
        yield self._form.header(tag, "SQ", UNDEFINED)
        for item in items:
            yield ITEM_START
            inner = self._walk.inner(item, scope, f"{scope.path}{tag:08X}/")
            for element in inner.records:
                if element[0] & 0xFFFF:
                    yield from self._element(element, inner)
            yield ITEM_DELIMITER
        yield SEQUENCE_DELIMITER

    def _leaf(self, tag: int, vr: str, value: int, stop: int, cell_bits: int) -> Iterator[bytes]:
        length = stop - value
        vr = written_vr(vr, length) if vr in SHORT_VRS or vr in LONG_VRS else "UN"
        yield self._form.header(tag, vr, length + length % 2)
        if self._walk.little:
            yield from self._copy(value, stop)
        else:
            for at in range(value, stop, _CHUNK_BYTES):
                chunk = self._walk.view[at : min(stop, at + _CHUNK_BYTES)]
                yield swap_words(bytes(chunk), vr, cell_bits)
        if length % 2:
            yield padding(vr, length)

    def _is_unchanged(self, written: bytes | None, scope: Scope) -> bool:
        if not self._walk.little:
            return False
        if self._form.implicit:
            return scope.implicit
        return not scope.implicit and written is not None

    def _copy(self, start: int, stop: int) -> Iterator[bytes]:
        for at in range(start, stop, _CHUNK_BYTES):
            yield bytes(self._walk.view[at : min(stop, at + _CHUNK_BYTES)])
