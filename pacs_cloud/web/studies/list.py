"""The study list: `/`, whole for a browser, in parts for the script that looks as one types."""

from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.security import access
from pacs_cloud.security.caller import Action, caller_in
from pacs_cloud.web.local_paths import STUDIES
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.places import start_of
from pacs_cloud.web.refusals import see_other
from pacs_cloud.web.studies.filters import MODALITIES, PRESETS, RANGE, Filters
from pacs_cloud.web.studies.finding import PAGE, day_at, found_by, place_of
from pacs_cloud.web.study_services import StudyServices

_ZONE: Final = "zone"
"""The cookie by which the page's script says where its browser is."""
_PART: Final = "hx-request"
"""By which htmx says that it wants no whole page."""


class StudyList:
    """The list, for whoever may search."""

    def __init__(self, kit: PageKit, services: StudyServices) -> None:
        """List what `services.search` finds."""
        self._kit = kit
        self._services = services

    async def show(self, request: Request) -> Response:
        """Return the list, or what of it has changed; who may not search is sent to their start.

        Raises:
            Unidentified: nobody is signed in.
            InvalidRequest: the URL asks for what cannot be looked for.
        """
        visit = await self._kit.visits.of(request)
        caller = caller_in(request.scope)
        if not access.may(caller, Action.SEARCH):
            return see_other(start_of(caller))
        query = request.query_params
        filters = Filters.of(query)
        place = place_of(query.get("from", ""), query.get("rows", ""), query.get("look", ""))
        today = day_at(self._kit.services.now_us(), request.cookies.get(_ZONE, ""))
        found = await found_by(self._services.search, caller, filters, place, today)
        may = {str(action) for action in Action if access.may(caller, action)}
        is_part = _PART in request.headers
        part = "studies/rows.html" if place.start else "studies/results.html"
        response = self._kit.templates.live(
            part if is_part else "studies/list.html",
            HTTPStatus.OK,
            **visit.context,
            here=STUDIES,
            filters=filters,
            found=found,
            is_part=is_part,
            most_asides=PAGE,
            presets=PRESETS,
            range=RANGE,
            modalities=_choices(filters.modality),
            may=may,
            has_viewer=self._services.has_viewer,
            opens=_opens(self._services) if Action.READ in may else "",
        )
        response.headers["vary"] = _PART
        if is_part and not place.start:
            response.headers["hx-push-url"] = filters.url()
        return self._kit.visits.renew(request, visit, response)


def _opens(services: StudyServices) -> str:
    """Return the URL of the viewer that studies open in, but for a study's UID at its end."""
    return "/viewer/?StudyInstanceUIDs=" if services.has_viewer else "/light/studies/"


def _choices(modality: str) -> tuple[str, ...]:
    """Return the modalities to choose from, and what the URL asks for besides."""
    return MODALITIES if modality in {"", *MODALITIES} else (modality, *MODALITIES)
