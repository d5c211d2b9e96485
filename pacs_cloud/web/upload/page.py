"""The page that files are brought to, by a script or by a plain form."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict
from http import HTTPStatus
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from pacs_cloud.errors import InvalidRequest, NotFound
from pacs_cloud.pack.pack_id import new_pack_id
from pacs_cloud.pack.source import Door, Source
from pacs_cloud.query.request import Level, SearchKey, SearchRequest
from pacs_cloud.security import access
from pacs_cloud.security.audit_event import Kind, event_of
from pacs_cloud.security.caller import Action, Caller, caller_in
from pacs_cloud.web.forms import CSRF, NotOurPage, refuse_strangers
from pacs_cloud.web.local_paths import UPLOAD
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.refusals import Failure, sentence, wants_page
from pacs_cloud.web.share_form_parts import FormPart, form_parts
from pacs_cloud.web.studies.actions_chosen import DOOR, choice_of, require
from pacs_cloud.web.studies.filters import Filters
from pacs_cloud.web.studies.finding import Place, day_at, found_by
from pacs_cloud.web.studies.rows import RETURNS, STUDY, StudyRow, row_of
from pacs_cloud.web.study_services import StudyServices
from pacs_cloud.web.templating import json_answer
from pacs_cloud.web.upload.taking import FAILED, Taken, Taking
from pacs_cloud.web.upload.target import FIELDS, PATIENT, SEXES, target_of
from pacs_cloud.web.visits import Visit

FILES: Final = "files"
"""The field that they are sent in, behind all others."""
_NOTHING: Final = "\0"
_MOST_FIELD_BYTES: Final = 1024
_OFFERED: Final = 12
_LOOKED_AT: Final = 50
_NONE_OF_THESE: Final = (
    "You may add to none of the newest that are found: type more of the name, or the ID."
)
_WRAPPED_AT_ONCE: Final = 1
"""A large photograph that has to be turned takes some hundred MB."""


class UploadPage:
    """The page, for whoever may store."""

    def __init__(self, kit: PageKit, services: StudyServices) -> None:
        """Take files in by `services.intake`."""
        self._kit = kit
        self._services = services
        self._gate = asyncio.Semaphore(_WRAPPED_AT_ONCE)

    async def show(self, request: Request) -> Response:
        """Return the page, with the studies that `q` finds, or the one that `study` names.

        Raises:
            Unidentified: nobody is signed in.
            Denied: they may bring nothing.
        """
        visit = await self._kit.visits.of(request)
        await require(self._kit.services, caller_in(request.scope), Action.STORE)
        return await self._page(request, visit)

    async def take(self, request: Request) -> Response:
        """Store the files of a form, and say what became of each: a page, or JSON for a script.

        Of a form that breaks off what had come is stored, and put on record, all the same.

        Raises:
            Unidentified: nobody is signed in.
            NotOurPage: the form was not made for this session.
            Denied: they may bring nothing, or to some studies only and named none.
            NotFound: the study that is named is not there, or not for them.
            InvalidRequest: it is no form with files.
            Unavailable: they cannot be stored, or put on record, now.
            ClientDisconnect: the sender is gone.
        """
        refuse_strangers(request, self._kit.services.public_url)
        visit = await self._kit.visits.of(request)
        caller = caller_in(request.scope)
        await require(self._kit.services, caller, Action.STORE)
        is_page = wants_page(request)
        fields: dict[str, str] = {}
        begun: list[Taking] = []
        broken: InvalidRequest | NotFound | ClientDisconnect | None = None
        try:
            await self._take(request, visit, fields, begun)
        except (InvalidRequest, NotFound, ClientDisconnect) as error:
            broken = error
        finally:
            for one in begun:
                one.abort()
        taken = [one for taking in begun for one in await taking.commit()]
        await self._note(caller, taken)
        if broken is not None:
            # Without fields it was no form of ours that far.
            if not (is_page and fields) or isinstance(broken, ClientDisconnect):
                raise broken
            is_some = any(one.state != FAILED for one in taken)
            title = "Not everything was stored" if is_some else "Nothing was stored"
            failure = Failure(title, _words(broken))
            return await self._page(request, visit, fields=fields, taken=taken, failure=failure)
        if is_page:
            return await self._page(request, visit, fields=fields, taken=taken)
        said = {
            "files": [asdict(one) for one in taken],
            "studies": await self._names(caller, taken),
        }
        return json_answer(said)

    async def _take(
        self, request: Request, visit: Visit, fields: dict[str, str], begun: list[Taking]
    ) -> None:
        """Take a form's files in; what is begun stands in `begun`, whatever happens."""
        raw: dict[str, bytes] = {}
        name = ""
        most = self._services.most_upload_bytes
        async with aclosing(form_parts(request, max_bytes=most)) as parts:
            async for event in parts:
                if isinstance(event, FormPart):
                    name = event.name
                    if name == FILES:
                        if not begun:
                            fields |= {
                                one: text.decode("utf-8", "replace") for one, text in raw.items()
                            }
                            begun.append(await self._begun(request, visit, fields))
                        if event.filename:
                            begun[0].begin(event.filename)
                        else:  # of a field in which nothing was chosen
                            name = _NOTHING
                    else:
                        raw.setdefault(name, b"")
                elif name == FILES:
                    await begun[0].take(event.data)
                elif name != _NOTHING:
                    raw[name] += event.data
                    if len(raw[name]) > _MOST_FIELD_BYTES or len(raw) > 2 * len(FIELDS):
                        raise InvalidRequest("A field of the form is too long.")
        if not (begun and begun[0].found):
            raise InvalidRequest("Choose files first.")

    async def _begun(self, request: Request, visit: Visit, fields: Mapping[str, str]) -> Taking:
        services = self._kit.services
        if not services.sessions.is_csrf(visit.token, fields.get(CSRF, "")):
            raise NotOurPage("the form was made for another session")
        caller = caller_in(request.scope)
        target = await target_of(self._services, caller, fields, services.now_us())
        source = Source(Door.STOW, calling=caller.subject, address=caller.address)
        session = self._services.intake.session(
            caller, source, is_admitted=target.study is not None
        )
        return Taking(session, target, self._gate)

    async def _note(self, caller: Caller, taken: Sequence[Taken]) -> None:
        stored = [one for one in taken if one.state != FAILED]
        if stored:
            services = self._kit.services
            event = event_of(
                *(caller, Kind.STORE, DOOR, services.now_us()),
                action="upload",
                studies=tuple(sorted({one.study for one in stored})),
                instances=len(stored),
            )
            await services.record(event)

    async def _names(self, caller: Caller, taken: Sequence[Taken]) -> dict[str, str]:
        """Return what the studies are called that files are part of now, by their UIDs."""
        uids = {one.study: "" for one in taken if one.study}
        if uids and access.may(caller, Action.SEARCH):
            choice = await choice_of(self._services, caller, tuple(uids), Action.SEARCH)
            for study in choice.studies:
                row = study.row
                uids[study.uid] = ", ".join(
                    filter(None, (row.name.main or row.patient_id, row.date))
                )
        return uids

    async def _page(
        self,
        request: Request,
        visit: Visit,
        *,
        fields: Mapping[str, str] | None = None,
        taken: Sequence[Taken] = (),
        failure: Failure | None = None,
    ) -> Response:
        caller, query = caller_in(request.scope), request.query_params
        given = fields or {}
        asked = query.get("q", "")[:128]
        chosen = given.get("study", "") or query.get("study", "")[:64]
        is_bounded = access.is_bounded(caller, Action.STORE)
        is_looking = bool(asked) or is_bounded
        offered, note = await self._offered(caller, asked) if is_looking else ([], "")
        row = await self._row(caller, chosen) if chosen else None
        response = self._kit.templates.live(
            "upload/upload.html",
            HTTPStatus.UNPROCESSABLE_ENTITY if failure else HTTPStatus.OK,
            **visit.context,
            here=UPLOAD,
            upload=new_pack_id(self._kit.services.now_us()),
            chosen=row,
            is_gone=bool(chosen) and row is None,
            offered=offered,
            offered_note=note,
            is_looking=is_looking,
            asked=asked,
            is_bounded=is_bounded,
            given={name: given.get(name, "") for name in PATIENT},
            sexes=SEXES,
            taken=taken,
            failure=failure,
        )
        return self._kit.visits.renew(request, visit, response)

    async def _row(self, caller: Caller, uid: str) -> StudyRow | None:
        """Return the study that files are to be added to, None where that may not be."""
        asked = SearchRequest(Level.STUDY, (SearchKey((STUDY,), uid),), RETURNS, limit=1)
        found = await self._services.search.find(caller, asked)
        if not found.rows or not await self._may_add(caller, uid):
            return None
        return row_of(found.rows[0])

    async def _offered(self, caller: Caller, asked: str) -> tuple[list[StudyRow], str]:
        """Return the studies that files may be added to, by a patient's name or ID.

        Where there is none, also why not all were looked through; "": they were.
        """
        today, note = day_at(self._kit.services.now_us()), ""
        for field in ("name", "id") if asked else ("name",):
            filters = Filters.of({field: asked})
            place = Place(rows=_LOOKED_AT)
            found = await found_by(self._services.search, caller, filters, place, today)
            rows: list[StudyRow] = []
            for one in found.rows:
                if await self._may_add(caller, one.uid):
                    rows.append(one)
                    if len(rows) == _OFFERED:
                        break
            if rows:
                return rows, ""
            note = note or found.note or (_NONE_OF_THESE if found.more else "")
        return [], note

    async def _may_add(self, caller: Caller, uid: str) -> bool:
        admission = self._services.archive.instances.admission
        return await admission.allows(caller, Action.STORE, uid)


def _words(error: InvalidRequest | NotFound) -> str:
    if isinstance(error, NotFound):
        return "The study is not there, or not for you."
    return sentence(error)
