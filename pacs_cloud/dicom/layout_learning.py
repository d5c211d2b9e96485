"""What a layout is learnt from: a header read element by element, and the one before it."""

from collections.abc import Sequence
from struct import Struct
from typing import Final, TypeAlias

from pacs_cloud.dicom.dataset_json import CONVERTED_VRS, NAMED_TAGS, DatasetJson
from pacs_cloud.dicom.element_json import BINARY_VRS, element_reader
from pacs_cloud.dicom.identity import UID_TAGS, Uids
from pacs_cloud.dicom.memo import Fragment
from pacs_cloud.dicom.pixel_tags import EXTENDED_LENGTHS_TAG, EXTENDED_OFFSETS_TAG, PIXEL_TAGS
from pacs_cloud.dicom.pixels import SHAPE_TAGS, pixel_shape, pixel_tag
from pacs_cloud.dicom.records import LONG_VRS, MEMO_LIMIT, SHORT_VRS, Record
from pacs_cloud.dicom.runs import Layout, Run, Slot, bulk_from
from pacs_cloud.dicom.walk import DECIDING_TAGS, Scope, Walk

_LOOKED_FOR: Final = DECIDING_TAGS | {EXTENDED_OFFSETS_TAG, EXTENDED_LENGTHS_TAG}
"""What is looked for among a header's records, beside pixel data."""
_ROOM: Final = 4_096
"""Bytes; by so much may a header be longer than the one its layout was learnt from."""

Shape: TypeAlias = Sequence[tuple[int, bytes | None, int, int]]
"""Of each element: tag, VR or None, start, stop."""

_VRS: Final = SHORT_VRS | LONG_VRS
_SHORT: Final = (Struct("<H").unpack_from, 6, 8)
_LONG: Final = (Struct("<L").unpack_from, 8, 12)
_IMPLICIT: Final = (Struct("<L").unpack_from, 4, 8)


def differing(before: tuple[bytes, Shape], now: tuple[bytes, Shape]) -> set[int] | None:
    """Return which elements of two headers differ in value, None if not only values do.

    Args:
        before: the one, up to its last element's VR, and its shape.
        now: the other.

    Returns:
        Their numbers, among them those that a layout leaves open in any case: the
        last element, pixel data, and what is too large to be remembered.
    """
    old, old_shape = before
    new, new_shape = now
    if len(old_shape) != len(new_shape):
        return None
    numbers = {len(new_shape) - 1}
    for number, (mine, its) in enumerate(zip(old_shape, new_shape, strict=True)):
        old_tag, old_vr, old_start, old_stop = mine
        tag, vr, start, stop = its
        if tag != old_tag or vr != old_vr:
            return None
        is_open = tag in PIXEL_TAGS or stop - start > MEMO_LIMIT
        if is_open or old[old_start:old_stop] != new[start:stop]:
            numbers.add(number)
    return numbers


def may_vary(shape: Shape, numbers: frozenset[int], *, implicit: bool) -> bool:
    """Tell whether a layout may leave the values of these elements open.

    Not the first's, which tells how the data set is written, and not of those that
    decide the meaning of others.
    """
    return 0 not in numbers and not any(
        _decides(tag) or (vr is not None if implicit else vr not in _VRS)
        for tag, vr, _, _ in (shape[number] for number in numbers)
    )


def learn(
    walk: Walk,
    scope: Scope,
    fragments: Sequence[Fragment],
    converted: DatasetJson,
    uids: Uids,
    varying: frozenset[int],
) -> Layout:
    """Return the layout of a header.

    Args:
        walk: its own.
        scope: of the whole data set, little endian: two elements or more, ending
            where it ends.
        fragments: of each of its elements.
        converted: its JSON.
        uids: those in it.
        varying: numbers of the elements that vary, all of which may (`may_vary`),
            the last one among them and not the first.
    """
    runs: list[Run] = []
    slots: list[Slot] = []
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
    parts[0] = b"{" + parts[0]
    places = {slot.tag: number for number, slot in enumerate(slots)}
    uid_slots = [(which, places[tag]) for which, tag in enumerate(UID_TAGS) if tag in places]
    pixels, shape = pixel_tag(places), None
    if pixels is not None and places.keys().isdisjoint(SHAPE_TAGS):
        shape = pixel_shape(pixels, converted.named)
    return Layout(
        *(runs, slots, parts, converted.named),
        *(uids, uid_slots, None if pixels is None else places[pixels], shape),
        *(scope.implicit, scope.charset, scope.signed, scope.key),
        head_bytes=scope.records[-1][4] + _ROOM,
    )


def _run(
    walk: Walk, records: Sequence[Record], fragments: Sequence[Fragment], varies: Record
) -> Run:
    _, _, vr, stop, _, _, _ = varies
    start = records[0][3] if records else stop
    bulk = [
        part
        for record, fragment in zip(records, fragments, strict=True)
        if fragment.bulk
        for part in bulk_from(fragment.bulk, record[3] - start)
    ]
    kept = [r for r in records if r[0] in _LOOKED_FOR or (r[0] & 0x10000 and _is_creator(r[0]))]
    raw = bytes(walk.view[start : stop + (4 if vr is None else 6)])
    return Run(raw, start, stop - start, kept, tuple(bulk))


def _slot(walk: Walk, scope: Scope, record: Record, fragment: Fragment, part: int) -> Slot:
    tag, _, written, _, _, _, inside = record
    length_place = _IMPLICIT if scope.implicit else _SHORT if written in SHORT_VRS else _LONG
    label = b'"%08X":' % tag
    name = fragment.named[0] if fragment.named else ""
    settled, read, bulk = "", None, b""
    if written != b"UN" and inside is None and not walk.has_no_length(record):
        vr = walk.vr(record, scope)
        if vr in CONVERTED_VRS and (name or tag not in NAMED_TAGS):
            settled, read = vr, element_reader(tag, vr, little=walk.little)
        elif vr in BINARY_VRS and fragment.bulk:
            settled, bulk = vr, fragment.json
    return Slot(tag, written, *length_place, part, name, settled, read, label, bulk)


def _decides(tag: int) -> bool:
    return tag in DECIDING_TAGS or _is_creator(tag)


def _is_creator(tag: int) -> bool:
    """Tell whether `tag` is where `Walk.creator` looks for a name (PS3.5 7.8.1)."""
    return bool(tag & 0x10000) and 0 < tag & 0xFFFF <= 0xFF
