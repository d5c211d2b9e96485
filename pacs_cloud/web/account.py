"""The account page: who one is, what one may, and what proves it; and changing a password."""

from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.errors import Denied, InvalidRequest
from pacs_cloud.identity.user import LockedOut, User
from pacs_cloud.security.audit_event import Kind, Outcome
from pacs_cloud.web.local_paths import HOME
from pacs_cloud.web.noting import Noting
from pacs_cloud.web.own_keys import OwnKeys, may_make, role_choices
from pacs_cloud.web.own_shares import may_share
from pacs_cloud.web.refusals import Failure, sentence, waiting
from pacs_cloud.web.roles_text import grant_text
from pacs_cloud.web.services import WebServices
from pacs_cloud.web.templating import Templates
from pacs_cloud.web.visits import Visit, Visits, address_of

_DONE: Final = {
    "password": "Your password is changed. All other browsers are signed out.",
    "codes-off": "One-time codes are off.",
    "revoked": "The key is revoked.",
}
_WRONG: Final = Failure("Your password is not right", "Nothing was changed. Try again.")
_WRONG_CODE: Final = Failure(
    "Your password or your code is not right",
    "Nothing was changed. Wait for the next code, and try again.",
)
_LOCKED: Final = Failure(
    "Too many tries", "Nothing was changed. Wait some minutes before you try again."
)


class Account:
    """The account page."""

    def __init__(
        self, services: WebServices, templates: Templates, visits: Visits, keys: OwnKeys
    ) -> None:
        """Change by `services.accounts`."""
        self._services = services
        self._templates = templates
        self._visits = visits
        self._keys = keys
        self._noting = Noting(services)

    async def show(self, request: Request) -> Response:
        """Return the page."""
        visit = await self._visits.of(request)
        notice = _DONE.get(request.query_params.get("done", ""), "")
        response = await self.page(visit, HTTPStatus.OK, notice=notice)
        return self._visits.renew(request, visit, response)

    async def page(
        self,
        visit: Visit,
        status: HTTPStatus,
        *,
        notice: str = "",
        failures: dict[str, Failure] | None = None,
    ) -> Response:
        """Return the page, with what went wrong in its sections."""
        who = visit.who
        return self._templates.page(
            "account.html",
            status,
            **visit.context,
            subject=who.subject,
            tenant=who.tenant,
            local=who if isinstance(who, User) else None,
            grants=[grant_text(grant) for grant in who.grants],
            keys=await self._keys.of(visit),
            may_break_glass=self._may_break_glass(visit),
            may_share=self._may_share(visit),
            roles=role_choices() if may_make(visit) else None,
            notice=notice,
            failures=failures or {},
        )

    def _may_break_glass(self, visit: Visit) -> bool:
        glass = self._services.glass
        return glass is not None and glass.may(visit.who.caller(address=""))

    def _may_share(self, visit: Visit) -> bool:
        has_links = self._services.sharing is not None
        return has_links and may_share(visit.who.caller(address=""))

    async def change_password(self, request: Request) -> Response:
        """Change it; every other session ends."""
        visit, form = await self._visits.form(request)
        user = local_user(visit)
        old, new = form.secret("old"), form.secret("new")
        address = address_of(request)
        try:
            user = await self._services.accounts.change_password(
                user.name, old, new, form.text("code"), address=address
            )
        except InvalidRequest as error:
            failure = Failure("Choose another password", sentence(error))
            status = HTTPStatus.UNPROCESSABLE_ENTITY
            return await self.page(visit, status, failures={"password": failure})
        except Denied as error:
            failure, status = why_refused(error, with_code="code" in form.fields)
            await self._noting.note(
                request, visit, Kind.ADMINISTER, "password", outcome=Outcome.MINOR
            )
            page = await self.page(visit, status, failures={"password": failure})
            return waiting(page, error)
        await self._noting.note(request, visit, Kind.ADMINISTER, "password")
        return await self._visits.begin(request, user, f"{HOME}?done=password#main")


def local_user(visit: Visit) -> User:
    """Return who is signed in, where this archive keeps their password; raises InvalidRequest."""
    if isinstance(visit.who, User):
        return visit.who
    raise InvalidRequest("your provider keeps your password and your codes: change them there")


def why_refused(error: Denied, *, with_code: bool = False) -> tuple[Failure, HTTPStatus]:
    """Return what to say to somebody whose password, or code, was not taken."""
    if isinstance(error, LockedOut):
        return _LOCKED, HTTPStatus.TOO_MANY_REQUESTS
    return _WRONG_CODE if with_code else _WRONG, HTTPStatus.FORBIDDEN
