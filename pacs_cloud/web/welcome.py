"""One-time links: whoever holds one chooses the password of the account that it is for.

The secret stands behind the `#` of the link. Browsers send that to no server, so that it is in
no log, no referrer and no proxy, and whoever opens links to look at them (mail filters) uses
nothing up. A script moves it into the form, and out of the address bar and the history.
"""

from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.errors import Denied, InvalidRequest, NotFound
from pacs_cloud.identity.user import User
from pacs_cloud.security.audit_event import Outcome
from pacs_cloud.web.noting import Noting
from pacs_cloud.web.refusals import Failure, see_other, sentence
from pacs_cloud.web.services import WebServices
from pacs_cloud.web.templating import Templates
from pacs_cloud.web.visits import Visits, address_of

_ACTION: Final = "one-time link"


class Welcome:
    """The page of one-time links."""

    def __init__(self, services: WebServices, templates: Templates, visits: Visits) -> None:
        """Redeem by `services.accounts`."""
        self._services = services
        self._templates = templates
        self._visits = visits
        self._noting = Noting(services)

    async def show(self, request: Request) -> Response:
        """Return the form for a link's code, which a script fills in and sends."""
        del request
        return self._ask(HTTPStatus.OK)

    async def redeem(self, request: Request) -> Response:
        """Show whose password a link sets; with a password, set it, and sign in."""
        form = await self._visits.public_form(request)
        # People paste the whole link.
        secret = form.text("secret", max_length=4096).rpartition("#")[2]
        accounts = self._services.accounts
        user = await accounts.invited(secret)
        if user is None:
            return await self._refused(request)
        if "password" not in form.fields:
            return self._choose(user, secret)
        try:
            user = await accounts.redeem(
                secret, form.secret("password"), address=address_of(request)
            )
        except (Denied, NotFound):
            return await self._refused(request)
        except InvalidRequest as error:
            return self._choose(user, secret, Failure("Choose another password", sentence(error)))
        await self._noting.login(request, _ACTION, user.subject, Outcome.SUCCESS)
        if user.has_codes:
            return see_other("/sign-in?done=set")
        return await self._visits.begin(request, user, self._services.start)

    async def _refused(self, request: Request) -> Response:
        await self._noting.login(request, _ACTION, "user:?", Outcome.MINOR)
        failure = Failure(
            "This link cannot be used",
            "It has been used, is over, or is not whole. Ask whoever gave it to you for a new one.",
        )
        return self._ask(HTTPStatus.FORBIDDEN, failure)

    def _ask(self, status: HTTPStatus, failure: Failure | None = None) -> Response:
        return self._templates.page("welcome.html", status, failure=failure)

    def _choose(self, user: User, secret: str, failure: Failure | None = None) -> Response:
        return self._templates.page(
            "welcome_password.html",
            HTTPStatus.UNPROCESSABLE_ENTITY if failure else HTTPStatus.OK,
            name=user.name,
            display_name=user.display_name,
            has_codes=user.has_codes,
            secret=secret,
            failure=failure,
        )
