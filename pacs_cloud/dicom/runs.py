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

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from struct import error
from typing import Final, NamedTuple, TypeAlias

from orjson import dumps

from pacs_cloud.dicom.dataset_json import MAX_JSON_BYTES, Conversion
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.frames import PixelData
from pacs_cloud.dicom.identity import Uids, uid_value
from pacs_cloud.dicom.memo import BulkPart, Fragment, Memo
from pacs_cloud.dicom.pixels import PixelShape, native_pixels, pixel_data
from pacs_cloud.dicom.plain_values import PlainReader
from pacs_cloud.dicom.records import CAREFUL, INLINE_LIMIT, UNDEFINED, Inside, Record, View
from pacs_cloud.dicom.uid import parse_uid
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
        settled: the VR it has if it has a length; "" where that is not certain.
        read: reads its value as that VR where it is plain; None where it never is.
        label: the beginning of its JSON: its tag.
        bulk: its JSON where it has a length and is bulk data; else empty.
    """

    tag: int
    vr: bytes | None
    unpack: Callable[[bytes, int], tuple[int]]
    length_at: int
    value_at: int
    part: int
    name: str
    settled: str
    read: PlainReader | None
    label: bytes
    bulk: bytes


Reading: TypeAlias = tuple[Uids, bytes, Elements, Sequence[BulkPart], PixelData | None]
"""What a header says, whichever way it was read: its UIDs; JSON, attributes and bulk
values as in `DatasetJson`; shape and place of the pixel data, None if there is none."""

Place: TypeAlias = tuple[int, int, int, Inside | None]
"""Of a varying element: start, value start, stop, contents of an undefined length."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The elements of a header, and which of them vary; `layout_learning` makes it.

    Attributes:
        runs: the elements that stay.
        slots: the varying one after each run.
        parts: of the JSON: of each run with elements, the first one's with the opening
            brace, and a place for each slot, the last one's at the end.
        named: the attributes that searches return, where they vary as they were.
        uids: likewise.
        uid_slots: of the UIDs that vary, their numbers among `uids` and `slots`.
        pixel_slot: the number of the pixel data among `slots`, None if there is none.
        shape: of the pixel data, None where it varies or there is none.
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
    uids: Uids
    uid_slots: list[tuple[int, int]]
    pixel_slot: int | None
    shape: PixelShape | None
    implicit: bool
    charset: bytes
    signed: bool | None
    key: tuple[object, ...]
    head_bytes: int

    def match(self, walk: Walk, memo: Memo, head: bytes) -> Reading | None:
        """Return what the walk and the conversion would, None if the header does not follow.

        Args:
            walk: not yet begun.
            memo: of fragments.
            head: the data set or its beginning.
        """
        view = walk.view
        if len(head) < self.head_bytes and len(head) < len(view):
            head = bytes(view[: self.head_bytes])
        try:
            places = self._locate(walk, head)
            return None if places is None else self._read(walk, memo, head, places)
        except (InvalidInstance, error):  # the walk says why, and what of it comes first
            return None

    def _locate(self, walk: Walk, head: bytes) -> list[Place] | None:
        """Return where the varying elements are."""
        follows, end, pos = head.startswith, len(walk.view), 0
        places: list[Place] = []
        for (raw, _, length, _, _), slot in zip(self.runs, self.slots, strict=True):
            if not follows(raw, pos):
                return None
            pos += length
            value, inside = pos + slot.value_at, None
            (size,) = slot.unpack(head, pos + slot.length_at)
            stop = value + size
            if size == UNDEFINED:
                _, stop, inside = walk.structure.undefined(
                    slot.tag, slot.vr, pos, value, end, 0, self.implicit
                )
                if inside is None and (slot.settled or slot.bulk):
                    return None  # a sequence seen before, where there was none
            places.append((pos, value, stop, inside))
            pos = stop
        # What was too long has left `pos` beyond the end, and nothing follows there.
        return places if pos == end else None

    def _read(self, walk: Walk, memo: Memo, head: bytes, places: list[Place]) -> Reading | None:
        parts, attributes, bulk = self.parts.copy(), self.named.copy(), list[BulkPart]()
        known = len(head)
        convert: Callable[[Slot, Place], Fragment] | None = None
        for run, slot, place in zip(self.runs, self.slots, places, strict=True):
            start, value, stop, inside = place
            if run.bulk:
                bulk += bulk_from(run.bulk, start - run.length)
            _, _, _, _, _, part, name, settled, read, label, bulk_json = slot
            length, values = stop - value, None
            if read is not None and 0 < length <= _QUICK_BYTES and stop <= known and inside is None:
                values = read(head[value:stop])
            if values is not None:
                element = {"vr": settled, "Value": values} if values else {"vr": settled}
                parts[part] = label + dumps(element)
                if name:
                    attributes[name] = element
            elif bulk_json and length > INLINE_LIMIT and inside is None:
                parts[part] = bulk_json
                bulk.append(BulkPart(label[1:9].decode(), settled, value, length))
            else:
                if convert is None:
                    convert = self._conversion(walk, memo, head, places)
                parts[part], named, inner = convert(slot, place)
                if (named[0] if named else "") != name:
                    return None
                if named:
                    attributes[name] = named[1]
                bulk += bulk_from(inner, start)
        parts[-1] += b"}"
        json = b",".join(parts)
        if len(json) > MAX_JSON_BYTES:
            return None
        uids, pixels = self._uids(walk.view, places), self._pixels(walk, places, attributes)
        return uids, json, attributes, bulk, pixels

    def _conversion(
        self, walk: Walk, memo: Memo, head: bytes, places: list[Place]
    ) -> Callable[[Slot, Place], Fragment]:
        """Return what converts the element of a slot that is neither plain nor bulk data."""
        records = self._records(places)
        scope = Scope(records, self.implicit, self.charset, self.signed, "", 0, self.key)
        conversion = Conversion(walk, memo, head)

        def fragment(slot: Slot, place: Place) -> Fragment:
            return conversion.fragment(_record(slot, place), scope)

        return fragment

    def _records(self, places: list[Place]) -> list[Record]:
        """Return the records that are looked for in a data set, not all of them."""
        records: list[Record] = []
        for run, slot, place in zip(self.runs, self.slots, places, strict=True):
            records += _moved(run.records, place[0] - run.length - run.start)
            records.append(_record(slot, place))
        return records

    def _uids(self, view: View, places: list[Place]) -> Uids:
        """Return the UIDs; raises InvalidUid."""
        uids = list(self.uids)
        for which, number in self.uid_slots:
            _, value, stop, _ = places[number]
            uids[which] = parse_uid(uid_value(view, value, stop))
        sop_class_uid, sop_instance_uid, study_instance_uid, series_instance_uid = uids
        return sop_class_uid, sop_instance_uid, study_instance_uid, series_instance_uid

    def _pixels(self, walk: Walk, places: list[Place], attributes: Elements) -> PixelData | None:
        """Return the pixel data."""
        if self.pixel_slot is None:
            return None
        _, value, stop, inside = places[self.pixel_slot]
        if self.shape is not None and inside is None:
            return native_pixels(self.shape, value, stop - value)
        return pixel_data(walk.view, self._records(places), attributes, walk.let_go)


def _record(slot: Slot, place: Place) -> Record:
    start, value, stop, inside = place
    return slot.tag, CAREFUL, slot.vr, start, value, stop, inside


def _moved(records: Iterable[Record], by: int) -> list[Record]:
    return [
        (tag, kind, vr, start + by, value + by, stop + by, inside)
        for tag, kind, vr, start, value, stop, inside in records
    ]


def bulk_from(parts: Iterable[BulkPart], start: int) -> list[BulkPart]:
    """Return the parts with offsets from where `start` is counted from."""
    return [BulkPart(part.path, part.vr, start + part.offset, part.length) for part in parts]
