"""WADO-RS: studies, series, instances, metadata, frames and bulk data (PS3.18 10.4)."""

import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Final

import orjson
from blake3 import blake3
from starlette.requests import Request

from pacs_cloud.dicom import uid
from pacs_cloud.dicomweb import media, native_xml
from pacs_cloud.dicomweb.multipart import MultipartWriter
from pacs_cloud.dicomweb.negotiation import (
    Choice,
    choose_bulk,
    choose_document,
    choose_frame,
    choose_instance,
)
from pacs_cloud.dicomweb.requests import accepted, is_unchanged, root_url, uid_of
from pacs_cloud.dicomweb.responses import Answer, Bytes, Stream
from pacs_cloud.errors import InvalidRequest, NotAcceptable
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.instances import Located, state_tag
from pacs_cloud.retrieve.pieces import Piece, length_of, stream

CACHING: Final = {
    # Only the reader's own device may keep it, and asks each time whether it still stands:
    # an instance may be hidden, deleted or its patient corrected at any moment.
    "cache-control": "private, no-cache",
    "vary": "accept",
}
_FRAME_LIST: Final = re.compile(r"[0-9]{1,9}(?:,[0-9]{1,9})*")
_MAX_FRAMES: Final = 100_000
_WHOLE_BYTES: Final = 16 << 20
"""Up to so much metadata is put together before it is sent, so that its length is known."""


class Wado:
    """The retrieve resources over one archive."""

    def __init__(self, archive: Archive, tenant: str, public_url: str = "") -> None:
        self._archive = archive
        self._tenant = tenant
        self._public_url = public_url

    async def instances(self, request: Request) -> Answer:
        """Answer GET of a study, a series or an instance with Part 10 files (10.4.1.1.1-3)."""
        ranges = accepted(request)
        located = await self._locate(request)
        is_single = uid_of(request, "instance") is not None
        forms = [self._form(one) for one in located]
        choices = {
            (syntax, can_decode): choose_instance(
                ranges, syntax, is_single=is_single, can_decode=can_decode
            )
            for syntax, can_decode in set(forms)
        }
        chosen = [
            (one, choice)
            for one, form in zip(located, forms, strict=True)
            if (choice := choices[form]) is not None
        ]
        if not chosen:
            syntaxes = {syntax for syntax, _ in forms}
            raise NotAcceptable(
                "The instances can be had as application/dicom in the transfer syntaxes "
                f"{', '.join(sorted(syntaxes | {uid.EXPLICIT_LE}))}."
            )
        served = [one for one, _ in chosen]
        parts = [(choice, self._file(one, choice)) for one, choice in chosen]
        is_partial = len(served) < len(located)
        return self._answer(request, state_tag(served), parts, is_partial=is_partial)

    async def frames(self, request: Request) -> Answer:
        """Answer GET of frames of an instance (10.4.1.1.6)."""
        numbers = _frame_numbers(request.path_params["frames"])
        ranges = accepted(request)
        (located,) = await self._locate(request)
        choice = self._choose_frame(ranges, located, is_single=len(numbers) == 1)
        parts = [(choice, self._frame(located, number, choice)) for number in numbers]
        return self._answer(request, state_tag((located,)), parts)

    async def bulk_data(self, request: Request) -> Answer:
        """Answer GET of a bulk value by the URI that metadata gives (10.4.1.1.5)."""
        ranges = accepted(request)
        (located,) = await self._locate(request)
        path: str = request.path_params["path"]
        pixels = located.instance.pixels
        if pixels is not None and pixels.encapsulated and path == pixels.tag:
            count = self._archive.frames.count(located)
            choice = self._choose_frame(ranges, located, is_single=count == 1)
            parts = [
                (choice, self._frame(located, number, choice)) for number in range(1, count + 1)
            ]
        else:
            value = self._archive.bulk.pieces(located, path)
            document_type = self._archive.bulk.media_type(located, path)
            chosen = choose_bulk(ranges, document_type)
            if chosen is None:
                raise NotAcceptable(
                    f"This bulk data is {document_type or media.OCTETS}, single part or multipart."
                )
            parts = [(chosen, value)]
        location = f"{root_url(request, self._public_url)}{_below_root(request)}"
        return self._answer(request, state_tag((located,)), parts, location=location)

    async def metadata(self, request: Request) -> Answer:
        """Answer GET of the headers of a study, series or instance (10.4.1.1.4)."""
        content = choose_document(accepted(request), is_array=True)
        if content is None:
            raise NotAcceptable(
                "Metadata is application/dicom+json, or "
                'multipart/related; type="application/dicom+xml".'
            )
        located = await self._locate(request)
        root = root_url(request, self._public_url)
        etag = _etag(state_tag(located), content, root)
        headers = {**CACHING, "etag": etag}
        if is_unchanged(request, etag):
            return Answer(status=304, headers=headers)
        if content == media.DICOM_XML:
            writer = MultipartWriter(media.DICOM_XML, etag.strip('"'))
            return Stream(
                self._xml_parts(located, root, writer), writer.content_type, headers=headers
            )
        chunks = self._archive.metadata.array(located, root)
        if sum(one.instance.header_length for one in located) > _WHOLE_BYTES:
            return Stream(chunks, content, headers=headers)
        return Bytes(b"".join([chunk async for chunk in chunks]), content, headers=headers)

    async def _locate(self, request: Request) -> tuple[Located, ...]:
        study, series, instance = (
            uid_of(request, name) for name in ("study", "series", "instance")
        )
        assert study is not None
        return await self._archive.instances.locate(self._tenant, study, series, instance)

    def _form(self, located: Located) -> tuple[str, bool]:
        """Return what decides how an instance goes out: its syntax, and if it can be decoded."""
        return located.instance.transfer_syntax_uid, self._archive.transcoder.decodes(located)

    def _file(self, located: Located, choice: Choice) -> Sequence[Piece]:
        if choice.is_stored:
            return (located.file(),)
        return (self._archive.transcoder.file(located, choice.transfer_syntax_uid),)

    def _frame(self, located: Located, number: int, choice: Choice) -> Sequence[Piece]:
        if choice.is_stored:
            return self._archive.frames.pieces(located, number)
        return (self._archive.transcoder.frame(located, number),)

    def _choose_frame(
        self, ranges: Sequence[media.MediaType], located: Located, *, is_single: bool
    ) -> Choice:
        stored = located.instance.transfer_syntax_uid
        pixels = located.instance.pixels
        choice = choose_frame(
            ranges,
            stored,
            is_encapsulated=pixels is not None and pixels.encapsulated,
            is_single=is_single,
            can_decode=self._archive.transcoder.decodes(located),
        )
        if choice is None:
            raise NotAcceptable(
                f"The frames can be had as {media.OCTETS} in {uid.EXPLICIT_LE}, or as "
                f"{media.frame_media(stored)} in {stored}."
            )
        return choice

    def _answer(
        self,
        request: Request,
        state: str,
        parts: Sequence[tuple[Choice, Sequence[Piece]]],
        *,
        location: str = "",
        is_partial: bool = False,
    ) -> Answer:
        first = parts[0][0]
        kind = "multipart" if first.is_multipart else "alone"
        etag = _etag(state, kind, *{choice.content_type for choice, _ in parts})
        headers = {**CACHING, "etag": etag}
        if is_unchanged(request, etag):
            return Answer(status=304, headers=headers)
        if first.is_multipart:
            # The boundary follows from the ETag, so that equal marks mean equal bytes.
            writer = MultipartWriter(first.content, etag.strip('"'))
            content_type = writer.content_type
            pieces = list(_multipart(writer, parts, location))
        else:
            content_type = first.content_type
            pieces = [piece for _, some in parts for piece in some]
        status = 206 if is_partial else 200
        if is_partial:
            headers["warning"] = (
                '299 pacs-cloud "Some instances have no representation that was asked for"'
            )
        return Stream(
            stream(self._archive.objects, pieces),
            content_type,
            status=status,
            headers=headers,
            length_bytes=length_of(pieces),
        )

    async def _xml_parts(
        self, located: Sequence[Located], root: str, writer: MultipartWriter
    ) -> AsyncGenerator[bytes]:
        for one in located:
            header = b"".join([chunk async for chunk in self._archive.metadata.array((one,), root)])
            (elements,) = orjson.loads(header)
            document = native_xml.encode(elements)
            yield writer.begin(media.DICOM_XML) + document
        yield writer.end()


def _multipart(
    writer: MultipartWriter, parts: Sequence[tuple[Choice, Sequence[Piece]]], location: str
) -> Iterator[Piece]:
    for choice, pieces in parts:
        yield writer.begin(choice.content_type, location=location)
        yield from pieces
    yield writer.end()


def _frame_numbers(text: str) -> tuple[int, ...]:
    numbers = tuple(map(int, text.split(","))) if _FRAME_LIST.fullmatch(text) else (0,)
    if 0 in numbers:
        raise InvalidRequest("A frame list is numbers from 1 on, separated by commas.")
    if len(numbers) > _MAX_FRAMES:
        raise InvalidRequest(f"A frame list has at most {_MAX_FRAMES} numbers.")
    return numbers


def _etag(state: str, *variants: str) -> str:
    mark = blake3(state.encode())
    for variant in sorted(variants):
        mark.update(f"\n{variant}".encode())
    return f'"{mark.hexdigest(length=16)}"'


def _below_root(request: Request) -> str:
    path: str = request.scope["path"]
    return path.removeprefix(request.scope.get("root_path", ""))
