"""Key images: those that somebody has chosen are kept with their study, and found again."""

from heapq import nlargest
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.catalogue.elements import first_text
from pacs_cloud.dicom.key_selection import (
    KEY_OBJECT_SELECTION,
    KeySelection,
    Reference,
    document_of,
    selection_in,
)
from pacs_cloud.errors import Denied, InvalidRequest, NotFound
from pacs_cloud.pack.source import Door, Source
from pacs_cloud.query.request import Level, SearchKey, SearchRequest
from pacs_cloud.retrieve.depiction import Kind, kind_of
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.security.audit_event import Kind as EventKind
from pacs_cloud.security.audit_event import event_of
from pacs_cloud.security.caller import Action, Caller, caller_in
from pacs_cloud.web.light.key_titles import TITLES
from pacs_cloud.web.light.study_head import KEY_OBJECTS
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.resource import uid_in
from pacs_cloud.web.share_contents import MODALITY, SERIES, STUDY, ShareContents, SharedStudy
from pacs_cloud.web.study_services import StudyServices
from pacs_cloud.web.templating import json_answer
from pacs_cloud.web.visits import name_of

_MOST: Final = 48
"""Images of one selection: what a form of 16 KiB takes in."""
_MOST_READ: Final = 32
"""Selections that are read of one study, the newest."""
_MOST_SERIES: Final = 1000
_LONGEST_NOTE: Final = 1000
_UID: Final = r"^[0-9.]{1,64}$"


class _Chosen(BaseModel):
    """An image as the page names it."""

    series: str = Field(pattern=_UID)
    instance: str = Field(pattern=_UID)
    frame: int | None = Field(default=None, ge=1, le=1_000_000)


_CHOICE: Final = TypeAdapter(list[_Chosen])


class KeyImages:
    """The selections of one study."""

    def __init__(self, kit: PageKit, services: StudyServices) -> None:
        """Read them from `services.archive`, and take new ones in by `services.intake`."""
        self._kit = kit
        self._archive = services.archive
        self._intake = services.intake
        self._search = services.search
        self._catalogue = services.catalogue
        self._contents = ShareContents(services.search)

    async def show(self, request: Request) -> Response:
        """Return the newest selections, the newest first, as JSON.

        Raises:
            Unidentified, Denied: whoever asks sees no studies.
            NotFound: there is no such study, or not for them.
        """
        caller, study = caller_in(request.scope), uid_in(request, "study")
        await self._study(caller, study)
        kept: list[Located] = []
        for series in await self._newest_series(caller, study):
            located = await self._archive.instances.locate(caller, study, series)
            kept += (one for one in located if one.instance.sop_class_uid == KEY_OBJECT_SELECTION)
        newest = nlargest(_MOST_READ, kept, key=lambda one: one.instance.received_us)
        found: list[dict[str, Any]] = []
        for one in newest:
            header = await self._archive.tables.shown_header(one.pack, one.instance)
            said = _as_json(selection_in(header), one.instance.received_us)
            if said["images"]:
                found.append(said)
        return json_answer(found)

    async def keep(self, request: Request) -> Response:
        """Keep the selection that a form names, as a document of its study.

        Raises:
            Unidentified: nobody is signed in.
            NotOurPage: the form was not made for this session.
            Denied: they may not add to studies.
            NotFound: there is no such study or image, or not for them.
            InvalidRequest: it names no images, or too many.
            Unavailable: it cannot be stored, or put on record, now.
        """
        visit, form = await self._kit.visits.form(request)
        caller = caller_in(request.scope)
        uid = uid_in(request, "study")
        title, note = form.text("title"), form.text("note", max_length=_LONGEST_NOTE)
        if title not in TITLES:
            raise InvalidRequest("Say what the images are for.")
        images = await self._images(caller, uid, _chosen(form.text("images", max_length=16_000)))
        admission = self._archive.instances.admission
        if await admission.admit(caller, Action.STORE, uid) is not None:
            raise Denied("they add to some series only, and this is one of its own")
        study = await self._study(caller, uid)
        services = self._kit.services
        selection = KeySelection((title, TITLES[title]), images, note, observer=name_of(visit.who))
        document = document_of(selection, uid, study.elements, at_us=services.now_us())
        source = Source(Door.STOW, calling=caller.subject, address=caller.address)
        session = self._intake.session(caller, source, is_admitted=True)
        reception = session.begin_file(study_instance_uid=uid)
        try:
            reception.write(document.file)
            await reception.finish()
        finally:
            reception.abort()
        await session.commit()
        event = event_of(
            *(caller, EventKind.STORE, "page", services.now_us()),
            action="key images",
            studies=(uid,),
            instances=1,
        )
        await services.record(event)
        return json_answer(_as_json(selection, services.now_us()), HTTPStatus.CREATED)

    async def _newest_series(self, caller: Caller, study: str) -> list[str]:
        """Return the series of selections to which something was added last; each may hold one."""
        keys = (SearchKey((STUDY,), study), SearchKey((MODALITY,), KEY_OBJECTS))
        asked = SearchRequest(Level.SERIES, keys, frozenset({SERIES}), limit=_MOST_SERIES)
        found = await self._search.find(caller, asked)
        came = dict.fromkeys((first_text(row, SERIES) for row in found.rows), 0)
        for pack in await self._catalogue.packs(caller.tenant, study) if came else ():
            uid = pack.series_instance_uid
            if uid in came:
                came[uid] = max(came[uid], pack.committed_us)
        return nlargest(_MOST_READ, came, key=lambda uid: came[uid])

    async def _study(self, caller: Caller, uid: str) -> SharedStudy:
        study = await self._contents.study(caller, uid)
        if study is None:
            raise NotFound("there is no such study")
        return study

    async def _images(
        self, caller: Caller, study: str, chosen: list[_Chosen]
    ) -> tuple[Reference, ...]:
        """Return what is chosen as the archive has it: nothing is said of what is not there."""
        frames: dict[tuple[str, str], list[int]] = {}
        for one in chosen:
            named = frames.setdefault((one.series, one.instance), [])
            if one.frame is not None and one.frame not in named:
                named.append(one.frame)
        found: list[Reference] = []
        for (series, instance), named in frames.items():
            (located,) = await self._archive.instances.locate(caller, study, series, instance)
            if kind_of(located) not in {Kind.IMAGE, Kind.VIDEO}:
                raise InvalidRequest("A key image is an image.")
            sop_class_uid = located.instance.sop_class_uid
            found.append(Reference(series, sop_class_uid, instance, tuple(named)))
        return tuple(found)


def _chosen(text: str) -> list[_Chosen]:
    try:
        found = _CHOICE.validate_json(text)
    except ValidationError:
        raise InvalidRequest("The images cannot be read.") from None
    if not 1 <= len(found) <= _MOST:
        raise InvalidRequest(f"A selection has from 1 to {_MOST} images.")
    return found


def _as_json(selection: KeySelection, at_us: int) -> dict[str, Any]:
    return {
        "title": TITLES.get(selection.title[0], "Key images"),
        "note": selection.words,
        "who": selection.observer.replace("^", " ").strip(),
        "at_us": at_us,
        "images": [
            {
                "series": one.series_instance_uid,
                "instance": one.sop_instance_uid,
                "frames": one.frames,
            }
            for one in selection.references
            if one.is_image
        ],
    }
