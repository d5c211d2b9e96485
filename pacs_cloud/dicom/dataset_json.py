"""A data set as DICOM JSON (PS3.18 Annex F), from its bytes.

Each element's JSON is remembered by its exact bytes and whatever else decides it
(character set, Pixel Representation, private creator), so that of a series' next
slice only what changed is converted. Nothing is guessed: an element that takes
its meaning from a neighbour is converted anew each time.
"""

import mmap
from dataclasses import dataclass
from typing import Final

import orjson

from pacs_cloud.dicom.attributes import SEARCH_TAGS
from pacs_cloud.dicom.charset import encodings_of_value
from pacs_cloud.dicom.element_json import (
    BINARY_VRS,
    UndecodableError,
    binary_element,
    value_element,
)
from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.dicom.memo import BulkPart, Fragment, Memo
from pacs_cloud.dicom.pixel_tags import PIXEL_TAGS
from pacs_cloud.dicom.records import (
    INLINE_LIMIT,
    MEMO_LIMIT,
    NEIGHBOUR_TAGS,
    PLAIN,
    Fragments,
    Record,
)
from pacs_cloud.dicom.walk import CHARSET, Scope, Walk
from pacs_cloud.errors import InvalidInstance, Refusal

MAX_JSON_BYTES: Final = 16 * 1024 * 1024
"""Of one header."""

NAMED_TAGS: Final = {int(tag, 16): tag for tag in SEARCH_TAGS}
_LOOSE: Final = frozenset({None, b"UN"})
CONVERTED_VRS: Final = frozenset(
    (
        *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH"),
        *("SL", "SS", "ST", "SV", "TM", "UC", "UI", "UL", "UR", "US", "UT", "UV"),
    )
)
_DELIMITER_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class DatasetJson:
    """A data set as JSON.

    Attributes:
        json: the whole object, a NUL byte standing for the SOP Instance UID in
            each BulkDataURI.
        named: the attributes that searches return (but for one with bulk data in it).
        bulk: bulk values, offsets from the data set's start.
    """

    json: bytes
    named: Elements
    bulk: tuple[BulkPart, ...]


class Conversion:
    """The conversion of one data set to JSON."""

    def __init__(self, walk: Walk, memo: Memo, head: bytes = b"") -> None:
        """Prepare the conversion.

        Args:
            walk: of the data set.
            memo: of fragments.
            head: the beginning of the data set, if `fragment` is called and not `convert`.
        """
        self._walk = walk
        self._view = walk.view
        self._memo = memo
        self._head: bytes | mmap.mmap = head if isinstance(walk.view, memoryview) else walk.view
        """Where elements are looked up by their bytes: slices of it can be keys. A
        slice that reaches beyond it matches nothing, and `fragment` reads the view."""

    def convert(self, scope: Scope, fragments: list[Fragment] | None = None) -> DatasetJson:
        """Return the JSON of the data set that is `scope`.

        Args:
            scope: the whole data set.
            fragments: to it, those of the data set's elements are appended.

        Raises:
            InvalidInstance: UNREADABLE, or TOO_LARGE over MAX_JSON_BYTES.
        """
        if isinstance(self._view, memoryview):
            self._head = bytes(self._view[: _end_of_head(self._walk, scope)])
        named: Elements = {}
        bulk: list[BulkPart] = []
        return DatasetJson(self._object(scope, named, bulk, fragments), named, tuple(bulk))

    def _object(
        self,
        scope: Scope,
        named: Elements | None,
        bulk: list[BulkPart],
        fragments: list[Fragment] | None = None,
    ) -> bytes:
        """Return the JSON of one data set; the loop every element of every header passes."""
        parts: list[bytes] = []
        append, size, nested, head = parts.append, 0, bool(scope.path), self._head
        get = self._memo.lane(scope.key).get
        for record in scope.records:
            _, kind, _, start, _, stop, _ = record
            fragment = get(head[start:stop]) if kind == PLAIN else None
            if fragment is None or (nested and fragment[2]):
                fragment = self.fragment(record, scope)
            if fragments is not None:
                fragments.append(fragment)
            json, name, inner = fragment
            append(json)
            size += len(json)
            if size > MAX_JSON_BYTES:
                raise _too_large()
            if inner:
                bulk += [
                    BulkPart(part.path, part.vr, start + part.offset, part.length) for part in inner
                ]
            if name is not None and named is not None:
                named[name[0]] = name[1]
        return b"{" + b",".join(parts) + b"}"

    def fragment(self, record: Record, scope: Scope) -> Fragment:
        """Return the fragment of one element, remembered where its bytes decide it.

        Raises:
            InvalidInstance: as `convert`.
        """
        tag, _, vr, start, value, stop, _ = record
        key = scope.key
        if vr in _LOOSE:
            if tag & 0x10000:
                key = (*key, self._walk.creator(tag, scope))
            if tag in NEIGHBOUR_TAGS:
                return self._convert(record, scope)
        if stop - start > MEMO_LIMIT or tag in PIXEL_TAGS:
            return self._convert(record, scope)
        raw = bytes(self._view[start:stop])
        fragment = self._memo.recall(key, raw)
        if fragment is not None and not (fragment.bulk and scope.path):
            return fragment
        fragment = self._convert(record, scope)
        # A bulk leaf costs nothing to make; one inside an item has that item's path in it.
        is_bulk_leaf = bool(fragment.bulk) and fragment.bulk[0].offset == value - start
        if not is_bulk_leaf and not (fragment.bulk and scope.path):
            self._memo.keep(key, raw, fragment)
        return fragment

    def _convert(self, record: Record, scope: Scope) -> Fragment:
        tag, _, _, _, value, stop, inside = record
        vr = self._walk.vr(record, scope)
        if vr == "SQ":
            return self._sequence(record, scope)
        if isinstance(inside, Fragments):
            stop -= _DELIMITER_BYTES
        if vr not in CONVERTED_VRS or isinstance(inside, Fragments):
            return self._binary(record, scope, vr if vr in BINARY_VRS else "UN", stop)
        if stop - value > MAX_JSON_BYTES:
            raise _too_large()
        encodings = encodings_of_value(scope.charset if tag != CHARSET else b"")
        raw = self._walk.value(record)
        try:
            element = value_element(tag, vr, raw, little=self._walk.little, encodings=encodings)
        except UndecodableError:
            return self._binary(record, scope, "UN", stop)
        return _leaf(tag, element)

    def _sequence(self, record: Record, scope: Scope) -> Fragment:
        tag, _, _, start, _, stop, _ = record
        items = self._walk.items_if_any(record, scope)
        if items is None:
            return self._binary(record, scope, "UN", stop)
        bulk: list[BulkPart] = []
        objects: list[bytes] = []
        for number, item in enumerate(items):
            inner = self._walk.inner(item, scope, f"{scope.path}{tag:08X}/{number}/")
            objects.append(self._object(inner, None, bulk))
        json = b'"%08X":{"vr":"SQ","Value":[%b]}' % (tag, b",".join(objects))
        if len(json) > MAX_JSON_BYTES:
            raise _too_large()
        is_named = tag in NAMED_TAGS and not bulk
        named = (NAMED_TAGS[tag], orjson.loads(json[11:])) if is_named else None
        parts = tuple(BulkPart(b.path, b.vr, b.offset - start, b.length) for b in bulk)
        return Fragment(json, named, parts)

    def _binary(self, record: Record, scope: Scope, vr: str, end: int) -> Fragment:
        tag, _, _, start, value, _, _ = record
        length = end - value
        if length == 0 or (length <= INLINE_LIMIT and tag not in PIXEL_TAGS):
            raw = bytes(self._view[value:end])
            return _leaf(tag, binary_element(vr, raw, little=self._walk.little))
        path = f"{scope.path}{tag:08X}"
        json = b'"%08X":{"vr":"%b","BulkDataURI":"instances/\0/bulkdata/%b"}' % (
            tag,
            vr.encode("ascii"),
            path.encode("ascii"),
        )
        return Fragment(json, None, (BulkPart(path, vr, value - start, length),))


def _end_of_head(walk: Walk, scope: Scope) -> int:
    """Return where the part worth copying ends: before pixel data above all."""
    end = walk.structure.large_from
    if scope.records and scope.records[-1][5] - scope.records[-1][3] > MEMO_LIMIT:
        end = min(end, scope.records[-1][3])
    return end


def _leaf(tag: int, element: Element) -> Fragment:
    named = (NAMED_TAGS[tag], element) if tag in NAMED_TAGS else None
    return Fragment(b'"%08X":%b' % (tag, orjson.dumps(element)), named)


def _too_large() -> InvalidInstance:
    return InvalidInstance(
        f"The header is over {MAX_JSON_BYTES} bytes as DICOM JSON.", Refusal.TOO_LARGE
    )
