"""A data set as amendments show it: new values among bytes that stay as they are stored.

It stays in its transfer syntax and byte order. It stays in its character set too, unless that
has no place for what is new: then all of its text is written in UTF-8. What is large in it
need not be there to be kept: it is named, and put in where it was.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import nlargest
from struct import pack
from typing import Final, NamedTuple, TypeAlias

import orjson

from pacs_cloud.dicom.amended_header import (
    CHARACTER_SET,
    MODIFIED_ATTRIBUTES,
    ORIGINAL_ATTRIBUTES,
    Change,
    changes,
    empty,
    fits,
    looked_at,
    shown_of,
)
from pacs_cloud.dicom.amendment import Amendment
from pacs_cloud.dicom.charset import UTF_8, terms_of
from pacs_cloud.dicom.dataset_json import Conversion
from pacs_cloud.dicom.element_coding import Form, is_length
from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.dicom.header import BulkValue
from pacs_cloud.dicom.memo import Memo
from pacs_cloud.dicom.records import NO_LENGTH, UNDEFINED, Item, Record
from pacs_cloud.dicom.rewrite import Rewriter
from pacs_cloud.dicom.text_recoding import TextRecoding, copied
from pacs_cloud.dicom.walk import DECIDING_TAGS, Scope, Walk, find

_LARGE_BYTES: Final = 64 << 10
_MOST_KEPT: Final = 32
"""Each is one more read."""
_DELIMITER_BYTES: Final = 8
_BARE_BYTES: Final = 8
"""Of the header of an element without a VR."""
_FIRST_BYTES: Final = 12
"""Where the value of a data set's first element begins at the latest."""
_MEMO_BYTES: Final = 1 << 20
_CHARSET_TAG: Final = int(CHARACTER_SET, 16)
_ORIGINALS_TAG: Final = int(ORIGINAL_ATTRIBUTES, 16)
_MODIFIED_TAG: Final = int(MODIFIED_ATTRIBUTES, 16)
_BULK: Final[Element] = {"vr": "UN", "BulkDataURI": ""}


class Kept(NamedTuple):
    """An element that is large, and stays where it is.

    Attributes:
        tag: of it.
        start: of its first byte, its tag's, in the stored data set.
        value: of its value's first.
        end: behind its last.
    """

    tag: int
    start: int
    value: int
    end: int


Part: TypeAlias = bytes | Kept
"""Of an amended data set."""


def worth_keeping(bulk: Iterable[BulkValue]) -> list[BulkValue]:
    """Return the values of a data set's top level that need not be read to amend it, in order."""
    large = (one for one in bulk if one.length > _LARGE_BYTES and _may_be_away(one))
    return sorted(nlargest(_MOST_KEPT, large, key=_length), key=lambda one: one.offset)


def _length(value: BulkValue) -> int:
    return value.length


def _may_be_away(value: BulkValue) -> bool:
    if value.offset <= _FIRST_BYTES or "/" in value.path:
        return False  # the first element tells how the others are written
    tag = int(value.path, 16)
    return tag not in DECIDING_TAGS and not is_length(tag)


def kept_element(value: BulkValue, before: bytes) -> Kept:
    """Return the element of a large value.

    Args:
        value: one of those `worth_keeping`.
        before: what stands before it in the data set, the header of its element at least.
    """
    tag = int(value.path, 16)
    # Without a VR, a tag and a length of 4 bytes each; else the VR and two bytes between,
    # which should be nil.
    tags = {pack(f"{order}HH", tag >> 16, tag & 0xFFFF) for order in "<>"}
    has_no_vr = before[-8:-4] in tags
    has_no_length = before[-4:] == NO_LENGTH
    return Kept(
        tag,
        value.offset - (_BARE_BYTES if has_no_vr else 12),
        value.offset,
        value.offset + value.length + (_DELIMITER_BYTES if has_no_length else 0),
    )


def amended_data_set(
    rest: bytes,
    transfer_syntax_uid: str,
    amendments: Iterable[Amendment],
    sop_instance_uid: str,
    kept: Sequence[Kept] = (),
) -> list[Part] | None:
    """Return the parts of a data set as amendments show it, None where they change nothing.

    Args:
        rest: the stored data set, inflated, without the elements that are `kept`.
        transfer_syntax_uid: how it is encoded.
        amendments: those that touch its series, in order.
        sop_instance_uid: which instance.
        kept: elements of its top level that are no text and no sequences.

    Raises:
        InvalidInstance: UNREADABLE or TOO_LARGE, for what was taken in otherwise.
        InvalidRequest: an amendment's value does not fit its VR.
    """
    amendments = tuple(amendments)
    walk = Walk(rest, transfer_syntax_uid)
    scope = walk.top()
    aside = {one.tag: one for one in kept}
    if walk.little and not scope.implicit and any(one.implicit for one in _former(walk, scope)):
        walk = Walk(_with_vrs(walk, scope), transfer_syntax_uid)
        scope = walk.top()
    stored = _stored(walk, scope, looked_at(amendments), aside)
    made = changes(stored, amendments, sop_instance_uid)
    if not made:
        return None
    return _Amending(walk, scope, aside, stored, made).parts()


def _stored(walk: Walk, scope: Scope, tags: Iterable[str], aside: dict[int, Kept]) -> Elements:
    """Return what is stored under `tags` as DICOM JSON, of what is kept aside only that it is."""
    conversion = Conversion(walk, Memo(_MEMO_BYTES))
    found: Elements = {}
    for tag in tags:
        if int(tag, 16) in aside:
            found[tag] = _BULK
        elif (record := find(scope.records, int(tag, 16))) is not None:
            json = conversion.fragment(record, scope).json.replace(b"\0", b"")
            found |= orjson.loads(b"{%b}" % json)
    return found


def _former(walk: Walk, scope: Scope) -> list[Item]:
    """Return the items of Original Attributes Sequence, none where what is there is no sequence."""
    record = find(scope.records, _ORIGINALS_TAG)
    if record is None or walk.vr(record, scope) != "SQ":
        return []
    return walk.items(record, scope)


def _with_vrs(walk: Walk, scope: Scope) -> bytes:
    """Return a little endian data set whose Original Attributes Sequence has VRs in its items.

    A device that did not know it wrote UN, and its items without VRs (PS3.5 6.2.2), among
    which there is no place for elements that have them.
    """
    record = find(scope.records, _ORIGINALS_TAG)
    assert record is not None
    form = Form(implicit=False, little=True, charset=())
    rewriter = Rewriter(walk, implicit=False)
    known = form.sequence(
        _ORIGINALS_TAG,
        [
            form.item(b"".join(rewriter.parts(_former_scope(walk, scope, item), {})))
            for item in _former(walk, scope)
        ],
    )
    return bytes(walk.view[: record[3]]) + known + bytes(walk.view[record[5] :])


def _former_scope(walk: Walk, scope: Scope, item: Item) -> Scope:
    return walk.inner(item, scope, f"{ORIGINAL_ATTRIBUTES}/")


@dataclass(frozen=True, slots=True)
class _Amending:
    walk: Walk
    scope: Scope
    aside: dict[int, Kept]
    stored: Elements
    made: Sequence[Change]

    def parts(self) -> list[Part]:
        terms = terms_of(self.scope.charset)
        recoding = None if fits(terms, self.made) else TextRecoding(self.walk)
        charset = terms if recoding is None else (UTF_8,)
        form = Form(implicit=self.scope.implicit, little=self.walk.little, charset=charset)
        by_tag = {tag: _written(one, form) for tag, one in self.aside.items()}
        for record in self.scope.records:
            # Of several with one tag the last counts: one that is kept is that.
            if not is_length(record[0]) and record[0] not in self.aside:
                by_tag[record[0]] = [self._as_is(record, self.scope, form, recoding)]
        originals = self._originals(form, by_tag, recoding)
        for tag, element in shown_of(self.made).items():
            by_tag[int(tag, 16)] = [form.element(tag, element)]
        by_tag[_ORIGINALS_TAG] = originals
        if recoding is not None:
            by_tag[_CHARSET_TAG] = [form.leaf(_CHARSET_TAG, "CS", UTF_8.encode("ascii"))]
        return _joined(part for tag in sorted(by_tag) for part in by_tag[tag])

    def _as_is(
        self, record: Record, scope: Scope, form: Form, recoding: TextRecoding | None
    ) -> bytes:
        if recoding is not None:
            return recoding.element(record, scope)
        return copied(self.walk.view, record, form)

    def _originals(
        self, form: Form, by_tag: dict[int, list[Part]], recoding: TextRecoding | None
    ) -> list[Part]:
        """Return Original Attributes Sequence, an item for each change behind those it had.

        Args:
            form: how it is written.
            by_tag: the data set's elements as they were before all changes.
            recoding: of its text.
        """
        parts: list[Part] = [form.header(_ORIGINALS_TAG, "SQ", UNDEFINED)]
        is_away = _ORIGINALS_TAG in self.aside
        for item in () if is_away else _former(self.walk, self.scope):
            inner = _former_scope(self.walk, self.scope, item)
            content = [self._as_is(one, inner, form, recoding) for one in inner.records]
            parts.append(form.item(b"".join(content)))
        for change in self.made:
            modified = form.header(_MODIFIED_TAG, "SQ", UNDEFINED)
            parts += [form.item_start, modified, form.item_start]
            for tag, element in sorted(change.previous.items()):
                if element is None:
                    parts.append(form.element(tag, empty(change.elements[tag]["vr"])))
                elif element is self.stored.get(tag):
                    parts += by_tag[int(tag, 16)]
                else:
                    parts.append(form.element(tag, element))
            parts += [form.item_end, form.sequence_end]
            parts += [form.elements(change.said), form.item_end]
        return [*parts, form.sequence_end]


def _written(kept: Kept, form: Form) -> list[Part]:
    """Return an element that is kept, with a VR where others have one, as `copied` does."""
    if form.implicit or kept.value - kept.start > _BARE_BYTES:
        return [kept]
    header = form.header(kept.tag, "UN", kept.end - kept.value)
    return [header, kept._replace(start=kept.value)]


def _joined(parts: Iterable[Part]) -> list[Part]:
    """Return parts with neighbours that are at hand put together."""
    found: list[Part] = []
    at_hand: list[bytes] = []
    for part in parts:
        if isinstance(part, bytes):
            at_hand.append(part)
            continue
        found += [b"".join(at_hand), part]
        at_hand = []
    return [*found, b"".join(at_hand)]
