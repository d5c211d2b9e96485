"""Headers like the one before: elements that stay as they were are taken in whole runs.

The slices of a series differ in a handful of top-level elements. A `Layout` has
the elements of a header in order: runs of those that stay, as bytes and as the
JSON of these, and between them the varying ones, of which only tag and VR stay.
A header whose bytes follow it from the first to the last has these elements and
no others; a run is then one comparison and a varying element one conversion.

What decides the meaning of other elements never varies within a layout: character
set, Pixel Representation, Bits Allocated, private creators and so on (`_DECIDING`).
So a run's JSON is what the walk would find. A header that does not follow is no
error: `match` says None, and the walk reads it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from struct import Struct, error
from typing import Final, NamedTuple, TypeAlias

from orjson import dumps

from pacs_cloud.dicom.dataset_json import (
    CONVERTED_VRS,
    MAX_JSON_BYTES,
    NAMED_TAGS,
    Conversion,
    DatasetJson,
)
from pacs_cloud.dicom.element_json import BINARY_VRS, plain_element
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.memo import BulkPart, Fragment, Memo
from pacs_cloud.dicom.records import (
    CAREFUL,
    INLINE_LIMIT,
    LONG_VRS,
    MEMO_LIMIT,
    PIXEL_TAGS,
    SHORT_VRS,
    UNDEFINED,
    Record,
    View,
)
from pacs_cloud.dicom.walk import DECIDING_TAGS, Scope, Walk
from pacs_cloud.errors import InvalidInstance

_LOOKED_FOR: Final = DECIDING_TAGS | {
    *(0x00080016, 0x00080018, 0x0020000D, 0x0020000E),  # the UIDs of a header
    *(0x7FE00001, 0x7FE00002),  # Extended Offset Table, Extended Offset Table Lengths
}
"""What is looked for among a header's records, beside pixel data."""
_ROOM: Final = 4_096
"""Bytes; by so much may a header be longer than the one its layout was learnt from."""

_QUICK_BYTES: Final = 64
"""A longer value is rather remembered than converted again."""

Shape: TypeAlias = Sequence[tuple[int, bytes | None, int, int]]
"""Of each element: tag, VR or None, start, stop."""


class _Run(NamedTuple):
    """Elements that stay.

    Attributes:
        raw: their bytes, and of the varying one after them its tag and, if written, its VR.
        start: where they began in the header they were learnt from.
        length: of them, in bytes.
        records: those of `_LOOKED_FOR`, as they lay in that header.
        bulk: bulk values, offsets from the run's start.
    """

    raw: bytes
    start: int
    length: int
    records: list[Record]
    bulk: tuple[BulkPart, ...]


class _Slot(NamedTuple):
    """The varying element after a run.

    Attributes:
        tag: group and element.
        vr: as written.
        unpack: reads its length.
        length_at: where its length stands, from its start.
        value_at: where its value begins, from its start.
        part: its number among the parts of the JSON.
        name: its tag in hexadecimal, if it is one of those that searches return; else "".
        settled: the VR it has if it has a length, where its value may be plain; else "".
        label: the beginning of its JSON: its tag.
        bulk: its JSON where it has a length and is bulk data; else empty.
        bulk_vr: the VR it then has.
    """

    tag: int
    vr: bytes | None
    unpack: Callable[[bytes, int], tuple[int]]
    length_at: int
    value_at: int
    part: int
    name: str
    settled: str
    label: bytes
    bulk: bytes
    bulk_vr: str


_SHORT: Final = (Struct("<H").unpack_from, 6, 8)
_LONG: Final = (Struct("<L").unpack_from, 8, 12)
_IMPLICIT: Final = (Struct("<L").unpack_from, 4, 8)


def may_vary(tag: int, vr: bytes | None, *, implicit: bool) -> bool:
    """Tell whether a layout may leave the value of this element open."""
    if tag in DECIDING_TAGS or is_creator(tag):
        return False
    return vr is None if implicit else vr in SHORT_VRS or vr in LONG_VRS


def must_vary(tag: int, length: int) -> bool:
    """Tell whether a layout leaves the value of this element open in any case."""
    return tag in PIXEL_TAGS or length > MEMO_LIMIT


def is_creator(tag: int) -> bool:
    """Tell whether `tag` is where `Walk.creator` looks, if only for an odd writer's creator."""
    return bool(tag & 0x10000) and 0 < tag & 0xFFFF <= 0xFF


@dataclass(frozen=True, slots=True)
class Layout:
    """The elements of a header, and which of them vary; see `learn`."""

    runs: list[_Run]
    slots: list[_Slot]
    parts: list[bytes]
    named: Elements
    implicit: bool
    charset: bytes
    signed: bool | None
    key: tuple[object, ...]
    head_bytes: int

    def match(self, walk: Walk, memo: Memo, head: bytes) -> tuple[list[Record], DatasetJson] | None:
        """Return what the walk and the conversion would, None if the header does not follow.

        Args:
            walk: not yet begun.
            memo: of fragments.
            head: the data set or its beginning.

        Returns:
            The records that a header's reader looks for, not all, and the JSON.
        """
        view = walk.view
        if len(head) < self.head_bytes and len(head) < len(view):
            head = bytes(view[: self.head_bytes])
        try:
            located = self._locate(walk, head)
            if located is None:
                return None
            records, varying = located
            scope = Scope(records, self.implicit, self.charset, self.signed, "", 0, self.key)
            converted = self._convert(view, varying, scope, Conversion(walk, memo, head))
        except (InvalidInstance, error):  # the walk says why, and what of it comes first
            return None
        return None if converted is None else (records, converted)

    def _locate(self, walk: Walk, head: bytes) -> tuple[list[Record], list[Record]] | None:
        """Return the records looked for, and of those the varying ones."""
        follows, end, pos = head.startswith, len(walk.view), 0
        records: list[Record] = []
        varying: list[Record] = []
        for (raw, start, length, kept, _), slot in zip(self.runs, self.slots, strict=True):
            if not follows(raw, pos):
                return None
            if kept:
                records += kept if pos == start else _moved(kept, pos - start)
            pos += length
            tag, vr, unpack, length_at, value_at, *_ = slot
            value, inside = pos + value_at, None
            (size,) = unpack(head, pos + length_at)
            stop = value + size
            if size == UNDEFINED:
                _, stop, inside = walk.structure.undefined(
                    tag, vr, pos, value, end, 0, self.implicit
                )
                if inside is None and (slot.settled or slot.bulk):
                    return None  # a sequence seen before, where there was none
            if stop > end:
                return None
            record = (tag, CAREFUL, vr, pos, value, stop, inside)
            records.append(record)
            varying.append(record)
            pos = stop
        return (records, varying) if pos == end else None

    def _convert(
        self, view: View, varying: list[Record], scope: Scope, conversion: Conversion
    ) -> DatasetJson | None:
        parts, attributes, bulk = self.parts.copy(), self.named.copy(), list[BulkPart]()
        for run, slot, record in zip(self.runs, self.slots, varying, strict=True):
            tag, _, _, start, value, stop, inside = record
            if run.bulk:
                bulk += _bulk_from(run.bulk, start - run.length)
            _, _, _, _, _, part, name, settled, label, bulk_json, bulk_vr = slot
            length, element = stop - value, None
            if settled and 0 < length <= _QUICK_BYTES and inside is None:
                element = plain_element(tag, settled, bytes(view[value:stop]), little=True)
            if element is not None:
                parts[part] = label + dumps(element)
                if name:
                    attributes[name] = element
            elif bulk_json and length > INLINE_LIMIT and inside is None:
                parts[part] = bulk_json
                bulk.append(BulkPart(label[1:9].decode(), bulk_vr, value, length))
            else:
                parts[part], named, inner = conversion.fragment(record, scope)
                if (named[0] if named else "") != name:
                    return None
                if named:
                    attributes[name] = named[1]
                bulk += _bulk_from(inner, start)
        joined = b"{%b}" % b",".join(parts)
        if len(joined) > MAX_JSON_BYTES:
            return None
        return DatasetJson(joined, attributes, tuple(bulk))


def learn(
    walk: Walk,
    scope: Scope,
    fragments: Sequence[Fragment],
    named: Elements,
    varying: frozenset[int],
) -> Layout:
    """Return the layout of a header.

    Args:
        walk: its own.
        scope: of the whole data set, little endian: two elements or more, ending
            where it ends.
        fragments: of each of its elements.
        named: the attributes among them.
        varying: numbers of the elements that vary, all of which may (`may_vary`),
            the last one among them and not the first.
    """
    runs: list[_Run] = []
    slots: list[_Slot] = []
    parts: list[bytes] = []
    first = 0
    for number in sorted(varying):
        records, staying = scope.records[first:number], fragments[first:number]
        if records:
            parts.append(b",".join([fragment.json for fragment in staying]))
        varies = scope.records[number]
        runs.append(_run(walk, records, staying, varies))
        slots.append(_slot(walk, scope, varies, fragments[number], len(parts)))
        parts.append(b"")
        first = number + 1
    head_bytes = scope.records[-1][4] + _ROOM
    return Layout(
        *(runs, slots, parts, named),
        *(scope.implicit, scope.charset, scope.signed, scope.key, head_bytes),
    )


def _run(
    walk: Walk, records: Sequence[Record], fragments: Sequence[Fragment], varies: Record
) -> _Run:
    _, _, vr, stop, _, _, _ = varies
    start = records[0][3] if records else stop
    bulk = [
        part
        for record, fragment in zip(records, fragments, strict=True)
        if fragment.bulk
        for part in _bulk_from(fragment.bulk, record[3] - start)
    ]
    kept = [r for r in records if r[0] in _LOOKED_FOR or (r[0] & 0x10000 and is_creator(r[0]))]
    raw = bytes(walk.view[start : stop + (4 if vr is None else 6)])
    return _Run(raw, start, stop - start, kept, tuple(bulk))


def _slot(walk: Walk, scope: Scope, record: Record, fragment: Fragment, part: int) -> _Slot:
    tag, _, written, _, _, _, inside = record
    length_place = _IMPLICIT if scope.implicit else _SHORT if written in SHORT_VRS else _LONG
    label = b'"%08X":' % tag
    name = fragment.named[0] if fragment.named else ""
    settled, bulk, bulk_vr = "", b"", ""
    if written != b"UN" and inside is None and not walk.has_no_length(record):
        vr = walk.vr(record, scope)
        if vr in CONVERTED_VRS and (name or tag not in NAMED_TAGS):
            settled = vr
        elif vr in BINARY_VRS and fragment.bulk:
            bulk, bulk_vr = fragment.json, vr
    return _Slot(tag, written, *length_place, part, name, settled, label, bulk, bulk_vr)


def _moved(records: Iterable[Record], by: int) -> list[Record]:
    return [
        (tag, kind, vr, start + by, value + by, stop + by, inside)
        for tag, kind, vr, start, value, stop, inside in records
    ]


def _bulk_from(parts: Iterable[BulkPart], start: int) -> list[BulkPart]:
    """Return the parts with offsets from where `start` is counted from."""
    return [BulkPart(part.path, part.vr, start + part.offset, part.length) for part in parts]
