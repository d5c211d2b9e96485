"""The page of whoever shares: links are made there, seen with their receipts, and ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.dicom.deid.report import reason_text
from pacs_cloud.errors import (
    Conflict,
    Denied,
    InvalidInstance,
    InvalidRequest,
    NotFound,
    Offline,
    PacsError,
)
from pacs_cloud.identity.shares import MadeShare
from pacs_cloud.identity.shares_record import Guest, Share, ShareState, share_path
from pacs_cloud.identity.shares_wish import DAYS, LONGEST_REASON, MOST_USES, ShareWish
from pacs_cloud.query.request import Level, SearchKey, SearchRequest
from pacs_cloud.security import access
from pacs_cloud.security.audit_event import Kind, Outcome
from pacs_cloud.security.caller import Action, Caller
from pacs_cloud.web.forms import Form
from pacs_cloud.web.local_paths import SHARES
from pacs_cloud.web.moments import day_text, minute_text
from pacs_cloud.web.noting import Noting
from pacs_cloud.web.refusals import Failure, see_other, sentence
from pacs_cloud.web.services import WebServices
from pacs_cloud.web.share_services import ShareServices
from pacs_cloud.web.site_url import site_url
from pacs_cloud.web.studies.actions_chosen import chosen_in
from pacs_cloud.web.studies.rows import RETURNS, STUDY, StudyRow, row_of
from pacs_cloud.web.templating import Templates
from pacs_cloud.web.visits import Visit, Visits

_DOOR: Final = "page"
_DAYS: Final = (1, 3, 7, DAYS, 30, 90, 366)
_TEXTS: Final = ("studies", "series", "days", "uses", "name", "email", "project", "reason")
_TICKS: Final = ("download", "reply", "code", "deidentify")
_MOST_UIDS: Final = 16_000
"""Characters."""
_LISTED: Final = 100
_STATES: Final = {
    ShareState.OPEN: "Open",
    ShareState.PREPARING: "Being copied",
    ShareState.REVOKED: "Ended",
    ShareState.EXPIRED: "Over",
    ShareState.LOCKED: "Closed: too many wrong codes",
    ShareState.USED_UP: "Used up",
    ShareState.UNKNOWN: "Opens nothing",
}
_NOTHING: Final = "Nothing was shared"
_STATUS: Final = {
    Denied: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    Offline: HTTPStatus.CONFLICT,
}
"""Of what is not the form's mistake."""


@dataclass(frozen=True, slots=True)
class LinkText:
    """A link as the page lists it.

    Attributes:
        share: it.
        state: what becomes of whoever opens it now.
        goes_on: whether there is something to end.
        about: what it gives, until when, and how often it was opened.
        uses: when and from where it was opened, the newest first.
    """

    share: Share
    state: str
    goes_on: bool
    about: str
    uses: tuple[str, ...]


class OwnShares:
    """The page, for whoever may share, or administers."""

    def __init__(
        self, services: WebServices, sharing: ShareServices, templates: Templates, visits: Visits
    ) -> None:
        """Make and end links by `sharing`."""
        self._services = services
        self._shares = sharing.shares
        self._search = sharing.search
        self._templates = templates
        self._visits = visits
        self._noting = Noting(services)

    async def show(self, request: Request) -> Response:
        """Return the page; raises Denied for whoever may not."""
        visit = await self._visits.of(request)
        if not may_share(visit.caller(request)):
            await self._refused(request, visit)
            raise Denied("no role of theirs shares studies")
        notice = "The link is ended." if request.query_params.get("done") == "ended" else ""
        given = {"studies": " ".join(request.query_params.getlist("study"))[:_MOST_UIDS]}
        response = await self._page(request, visit, given, notice=notice)
        return self._visits.renew(request, visit, response)

    async def make(self, request: Request) -> Response:
        """Make the link that the form asks for, and show it: this once."""
        visit, form = await self._visits.form(request)
        try:
            made = await self._shares.create(visit.caller(request), _wish(form), door=_DOOR)
        except (InvalidRequest, InvalidInstance, Denied, NotFound, Conflict, Offline) as error:
            if isinstance(error, Denied | NotFound):
                await self._refused(request, visit, form.text("studies", max_length=_MOST_UIDS))
            return await self._page(request, visit, form.fields, error=error)
        return self._made(request, visit, made)

    async def revoke(self, request: Request) -> Response:
        """End a link; raises NotFound for somebody else's."""
        visit, form = await self._visits.form(request)
        await self._shares.revoke(visit.caller(request), form.text("share"), door=_DOOR)
        return see_other(f"{SHARES}?done=ended#main")

    def _made(self, request: Request, visit: Visit, made: MadeShare) -> Response:
        share = made.share
        said = made.report.as_json() if made.report else {}
        left_out = [(reason_text(why), count) for why, count in said.get("withheld", {}).items()]
        return self._templates.page(
            "shared.html",
            HTTPStatus.OK,
            **visit.context,
            share=share,
            link=site_url(request, self._services.public_url)
            + share_path(share.share_id, made.secret),
            codes=[f"{code[:4]} {code[4:]}" for code in made.codes],
            until=day_text(share.until_us),
            left_out=left_out,
        )

    async def _page(
        self,
        request: Request,
        visit: Visit,
        given: Mapping[str, str],
        *,
        notice: str = "",
        error: PacsError | None = None,
    ) -> Response:
        caller, now_us = visit.caller(request), self._services.now_us()
        links = [link_text(one, now_us) for one in await self._shares.list(caller)]
        uids = given.get("studies", "").split()
        named = await self._named(caller, uids)
        return self._templates.page(
            "shares.html",
            _status(error),
            **visit.context,
            given={name: given.get(name, "") for name in (*_TEXTS, *_TICKS)},
            named=named,
            is_chosen=0 < len(named) == len({*uids}),
            links=[one for one in links if one.goes_on][:_LISTED],
            over=[one for one in links if not one.goes_on][:_LISTED],
            may_share=access.may(caller, Action.SHARE),
            may_download=access.may(caller, Action.DOWNLOAD),
            may_name_project=access.may(caller, Action.DEIDENTIFY),
            subject=caller.subject,
            days=_DAYS,
            most_uses=MOST_USES,
            longest_reason=LONGEST_REASON,
            notice=notice,
            failure=Failure(_NOTHING, sentence(error)) if error else None,
        )

    async def _named(self, caller: Caller, texts: Sequence[str]) -> Sequence[StudyRow]:
        """Return the studies of these UIDs that somebody sees; of what is no UID none."""
        try:
            uids = chosen_in(texts)
        except InvalidRequest:
            return ()
        if not uids or not all(access.may(caller, one) for one in (Action.SHARE, Action.SEARCH)):
            return ()
        keys = (SearchKey((STUDY,), "\\".join(uids)),)
        asked = SearchRequest(Level.STUDY, keys, RETURNS, limit=len(uids))
        return [row_of(one) for one in (await self._search.find(caller, asked)).rows]

    async def _refused(self, request: Request, visit: Visit, studies: str = "") -> None:
        details = (("studies", studies[:1024]),) if studies else ()
        await self._noting.note(
            *(request, visit, Kind.REFUSAL, Action.SHARE.value),
            outcome=Outcome.MINOR,
            details=details,
        )


def may_share(caller: Caller) -> bool:
    """Return whether somebody makes links, or looks after those of others."""
    return access.may(caller, Action.SHARE) or access.may(caller, Action.ADMINISTER)


def _wish(form: Form) -> ShareWish:
    days, uses = form.text("days"), form.text("uses")
    if days not in map(str, _DAYS) or not (uses == "" or (uses.isascii() and uses.isdecimal())):
        raise InvalidRequest("Say how long the link is good, and how often it is opened.")
    name, email = form.text("name"), form.text("email")
    is_ticked = {tick: form.text(tick) != "" for tick in _TICKS}
    return ShareWish(
        tuple(form.text("studies", max_length=_MOST_UIDS).split()),
        form.text("reason", max_length=LONGEST_REASON * 4),
        days=int(days),
        uses=int(uses[:6]) if uses else None,
        may_download=is_ticked["download"],
        may_reply=is_ticked["reply"],
        with_codes=is_ticked["code"],
        guest=Guest(name, email) if name or email else None,
        deidentify=is_ticked["deidentify"],
        project=form.text("project"),
        series=tuple(form.text("series", max_length=_MOST_UIDS).split()),
    )


def _status(error: PacsError | None) -> HTTPStatus:
    if error is None:
        return HTTPStatus.OK
    found = (status for kind, status in _STATUS.items() if isinstance(error, kind))
    return next(found, HTTPStatus.UNPROCESSABLE_ENTITY)


def link_text(share: Share, now_us: int) -> LinkText:
    """Return a link as pages list it."""
    gives = {
        "pictures": True,
        "files": share.may_download,
        "takes replies": share.may_reply,
        "without who the patient is": share.deidentify,
        "with codes": share.needs_code,
    }
    words = ", ".join(name for name, is_so in gives.items() if is_so)
    opened = f"opened {len(share.uses)} of {share.most_uses} times"
    return LinkText(
        share,
        _STATES[share.state(now_us)],
        not share.is_over(now_us),
        f"{words} · until {day_text(share.until_us)} · {opened}",
        tuple(
            f"{minute_text(use.at_us)}{f' from {use.address}' if use.address else ''}"
            for use in reversed(share.uses)
        ),
    )
