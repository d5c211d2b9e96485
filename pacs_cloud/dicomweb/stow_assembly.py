"""One instance of metadata and bulk data: which transfer syntax it has, and its pieces."""

from collections.abc import Iterator
from typing import Any, Final

from pacs_cloud.dicom import uid
from pacs_cloud.dicom.coding import consumer_images
from pacs_cloud.dicom.coding.codestream import (
    HEAD_BYTES,
    JP2_BOXES_BYTES,
    Claims,
    claims_of,
    codestream_in,
)
from pacs_cloud.dicom.coding.encapsulating import ITEM_TAG, Piece, Span
from pacs_cloud.dicom.coding.video import video_syntax
from pacs_cloud.dicom.composing import (
    SOP_CLASS,
    SOP_INSTANCE,
    Bulk,
    BulkForm,
    compose,
)
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.explicit_elements import SEQUENCE_DELIMITER
from pacs_cloud.dicom.given_elements import bulk_uri, uid_in
from pacs_cloud.dicom.pixel_tags import PIXEL_DATA
from pacs_cloud.dicomweb import media, stow_metadata
from pacs_cloud.dicomweb.stow_bulk import BulkParts, Decoded, StowBulk
from pacs_cloud.errors import InvalidInstance, InvalidRequest, Refusal

_TRANSFER_SYNTAX: Final = "00020010"
_AVAILABLE_SYNTAXES: Final = "00083002"
_FRAME_COUNT: Final = "00280008"
_ROWS: Final = "00280010"
_COLUMNS: Final = "00280011"
_BITS_ALLOCATED: Final = "00280100"
_SAMPLES: Final = "00280002"
_BOXED: Final = frozenset({"image/jp2", "image/jpx", "image/jphc"})
_NO_MARKERS: Final = frozenset({"image/dicom-rle"})
"""What has no codestream that tells its syntax; its name alone has to."""


def assemble(instance: bytes, bulk: StowBulk, declared: str | None) -> Iterator[Piece]:
    """Return the pieces of one instance's Part 10 file; blocks, so call it on a thread.

    Args:
        instance: its metadata as JSON.
        bulk: the bulk data that came with it, complete.
        declared: the `transfer-syntax` parameter of its metadata's Content-Type.

    Raises:
        InvalidInstance: it cannot be made, or bulk data is missing; with the
            instance's UIDs as far as they are there. Iterating may raise it too.
        Unavailable: the disk failed.
    """
    try:
        elements = stow_metadata.load(instance)
    except InvalidRequest as error:
        raise InvalidInstance(str(error), Refusal.UNREADABLE) from error
    try:
        yield from _Assembly(elements, bulk, declared).pieces()
    except InvalidInstance as refused:
        refused.sop_class_uid = _readable(elements, SOP_CLASS)
        refused.sop_instance_uid = _readable(elements, SOP_INSTANCE)
        raise
    except InvalidRequest as error:
        raise InvalidInstance(
            str(error),
            Refusal.UNREADABLE,
            sop_class_uid=_readable(elements, SOP_CLASS),
            sop_instance_uid=_readable(elements, SOP_INSTANCE),
        ) from error


class _Assembly:
    """One instance and its bulk data."""

    def __init__(self, elements: Elements, bulk: StowBulk, declared: str | None) -> None:
        self._elements = elements
        self._bulk = bulk
        self._declared = (
            _said(elements, _TRANSFER_SYNTAX) or _named(declared) or _said_once(elements)
        )
        self._syntax = uid.EXPLICIT_LE
        self._transformed: Span | None = None

    def pieces(self) -> Iterator[Piece]:
        uri = bulk_uri(self._elements.get(PIXEL_DATA) or {})
        if uri is not None:
            parts = self._parts(uri, PIXEL_DATA)
            if parts.media.name in consumer_images.MEDIA:
                self._transform(parts)
            else:
                self._syntax = self._syntax_of(parts)
                if uid.is_encapsulated(self._syntax):
                    self._describe(parts)
        return compose(self._elements, self._syntax, self._bulk_of)

    def _bulk_of(self, uri: str, tag: str, depth: int) -> Bulk:
        """Return what a BulkDataURI stands for (for `compose`)."""
        if depth == 0 and tag == PIXEL_DATA and self._transformed is not None:
            return Bulk((self._transformed,))
        parts = self._parts(uri, tag)
        spans = parts.spans
        if tag != PIXEL_DATA or not uid.is_encapsulated(self._syntax):
            return Bulk(spans)
        if len(spans) == 1 and self._bulk.read(spans[0].offset, 4) == ITEM_TAG:
            return Bulk((self._without_delimiter(spans[0]),), BulkForm.ITEMS)
        if depth > 0:  # an icon may be native within any syntax (PS3.5 A.4)
            is_native = parts.media.transfer_syntax in {None, uid.EXPLICIT_LE}
            is_native = is_native and _is_octets(parts)
            return Bulk(spans, BulkForm.PLAIN if is_native else BulkForm.FRAMES)
        if media.frame_media(self._syntax).startswith("video/"):
            return Bulk(spans, BulkForm.VIDEO)
        is_consumers = parts.media.transfer_syntax is None
        if is_consumers and media.frame_media(self._syntax) in _BOXED:
            spans = tuple(map(self._without_boxes, spans))
        wanted = self._frame_count()
        if len(spans) != wanted or not all(span.length for span in spans):
            raise InvalidInstance(f"{len(spans)} frames came of {wanted}.", Refusal.UNREADABLE)
        return Bulk(spans, BulkForm.FRAMES)

    def _parts(self, uri: str, tag: str) -> BulkParts:
        parts = self._bulk.find(uri)
        if parts is None or parts.is_mixed:
            reason = "did not come" if parts is None else "came in different media types"
            raise InvalidInstance(f"The bulk data of {tag} {reason}.", Refusal.UNREADABLE)
        return parts

    def _syntax_of(self, parts: BulkParts) -> str:
        """Return the transfer syntax that the pixel data makes the instance's."""
        said = _named(parts.media.transfer_syntax)
        if said is not None:
            return said if uid.is_encapsulated(said) else uid.EXPLICIT_LE
        if _is_octets(parts):
            declared = self._declared
            if declared is None or not uid.is_encapsulated(declared) or self._is_native(parts):
                return uid.EXPLICIT_LE
            return declared
        name = media.modern_name(parts.media.name)
        syntax = self._claimed(parts, name)
        if syntax is None and name in _NO_MARKERS:
            syntax = media.FRAME_DEFAULTS[name]
        if syntax is None:
            raise InvalidInstance(
                f"The transfer syntax of {name} cannot be told.", Refusal.UNSUPPORTED_SYNTAX
            )
        return syntax

    def _claimed(self, parts: BulkParts, name: str) -> str | None:
        if name.startswith("video/"):
            return video_syntax(name, self._head(parts))
        claims = self._claims(parts)
        return None if claims is None else claims.transfer_syntax_uid

    def _is_native(self, parts: BulkParts) -> bool:
        """Tell whether the pixel data has just the length it has when it is not compressed."""
        sides = [_number(self._elements, tag) for tag in (_ROWS, _COLUMNS, _BITS_ALLOCATED)]
        rows, columns, bits = sides
        samples = _number(self._elements, _SAMPLES) or 1
        length = rows * columns * samples * bits * self._frame_count() // 8
        return 0 < length <= sum(span.length for span in parts.spans) <= length + 1

    def _describe(self, parts: BulkParts) -> None:
        """Add the Image Pixel Description Macro where the metadata left it to the codestream."""
        if _ROWS in self._elements:
            return
        claims = self._claims(parts)
        if claims is not None:
            described = claims.pixel_format.elements()
            self._elements.update(
                {tag: e for tag, e in described.items() if tag not in self._elements}
            )

    def _transform(self, parts: BulkParts) -> None:
        """Decode an image that no transfer syntax holds; what it is decides its description."""
        if parts.decoded is None:
            parts.decoded = self._decoded(parts)
        image = parts.decoded
        for tag in (_ROWS, _COLUMNS, _FRAME_COUNT):
            said, found = (_number(one, tag) for one in (self._elements, image.elements))
            if said and said != max(found, 1):
                raise InvalidInstance(f"{tag} is not what the image has.", Refusal.UNREADABLE)
        self._elements.update(image.elements)
        self._transformed = image.pixels

    def _decoded(self, parts: BulkParts) -> Decoded:
        if len(parts.spans) != 1 or parts.spans[0].length > consumer_images.MAX_FILE_BYTES:
            raise InvalidInstance("One image of up to 64 MiB can be decoded.", Refusal.TOO_LARGE)
        offset, length = parts.spans[0]
        image = consumer_images.decode(parts.media.name, self._bulk.read(offset, length))
        return Decoded(image.elements, self._bulk.keep(image.pixels))

    def _claims(self, parts: BulkParts) -> Claims | None:
        return claims_of(self._head(parts))

    def _head(self, parts: BulkParts) -> bytes:
        first = parts.spans[0]
        return self._bulk.read(first.offset, min(first.length, HEAD_BYTES))

    def _without_delimiter(self, span: Span) -> Span:
        end = self._bulk.read(span.offset + max(0, span.length - 8), 8)
        return Span(span.offset, span.length - 8) if end == SEQUENCE_DELIMITER else span

    def _without_boxes(self, span: Span) -> Span:
        head = self._bulk.read(span.offset, min(span.length, JP2_BOXES_BYTES))
        start, end = codestream_in(head, span.length)
        return Span(span.offset + start, end - start)

    def _frame_count(self) -> int:
        return _number(self._elements, _FRAME_COUNT) or 1


def _is_octets(parts: BulkParts) -> bool:
    return parts.media.name == media.OCTETS


def _readable(elements: Elements, tag: str) -> str:
    """Return a UID for the answer, "" for one that is none."""
    try:
        return uid.parse_uid(uid_in(elements, tag))
    except InvalidInstance:
        return ""


def _named(transfer_syntax: str | None) -> str | None:
    """Return a media type's transfer syntax; "any" names none."""
    return None if transfer_syntax == media.ANY_SYNTAX else transfer_syntax


def _said(elements: Elements, tag: str) -> str | None:
    return uid.parse_uid(said) if (said := uid_in(elements, tag)) else None


def _said_once(elements: Elements) -> str | None:
    """Return the Available Transfer Syntax UID where there is one alone."""
    element: Any = elements.get(_AVAILABLE_SYNTAXES)
    values: Any = element.get("Value") if isinstance(element, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    is_one = isinstance(values, list) and len(values) == 1  # pyright: ignore[reportUnknownArgumentType]
    return _said(elements, _AVAILABLE_SYNTAXES) if is_one else None


def _number(elements: Elements, tag: str) -> int:
    element: Any = elements.get(tag)
    values: Any = element.get("Value") if isinstance(element, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    try:
        return max(0, int(values[0])) if values else 0
    except (TypeError, ValueError, KeyError):
        return 0
