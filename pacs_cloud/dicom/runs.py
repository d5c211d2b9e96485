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

from pacs_cloud.dicom.dataset_json import MAX_JSON_BYTES, Conversion, DatasetJson
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.memo import BulkPart, Fragment, Memo
from pacs_cloud.dicom.records import (
    CAREFUL,
    LONG_VRS,
    MEMO_LIMIT,
    PIXEL_TAGS,
    SHORT_VRS,
    UNDEFINED,
    Record,
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

Shape: TypeAlias = Sequence[tuple[int, bytes | None, int, int]]
"""Of each element: tag, VR or None, start, stop."""


class _Run(NamedTuple):
    """Elements that stay, and the varying one after them.

    Attributes:
        raw: the elements, and of the varying one its tag and, if written, its VR.
        start: where the run began in the header it was learnt from.
        length: of the elements, in bytes.
        records: those of `_LOOKED_FOR`, as they lay in that header.
        bulk: bulk values, offsets from the run's start.
        tag: of the varying element.
        vr: as written.
        unpack: reads its length.
        length_at: where its length stands, from its start.
        value_at: where its value begins, from its start.
        part: its number among the parts of the JSON.
        named: it is one of those that searches return.
    """

    raw: bytes
    start: int
    length: int
    records: list[Record]
    bulk: tuple[BulkPart, ...]
    tag: int
    vr: bytes | None
    unpack: Callable[[bytes, int], tuple[int]]
    length_at: int
    value_at: int
    part: int
    named: bool


_SHORT_LENGTH: Final = (Struct("<H").unpack_from, 6, 8)
_LONG_LENGTH: Final = (Struct("<L").unpack_from, 8, 12)
_IMPLICIT_LENGTH: Final = (Struct("<L").unpack_from, 4, 8)


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
            converted = self._convert(varying, scope, Conversion(walk, memo, head))
        except (InvalidInstance, error):  # the walk says why, and what of it comes first
            return None
        return None if converted is None else (records, converted)

    def _locate(self, walk: Walk, head: bytes) -> tuple[list[Record], list[Record]] | None:
        """Return the records looked for, and of those the varying ones."""
        follows, end, pos = head.startswith, len(walk.view), 0
        records: list[Record] = []
        varying: list[Record] = []
        for raw, start, length, kept, _, tag, vr, unpack, length_at, value_at, _, _ in self.runs:
            if not follows(raw, pos):
                return None
            if kept:
                records += kept if pos == start else _moved(kept, pos - start)
            pos += length
            value = pos + value_at
            (size,) = unpack(head, pos + length_at)
            if size == UNDEFINED:
                _, stop, inside = walk.structure.undefined(
                    tag, vr, pos, value, end, 0, self.implicit
                )
            else:
                stop, inside = value + size, None
            if stop > end:
                return None
            record = (tag, CAREFUL, vr, pos, value, stop, inside)
            records.append(record)
            varying.append(record)
            pos = stop
        return (records, varying) if pos == end else None

    def _convert(
        self, varying: list[Record], scope: Scope, conversion: Conversion
    ) -> DatasetJson | None:
        parts, attributes, bulk = self.parts.copy(), self.named.copy(), list[BulkPart]()
        for run, record in zip(self.runs, varying, strict=True):
            start = record[3]
            json, named, inner = conversion.fragment(record, scope)
            parts[run.part] = json
            if run.bulk:
                bulk += _bulk_from(run.bulk, start - run.length)
            if inner:
                bulk += _bulk_from(inner, start)
            if (named is not None) != run.named:
                return None
            if named is not None:
                attributes[named[0]] = named[1]
        joined = b"{%b}" % b",".join(parts)
        if len(joined) > MAX_JSON_BYTES:
            return None
        return DatasetJson(joined, attributes, tuple(bulk))


def learn(
    head: bytes,
    scope: Scope,
    fragments: Sequence[Fragment],
    named: Elements,
    varying: frozenset[int],
) -> Layout:
    """Return the layout of a header.

    Args:
        head: the data set, at least as far as the last element's value.
        scope: of the whole data set, little endian: two elements or more, ending
            where it ends.
        fragments: of each of its elements.
        named: the attributes among them.
        varying: numbers of the elements that vary, all of which may (`may_vary`),
            the last one among them and not the first.
    """
    runs: list[_Run] = []
    parts: list[bytes] = []
    first = 0
    for number in sorted(varying):
        staying = scope.records[first:number]
        tag, _, vr, stop, _, _, _ = scope.records[number]
        start = staying[0][3] if staying else stop
        if staying:
            parts.append(b",".join(fragment.json for fragment in fragments[first:number]))
        length_place = (
            _IMPLICIT_LENGTH
            if scope.implicit
            else _SHORT_LENGTH if vr in SHORT_VRS else _LONG_LENGTH
        )
        run = _Run(
            head[start : stop + (4 if scope.implicit else 6)],
            start,
            stop - start,
            [record for record in staying if _is_looked_for(record[0])],
            tuple(
                part
                for record, fragment in zip(staying, fragments[first:number], strict=True)
                for part in _bulk_from(fragment.bulk, record[3] - start)
            ),
            tag,
            vr,
            *length_place,
            len(parts),
            fragments[number].named is not None,
        )
        runs.append(run)
        parts.append(b"")
        first = number + 1
    return Layout(
        runs,
        parts,
        named,
        scope.implicit,
        scope.charset,
        scope.signed,
        scope.key,
        scope.records[-1][4] + _ROOM,
    )


def _is_looked_for(tag: int) -> bool:
    return tag in _LOOKED_FOR or is_creator(tag)


def _moved(records: Iterable[Record], by: int) -> list[Record]:
    return [
        (tag, kind, vr, start + by, value + by, stop + by, inside)
        for tag, kind, vr, start, value, stop, inside in records
    ]


def _bulk_from(parts: Iterable[BulkPart], start: int) -> list[BulkPart]:
    """Return the parts with offsets from where `start` is counted from."""
    return [BulkPart(part.path, part.vr, start + part.offset, part.length) for part in parts]
