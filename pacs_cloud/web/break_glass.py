"""The page that breaks the glass: whom it is for, why, what is open, and ending it."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.errors import Denied, InvalidRequest, NotFound, PacsError, TooManyRequests
from pacs_cloud.identity.break_glass import BreakGlass
from pacs_cloud.identity.break_glass_record import (
    LONGEST_REASON,
    SHORTEST_REASON,
    GlassWish,
    glass_wish,
)
from pacs_cloud.security.audit_event import Kind, Outcome
from pacs_cloud.security.caller import Action
from pacs_cloud.web.forms import Form
from pacs_cloud.web.local_paths import BREAK_GLASS
from pacs_cloud.web.moments import minute_text
from pacs_cloud.web.noting import Noting
from pacs_cloud.web.refusals import Failure, see_other, sentence
from pacs_cloud.web.services import WebServices
from pacs_cloud.web.templating import Templates
from pacs_cloud.web.visits import Visit, Visits

_DOOR: Final = "page"
_FIELDS: Final = ("patient", "issuer", "accession", "study", "reason")
_DONE: Final = {
    "open": "The studies are open to you. It is on record.",
    "ended": "It is ended.",
}
_NOTHING: Final = "Nothing was opened"


@dataclass(frozen=True, slots=True)
class OpenText:
    """An override as the page lists it.

    Attributes:
        override_id: which.
        studies: what it opens.
        reason: why.
        until: when it ends.
    """

    override_id: str
    studies: tuple[str, ...]
    reason: str
    until: str


class BreakGlassPage:
    """The page, for whoever may."""

    def __init__(
        self, services: WebServices, glass: BreakGlass, templates: Templates, visits: Visits
    ) -> None:
        """Break the glass by `glass`."""
        self._glass = glass
        self._templates = templates
        self._visits = visits
        self._noting = Noting(services)

    async def show(self, request: Request) -> Response:
        """Return the page; raises Denied for whoever may not."""
        visit = await self._visits.of(request)
        if not self._glass.may(visit.caller(request)):
            await self._noting.note(
                request, visit, Kind.REFUSAL, Action.BREAK_GLASS.value, outcome=Outcome.MINOR
            )
            raise Denied("no role of theirs breaks the glass")
        notice = _DONE.get(request.query_params.get("done", ""), "")
        response = await self._page(request, visit, notice=notice)
        return self._visits.renew(request, visit, response)

    async def open(self, request: Request) -> Response:
        """Open what the form says; raises Denied."""
        visit, form = await self._visits.form(request)
        try:
            wish = _wish(form)
            await self._glass.start(visit.caller(request), wish, door=_DOOR)
        except (InvalidRequest, NotFound, TooManyRequests) as error:
            failure, status = _why(error)
            return await self._page(request, visit, status, failure=failure, form=form)
        return see_other(f"{BREAK_GLASS}?done=open#main")

    async def end(self, request: Request) -> Response:
        """End one before its time; one that is over already is no mistake."""
        visit, form = await self._visits.form(request)
        try:
            override_id = form.text("override")
            await self._glass.end(visit.caller(request), override_id, door=_DOOR)
        except NotFound:
            return see_other(BREAK_GLASS)
        return see_other(f"{BREAK_GLASS}?done=ended#main")

    async def _page(
        self,
        request: Request,
        visit: Visit,
        status: HTTPStatus = HTTPStatus.OK,
        *,
        notice: str = "",
        failure: Failure | None = None,
        form: Form | None = None,
    ) -> Response:
        given = form.fields if form else {}
        return self._templates.page(
            "break_glass.html",
            status,
            **visit.context,
            found=[
                OpenText(one.override_id, one.studies, one.reason, minute_text(one.until_us))
                for one in await self._glass.of(visit.caller(request))
            ],
            given={name: given.get(name, "") for name in _FIELDS},
            shortest=SHORTEST_REASON,
            longest=LONGEST_REASON,
            minutes=self._glass.minutes,
            notice=notice,
            failure=failure,
        )


def _wish(form: Form) -> GlassWish:
    return glass_wish(
        form.text("reason", max_length=LONGEST_REASON * 4),
        patient_id=form.text("patient"),
        issuer=form.text("issuer"),
        accession=form.text("accession"),
        study=form.text("study"),
    )


def _why(error: PacsError) -> tuple[Failure, HTTPStatus]:
    match error:
        case TooManyRequests():
            minutes = max(1, round(error.retry_after_s / 60))
            text = f"You have asked too often. Wait {minutes} minutes, or ask somebody else."
            return Failure(_NOTHING, text), HTTPStatus.TOO_MANY_REQUESTS
        case NotFound():
            text = "There is no such study. Look at each letter: nothing is found by a part."
            return Failure(_NOTHING, text), HTTPStatus.NOT_FOUND
        case _:
            return Failure(_NOTHING, sentence(error)), HTTPStatus.UNPROCESSABLE_ENTITY
