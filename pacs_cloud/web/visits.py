"""Who looks at a page: the session that a browser's cookie holds."""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.errors import Unidentified
from pacs_cloud.identity.everybody import Everybody
from pacs_cloud.identity.external import ExternalUser
from pacs_cloud.identity.shares_record import share_id_of
from pacs_cloud.identity.user import User
from pacs_cloud.security.caller import Caller
from pacs_cloud.web.cookies import SESSION, UNATTENDED, Cookies
from pacs_cloud.web.forms import CSRF, Form, NotOurPage, form_of
from pacs_cloud.web.places import places_of
from pacs_cloud.web.refusals import see_other
from pacs_cloud.web.services import WebServices


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody who is signed in, or needs not be, and asks for a page.

    Attributes:
        who: they are.
        token: of their session.
        csrf: what their forms have to bring back.
    """

    who: User | ExternalUser | Everybody
    token: str
    csrf: str

    @property
    def is_signed_in(self) -> bool:
        """Whether they are somebody by name: they have an account, and are told from others."""
        return not isinstance(self.who, Everybody)

    def caller(self, request: Request) -> Caller:
        """Return them as services know them, without what they see by broken glass."""
        return self.who.caller(address=address_of(request))

    @property
    def context(self) -> dict[str, Any]:
        """What every page's template needs of them."""
        places = places_of(self.who.caller(address=""), has_people=self.is_signed_in)
        return {"who": name_of(self.who), "csrf": self.csrf, "places": places}


def name_of(who: User | ExternalUser | Everybody) -> str:
    """Return how pages call somebody."""
    return who.display_name or (who.name if isinstance(who, User) else who.subject)


def address_of(request: Request) -> str:
    """Return where a request came from, "" where nobody knows."""
    return request.client.host if request.client else ""


class Visits:
    """Begins, finds and ends sessions of browsers."""

    def __init__(self, services: WebServices) -> None:
        """Keep them by `services.sessions`."""
        self._services = services
        self._cookies = Cookies(services.public_url)

    async def find(self, request: Request) -> Visit | None:
        """Return who asks, None where nobody is signed in.

        Who came by a link for one study is nobody here: they have pages of their own.
        """
        visit = await self.session(request)
        return None if visit is None or share_id_of(visit.who.subject) is not None else visit

    async def session(self, request: Request) -> Visit | None:
        """Return whose session a browser has, a guest's too; None where it is nobody's."""
        sessions, everybody = self._services.sessions, self._services.everybody
        if everybody is not None:
            token = sessions.unsigned(everybody.subject)
            return Visit(everybody, token, sessions.csrf_of(token))
        token = self._cookies.kept(request, SESSION)
        who = await sessions.who(token) if token else None
        return None if who is None or not token else Visit(who, token, sessions.csrf_of(token))

    async def of(self, request: Request) -> Visit:
        """Return who asks; raises Unidentified."""
        visit = await self.find(request)
        if visit is None:
            raise Unidentified("nobody is signed in")
        return visit

    async def form(self, request: Request) -> tuple[Visit, Form]:
        """Return who sent a form, and the form.

        Raises:
            Unidentified: nobody is signed in.
            NotOurPage: it was not made for this session.
        """
        form = await form_of(request, self._services.public_url)
        visit = await self.of(request)
        if not self._services.sessions.is_csrf(visit.token, form.secret(CSRF)):
            raise NotOurPage("the form was made for another session")
        return visit, form

    async def public_form(self, request: Request) -> Form:
        """Return a form that needs no session; raises NotOurPage."""
        return await form_of(request, self._services.public_url)

    async def begin(self, request: Request, who: User | ExternalUser, path: str) -> Response:
        """Return what signs a browser in, in place of what it was before, and sends it on."""
        response = see_other(path)
        sessions = self._services.sessions
        before = await self.session(request)
        if before is not None:
            await sessions.end(before.token)
        address = address_of(request)
        if isinstance(who, User):
            token = sessions.issue(who, address=address)
        else:
            token = await sessions.issue_external(who, address=address)
        self._cookies.keep(response, request, SESSION, token)
        return response

    def renew(self, request: Request, visit: Visit, response: Response) -> Response:
        """Return a page's answer, which lets the session of whoever asked for it go on."""
        if UNATTENDED in request.headers:
            return response
        token = self._services.sessions.renewed(visit.token)
        if token is not None:
            self._cookies.keep(response, request, SESSION, token)
        return response

    async def end(self, request: Request, visit: Visit, *, everywhere: bool) -> Response:
        """Return what signs a browser out."""
        if everywhere:
            await self._services.sessions.end_all_of(visit.who.subject)
        else:
            await self._services.sessions.end(visit.token)
        response = see_other("/sign-in?done=out")
        self._cookies.drop(response, request, SESSION)
        return response
