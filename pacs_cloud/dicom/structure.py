"""Where each element of a data set lies: the walk over tags and lengths (PS3.5 7).

No value is read here. A 4 GiB instance costs the pages its element headers lie
on: of encapsulated pixel data, the item headers. Every length is checked against
the bytes that are there; what does not fit raises, so that nothing after this
module needs to ask again.
"""

from itertools import pairwise, repeat
from struct import error

from pydicom.datadict import dictionary_VR

from pacs_cloud.dicom.encapsulation import read_fragments
from pacs_cloud.dicom.pixel_tags import PIXEL_TAGS
from pacs_cloud.dicom.records import (
    BIG_ENDIAN,
    CAREFUL,
    INLINE_LIMIT,
    ITEM,
    LARGE,
    LITTLE_ENDIAN,
    LONG_VRS,
    MAX_DEPTH,
    MAX_ELEMENTS,
    MEMO_LIMIT,
    NEIGHBOUR_TAGS,
    PLAIN,
    SEQUENCE_END,
    SHORT_VRS,
    UNDEFINED,
    Inside,
    Item,
    LetGo,
    Record,
    View,
    name_of,
    unreadable,
)
from pacs_cloud.dicom.span_memo import SpanMemo
from pacs_cloud.errors import InvalidInstance, Refusal

_BINARY = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW"})
_SEQUENCES = frozenset({b"SQ", b"UN"})
_MAX_LOOK_UPS = 1_000
"""Of sequences seen before, in one data set: each compares up to 256 KiB."""


class Structure:
    """The walk over one data set."""

    def __init__(
        self, view: View, *, little: bool, spans: SpanMemo, let_go: LetGo | None = None
    ) -> None:
        self._view = view
        self._let_go = let_go
        self._explicit, self._implicit, self._length = LITTLE_ENDIAN if little else BIG_ENDIAN
        self._spans = spans
        self._left = MAX_ELEMENTS
        self._look_ups_left = _MAX_LOOK_UPS
        self.top: list[Record] = []
        """The elements found so far at the top level, also after a failure."""
        self.large_from = len(view)
        """Where the first element of LARGE bytes begins."""

    def data_set(self, *, implicit: bool) -> Item:
        """Return the elements of the whole data set.

        Args:
            implicit: what the transfer syntax says; where the first element says
                otherwise, the elements are believed, as pydicom does.

        Raises:
            InvalidInstance: UNREADABLE, or TOO_LARGE for more elements than any
                header has.
        """
        end = len(self._view)
        implicit = self._is_implicit(0, end, assumed=implicit)
        _, ordered = self._elements(0, end, implicit, 0, delimited=False, records=self.top)
        return Item(implicit, self.top, ordered)

    def items(self, start: int, stop: int | None, *, implicit: bool, depth: int) -> list[Item]:
        """Return the items of a sequence.

        Args:
            start: where the first item begins.
            stop: where the last item ends, None if a delimiter says so.
            implicit: how the data set around it is written.
            depth: how many sequences enclose this one.
        """
        end = len(self._view) if stop is None else stop
        return self._items(start, end, implicit, depth, delimited=stop is None)[0]

    def _is_implicit(self, start: int, end: int, *, assumed: bool) -> bool:
        """Two capitals after the tag are a VR: as an implicit length they would be over 16 KiB."""
        if end - start < 6:
            return assumed
        first, second = self._view[start + 4], self._view[start + 5]
        return not (0x40 < first < 0x5B and 0x40 < second < 0x5B)

    def _elements(
        self,
        pos: int,
        end: int,
        implicit: bool,
        depth: int,
        *,
        delimited: bool,
        records: list[Record],
    ) -> tuple[int, bool]:
        """Append the elements from `pos`; return where they stop and whether tags ascend."""
        before = len(records)
        walk = self._implicit_elements if implicit else self._explicit_elements
        try:
            stop, ordered = walk(pos, end, depth, delimited, records)
        except error:  # the last header needs more bytes than there are
            stop, ordered = self._tail(records[-1][5] if len(records) > before else pos, end), True
            if delimited:
                raise unreadable("The data set ends inside an item.") from None
            ordered = all(a[0] < b[0] for a, b in pairwise(records))
        self._left -= len(records) - before
        return stop, ordered

    def _tail(self, pos: int, end: int) -> int:
        """Accept up to seven NULs after the last element: padding of some writers."""
        if end - pos < 8 and not any(self._view[pos:end]):
            return end
        raise unreadable(f"The data set is cut short in the element header at byte {pos}.")

    def _explicit_elements(
        self, pos: int, end: int, depth: int, delimited: bool, records: list[Record]
    ) -> tuple[int, bool]:
        view, unpack, append, short = self._view, self._explicit, records.append, SHORT_VRS
        previous, ordered, plain = -1, True, PLAIN
        inside: Inside | None
        for _ in repeat(None, self._left):
            if pos >= end:
                break
            group, element, vr, length = unpack(view, pos)
            tag = group << 16 | element
            value = pos + 8
            if vr in short:
                stop = value + length
                if stop > end:
                    raise self._too_long(tag, pos)
                append((tag, plain, vr, pos, value, stop, None))
            elif vr in LONG_VRS:
                (length,) = self._length(view, value)
                value += 4
                kind, inside = plain, None
                if length == UNDEFINED:
                    kind, stop, inside = self.undefined(tag, vr, pos, value, end, depth, False)
                else:
                    stop = value + length
                    if stop > end:
                        raise self._too_long(tag, pos)
                    if (
                        vr == b"UN"
                        or length > MEMO_LIMIT
                        or (length > INLINE_LIMIT and vr in _BINARY)
                        or tag in PIXEL_TAGS
                    ):
                        kind = CAREFUL
                if stop - pos > LARGE and plain == PLAIN and depth == 0:
                    plain, self.large_from = CAREFUL, pos
                    kind = CAREFUL
                append((tag, kind, vr, pos, value, stop, inside))
            elif group == 0xFFFE:
                if delimited and element == 0xE00D:
                    return value, ordered
                raise unreadable(f"{name_of(tag)} stands outside a sequence, at byte {pos}.")
            else:
                if b"AA" <= vr <= b"ZZ":  # a VR of some future: read as pydicom does
                    stop = value + length
                else:  # an implicit element among explicit ones
                    (length,) = self._length(view, pos + 4)
                    vr, stop = None, value + length
                kind, inside = CAREFUL, None
                if length == UNDEFINED and vr is None:
                    kind, stop, inside = self.undefined(tag, None, pos, value, end, depth, False)
                elif stop > end:
                    raise self._too_long(tag, pos)
                append((tag, kind, vr, pos, value, stop, inside))
            if tag <= previous:
                ordered = False
            previous = tag
            pos = stop
        return self._finished(pos, end, delimited), ordered

    def _implicit_elements(
        self, pos: int, end: int, depth: int, delimited: bool, records: list[Record]
    ) -> tuple[int, bool]:
        view, unpack, append = self._view, self._implicit, records.append
        previous, ordered, plain = -1, True, PLAIN
        inside: Inside | None
        for _ in repeat(None, self._left):
            if pos >= end:
                break
            group, element, length = unpack(view, pos)
            tag = group << 16 | element
            value = pos + 8
            if group == 0xFFFE:
                if delimited and element == 0xE00D:
                    return value, ordered
                raise unreadable(f"{name_of(tag)} stands outside a sequence, at byte {pos}.")
            kind, inside = plain, None
            if length == UNDEFINED:
                kind, stop, inside = self.undefined(tag, None, pos, value, end, depth, True)
            else:
                stop = value + length
                if stop > end:
                    raise self._too_long(tag, pos)
                if group & 1 or tag in NEIGHBOUR_TAGS or length > INLINE_LIMIT:
                    kind = CAREFUL
            if stop - pos > LARGE and plain == PLAIN and depth == 0:
                plain, self.large_from = CAREFUL, pos
                kind = CAREFUL
            append((tag, kind, None, pos, value, stop, inside))
            if tag <= previous:
                ordered = False
            previous = tag
            pos = stop
        return self._finished(pos, end, delimited), ordered

    def _finished(self, pos: int, end: int, delimited: bool) -> int:
        """Return `pos`, if a data set may end there."""
        if pos < end:
            raise self._too_many()
        if delimited:
            raise unreadable("An item has neither a length nor a delimiter.")
        return pos

    def undefined(
        self, tag: int, vr: bytes | None, pos: int, value: int, end: int, depth: int, implicit: bool
    ) -> tuple[int, int, Inside | None]:
        """Return kind, stop and contents of the element of undefined length at `pos`."""
        if vr in _SEQUENCES or (vr is None and self._begins_a_sequence(tag, value)):
            if self._look_ups_left:
                self._look_ups_left -= 1
                known = self._spans.end_of(self._view, tag, pos, implicit=implicit)
                if known is not None and known <= end:
                    return PLAIN, known, None
            items, stop = self._items(value, end, implicit, depth, delimited=True)
            if stop - pos <= MEMO_LIMIT:
                self._spans.keep(bytes(self._view[pos:stop]), tag, implicit=implicit)
            return CAREFUL, stop, items
        if vr is not None and vr not in _BINARY:
            raise unreadable(f"{name_of(tag)} has VR {vr.decode('latin-1')} and no length.")
        fragments, stop = read_fragments(self._view, tag, value, end, self._implicit, self._let_go)
        return CAREFUL, stop, fragments

    def _begins_a_sequence(self, tag: int, value: int) -> bool:
        """Tell whether an element without VR and length is a sequence, as pydicom decides it."""
        try:
            return dictionary_VR(tag) == "SQ"
        except KeyError:
            group, element, _ = self._implicit(self._view, value)
            return (group << 16 | element) == ITEM

    def _items(
        self, pos: int, end: int, implicit: bool, depth: int, *, delimited: bool
    ) -> tuple[list[Item], int]:
        if depth >= MAX_DEPTH:
            raise unreadable(f"Sequences are nested more than {MAX_DEPTH} deep.")
        items: list[Item] = []
        view, unpack = self._view, self._implicit
        while delimited or pos < end:
            if end - pos < 8:
                raise unreadable(f"A sequence is cut short at byte {pos}.")
            group, element, length = unpack(view, pos)
            tag = group << 16 | element
            pos += 8
            if tag == SEQUENCE_END:
                if delimited:
                    return items, pos
                if pos == end:  # superfluous, and harmless
                    break
            if tag != ITEM:
                raise unreadable(f"{name_of(tag)} stands where an item should, at byte {pos - 8}.")
            self._left -= 1
            if self._left <= 0:
                raise self._too_many()
            open_ended = length == UNDEFINED
            stop = end if open_ended else pos + length
            if stop > end:
                raise unreadable(f"An item is longer than its sequence, at byte {pos - 8}.")
            item = Item(implicit or self._is_implicit(pos, stop, assumed=False), [], True)
            pos, item.ordered = self._elements(
                pos, stop, item.implicit, depth + 1, delimited=open_ended, records=item.records
            )
            if pos > end:
                raise unreadable("An item's delimiter lies beyond its sequence.")
            items.append(item)
        return items, pos

    @staticmethod
    def _too_long(tag: int, pos: int) -> InvalidInstance:
        return unreadable(f"{name_of(tag)} at byte {pos} is longer than what is left.")

    @staticmethod
    def _too_many() -> InvalidInstance:
        return InvalidInstance(f"There are over {MAX_ELEMENTS} elements.", Refusal.TOO_LARGE)
