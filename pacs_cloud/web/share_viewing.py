"""What a guest sees: the studies that were shared, their series, and the images of one."""

from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.errors import InvalidRequest, NotFound
from pacs_cloud.security.audit_event import Kind, event_of
from pacs_cloud.web.forms import CSRF, NotOurPage, form_of
from pacs_cloud.web.local_paths import share_url
from pacs_cloud.web.moments import day_text
from pacs_cloud.web.resource import uid_in
from pacs_cloud.web.services import WebServices
from pacs_cloud.web.share_contents import ShareContents
from pacs_cloud.web.share_guests import Guests, GuestVisit
from pacs_cloud.web.share_services import ShareServices
from pacs_cloud.web.templating import Templates

ZIP: Final = "?accept=application/zip"
"""Makes a study's DICOMweb resource a file that browsers save (PS3.18 8.3.3.1)."""
_PAGE: Final = 24
"""Images that are shown at a time."""


class ShareViewing:
    """The pages behind a link."""

    def __init__(
        self, services: WebServices, sharing: ShareServices, templates: Templates, guests: Guests
    ) -> None:
        """Show what `sharing.search` finds."""
        self._services = services
        self._templates = templates
        self._guests = guests
        self._contents = ShareContents(sharing.search)

    async def overview(
        self,
        request: Request,
        guest: GuestVisit,
        status: HTTPStatus = HTTPStatus.OK,
        *,
        replies: tuple[tuple[str, str], ...] = (),
        received: int | None = None,
    ) -> Response:
        """Return all that is shared.

        Args:
            request: of the guest.
            guest: they.
            status: of the answer.
            replies: what was not received of a reply: each file's name, and why.
            received: how many instances of it were; None: there was none.
        """
        share = guest.share
        studies = [(uid, await self._contents.study(guest.caller, uid)) for uid in share.opens]
        response = self._templates.page(
            "share_overview.html",
            status,
            share=share,
            here=share_url(share.share_id),
            studies=studies,
            until=day_text(share.until_us),
            csrf=guest.visit.csrf,
            zip=ZIP,
            replies=replies,
            received=received,
        )
        return self._guests.renew(request, guest, response)

    async def series(self, request: Request) -> Response:
        """Return the images of one series, some at a time.

        Raises:
            Unidentified: nobody came by this link.
            NotFound: there is no such series, or not for them.
        """
        guest = await self._guests.of(request)
        study, series = uid_in(request, "study"), uid_in(request, "series")
        found = await self._contents.series(guest.caller, study, series)
        of_study = await self._contents.study(guest.caller, study, whole=False)
        if found is None or of_study is None:
            raise NotFound("there is no such series")
        instances = await self._contents.instances(guest.caller, study, series)
        pages = -(-len(instances) // _PAGE)
        page = _page(request, pages)
        response = self._templates.page(
            "share_series.html",
            HTTPStatus.OK,
            here=share_url(guest.share.share_id),
            study=of_study,
            series=found,
            instances=instances[(page - 1) * _PAGE : page * _PAGE],
            first=(page - 1) * _PAGE + 1,
            total=len(instances),
            page=page,
            pages=pages,
        )
        return self._guests.renew(request, guest, response)

    async def leave(self, request: Request) -> Response:
        """End the guest's session.

        Raises:
            Unidentified: nobody came by this link.
            NotOurPage: the form was not made for this session.
        """
        form = await form_of(request, self._services.public_url)
        guest = await self._guests.of(request)
        if not self._services.sessions.is_csrf(guest.visit.token, form.secret(CSRF)):
            raise NotOurPage("the form was made for another session")
        response = await self._guests.leave(request, guest)
        event = event_of(
            guest.caller, Kind.LOGOUT, "share", self._services.now_us(), action="link left"
        )
        await self._services.record(event)
        return response


def _page(request: Request, pages: int) -> int:
    text = request.query_params.get("page", "1")
    if not (text.isascii() and text.isdecimal() and len(text) < 7):
        raise InvalidRequest("a page has a number")
    return max(1, min(int(text), pages))
