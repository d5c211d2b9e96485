"""STOW-RS: storing Part 10 files that come as parts of one body (PS3.18 10.5)."""

from http import HTTPStatus
from typing import Final

import orjson
from starlette.requests import Request

from pacs_cloud.dicomweb import media, native_xml
from pacs_cloud.dicomweb.media import UnsupportedMedia, parse_media_type
from pacs_cloud.dicomweb.multipart import MultipartReader, PartBegins, PartBytes, PartEvent
from pacs_cloud.dicomweb.negotiation import choose_document
from pacs_cloud.dicomweb.requests import accepted, body_of, root_url, uid_of
from pacs_cloud.dicomweb.responses import Answer, Bytes
from pacs_cloud.dicomweb.stow_report import Failure, Stored, StoreReport
from pacs_cloud.errors import InvalidInstance, InvalidRequest, NotAcceptable, Unavailable
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.ingest.reception import Reception
from pacs_cloud.ingest.session import Session
from pacs_cloud.pack.index import Door, Source

_RETRY_S: Final = 60
"""When a sender refused for want of room may try again."""


class Stow:
    """The store resources over one intake."""

    def __init__(
        self,
        intake: Intake,
        tenant: str,
        public_url: str = "",
        *,
        max_body_bytes: int,
        body_idle_s: float,
    ) -> None:
        self._intake = intake
        self._tenant = tenant
        self._public_url = public_url
        self._max_body_bytes = max_body_bytes
        self._body_idle_s = body_idle_s

    async def store(self, request: Request) -> Answer:
        """Answer POST of /studies and /studies/{study}, once what it stored is committed."""
        content = choose_document(accepted(request), is_array=False)
        if content is None:
            raise NotAcceptable("The answer is application/dicom+json or application/dicom+xml.")
        study = uid_of(request, "study")
        root = root_url(request, self._public_url)
        reader = MultipartReader(_boundary(request))
        client = request.client.host if request.client else ""
        session = self._intake.session(self._tenant, Source(Door.STOW, address=client))
        parts = _Parts(session, study)
        broken: InvalidRequest | None = None
        try:
            async for chunk in body_of(
                request, max_bytes=self._max_body_bytes, idle_s=self._body_idle_s
            ):
                for event in reader.feed(chunk):
                    await parts.take(event)
            reader.finish()
        except InvalidRequest as error:
            if not parts.stored:
                raise
            broken = error
        finally:
            parts.abort()
        if broken is not None:
            # What came before is stored already: the answer has to say so.
            parts.unreadable.append(Failure.of_body())
        elif not parts.count:
            raise InvalidRequest("The body has no parts.")
        elif parts.count == parts.unsupported:
            raise UnsupportedMedia("Every part must be application/dicom.")
        outcomes = await session.commit_each() if parts.stored else []
        report = StoreReport(root, study, parts.stored, parts.failed, parts.unreadable, outcomes)
        return _answer(report, content)


class _Parts:
    """The parts of one body on their way into one session."""

    def __init__(self, session: Session, study_instance_uid: str | None) -> None:
        self._session = session
        self._study = study_instance_uid
        self._reception: Reception | None = None
        self.count = 0
        self.unsupported = 0
        self.stored: list[Stored] = []
        self.failed: list[Failure] = []
        self.unreadable: list[Failure] = []

    async def take(self, event: PartEvent) -> None:
        """Take the next thing that the body brings."""
        if isinstance(event, PartBegins):
            self._begin(event.headers)
        elif self._reception is None:
            return
        elif isinstance(event, PartBytes):
            self._reception.write(event.view)
            await self._reception.drain()
        else:
            reception, self._reception = self._reception, None
            try:
                self.stored.append(Stored.of(await reception.finish()))
            except (InvalidInstance, Unavailable) as error:
                failure = Failure.of_error(error)
                known = self.failed if failure.sop_instance_uid else self.unreadable
                known.append(failure)

    def _begin(self, headers: dict[str, str]) -> None:
        self.count += 1
        if _is_dicom(headers.get("content-type", media.DICOM)):
            self._reception = self._session.begin_file(study_instance_uid=self._study)
        else:
            self.unsupported += 1
            self.unreadable.append(Failure.of_media_type())

    def abort(self) -> None:
        """Forget the part that is under way."""
        reception, self._reception = self._reception, None
        if reception is not None:
            reception.abort()


def _boundary(request: Request) -> str:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise UnsupportedMedia("A body must not be compressed as a whole.")
    named = request.headers.get("content-type")
    if named is None:
        raise UnsupportedMedia('A body must be multipart/related; type="application/dicom".')
    content_type = parse_media_type(named)
    if content_type.name != media.MULTIPART or content_type.content not in {media.DICOM, "*/*"}:
        raise UnsupportedMedia('A body must be multipart/related; type="application/dicom".')
    return content_type.parameters.get("boundary", "")


def _is_dicom(named: str) -> bool:
    try:
        return parse_media_type(named).name == media.DICOM
    except (InvalidRequest, InvalidInstance):
        return False


def _answer(report: StoreReport, content: str) -> Answer:
    elements = report.elements()
    body = native_xml.encode(elements) if content == media.DICOM_XML else orjson.dumps(elements)
    headers = {"cache-control": "no-store"}
    status = report.status
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["retry-after"] = str(_RETRY_S)
    return Bytes(body, content, status=int(status), headers=headers)
