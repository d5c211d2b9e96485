"""The studies that somebody has chosen in the list, to do something with all of them."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request

from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import InvalidRequest, InvalidUid
from pacs_cloud.query.request import Level, SearchKey, SearchRequest
from pacs_cloud.security import access
from pacs_cloud.security.audit_event import Kind, Outcome, event_of
from pacs_cloud.security.caller import Action, Caller, caller_in
from pacs_cloud.web.forms import Form
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.services import WebServices
from pacs_cloud.web.studies.rows import RETURNS, STUDY, StudyRow, row_of
from pacs_cloud.web.study_services import StudyServices
from pacs_cloud.web.visits import Visit

T = TypeVar("T")

DOOR: Final = "page"
MOST: Final = 100
"""Studies at a time: their UIDs stand in a URL."""
MOST_UIDS: Final = MOST * 65
"""Characters."""
_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Chosen:
    """One of them.

    Attributes:
        row: it.
        may: whether it may be done with this one.
    """

    row: StudyRow
    may: bool

    @property
    def uid(self) -> str:
        """Its Study Instance UID."""
        return self.row.uid


@dataclass(frozen=True, slots=True)
class Choice:
    """All of them.

    Attributes:
        asked: the UIDs of all that were chosen, in that order.
        studies: those of them that are seen.
    """

    asked: tuple[str, ...]
    studies: tuple[Chosen, ...]

    @property
    def missing(self) -> int:
        """How many others were chosen: of these is told only that they are not there."""
        return len(self.asked) - len(self.studies)

    @property
    def allowed(self) -> tuple[Chosen, ...]:
        """Those with which it may be done."""
        return tuple(one for one in self.studies if one.may)

    @property
    def uids(self) -> str:
        """The UIDs of these, as a form sends them on."""
        return " ".join(one.uid for one in self.allowed)

    @property
    def refused(self) -> tuple[str, ...]:
        """The UIDs of those that are seen, and with which it may not be done."""
        return tuple(one.uid for one in self.studies if not one.may)


def chosen_in(texts: Sequence[str]) -> tuple[str, ...]:
    """Return UIDs, each once; raises InvalidRequest for what is none, or for too many."""
    try:
        uids = tuple(dict.fromkeys(parse_uid(text) for text in texts if text))
    except InvalidUid as error:
        raise InvalidRequest("A study is named by its Study Instance UID.") from error
    if len(uids) > MOST:
        raise InvalidRequest(f"Choose up to {MOST} studies at a time.")
    return uids


async def choice_by(
    kit: PageKit, services: StudyServices, request: Request, action: Action
) -> tuple[Visit, Choice]:
    """Return who asks for something with the studies that a URL names, `?study=…&study=…`.

    Raises:
        Unidentified: nobody is signed in.
        Denied: they may do it with none.
        InvalidRequest: the URL names no studies.
    """
    visit, caller = await kit.visits.of(request), caller_in(request.scope)
    await require(kit.services, caller, action)
    uids = chosen_in(request.query_params.getlist("study"))
    return visit, await choice_of(services, caller, uids, action)


async def choice_sent(
    kit: PageKit, services: StudyServices, request: Request, action: Action
) -> tuple[Visit, Form, Choice]:
    """Return who sent a form that does something with the studies in it, and the form.

    With what they may not is put on record.

    Raises:
        Unidentified: nobody is signed in.
        NotOurPage: the form was not made for this session.
        Denied: they may do it with none.
        InvalidRequest: the form names no studies.
        Unavailable: a refusal cannot be put on record.
    """
    visit, form = await kit.visits.form(request)
    caller = caller_in(request.scope)
    await require(kit.services, caller, action)
    uids = chosen_in(form.text("studies", max_length=MOST_UIDS).split())
    choice = await choice_of(services, caller, uids, action)
    if choice.refused:
        await note_refusal(kit.services, caller, action, choice.refused)
    return visit, form, choice


async def choice_of(
    services: StudyServices, caller: Caller, uids: Sequence[str], action: Action
) -> Choice:
    """Return the studies of these UIDs, as far as somebody sees them.

    Args:
        services: find them.
        caller: who asks.
        uids: which.
        action: what is to be done with them.
    """
    if not uids:
        return Choice((), ())
    keys = (SearchKey((STUDY,), "\\".join(uids)),)
    asked = SearchRequest(Level.STUDY, keys, RETURNS, limit=len(uids))
    found = await services.search.find(caller, asked)
    rows = {row.uid: row for row in map(row_of, found.rows)}
    admission = services.archive.instances.admission
    studies = [
        Chosen(rows[uid], await admission.allows(caller, action, uid))
        for uid in uids
        if uid in rows
    ]
    return Choice(tuple(uids), tuple(studies))


async def of_each(
    studies: Sequence[Chosen], ask: Callable[[Chosen], Coroutine[Any, Any, T]]
) -> list[T]:
    """Return what `ask` returns of each study, asked of some at once."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def of(study: Chosen) -> T:
        async with slots:
            return await ask(study)

    return await asyncio.gather(*map(of, studies))


def url_of(path: str, uids: Sequence[str], **more: str) -> str:
    """Return a page's URL about these studies."""
    return f"{path}?{urlencode([*(('study', uid) for uid in uids), *more.items()])}"


async def require(services: WebServices, caller: Caller, action: Action) -> None:
    """Return where somebody may do it with any study; a refusal is put on record.

    Raises:
        Denied: they may not.
    """
    if not access.may(caller, action):
        await note_refusal(services, caller, action)
        access.require(caller, action)


async def note_refusal(
    services: WebServices, caller: Caller, action: Action, studies: tuple[str, ...] = ()
) -> None:
    """Put on record that somebody may not do it, at all or with some studies."""
    event = event_of(
        *(caller, Kind.REFUSAL, DOOR, services.now_us()),
        action=action.value,
        outcome=Outcome.MINOR,
        studies=studies,
    )
    await services.record(event)
