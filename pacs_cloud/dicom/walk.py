"""What each element of a data set is, given what stands around it.

`Structure` says where elements lie. Which VR one has that carries none, which
character set its text is in, and where a sequence's items are, depends on its
neighbours and on the data sets that enclose it: its scope.
"""

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

from pacs_cloud.dicom.records import INLINE_LIMIT, NO_LENGTH, Item, LetGo, Record, View
from pacs_cloud.dicom.representation import Neighbours, dictionary_vr, settle
from pacs_cloud.dicom.span_memo import SpanMemo
from pacs_cloud.dicom.structure import Structure
from pacs_cloud.dicom.uid import EXPLICIT_BE, is_implicit
from pacs_cloud.errors import InvalidInstance

CHARSET: Final = 0x00080005
_PIXEL_REPRESENTATION: Final = 0x00280103
_BITS_ALLOCATED: Final = 0x00280100
_WAVEFORM_BITS: Final = 0x54001004
_LUT_DESCRIPTOR: Final = 0x00283002
DECIDING_TAGS: Final = frozenset(
    {CHARSET, _PIXEL_REPRESENTATION, _BITS_ALLOCATED, _WAVEFORM_BITS, _LUT_DESCRIPTOR}
)
"""Their values, with those of private creators, decide what other elements mean."""
_SEQUENCE_VRS: Final = frozenset({None, b"SQ", b"UN"})


@dataclass(frozen=True, slots=True)
class Scope:
    """One data set, the whole or an item, and what is in force in it.

    Attributes:
        records: its elements, tags ascending.
        implicit: how it is written.
        charset: the value of Specific Character Set in force, as stored.
        signed: Pixel Representation in force is not 0; None if there is none.
        path: "" at the top, else `00081140/0/` and so on.
        depth: how many sequences enclose it.
        key: what of all this decides the meaning of an element's bytes.
        creators: names of private creators found so far, by tag.
    """

    records: list[Record]
    implicit: bool
    charset: bytes
    signed: bool | None
    path: str
    depth: int
    key: tuple[object, ...]
    creators: dict[int, str | None] = field(default_factory=dict[int, "str | None"])


def find(records: list[Record], tag: int) -> Record | None:
    """Return the record of `tag` among `records` in ascending order."""
    index = bisect_left(records, (tag,))
    if index < len(records) and records[index][0] == tag:
        return records[index]
    return None


def in_order(item: Item) -> list[Record]:
    """Return the item's records with ascending tags, the last of several with one tag."""
    if item.ordered:
        return item.records
    last = {record[0]: record for record in item.records}
    return [last[tag] for tag in sorted(last)]


class Walk:
    """A data set whose structure is known."""

    def __init__(
        self,
        view: View,
        transfer_syntax_uid: str,
        spans: SpanMemo | None = None,
        let_go: LetGo | None = None,
    ) -> None:
        """Prepare the walk; nothing is read yet.

        Args:
            view: the data set, inflated if it was deflated.
            transfer_syntax_uid: a private or unknown one is read as Explicit VR
                Little Endian.
            spans: sequences seen before, in other data sets.
            let_go: called now and then while fragments are counted.
        """
        self.view = view
        self.let_go = let_go
        self.little = transfer_syntax_uid != EXPLICIT_BE
        self._implicit = is_implicit(transfer_syntax_uid)
        self._spans = spans
        self._structure: Structure | None = None

    @property
    def structure(self) -> Structure:
        """Where elements lie; made when first asked for, as a header that is known needs none."""
        if self._structure is None:
            self._structure = Structure(
                self.view, little=self.little, spans=self._spans or SpanMemo(), let_go=self.let_go
            )
        return self._structure

    def top(self) -> Scope:
        """Return the whole data set's scope, groups 0000 and 0002 left out.

        Raises:
            InvalidInstance: UNREADABLE or TOO_LARGE.
        """
        item = self.structure.data_set(implicit=self._implicit)
        records = in_order(item)
        if records and records[0][0] < 0x00030000:  # command set or file meta: no part of it
            records = [record for record in records if record[0] >> 16 not in {0, 2}]
        return self._scope(records, None, "", implicit=item.implicit)

    def inner(self, item: Item, outer: Scope, path: str) -> Scope:
        """Return the scope of an item within `outer`."""
        return self._scope(in_order(item), outer, path, implicit=item.implicit)

    def value(self, record: Record) -> bytes:
        """Return the value bytes of `record`."""
        return bytes(self.view[record[4] : record[5]])

    def items(self, record: Record, scope: Scope) -> list[Item]:
        """Return the items of a sequence.

        Raises:
            InvalidInstance: UNREADABLE, for a value that is no sequence.
        """
        _, _, _, _, value, stop, inside = record
        if isinstance(inside, list):
            return inside
        end = None if self.has_no_length(record) else stop
        return self.structure.items(value, end, implicit=scope.implicit, depth=scope.depth)

    def items_if_any(self, record: Record, scope: Scope) -> list[Item] | None:
        """Return the items of a sequence; None where only the private dictionary says it is one.

        Raises:
            InvalidInstance: UNREADABLE, for another value that is no sequence.
        """
        try:
            return self.items(record, scope)
        except InvalidInstance:
            if record[2] == b"SQ" or not record[0] & 0x10000:
                raise
            return None

    def has_no_length(self, record: Record) -> bool:
        """Tell whether a sequence was written without a length, as a delimiter ends it."""
        _, _, vr, _, value, _, inside = record
        if inside is not None:
            return isinstance(inside, list)
        return vr in _SEQUENCE_VRS and bytes(self.view[value - 4 : value]) == NO_LENGTH

    def vr(self, record: Record, scope: Scope) -> str:
        """Return the VR of `record`: as written, else by dictionary and neighbours."""
        tag, _, written, _, value, stop, inside = record
        if written is not None and written != b"UN":
            return written.decode("latin-1")
        if self.has_no_length(record):
            return "SQ"
        vr = dictionary_vr(tag, self.creator(tag, scope), written, stop - value)
        if len(vr) > 2:
            vr = settle(tag, vr, self._neighbours(scope, is_open=inside is not None))
        return vr

    def creator(self, tag: int, scope: Scope) -> str | None:
        """Return the name of the private creator of `tag` in this data set (PS3.5 7.8.1)."""
        if not tag & 0x10000:
            return None
        block = tag & 0xFFFF0000 | tag >> 8 & 0xFF
        if block not in scope.creators:
            found = find(scope.records, block)
            name = ""
            if found is not None and found[5] - found[4] <= INLINE_LIMIT:
                name = self.value(found).decode("latin-1").rstrip("\0 ")
            scope.creators[block] = name or None
        return scope.creators[block]

    def bits_allocated(self, scope: Scope) -> int:
        """Return Bits Allocated in this data set, 0 if there is none."""
        return self._short(scope, _BITS_ALLOCATED) or 0

    def _scope(
        self, records: list[Record], outer: Scope | None, path: str, *, implicit: bool
    ) -> Scope:
        found = find(records, CHARSET)
        charset = outer.charset if outer else b""
        if found is not None and found[5] - found[4] <= INLINE_LIMIT:
            charset = self.value(found)
        signed = outer.signed if outer else None
        found = find(records, _PIXEL_REPRESENTATION)
        if found is not None and (value := bytes(self.view[found[4] : found[5]][:2])):
            signed = any(value)
        depth = outer.depth + 1 if outer else 0
        key = (implicit, self.little, charset, signed)
        return Scope(records, implicit, charset, signed, path, depth, key)

    def _neighbours(self, scope: Scope, *, is_open: bool) -> Neighbours:
        return Neighbours(
            implicit=scope.implicit,
            signed=scope.signed,
            bits_allocated=self.bits_allocated(scope),
            waveform_bits=self._short(scope, _WAVEFORM_BITS) or 0,
            lut_entries=self._short(scope, _LUT_DESCRIPTOR),
            undefined_length=is_open,
        )

    def _short(self, scope: Scope, tag: int) -> int | None:
        found = find(scope.records, tag)
        if found is None or found[5] - found[4] < 2:
            return None
        raw = bytes(self.view[found[4] : found[4] + 2])
        return int.from_bytes(raw, "little" if self.little else "big")
