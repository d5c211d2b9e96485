"""A guest's reply: a report as PDF, or DICOM files, which become part of the shared study."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.uid import new_uid
from pacs_cloud.dicom.wrapping.document import PDF, wrapped_pdf
from pacs_cloud.dicom.wrapping.wrapped import Belonging, in_memory
from pacs_cloud.errors import Denied, InvalidInstance, InvalidRequest, NotFound, Unavailable
from pacs_cloud.ingest.reception import Reception
from pacs_cloud.ingest.session import Session
from pacs_cloud.pack.source import Door, Source
from pacs_cloud.security.audit_event import Kind, event_of
from pacs_cloud.security.caller import Action, Caller
from pacs_cloud.web.forms import CSRF, NotOurPage, refuse_strangers
from pacs_cloud.web.refusals import sentence
from pacs_cloud.web.services import WebServices
from pacs_cloud.web.share_contents import ShareContents
from pacs_cloud.web.share_form_parts import FormPart, form_parts
from pacs_cloud.web.share_guests import Guests, GuestVisit
from pacs_cloud.web.share_services import ShareServices
from pacs_cloud.web.share_viewing import ShareViewing

MOST_BYTES: Final = 2 << 30
"""Of all files that are sent at once."""
MOST_PDF_BYTES: Final = 32 << 20
MOST_FILES: Final = 1000
_FILES: Final = "files"
"""The field that they are sent in, behind all others."""
_MOST_FIELD_BYTES: Final = 1024
_PREAMBLE: Final = 132
"""Bytes that tell a Part 10 file: 128, and `DICM` (PS3.10 7.1)."""
_TITLE: Final = "Second opinion"
_ASIDE: Final = "the archive has something else under its identifier; it was kept aside"
_THERE: Final = "the archive had it already"
_OF_A_COPY: Final = (
    "DICOM files are of the copy that you see, which nobody else has: send a report as PDF"
)
_REMARKS: Final[Mapping[str, str]] = {
    "kept-first": _ASIDE,
    "quarantined": _ASIDE,
    "duplicate": _THERE,
    "variant": _THERE,
}
"""What is said of outcomes (`catalogue.judging.Status`) that change nothing of the study."""


class ShareReply:
    """Takes replies in."""

    def __init__(
        self, services: WebServices, sharing: ShareServices, guests: Guests, viewing: ShareViewing
    ) -> None:
        """Take them in by `sharing.intake`, and show what is shared again by `viewing`."""
        self._services = services
        self._sharing = sharing
        self._guests = guests
        self._viewing = viewing
        self._contents = ShareContents(sharing.search)

    async def send(self, request: Request) -> Response:
        """Store the files of a form, and say what became of each.

        Of a form that breaks off what had come is stored, and put on record, all the same.

        Raises:
            Unidentified: nobody came by this link.
            Denied: it takes no replies.
            NotOurPage: the form was not made for this session.
            NotFound: the study is none of those shared, or gone.
            InvalidRequest: it is no form with files.
            Unavailable: they cannot be stored, or put on record, now.
            ClientDisconnect: the sender is gone.
        """
        refuse_strangers(request, self._services.public_url)
        guest = await self._guests.of(request)
        if not guest.share.may_reply:
            raise Denied("this link takes no replies")
        begun: list[_Reply] = []
        broken: InvalidRequest | Unavailable | ClientDisconnect | None = None
        try:
            await self._take(request, guest, begun)
        except (InvalidRequest, Unavailable, ClientDisconnect) as error:
            broken = error
        finally:
            for one in begun:
                one.abort()
        received, failed = 0, list[tuple[str, str]]()
        for reply in begun:
            received += await reply.commit()
            failed += reply.failed
            if received:
                await self._note(reply.terms, received)
        if broken is not None:
            if not received or isinstance(broken, ClientDisconnect):
                raise broken
            failed.append(("What came after", sentence(broken)))
        status = HTTPStatus.OK if received else HTTPStatus.UNPROCESSABLE_ENTITY
        return await self._viewing.overview(
            request, guest, status, replies=tuple(failed), received=received
        )

    async def _take(self, request: Request, guest: GuestVisit, begun: "list[_Reply]") -> None:
        """Take a form's files in; what is begun stands in `begun`, whatever happens."""
        fields: dict[str, bytes] = {}
        name = ""
        async with aclosing(form_parts(request, max_bytes=MOST_BYTES)) as parts:
            async for event in parts:
                if isinstance(event, FormPart):
                    name = event.name
                    if name == _FILES:
                        if not begun:
                            begun.append(await self._begun(guest, fields))
                        begun[0].begin(event.filename)
                    else:
                        fields.setdefault(name, b"")
                elif name == _FILES:
                    await begun[0].take(event.data)
                else:
                    fields[name] += event.data
                    if len(fields[name]) > _MOST_FIELD_BYTES:
                        raise InvalidRequest("A field of the form is too long.")
        if not begun:
            raise InvalidRequest("There is no file in the form.")

    async def _begun(self, guest: GuestVisit, fields: Mapping[str, bytes]) -> "_Reply":
        csrf, study = (fields.get(one, b"").decode("utf-8", "replace") for one in (CSRF, "study"))
        if not self._services.sessions.is_csrf(guest.visit.token, csrf):
            raise NotOurPage("the form was made for another session")
        replier = guest.share.replier(guest.caller, self._services.tenant, study)
        if replier is None:
            raise NotFound("there is no such study")
        caller, study = replier
        only = await self._sharing.admission.admit(caller, Action.STORE, study)
        found = await self._contents.study(caller, study, whole=False)
        if found is None:
            raise NotFound("there is no such study")
        source = Source(Door.STOW, calling=caller.subject, address=caller.address)
        session = self._sharing.intake.session(caller, source, is_admitted=True)
        refused = _OF_A_COPY if guest.share.deidentify else ""
        terms = _Terms(caller, study, found.elements, only, refused)
        return _Reply(session, terms, self._services.now_us())

    async def _note(self, terms: "_Terms", received: int) -> None:
        event = event_of(
            terms.caller,
            Kind.STORE,
            "share",
            self._services.now_us(),
            action="reply",
            studies=(terms.study,),
            instances=received,
        )
        await self._services.record(event)


@dataclass(frozen=True, slots=True)
class _Terms:
    """What a reply may be.

    Attributes:
        caller: who brings it.
        study: where it belongs.
        header: attributes of that.
        series: those that DICOM files may be of; None: any.
        no_dicom: why there may be none; "": there may be.
    """

    caller: Caller
    study: str
    header: Elements
    series: frozenset[str] | None
    no_dicom: str


class _Reply:
    """The files of one form.

    Attributes:
        terms: what they may be.
        failed: of what was not stored, the name and why.
    """

    def __init__(self, session: Session, terms: _Terms, now_us: int) -> None:
        self.terms = terms
        self.failed: list[tuple[str, str]] = []
        self._session = session
        self._now_us = now_us
        self._names: list[str] = []
        self._count = 0
        self._name = ""
        self._head = bytearray()
        self._reception: Reception | None = None
        self._pdf: bytearray | None = None
        self._refused = ""

    def begin(self, name: str) -> None:
        """Begin a file; raises InvalidRequest."""
        self._count += 1
        if self._count > MOST_FILES:
            raise InvalidRequest(f"A reply has up to {MOST_FILES} files.")
        # Some browsers send the path, with slashes of either kind.
        self._name = name.replace("\\", "/").rpartition("/")[2] or f"file {self._count}"
        self._head, self._reception, self._pdf, self._refused = bytearray(), None, None, ""

    async def take(self, data: bytes) -> None:
        """Take the next bytes of a file; none of them: it ends."""
        if not data:
            await self._end()
        elif self._refused:
            return
        elif self._reception is not None:
            self._reception.write(data)
            await self._reception.drain()
        elif self._pdf is not None:
            self._pdf += data
            if len(self._pdf) > MOST_PDF_BYTES:
                self._pdf, self._refused = None, "a PDF has up to 32 MB"
        else:
            self._head += data
            if len(self._head) >= _PREAMBLE:
                await self._told_apart()

    async def commit(self) -> int:
        """Return how many files are part of the study now.

        Raises:
            Unavailable: they could not be made durable.
            Corrupt: they could not be committed, and were put aside.
        """
        outcomes = await self._session.commit_each() if self._names else []
        count = 0
        for name, outcome in zip(self._names, outcomes, strict=True):
            remark = _REMARKS.get(outcome.status)
            if remark is None:
                count += 1
            else:
                self.failed.append((name, remark))
        return count

    def abort(self) -> None:
        """Forget the file that is under way."""
        reception, self._reception = self._reception, None
        if reception is not None:
            reception.abort()

    async def _told_apart(self) -> None:
        head, self._head = bytes(self._head), bytearray()
        if head.startswith(PDF):
            self._pdf = bytearray()
        elif head[128:132] == b"DICM" and self.terms.no_dicom:
            self._refused = self.terms.no_dicom
        elif head[128:132] == b"DICM":
            self._reception = self._session.begin_file(
                study_instance_uid=self.terms.study, series=self.terms.series
            )
        else:
            self._refused = "it is neither a PDF nor a DICOM file"
        await self.take(head)

    async def _end(self) -> None:
        if self._head:
            await self._told_apart()
        try:
            if self._pdf is not None:
                await self._wrap(bytes(self._pdf))
            if self._reception is not None:
                reception, self._reception = self._reception, None
                await reception.finish()
                self._names.append(self._name)
            else:
                self._refused = self._refused or "it is empty"
        except InvalidInstance as error:
            self._refused = sentence(error)
        finally:
            self.abort()
            self._pdf = None  # of one that cannot be wrapped, too
        if self._refused:
            self.failed.append((self._name, self._refused))

    async def _wrap(self, pdf: bytes) -> None:
        study = self.terms.study
        where = Belonging(study, self.terms.header, new_uid(), self._now_us, title=_TITLE)
        wrapped = await asyncio.to_thread(wrapped_pdf, in_memory(pdf), len(pdf), where)
        self._reception = self._session.begin_file(study_instance_uid=study)
        for chunk in await asyncio.to_thread(list, wrapped.chunks()):
            self._reception.write(chunk)
            await self._reception.drain()
