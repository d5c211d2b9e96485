"""Every address of links."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from pacs_cloud.errors import Unidentified
from pacs_cloud.web.local_paths import share_url
from pacs_cloud.web.refusals import Refusals, see_other
from pacs_cloud.web.resource import resource
from pacs_cloud.web.services import WebServices
from pacs_cloud.web.share_guests import Guests
from pacs_cloud.web.share_opening import ShareOpening
from pacs_cloud.web.share_reply import ShareReply
from pacs_cloud.web.share_services import ShareServices
from pacs_cloud.web.share_viewing import ShareViewing
from pacs_cloud.web.templating import Templates
from pacs_cloud.web.visits import Visits

_Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


def share_routes(
    services: WebServices,
    sharing: ShareServices,
    templates: Templates,
    refusals: Refusals,
    visits: Visits,
) -> list[BaseRoute]:
    """Return the pages of links as routes; each finds out itself who asks."""
    guests = Guests(services, sharing, visits)
    viewing = ShareViewing(services, sharing, templates, guests)
    opening = ShareOpening(services, sharing, templates, visits, guests, viewing)
    reply = ShareReply(services, sharing, guests, viewing)
    link = "/share/{share}"
    series = f"{link}/studies/{{study}}/series/{{series}}"
    return [
        resource(link, refusals, get=opening.show, post=opening.enter),
        resource(f"{link}/leave", refusals, get=_back, post=_for_guests(viewing.leave)),
        resource(f"{link}/reply", refusals, get=_back, post=_for_guests(reply.send)),
        resource(series, refusals, get=_for_guests(viewing.series)),
    ]


def _for_guests(handler: _Handler) -> _Handler:
    """Return a handler that sends whoever did not come by the link to its page."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Unidentified:
            return await _back(request)

    return answer


async def _back(request: Request) -> Response:
    return see_other(share_url(request.path_params["share"]))
