"""Guests at a page: whoever came by the link that the page belongs to, as long as it is good."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.errors import Unidentified
from pacs_cloud.identity.shares_record import Share
from pacs_cloud.security.caller import Caller
from pacs_cloud.web.cookies import SESSION, Cookies
from pacs_cloud.web.local_paths import share_url
from pacs_cloud.web.refusals import see_other
from pacs_cloud.web.services import WebServices
from pacs_cloud.web.share_services import ShareServices
from pacs_cloud.web.visits import Visit, Visits, address_of


@dataclass(frozen=True, slots=True)
class GuestVisit:
    """A guest who asks for a page of their link.

    Attributes:
        share: that link.
        caller: they, with what it gives now.
        visit: their session.
    """

    share: Share
    caller: Caller
    visit: Visit


class Guests:
    """Finds guests, and lets them go."""

    def __init__(self, services: WebServices, sharing: ShareServices, visits: Visits) -> None:
        """Know them by `services.sessions` and `sharing.shares`."""
        self._services = services
        self._shares = sharing.shares
        self._visits = visits
        self._cookies = Cookies(services.public_url)

    async def find(self, request: Request) -> GuestVisit | None:
        """Return who came by the link of this page; None for whoever else it is."""
        visit = await self._visits.session(request)
        if visit is None:
            return None
        caller = await self._shares.still(
            Caller(visit.who.tenant, visit.who.subject, (), address_of(request))
        )
        share = await self._shares.of_guest(caller) if caller else None
        if caller is None or share is None or share.share_id != request.path_params["share"]:
            return None
        return GuestVisit(share, caller, visit)

    async def of(self, request: Request) -> GuestVisit:
        """Return the same; raises Unidentified."""
        guest = await self.find(request)
        if guest is None:
            raise Unidentified("nobody came by this link")
        return guest

    def renew(self, request: Request, guest: GuestVisit, response: Response) -> Response:
        """Return a page's answer, which lets the guest's session go on."""
        return self._visits.renew(request, guest.visit, response)

    async def leave(self, request: Request, guest: GuestVisit) -> Response:
        """Return what ends the guest's session."""
        await self._services.sessions.end(guest.visit.token)
        response = see_other(f"{share_url(guest.share.share_id)}?done=left")
        self._cookies.drop(response, request, SESSION)
        return response
