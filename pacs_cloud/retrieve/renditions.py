"""What is no picture, in a form that a browser shows: reports, documents, videos (PS3.18 8.7.4)."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.render.report import report_html, report_text
from pacs_cloud.errors import NotAcceptable, NotFound
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.retrieve.bulk import Bulk
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.retrieve.pieces import Piece, Slice
from pacs_cloud.retrieve.viewed_headers import ViewedHeaders

HTML: Final = "text/html"
PLAIN: Final = "text/plain"
XML: Final = "text/xml"
PDF: Final = "application/pdf"
_DOCUMENT, _LENGTH = "00420011", "00420015"
_DOCUMENT_TYPES: Final = {
    "1.2.840.10008.5.1.4.1.1.104.1": PDF,
    "1.2.840.10008.5.1.4.1.1.104.2": XML,  # CDA
    "1.2.840.10008.5.1.4.1.1.104.3": "model/stl",
    "1.2.840.10008.5.1.4.1.1.104.4": "model/obj",
    "1.2.840.10008.5.1.4.1.1.104.5": "model/mtl",
}
_SNIFFED_BYTES: Final = 12
_ITEM_BYTES: Final = 8
_MAX_FRAGMENTS: Final = 10_000


class Renditions:
    """Renders by handing out, or by writing down as text."""

    def __init__(self, objects: ObjectStore, headers: ViewedHeaders, bulk: Bulk) -> None:
        self._objects = objects
        self._headers = headers
        self._bulk = bulk

    async def report(self, located: Located, media_type: str) -> bytes:
        """Return a structured report as HTML or PLAIN, in UTF-8."""
        header = await self._headers.read(located)
        make = report_html if media_type == HTML else report_text
        return await asyncio.to_thread(make, header.elements)

    async def header(self, located: Located) -> Elements:
        """Return the whole header of a report, which is all there is of it."""
        return (await self._headers.read(located)).elements

    def document_type(self, located: Located) -> str:
        """Return the media type of an encapsulated document; its SOP class says it, or itself."""
        named = self._bulk.media_type(located, _DOCUMENT) or "application/octet-stream"
        return _DOCUMENT_TYPES.get(located.instance.sop_class_uid, named)

    async def document(self, located: Located) -> Sequence[Piece]:
        """Return an encapsulated document, without the byte that pads it.

        Raises:
            NotFound: the instance has none.
        """
        header = await self._headers.read(located)
        length = int(header.number(_LENGTH) or 0)
        if short := header.binary(_DOCUMENT):
            return (short[: length or None],)
        (value,) = self._bulk.pieces(located, _DOCUMENT)
        if isinstance(value, Slice) and 0 < length < value.end - value.start:
            value = replace(value, end=value.start + length)
        return (value,)

    async def video(self, located: Located) -> tuple[str, Sequence[Piece]]:
        """Return the media type of a stored video, and its bytes as they are.

        Raises:
            NotFound: there is none.
            NotAcceptable: it is of a kind that has no rendered media type.
        """
        pieces = await self._fragments(located)
        if not pieces:
            raise NotFound("The video is empty.")
        first = pieces[0]
        end = min(first.end, first.start + _SNIFFED_BYTES)
        media_type = _video_type(await self._objects.get(first.key, first.start, end))
        if not media_type:
            raise NotAcceptable(
                "The video is a bare stream, for which there is no rendered media type; it can "
                "be had as bulk data."
            )
        return media_type, pieces

    async def _fragments(self, located: Located) -> tuple[Slice, ...]:
        """Return where the fragments of encapsulated pixel data lie, without its offset table."""
        pixels = located.instance.pixels
        assert pixels is not None
        found: list[Slice] = []
        at, end = pixels.offset, pixels.offset + pixels.length
        while at + _ITEM_BYTES <= end:
            if len(found) > _MAX_FRAGMENTS:
                raise NotAcceptable(
                    "The video is in too many fragments; it can be had as bulk data."
                )
            where = located.data_set(at, at + _ITEM_BYTES)
            header = await self._objects.get(where.key, where.start, where.end)
            start = at + _ITEM_BYTES
            at = start + int.from_bytes(header[4:], "little")
            found.append(located.data_set(start, min(at, end)))
        return tuple(found[1:])


def _video_type(begin: bytes) -> str:
    """Return the media type of a video by its first bytes, "" for a bare elementary stream."""
    if begin[4:8] == b"ftyp":
        return "video/mp4"
    if begin.startswith((b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3")):
        return "video/mpeg"
    return "video/mp2t" if begin.startswith(b"\x47") else ""
