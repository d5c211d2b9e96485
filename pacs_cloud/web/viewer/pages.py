"""OHIF's page, whatever deep link leads there; and a page for where it is not installed."""

from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.errors import NotFound
from pacs_cloud.security import access
from pacs_cloud.security.caller import Action, Caller, caller_in
from pacs_cloud.web.navigation import is_navigation
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.places import start_of
from pacs_cloud.web.refusals import Words, see_other
from pacs_cloud.web.viewer.answers import file_answer
from pacs_cloud.web.viewer.installed import Installed, ViewerFiles, root_of
from pacs_cloud.web.viewer.viewer_headers import OHIF_PAGE_HEADERS

VIEWER: Final = "/viewer"
_STUDIES: Final = "StudyInstanceUIDs"
_MODES: Final = frozenset(
    {"viewer", "segmentation", "tmtv", "microscopy", "dynamic-volume", "usAnnotation"}
)
"""What OHIF opens a study in: the first part of its URLs."""
_LOST: Final = Words(
    HTTPStatus.NOT_FOUND,
    "There is nothing to show here",
    "The study may be gone, or you may not see it; or its address is mistyped.",
)


class ViewerPages:
    """The pages of `/viewer/`."""

    def __init__(self, kit: PageKit, files: ViewerFiles) -> None:
        """Show what is installed in `files.folder`."""
        self._kit = kit
        self._files = files

    async def home(self, request: Request) -> Response:
        """Return to where studies are found: OHIF's own list, whose place this is, is off.

        With studies in the query, as OHIF's links have them, those are opened.
        """
        caller = caller_in(request.scope)
        access.require(caller, Action.READ)
        if studies := request.query_params.getlist(_STUDIES):
            query = urlencode([(_STUDIES, one) for one in studies], quote_via=quote, safe=",")
            return see_other(f"{VIEWER}/viewer?{query}")
        if self._files.installed is None:
            return await self._absent(request, caller)
        return see_other(start_of(caller))

    async def show(self, request: Request) -> Response:
        """Return OHIF's page, or a file that it loads.

        Raises:
            Denied: no images are shown to whoever asks.
            NotFound: there is no such file.
        """
        caller = caller_in(request.scope)
        access.require(caller, Action.READ)
        installed, path = self._files.installed, request.path_params["path"]
        release, _, name = path.partition("/")
        held = None if installed is None else installed.of_release(release)
        if held is not None:
            return file_answer(request, self._files, held, name)
        if not is_navigation(request.scope):
            raise NotFound("there is no such file")
        if installed is None:
            return await self._absent(request, caller)
        if path.partition("/")[0] not in _MODES:
            return self._kit.refusals.answer(request, _LOST, _LOST.detail)
        return self._ohif(installed, caller)

    def _ohif(self, installed: Installed, caller: Caller) -> Response:
        response = self._kit.templates.page(
            "viewer/ohif.html",
            HTTPStatus.OK,
            root=root_of(installed.release),
            scripts=installed.scripts,
            styles=installed.styles,
            start=start_of(caller),
            may_store=access.may(caller, Action.STORE),
        )
        response.headers.update(OHIF_PAGE_HEADERS)
        return response

    async def _absent(self, request: Request, caller: Caller) -> Response:
        visit = await self._kit.visits.find(request)
        study = request.query_params.get(_STUDIES, "").partition(",")[0][:64]
        return self._kit.templates.page(
            "viewer/absent.html",
            HTTPStatus.NOT_FOUND,
            **(visit.context if visit else {}),
            study=study,
            start=start_of(caller),
            fault=self._files.fault,
            may_install=access.may(caller, Action.OPERATE),
        )
