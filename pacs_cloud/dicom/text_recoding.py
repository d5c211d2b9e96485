"""A data set's text in UTF-8, in every item of it; all else byte for byte."""

from typing import Final

from pacs_cloud.dicom.charset import TEXT_VRS, UTF_8, decode, encode_text, terms_of
from pacs_cloud.dicom.element_coding import Form, is_length
from pacs_cloud.dicom.records import NO_LENGTH, UNDEFINED, Fragments, Item, Record, View
from pacs_cloud.dicom.walk import CHARSET, Scope, Walk

_ESCAPE: Final = b"\x1b"


def copied(view: View, record: Record, form: Form) -> bytes:
    """Return an element as it is stored.

    One without a VR where others have one gets one: as the first of an item or a data set
    it would be taken to say that none there has any.
    """
    tag, _, written, start, value, stop, inside = record
    has_vr = written is not None and written.isalpha() and written.isupper()
    if form.implicit or has_vr:
        return bytes(view[start:stop])
    if bytes(view[value - 4 : value]) == NO_LENGTH:
        vr = "OB" if isinstance(inside, Fragments) else "SQ"
        return form.header(tag, vr, UNDEFINED) + bytes(view[value:stop])
    return form.leaf(tag, "UN", bytes(view[value:stop]))


class TextRecoding:
    """Writes elements of one data set in its own byte order, with and without VRs as they are.

    Sequences and items become those without a length; elements that are lengths are left out.
    """

    def __init__(self, walk: Walk) -> None:
        self._walk = walk

    def element(self, record: Record, scope: Scope) -> bytes:
        """Return an element of the walk's data set.

        Args:
            record: of the element.
            scope: the data set, or the item, that it is in.

        Raises:
            InvalidInstance: UNREADABLE, for a value that is no sequence.
        """
        pieces: list[bytes] = []
        self._add(record, scope, pieces)
        return b"".join(pieces)

    def _add(self, record: Record, scope: Scope, pieces: list[bytes]) -> None:
        """Append an element: what is deep in sequences is copied once, not at each level."""
        tag, _, written, _, value, stop, inside = record
        if is_length(tag):
            return
        form = Form(implicit=scope.implicit, little=self._walk.little, charset=(UTF_8,))
        if tag == CHARSET:
            pieces.append(form.leaf(tag, "CS", UTF_8.encode("ascii")))
            return
        vr = self._walk.vr(record, scope)
        if vr == "SQ" and (items := self._walk.items_if_any(record, scope)) is not None:
            self._add_sequence(record, items, scope, pieces)
            return
        if vr in TEXT_VRS and inside is None:
            raw = bytes(self._walk.view[value:stop])
            if not raw.isascii() or _ESCAPE in raw:
                text = encode_text(decode(raw, terms_of(scope.charset), vr), (UTF_8,), vr)
                pieces.append(form.leaf(tag, "UN" if written == b"UN" else vr, text))
                return
        pieces.append(copied(self._walk.view, record, form))

    def _add_sequence(
        self, record: Record, items: list[Item], scope: Scope, pieces: list[bytes]
    ) -> None:
        tag, _, written, _, _, _, _ = record
        form = Form(implicit=scope.implicit, little=self._walk.little, charset=(UTF_8,))
        # An unknown sequence has items without VRs (PS3.5 6.2.2).
        is_unknown = bool(items) and written != b"SQ" and all(item.implicit for item in items)
        vr = "UN" if is_unknown else "SQ"
        pieces.append(form.header(tag, vr, UNDEFINED if items else 0))
        for item in items:
            pieces.append(form.item_start)
            inner = self._walk.inner(item, scope, f"{scope.path}{tag:08X}/")
            for one in inner.records:
                self._add(one, inner, pieces)
            pieces.append(form.item_end)
        if items:
            pieces.append(form.sequence_end)
