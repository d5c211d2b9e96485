"""Signing in by a provider that vouches for people (OpenID Connect): there, and back again."""

from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pacs_cloud.identity.oidc import OidcProvider
from pacs_cloud.identity.oidc_sign_in import SignedIn, SignInRefused
from pacs_cloud.security.audit_event import Outcome
from pacs_cloud.web.cookies import Cookies
from pacs_cloud.web.local_paths import local_path
from pacs_cloud.web.noting import Noting
from pacs_cloud.web.refusals import Refusals, Words, see_other, sentence
from pacs_cloud.web.services import WebServices
from pacs_cloud.web.templating import PAGE_HEADERS
from pacs_cloud.web.visits import Visits

START: Final = "/oidc/start"
CALLBACK: Final = "/oidc/callback"
"""Where the provider sends people back to: its redirect URI ends in this."""
END: Final = "/oidc/end"

_FLOW: Final = "pacs-oidc"
_FLOW_S: Final = 600

_REFUSED: Final = Words(
    HTTPStatus.FORBIDDEN, "You are not signed in", "", "/sign-in", "Begin again"
)
_ELSEWHERE: Final = "Your account belongs to another archive. Ask whoever administers it."


class OidcPages:
    """The way to a provider, and back."""

    def __init__(
        self, services: WebServices, provider: OidcProvider, visits: Visits, refusals: Refusals
    ) -> None:
        """Go by `provider`."""
        self._tenant = services.tenant
        self._start = services.start
        self._noting = Noting(services)
        self._provider = provider
        self._visits = visits
        self._refusals = refusals
        self._cookies = Cookies(services.public_url)

    async def start(self, request: Request) -> Response:
        """Send a browser to the provider; raises Unavailable.

        By GET: in some browsers a form's target may not send it on to another origin. Whoever
        is led here against their will signs in as themselves, or not at all.
        """
        after = local_path(request.query_params.get("next", ""), self._start)
        url, flow = await self._provider.begin(after)
        response = _away(url)
        self._cookies.keep(response, request, _FLOW, flow, max_age_s=_FLOW_S)
        return response

    async def callback(self, request: Request) -> Response:
        """Sign in whoever comes back; raises Unavailable."""
        flow = self._cookies.kept(request, _FLOW) or ""
        try:
            done = await self._provider.finish(flow, request.query_params.multi_items())
        except SignInRefused as refusal:
            await self._noting.login(request, "provider", "oidc:?", Outcome.MINOR)
            response = self._refusals.answer(request, _REFUSED, sentence(refusal))
        else:
            response = await self._enter(request, done)
        self._cookies.drop(response, request, _FLOW)
        return response

    async def _enter(self, request: Request, done: SignedIn) -> Response:
        who = done.user
        if who.tenant != self._tenant:
            # A session says only who it is of: here it would open this archive.
            await self._noting.login(request, "provider", who.subject, Outcome.MINOR)
            return self._refusals.answer(request, _REFUSED, _ELSEWHERE)
        await self._noting.login(request, "provider", who.subject, Outcome.SUCCESS)
        return await self._visits.begin(request, who, local_path(done.return_to, self._start))

    async def end(self, request: Request) -> Response:
        """Send a browser whose session here is over to where the provider's ends."""
        del request
        url = await self._provider.signed_out_url()
        return _away(url) if url else see_other("/sign-in?done=out")


def _away(url: str) -> Response:
    return RedirectResponse(url, HTTPStatus.SEE_OTHER, PAGE_HEADERS)
