"""One-time codes: switching them on with a QR code, and off again."""

from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import segno
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.errors import Denied, InvalidRequest
from pacs_cloud.security.audit_event import Kind, Outcome
from pacs_cloud.web.account import Account, local_user, why_refused
from pacs_cloud.web.forms import Form
from pacs_cloud.web.local_paths import HOME
from pacs_cloud.web.noting import Noting
from pacs_cloud.web.proving import prove
from pacs_cloud.web.refusals import Failure, see_other, waiting
from pacs_cloud.web.services import WebServices
from pacs_cloud.web.templating import Templates
from pacs_cloud.web.visits import Visit, Visits


class Codes:
    """The forms of the section on one-time codes.

    Each asks for the password: a session that was left open is no reason to take somebody's
    account from them.
    """

    def __init__(
        self, services: WebServices, templates: Templates, visits: Visits, account: Account
    ) -> None:
        """Change by `services.accounts`."""
        self._accounts = services.accounts
        self._templates = templates
        self._visits = visits
        self._account = account
        self._noting = Noting(services)

    async def begin(self, request: Request) -> Response:
        """Return the page with the QR code; codes are off until one has come back."""
        visit, form = await self._visits.form(request)
        user = local_user(visit)
        try:
            await prove(self._accounts, request, user, form)
        except Denied as error:
            return await self._refused(request, visit, form, error, "codes on")
        return self._page(visit, await self._accounts.begin_codes(user.name))

    async def confirm(self, request: Request) -> Response:
        """Switch codes on, once the authenticator shows the right one; show recovery codes."""
        visit, form = await self._visits.form(request)
        user = local_user(visit)
        try:
            recovery = await self._accounts.confirm_codes(user.name, form.text("code"))
        except Denied:
            failure = Failure(
                "This code was not right",
                "Wait for the next one, and check the clock of the device that shows it.",
            )
            uri = form.text("uri", max_length=1024)
            if not uri.startswith("otpauth://totp/"):
                raise InvalidRequest("This form is not whole. Begin again.") from None
            return self._page(visit, uri, HTTPStatus.FORBIDDEN, failure)
        await self._noting.note(request, visit, Kind.ADMINISTER, "codes on")
        return self._templates.page(
            "recovery.html", HTTPStatus.OK, **visit.context, recovery=recovery
        )

    async def drop(self, request: Request) -> Response:
        """Switch codes off, for whoever has password and code."""
        visit, form = await self._visits.form(request)
        user = local_user(visit)
        try:
            await prove(self._accounts, request, user, form)
        except Denied as error:
            return await self._refused(request, visit, form, error, "codes off")
        await self._accounts.drop_codes(user.name, by=user.subject)
        await self._noting.note(request, visit, Kind.ADMINISTER, "codes off")
        return see_other(f"{HOME}?done=codes-off#main")

    async def _refused(
        self, request: Request, visit: Visit, form: Form, error: Denied, action: str
    ) -> Response:
        await self._noting.note(request, visit, Kind.ADMINISTER, action, outcome=Outcome.MINOR)
        failure, status = why_refused(error, with_code="code" in form.fields)
        page = await self._account.page(visit, status, failures={"codes": failure})
        return waiting(page, error)

    def _page(
        self,
        visit: Visit,
        uri: str,
        status: HTTPStatus = HTTPStatus.OK,
        failure: Failure | None = None,
    ) -> Response:
        secret = parse_qs(urlsplit(uri).query).get("secret", [""])[0]
        return self._templates.page(
            "codes.html",
            status,
            **visit.context,
            uri=uri,
            secret=" ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
            picture=_qr(uri),
            failure=failure,
        )


def _qr(uri: str) -> Markup:
    """Return a QR code as an SVG element, dark on white whatever the theme (ISO/IEC 18004)."""
    code = segno.make_qr(uri, error="m")
    return Markup(code.svg_inline(dark="#000", light="#fff", border=4, omitsize=True))  # nosec B704 # noqa: S704 - drawn here, from modules
