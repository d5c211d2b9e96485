"""STOW-RS: storing Part 10 files, or metadata and bulk data (PS3.18 10.5)."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from http import HTTPStatus
from typing import Final

import orjson
from starlette.requests import Request

from pacs_cloud import metrics
from pacs_cloud.catalogue.visibility import Admission
from pacs_cloud.dicomweb import media, native_xml
from pacs_cloud.dicomweb.callers import caller_of
from pacs_cloud.dicomweb.media import MediaType, UnsupportedMedia, parse_media_type
from pacs_cloud.dicomweb.multipart import (
    MultipartReader,
    PartBegins,
    PartBytes,
    PartEnds,
    PartEvent,
)
from pacs_cloud.dicomweb.negotiation import choose_document
from pacs_cloud.dicomweb.requests import accepted, body_of, root_url, uid_of
from pacs_cloud.dicomweb.responses import Answer, Bytes
from pacs_cloud.dicomweb.stow_coding import Decoding, decoding
from pacs_cloud.dicomweb.stow_parts import MAX_PARTS, Parts
from pacs_cloud.dicomweb.stow_report import Failure, Stored, StoreReport
from pacs_cloud.errors import InvalidRequest, NotAcceptable, Unavailable
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.pack.index import Door, Source
from pacs_cloud.security.audit_event import Kind
from pacs_cloud.security.caller import Action, Caller
from pacs_cloud.security.witness import Witness, require

_RETRY_S: Final = 60
"""When a sender refused for want of room may try again."""
_ASSEMBLIES: Final = 2
"""Instances of metadata and bulk data that are put together at a time."""
_FORMS: Final = frozenset({media.DICOM, media.DICOM_JSON, media.DICOM_XML})
_TAKEN: Final = (
    "A body is application/dicom, application/dicom+json or application/dicom+xml, or "
    "multipart/related with one of these as its type."
)


class Stow:
    """The store resources over one intake."""

    def __init__(
        self,
        intake: Intake,
        admission: Admission,
        witness: Witness,
        public_url: str = "",
        *,
        max_body_bytes: int,
        body_idle_s: float,
    ) -> None:
        self._intake = intake
        self._admission = admission
        self._witness = witness
        self._public_url = public_url
        self._max_body_bytes = max_body_bytes
        self._body_idle_s = body_idle_s
        self._gate = asyncio.Semaphore(_ASSEMBLIES)

    async def store(self, request: Request) -> Answer:
        """Answer POST of /studies and /studies/{study}, once what it stored is committed."""
        with metrics.STOW_SECONDS.time():
            return await self._store(request)

    async def _store(self, request: Request) -> Answer:
        content = choose_document(accepted(request), is_array=False)
        if content is None:
            raise NotAcceptable("The answer is application/dicom+json or application/dicom+xml.")
        study = uid_of(request, "study")
        root = root_url(request, self._public_url)
        body = _Body(request, self._max_body_bytes, self._body_idle_s)
        caller = caller_of(request)
        source = Source(Door.STOW, calling=caller.subject, address=caller.address)
        await require(self._witness, caller, Action.STORE)
        only = None
        if study is not None:
            only = await self._admission.admit(caller, Action.STORE, study)
        session = self._intake.session(caller, source, is_admitted=study is not None)
        base_url = f"{root}/studies{f'/{study}' if study else ''}"
        parts = Parts(session, study, base_url, body.root, self._gate, self._max_body_bytes, only)
        is_whole = True
        try:
            async with aclosing(body.events()) as events:
                async for event in events:
                    await parts.take(event)
            await parts.complete()
        except (InvalidRequest, Unavailable) as error:
            if not parts.stored:
                raise
            # What came before is stored already: the answer has to say so.
            parts.unreadable.append(Failure.of_body(error))
            is_whole = False
        finally:
            parts.abort()
        if not parts.count:
            raise InvalidRequest("The body has no parts.")
        if parts.count == parts.unsupported:
            raise UnsupportedMedia(_TAKEN)
        outcomes = await session.commit_each() if parts.stored else []
        await self._record(caller, parts.stored)
        report = StoreReport(root, study, parts.stored, parts.failed, parts.unreadable, outcomes)
        return _answer(report, content, is_whole=is_whole)

    async def _record(self, caller: Caller, stored: Sequence[Stored]) -> None:
        if not stored:
            return
        studies = tuple(sorted({one.study_instance_uid for one in stored}))
        recorded = self._witness.saw(caller, Kind.STORE, studies=studies, instances=len(stored))
        if recorded is not None:
            await recorded


class _Body:
    """The request's body as parts, a body that is one instance as its only part."""

    def __init__(self, request: Request, max_bytes: int, idle_s: float) -> None:
        """Read what the header says of it.

        Raises:
            UnsupportedMedia: a media type or a Content-Encoding that is not taken.
            InvalidRequest: a malformed Content-Type, or one without a boundary.
        """
        self._request = request
        self._max_bytes = max_bytes
        self._idle_s = idle_s
        encoding = request.headers.get("content-encoding", "")
        self._decoding: Decoding | None = decoding(encoding, max_bytes)
        self._content_type = request.headers.get("content-type")
        if self._content_type is None:
            raise UnsupportedMedia(_TAKEN)
        kind = parse_media_type(self._content_type)
        self._reader: MultipartReader | None = None
        if kind.name == media.MULTIPART:
            self._reader = MultipartReader(kind.parameters.get("boundary", ""), max_parts=MAX_PARTS)
        if kind.content not in _FORMS and not (self._reader and kind.content == "*/*"):
            raise UnsupportedMedia(_TAKEN)
        self.root = MediaType(
            kind.content if kind.content in _FORMS else media.DICOM, kind.parameters
        )

    async def events(self) -> AsyncGenerator[PartEvent]:
        """Yield what the body brings; raises InvalidRequest, ClientDisconnect."""
        chunks: AsyncIterator[bytes] = body_of(
            self._request, max_bytes=self._max_bytes, idle_s=self._idle_s
        )
        if self._decoding is not None:
            chunks = self._decoding.decoded(chunks)
        if self._reader is not None:
            async for chunk in chunks:
                for event in self._reader.feed(chunk):
                    yield event
            self._reader.finish()
            return
        is_empty = True
        async for chunk in chunks:
            if is_empty:
                is_empty = False
                yield PartBegins({"content-type": self._content_type or ""})
            yield PartBytes(memoryview(chunk))
        if not is_empty:
            yield PartEnds()


def _answer(report: StoreReport, content: str, *, is_whole: bool) -> Answer:
    elements = report.elements()
    body = native_xml.encode(elements) if content == media.DICOM_XML else orjson.dumps(elements)
    headers = {"cache-control": "no-store"}
    status = report.status
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["retry-after"] = str(_RETRY_S)
    elif url := report.study_url:
        headers["location"] = url
    if not is_whole:
        headers["connection"] = "close"  # the rest of the body is of no more use
    return Bytes(body, content, status=int(status), headers=headers)
