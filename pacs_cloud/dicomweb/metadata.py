"""WADO-RS metadata: the headers of a study, a series or an instance (PS3.18 10.4.1.1.4)."""

from collections.abc import AsyncGenerator, Sequence
from typing import Final

import orjson
from starlette.requests import Request

from pacs_cloud.dicomweb import media, native_xml
from pacs_cloud.dicomweb.addressed import addressed
from pacs_cloud.dicomweb.encodings import VARY, Coding, coding_for, encode, encode_stream, is_worth
from pacs_cloud.dicomweb.multipart import MultipartWriter
from pacs_cloud.dicomweb.negotiation import choose_document
from pacs_cloud.dicomweb.part_answer import CACHING, etag_of
from pacs_cloud.dicomweb.requests import accepted, root_url
from pacs_cloud.dicomweb.responses import Answer, Bytes, Stream
from pacs_cloud.entity_tags import is_unchanged
from pacs_cloud.errors import NotAcceptable
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.cache import BoundedCache
from pacs_cloud.retrieve.instances import Located, state_tag
from pacs_cloud.retrieve.metadata import length_of_headers

_WHOLE_BYTES: Final = 16 << 20
"""Up to so much is put together before it is sent, so that its length is known."""
_KEPT_BYTES: Final = 32 << 20
"""Encoded answers kept in memory: a series' headers take a few KiB."""


class MetadataResource:
    """The metadata resources over one archive."""

    def __init__(self, archive: Archive, public_url: str = "") -> None:
        self._archive = archive
        self._public_url = public_url
        # By what the answer says and how: packs never change, and `state_tag` names them.
        self._encoded: BoundedCache[bytes] = BoundedCache(_KEPT_BYTES, "metadata")

    async def metadata(self, request: Request) -> Answer:
        """Answer GET of the headers of a study, series or instance."""
        content = choose_document(accepted(request), is_array=True)
        if content is None:
            raise NotAcceptable(
                "Metadata is application/dicom+json, or "
                'multipart/related; type="application/dicom+xml".'
            )
        coding = coding_for(request)
        located = await addressed(request, self._archive)
        length_bytes = length_of_headers(located)
        if not is_worth(length_bytes):
            coding = Coding.IDENTITY
        root = root_url(request, self._public_url)
        state = state_tag(located)
        etag = etag_of(state, content, root, coding)
        headers = {**CACHING, "vary": VARY, "etag": etag}
        if is_unchanged(request, etag):
            return Answer(status=304, headers=headers)
        if coding is not Coding.IDENTITY:
            headers["content-encoding"] = coding
        content_type, chunks = self._document(located, root, content, etag.strip('"'))
        if request.method == "HEAD":
            return Answer(content_type, headers=headers)
        if length_bytes > _WHOLE_BYTES or (
            content == media.DICOM_XML and coding is Coding.IDENTITY
        ):
            if coding is not Coding.IDENTITY:
                chunks = encode_stream(chunks, coding)
            return Stream(chunks, content_type, headers=headers)

        async def made() -> tuple[bytes, int]:
            body = await encode(b"".join([chunk async for chunk in chunks]), coding)
            return body, len(body)

        if coding is Coding.IDENTITY:
            body, _ = await made()
        else:
            body = await self._encoded.get((etag,), made)
        return Bytes(body, content_type, headers=headers)

    def _document(
        self, located: Sequence[Located], root: str, content: str, mark: str
    ) -> tuple[str, AsyncGenerator[bytes]]:
        if content == media.DICOM_XML:
            writer = MultipartWriter(media.DICOM_XML, mark)
            return writer.content_type, self._xml_parts(located, root, writer)
        return content, self._archive.metadata.array(located, root)

    async def _xml_parts(
        self, located: Sequence[Located], root: str, writer: MultipartWriter
    ) -> AsyncGenerator[bytes]:
        for one in located:
            header = b"".join([chunk async for chunk in self._archive.metadata.array((one,), root)])
            (elements,) = orjson.loads(header)
            document = native_xml.encode(elements)
            yield writer.begin(media.DICOM_XML) + document
        yield writer.end()
