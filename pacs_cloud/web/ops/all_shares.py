"""Links of everybody: what they give, who has opened them and when, and their end."""

from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.identity.shares import Shares
from pacs_cloud.security.caller import Action
from pacs_cloud.web.ops.custody_services import CustodyServices
from pacs_cloud.web.ops.frame import Attendance, OpsFrame
from pacs_cloud.web.ops.pages import page_in
from pacs_cloud.web.own_shares import LinkText, link_text

SHARES: Final = "/ops/shares"
_DOOR: Final = "page"
_WHICH: Final = {"": "Open", "over": "Over", "all": "All"}


class AllShares:
    """The page, for whoever administers."""

    def __init__(self, shares: Shares, services: CustodyServices, frame: OpsFrame) -> None:
        """List the links of `shares`."""
        self._shares = shares
        self._services = services
        self._frame = frame

    async def show(self, request: Request) -> Response:
        """Return the list: those that open something, or others."""
        to = await self._frame.enter(request, Action.ADMINISTER)
        return await self._page(request, to)

    async def revoke(self, request: Request) -> Response:
        """End a link; the service puts it on record. Raises NotFound."""
        to, form = await self._frame.form(request, Action.ADMINISTER)
        await self._shares.revoke(to.caller, form.text("share"), door=_DOOR)
        said = "The link is ended, and whoever has it sees nothing from now on. That is for good."
        return await self._page(request, to, notice=said)

    async def _page(self, request: Request, to: Attendance, *, notice: str = "") -> Response:
        text = partial(link_text, now_us=self._services.now_us())
        links = [text(share) for share in await self._shares.list(to.caller)]
        which = request.query_params.get("which", "")
        wanted = request.query_params.get("q", "").strip().lower()[:128]
        listed = [one for one in links if _is(one, which) and wanted in _words(one)]
        return self._frame.page(
            request,
            to,
            "all_shares.html",
            section=SHARES,
            page=page_in(request, listed),
            open=sum(one.goes_on for one in links),
            total=len(links),
            which=which if which in _WHICH else "",
            choices=tuple(_WHICH.items()),
            q=wanted,
            notice=notice,
        )


def _is(link: LinkText, which: str) -> bool:
    return which == "all" or link.goes_on == (which != "over")


def _words(link: LinkText) -> str:
    share = link.share
    guest = f"{share.guest.name} {share.guest.email}" if share.guest else ""
    return " ".join((share.made_by, share.reason, guest, *share.studies)).lower()
