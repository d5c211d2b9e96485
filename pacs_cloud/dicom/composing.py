"""A Part 10 file from DICOM JSON and the bulk data that belongs to it (PS3.18 10.5.1.4, F).

It is always in Explicit VR Little Endian, or in a syntax that encapsulates pixel data, and
its text in UTF-8, which is what JSON and XML are in. Sequences and items are written
without a length, so that nothing has to be measured before it is written.
"""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from pacs_cloud.dicom.charset import UTF_8
from pacs_cloud.dicom.coding.encapsulating import (
    NO_TABLES,
    OffsetTables,
    Piece,
    Span,
    fragments,
    offset_tables,
    video_fragments,
)
from pacs_cloud.dicom.dicomjson import encode_element, to_element
from pacs_cloud.dicom.element_coding import Form, text_of
from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.dicom.explicit_elements import (
    ITEM_DELIMITER,
    ITEM_START,
    LONG_LIMIT,
    SEQUENCE_DELIMITER,
    explicit_header,
    padding,
    written_vr,
)
from pacs_cloud.dicom.given_elements import (
    attributes_in,
    bulk_uri,
    checked,
    uid_in,
)
from pacs_cloud.dicom.part10 import encode_file_meta
from pacs_cloud.dicom.pixel_tags import EXTENDED_LENGTHS, EXTENDED_OFFSETS, PIXEL_DATA
from pacs_cloud.dicom.quiet import quiet_pydicom
from pacs_cloud.dicom.records import MAX_DEPTH, UNDEFINED
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import InvalidInstance, InvalidRequest, Refusal

SOP_CLASS: Final = "00080016"
SOP_INSTANCE: Final = "00080018"

_CHARACTER_SET: Final = "00080005"
_FORM: Final = Form(implicit=False, little=True, charset=(UTF_8,))


class BulkForm(Enum):
    """How the bytes of a bulk value become an element's value."""

    PLAIN = "plain"
    """They are the value, one span after the other."""
    FRAMES = "frames"
    """Each span is a compressed frame."""
    VIDEO = "video"
    """They are one compressed stream of all frames."""
    ITEMS = "items"
    """They are an encapsulated value already: its items, without the delimiter."""


@dataclass(frozen=True, slots=True)
class Bulk:
    """The bulk data of one element."""

    spans: tuple[Span, ...]
    form: BulkForm = BulkForm.PLAIN

    @property
    def length(self) -> int:
        """In bytes."""
        return sum(span.length for span in self.spans)


BulkOf = Callable[[str, str, int], Bulk]
"""Takes a BulkDataURI, the element's tag and how many sequences enclose it."""


def no_bulk(uri: str, tag: str, depth: int) -> Bulk:
    """Find nothing."""
    del uri, depth
    raise InvalidInstance(f"{tag} is bulk data that is not at hand.", Refusal.UNREADABLE)


def compose(
    elements: Elements, transfer_syntax_uid: str, bulk_of: BulkOf = no_bulk
) -> Iterator[Piece]:
    """Yield a Part 10 file, piece by piece.

    Args:
        elements: its data set as DICOM JSON; elements of groups 0000 and 0002 and group
            lengths are no part of it.
        transfer_syntax_uid: Explicit VR Little Endian, or one that encapsulates.
        bulk_of: finds what a BulkDataURI stands for; raises InvalidInstance.

    Raises:
        InvalidInstance: UNREADABLE for what is no DICOM JSON or a value that does not fit
            its VR, MISSING_UID, TOO_LARGE for a value of 4 GiB; possibly after some pieces.
        InvalidUid: the SOP class or instance is malformed.
    """
    sop_class_uid = _required(elements, SOP_CLASS, "SOP Class UID")
    sop_instance_uid = _required(elements, SOP_INSTANCE, "SOP Instance UID")
    yield encode_file_meta(
        sop_class_uid=sop_class_uid,
        sop_instance_uid=sop_instance_uid,
        transfer_syntax_uid=transfer_syntax_uid,
    )
    try:
        yield from _Composer(bulk_of).data_set(elements, 0)
    except InvalidRequest as error:
        raise InvalidInstance(str(error), Refusal.UNREADABLE) from error


def _required(elements: Elements, tag: str, name: str) -> str:
    uid = uid_in(elements, tag)
    if not uid:
        raise InvalidInstance(f"There is no {name}.", Refusal.MISSING_UID)
    return parse_uid(uid)


class _Composer:
    """Writes one instance's data set and what is nested in it."""

    def __init__(self, bulk_of: BulkOf) -> None:
        self._bulk_of = bulk_of

    def data_set(self, elements: Elements, depth: int) -> Iterator[Piece]:
        if depth > MAX_DEPTH:
            raise InvalidRequest("Sequences are nested too deep.")
        present = attributes_in(elements)
        if depth == 0 or _CHARACTER_SET in present:
            present[_CHARACTER_SET] = {"vr": "CS", "Value": [UTF_8]}
        pixels = self._pixels(present, depth)
        tables = NO_TABLES
        if depth == 0 and pixels is not None and pixels.form is not BulkForm.PLAIN:
            tables = self._add_tables(present, pixels)
        for tag in sorted(present):
            if tag == PIXEL_DATA and pixels is not None:
                yield from _bulk(tag, present[tag]["vr"], pixels, tables)
            else:
                yield from self._element(tag, present[tag], depth)

    def _pixels(self, present: Elements, depth: int) -> Bulk | None:
        uri = bulk_uri(present.get(PIXEL_DATA, {}))
        return None if uri is None else self._bulk_of(uri, PIXEL_DATA, depth)

    def _add_tables(self, present: Elements, pixels: Bulk) -> OffsetTables:
        """Put the offset tables that are right for `pixels` in the place of those given."""
        given = present.pop(EXTENDED_OFFSETS, None), present.pop(EXTENDED_LENGTHS, None)
        if pixels.form is not BulkForm.FRAMES:
            return NO_TABLES
        tables = offset_tables(pixels.spans, extended=given[0] is not None)
        if tables.offsets:
            present[EXTENDED_OFFSETS] = _inline("OV", tables.offsets)
            present[EXTENDED_LENGTHS] = _inline("OV", tables.lengths)
        return tables

    def _element(self, tag: str, element: Element, depth: int) -> Iterator[Piece]:
        vr = element["vr"]
        uri = bulk_uri(element)
        if uri is not None:
            if vr == "SQ" or "Value" in element or "InlineBinary" in element:
                raise InvalidRequest(f"{tag} has a BulkDataURI where none can be.")
            yield from _bulk(tag, vr, self._bulk_of(uri, tag, depth), NO_TABLES)
        elif vr == "SQ":
            yield from self._sequence(tag, element, depth)
        elif vr in {"DS", "IS"}:
            yield _numbers(tag, element)
        else:
            # Not around all: the silence is the whole process's, and a caller may be slow.
            with quiet_pydicom():
                encoded = encode_element(to_element(tag, checked(tag, element)))
            yield encoded

    def _sequence(self, tag: str, element: Element, depth: int) -> Iterator[Piece]:
        items: Any = element.get("Value", [])
        if not isinstance(items, list):
            raise InvalidRequest(f"{tag} is no sequence.")
        if not items:
            yield explicit_header(int(tag, 16), "SQ", 0)
            return
        yield explicit_header(int(tag, 16), "SQ", UNDEFINED)
        for item in items:  # pyright: ignore[reportUnknownVariableType]
            yield ITEM_START
            yield from self.data_set(item if item is not None else {}, depth + 1)  # pyright: ignore[reportUnknownArgumentType]
            yield ITEM_DELIMITER
        yield SEQUENCE_DELIMITER


def _numbers(tag: str, element: Element) -> bytes:
    """Return a DS or IS: texts that are no numbers, which devices send, stay what they are."""
    text = text_of(checked(tag, element))
    if not text.isascii():
        raise InvalidRequest(f"{tag} has a value that is no number.")
    return _FORM.leaf(int(tag, 16), element["vr"], text.encode("ascii"))


def _bulk(tag: str, vr: str, bulk: Bulk, tables: OffsetTables) -> Iterator[Piece]:
    if bulk.form is BulkForm.PLAIN:
        length = bulk.length + bulk.length % 2
        if length > LONG_LIMIT:
            raise InvalidInstance(
                f"{tag} has a value over 4 GiB, which only encapsulated pixel data can have.",
                Refusal.TOO_LARGE,
            )
        yield explicit_header(int(tag, 16), written_vr(vr, length), length)
        yield from bulk.spans
        if length > bulk.length:
            yield padding(vr, bulk.length)
        return
    yield explicit_header(int(tag, 16), "OB", UNDEFINED)
    if bulk.form is BulkForm.FRAMES:
        yield from fragments(bulk.spans, tables)
    elif bulk.form is BulkForm.VIDEO:
        yield from video_fragments(bulk.spans)
    else:
        yield from bulk.spans
        yield SEQUENCE_DELIMITER


def _inline(vr: str, value: bytes) -> Element:
    return {"vr": vr, "InlineBinary": base64.b64encode(value).decode("ascii")}
