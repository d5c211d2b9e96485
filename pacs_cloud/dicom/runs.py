"""Headers like the one before: elements that stay as they were are taken in whole runs.

The slices of a series differ in a handful of top-level elements. A `Layout` has
the elements of a header in order: runs of those that stay, as bytes and as the
JSON of these, and between them the varying ones, of which only tag and VR stay.
A header whose bytes follow it from the first to the last has these elements and
no others; a run is then one comparison and a varying element one conversion.

What decides the meaning of other elements never varies within a layout: character
set, Pixel Representation, Bits Allocated, private creators and so on.
So a run's JSON is what the walk would find. A header that does not follow is no
error: `match` says None, and the walk reads it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from struct import error
from typing import Final, NamedTuple

from orjson import dumps

from pacs_cloud.dicom.dataset_json import (
    MAX_JSON_BYTES,
    Conversion,
    DatasetJson,
)
from pacs_cloud.dicom.element_json import plain_element
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.memo import BulkPart, Memo
from pacs_cloud.dicom.records import (
    CAREFUL,
    INLINE_LIMIT,
    UNDEFINED,
    Record,
    View,
)
from pacs_cloud.dicom.walk import Scope, Walk
from pacs_cloud.errors import InvalidInstance

_QUICK_BYTES: Final = 64
"""A longer value is rather remembered than converted again."""


class Run(NamedTuple):
    """Elements that stay.

    Attributes:
        raw: their bytes, and of the varying one after them its tag and, if written, its VR.
        start: where they began in the header they were learnt from.
        length: of them, in bytes.
        records: those that are looked for later, as they lay in that header.
        bulk: bulk values, offsets from the run's start.
    """

    raw: bytes
    start: int
    length: int
    records: list[Record]
    bulk: tuple[BulkPart, ...]


class Slot(NamedTuple):
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


@dataclass(frozen=True, slots=True)
class Layout:
    """The elements of a header, and which of them vary; `layout_learning` makes it.

    Attributes:
        runs: the elements that stay.
        slots: the varying one after each run.
        parts: of the JSON: of each run with elements, and a place for each slot.
        named: the attributes that searches return, where they vary as they were.
        implicit: how the data set is written.
        charset: the value of Specific Character Set.
        signed: Pixel Representation is not 0; None if there is none.
        key: of the data set's scope.
        head_bytes: how much of a data set is needed to compare it.
    """

    runs: list[Run]
    slots: list[Slot]
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
            record = (tag, CAREFUL, vr, pos, value, stop, inside)
            records.append(record)
            varying.append(record)
            pos = stop
        # What was too long has left `pos` beyond the end, and nothing follows there.
        return (records, varying) if pos == end else None

    def _convert(
        self, view: View, varying: list[Record], scope: Scope, conversion: Conversion
    ) -> DatasetJson | None:
        parts, attributes, bulk = self.parts.copy(), self.named.copy(), list[BulkPart]()
        for run, slot, record in zip(self.runs, self.slots, varying, strict=True):
            tag, _, _, start, value, stop, inside = record
            if run.bulk:
                bulk += bulk_from(run.bulk, start - run.length)
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
                bulk += bulk_from(inner, start)
        joined = b"{%b}" % b",".join(parts)
        if len(joined) > MAX_JSON_BYTES:
            return None
        return DatasetJson(joined, attributes, tuple(bulk))


def _moved(records: Iterable[Record], by: int) -> list[Record]:
    return [
        (tag, kind, vr, start + by, value + by, stop + by, inside)
        for tag, kind, vr, start, value, stop, inside in records
    ]


def bulk_from(parts: Iterable[BulkPart], start: int) -> list[BulkPart]:
    """Return the parts with offsets from where `start` is counted from."""
    return [BulkPart(part.path, part.vr, start + part.offset, part.length) for part in parts]
