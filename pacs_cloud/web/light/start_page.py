"""Where the installed viewer starts: the newest studies, to be opened by one touch."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.errors import Unidentified
from pacs_cloud.identity.shares_record import share_id_of
from pacs_cloud.query.request import Level, SearchRequest
from pacs_cloud.security import access
from pacs_cloud.security.caller import Action, caller_in
from pacs_cloud.web.local_paths import share_url
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.refusals import see_other
from pacs_cloud.web.studies.rows import RETURNS, StudyRow, row_of
from pacs_cloud.web.study_services import StudyServices

_NEWEST: Final = 30


class StartPage:
    """The newest studies."""

    def __init__(self, kit: PageKit, services: StudyServices) -> None:
        """Find them by `services.search`."""
        self._kit = kit
        self._search = services.search

    async def show(self, request: Request) -> Response:
        """Return the list; guests are sent to what was shared with them.

        Raises:
            Unidentified: nobody is signed in.
        """
        visit = await self._kit.visits.session(request)
        if visit is None:
            raise Unidentified("nobody is signed in")
        guest = share_id_of(visit.who.subject)
        if guest:
            return see_other(share_url(guest))
        caller = caller_in(request.scope)
        found: list[StudyRow] = []
        if access.may(caller, Action.SEARCH):
            asked = SearchRequest(Level.STUDY, (), RETURNS, limit=_NEWEST)
            found = [row_of(row) for row in (await self._search.find(caller, asked)).rows]
        response = self._kit.templates.live("light/start.html", **visit.context, studies=found)
        return self._kit.visits.renew(request, visit, response)
