"""A link is opened: its secret is shown, then it is used, with a code where one is needed.

The secret stands behind the `#`, which browsers send to nobody; a script moves it into the
form, and out of the address bar. That alone uses nothing up: mail filters open links, and
some run their scripts. Somebody has to press a button.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.errors import Unidentified
from pacs_cloud.identity.shares import LinkOver, WrongCode
from pacs_cloud.identity.shares_record import Share, ShareState
from pacs_cloud.identity.user import CodeNeeded
from pacs_cloud.web.cookies import is_plain_loopback
from pacs_cloud.web.local_paths import share_url
from pacs_cloud.web.moments import day_text
from pacs_cloud.web.refusals import Failure
from pacs_cloud.web.services import WebServices
from pacs_cloud.web.share_guests import Guests
from pacs_cloud.web.share_services import ShareServices
from pacs_cloud.web.share_viewing import ShareViewing
from pacs_cloud.web.templating import Templates
from pacs_cloud.web.visits import Visits, address_of, name_of

_NO_LINK: Final = Failure(
    "This link cannot be opened",
    "It is not whole, or there never was such a link. Copy all of it, what stands behind the #"
    " as well, or ask whoever gave it to you for a new one.",
)
_OVER: Final[Mapping[ShareState, str]] = {
    ShareState.REVOKED: "Whoever made it has ended it.",
    ShareState.EXPIRED: "It was good for a time, and that is over.",
    ShareState.USED_UP: "It was opened as often as it may be.",
    ShareState.PREPARING: "What it is to open is not there yet.",
    ShareState.LOCKED: "Too many codes were wrong, so that it was closed.",
}
_NO_CODE: Final = Failure("A code is needed", "It is told to you another way.")
_WRONG_CODE: Final = Failure(
    "This code is not right",
    "Each code opens the link once. After ten wrong ones it stays closed.",
)
_UNPROTECTED: Final = Failure(
    "This connection is not protected",
    "Open the link with https:// in front. Nothing was used up.",
)
_LEFT: Final = "You have left. What was shared is no longer open in this browser."


class ShareOpening:
    """The page of a link."""

    def __init__(
        self,
        services: WebServices,
        sharing: ShareServices,
        templates: Templates,
        visits: Visits,
        guests: Guests,
        viewing: ShareViewing,
    ) -> None:
        """Open links by `sharing.shares`; whoever has come by one sees it by `viewing`."""
        self._services = services
        self._shares = sharing.shares
        self._templates = templates
        self._visits = visits
        self._guests = guests
        self._viewing = viewing

    async def show(self, request: Request) -> Response:
        """Return what is shared to a guest, and to whoever else the form for the secret."""
        guest = await self._guests.find(request)
        if guest is not None:
            return await self._viewing.overview(request, guest)
        is_left = request.query_params.get("done") == "left"
        return self._ask(request, HTTPStatus.OK, notice=_LEFT if is_left else "")

    async def enter(self, request: Request) -> Response:
        """Show what a secret would open; told to open it, do, and begin a guest's session."""
        form = await self._visits.public_form(request)
        if request.headers.get("origin", "").startswith("http://") and not is_plain_loopback(
            request.scope
        ):
            return self._ask(request, HTTPStatus.FORBIDDEN, failure=_UNPROTECTED)
        share_id: str = request.path_params["share"]
        # People paste the whole link.
        secret = form.text("secret", max_length=4096).rpartition("#")[2]
        address = address_of(request)
        try:
            share = await self._shares.look(share_id, secret, address=address)
            if form.text("open") == "":
                return await self._confirm(request, share, secret)
            try:
                code = form.text("code", max_length=1024)
                guest = await self._shares.redeem(share_id, secret, code, address=address)
            except CodeNeeded:
                return await self._confirm(request, share, secret, _NO_CODE)
            except WrongCode:
                return await self._confirm(request, share, secret, _WRONG_CODE)
        except LinkOver as over:
            why = _OVER.get(over.state, "It asks for more than this archive can do.")
            text = f"{why} Ask whoever gave it to you for a new one."
            failure = Failure("This link opens nothing any more", text)
            return self._ask(request, HTTPStatus.GONE, failure=failure)
        except Unidentified:
            return self._ask(request, HTTPStatus.FORBIDDEN, failure=_NO_LINK)
        return await self._visits.begin(request, guest, share_url(share_id))

    async def _confirm(
        self, request: Request, share: Share, secret: str, failure: Failure | None = None
    ) -> Response:
        signed_in = await self._visits.find(request)
        return self._templates.page(
            "share_open.html",
            HTTPStatus.FORBIDDEN if failure else HTTPStatus.OK,
            share=share,
            action=share_url(share.share_id),
            secret=secret,
            until=day_text(share.until_us),
            uses_left=share.most_uses - len(share.uses),
            signed_in=name_of(signed_in.who) if signed_in else "",
            failure=failure,
        )

    def _ask(
        self,
        request: Request,
        status: HTTPStatus,
        *,
        failure: Failure | None = None,
        notice: str = "",
    ) -> Response:
        share_id = request.path_params["share"]
        return self._templates.page(
            "share.html", status, action=share_url(share_id), failure=failure, notice=notice
        )
