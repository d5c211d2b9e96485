"""Signing in with a name and a password, then a code where one is needed; and signing out."""

from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.errors import Denied, InvalidRequest
from pacs_cloud.identity.user import CodeNeeded, LockedOut, User, user_name
from pacs_cloud.security.audit_event import Kind, Outcome
from pacs_cloud.web.cookies import is_plain_loopback
from pacs_cloud.web.first_step import FirstSteps
from pacs_cloud.web.local_paths import local_path
from pacs_cloud.web.noting import Noting
from pacs_cloud.web.refusals import Failure, see_other, waiting
from pacs_cloud.web.services import WebServices
from pacs_cloud.web.templating import Templates
from pacs_cloud.web.visits import Visits, address_of

_NOTICES: Final = {
    "out": "You are signed out.",
    "set": "Your password is set. Sign in with it.",
}


_NAMELESS: Final = "your organisation's account"
_WRONG: Final = Failure(
    "Name or password is not right",
    "Look whether the Caps Lock key is on, and try again.",
)
_WRONG_CODE: Final = Failure(
    "This code was not accepted",
    "Each code is good once, and for half a minute. Wait for the next one, and check the clock of"
    " the device that shows it.",
)
_TOO_LATE: Final = Failure(
    "This took too long", "Begin again: the code has to come within five minutes."
)


class SignIn:
    """The sign-in pages."""

    def __init__(self, services: WebServices, templates: Templates, visits: Visits) -> None:
        """Check by `services.accounts`."""
        self._services = services
        self._templates = templates
        self._visits = visits
        self._provider_name = (services.provider_name or _NAMELESS) if services.oidc else ""
        self._noting = Noting(services)
        self._steps = FirstSteps(services.secrets)

    async def show(self, request: Request) -> Response:
        """Return the form; whoever is signed in goes on."""
        after = local_path(request.query_params.get("next", ""), self._services.start)
        if await self._visits.find(request) is not None:
            return see_other(after)
        done = request.query_params.get("done", "")
        return self._form(request, HTTPStatus.OK, after, done=done)

    async def enter(self, request: Request) -> Response:
        """Sign in with what the form holds."""
        form = await self._visits.public_form(request)
        after = local_path(form.text("next", max_length=2048), self._services.start)
        if _is_unprotected(request):
            return self._form(request, HTTPStatus.FORBIDDEN, after)
        now_us = self._services.now_us()
        step, code = form.text("step", max_length=4096), form.text("code")
        name, password = form.text("name"), form.secret("password")
        if step:
            try:
                name, password = self._steps.opened(step, now_us)
            except Denied:
                return self._form(request, HTTPStatus.FORBIDDEN, after, failure=_TOO_LATE)
        try:
            user = await self._proven(request, name, password, code)
        except CodeNeeded:
            sealed = self._steps.seal(name, password, now_us)
            return self._code_form(HTTPStatus.OK, after, name, sealed)
        except LockedOut as locked:
            return self._locked(request, locked, after, name)
        except (Denied, InvalidRequest):
            if step:
                return self._code_form(HTTPStatus.FORBIDDEN, after, name, step, _WRONG_CODE)
            status = HTTPStatus.FORBIDDEN
            return self._form(request, status, after, name=name, failure=_WRONG)
        return await self._visits.begin(request, user, after)

    async def _proven(self, request: Request, name: str, password: str, code: str) -> User:
        address = address_of(request)
        accounts = self._services.accounts
        try:
            user = await accounts.sign_in(name, password, code, address=address)
        except CodeNeeded:
            raise
        except LockedOut:
            await self._record(request, name, Outcome.SERIOUS)
            raise
        except (Denied, InvalidRequest):
            await self._record(request, name, Outcome.MINOR)
            raise
        await self._record(request, user.name, Outcome.SUCCESS)
        return user

    async def _record(self, request: Request, name: str, outcome: Outcome) -> None:
        try:
            subject = f"user:{user_name(name)}"
        except InvalidRequest:
            subject = "user:?"  # what was typed may be a password in the wrong field
        await self._noting.login(request, "sign-in", subject, outcome)

    def _locked(self, request: Request, locked: LockedOut, after: str, name: str) -> Response:
        minutes = -(-locked.retry_after_s // 60)
        failure = Failure(
            "Too many tries",
            f"Wait {f'{minutes} minutes' if minutes > 1 else 'a minute'}, and try again. If it"
            " was not you who tried, tell whoever administers this archive.",
        )
        status = HTTPStatus.TOO_MANY_REQUESTS
        return waiting(self._form(request, status, after, name=name, failure=failure), locked)

    def _form(
        self,
        request: Request,
        status: HTTPStatus,
        after: str,
        *,
        name: str = "",
        failure: Failure | None = None,
        done: str = "",
    ) -> Response:
        return self._templates.page(
            "sign_in.html",
            status,
            next=after,
            name=name,
            failure=failure,
            notice=_NOTICES.get(done, ""),
            is_out=done == "out",
            host=request.headers.get("host", ""),
            provider=self._provider_name,
            is_unprotected=_is_unprotected(request),
        )

    def _code_form(
        self,
        status: HTTPStatus,
        after: str,
        name: str,
        step: str,
        failure: Failure | None = None,
    ) -> Response:
        return self._templates.page(
            "sign_in_code.html", status, next=after, name=name, step=step, failure=failure
        )


def _is_unprotected(request: Request) -> bool:
    """Return whether the browser itself says that it goes without TLS where others listen.

    Whatever a proxy does, a form's Origin is what the browser sees.
    """
    is_plain = request.headers.get("origin", "").startswith("http://")
    return is_plain and not is_plain_loopback(request.scope)


class SignOut:
    """The sign-out page."""

    def __init__(self, services: WebServices, templates: Templates, visits: Visits) -> None:
        """End sessions by `visits`."""
        self._templates = templates
        self._visits = visits
        self._noting = Noting(services)

    async def show(self, request: Request) -> Response:
        """Return the question, here or everywhere; who is not signed in is told."""
        visit = await self._visits.find(request)
        if visit is None:
            return see_other("/sign-in?done=out")
        return self._templates.page("sign_out.html", HTTPStatus.OK, **visit.context)

    async def leave(self, request: Request) -> Response:
        """Sign out."""
        visit, form = await self._visits.form(request)
        everywhere = form.text("where") == "everywhere"
        response = await self._visits.end(request, visit, everywhere=everywhere)
        action = "sign-out everywhere" if everywhere else "sign-out"
        await self._noting.note(request, visit, Kind.LOGOUT, action)
        return response
