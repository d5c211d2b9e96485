"""Studies as one ZIP file, a medium with its DICOMDIR, straight from their packs."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from pacs_cloud.errors import NotFound, TooBroad
from pacs_cloud.retrieve.bundles import MAX_FILED
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.retrieve.pieces import length_of, stream
from pacs_cloud.security.caller import Action, Caller, caller_in
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.refusals import see_other
from pacs_cloud.web.studies.actions_chosen import Choice, choice_by, note_refusal
from pacs_cloud.web.studies.actions_recall import RecallPage
from pacs_cloud.web.study_services import StudyServices

_ONE: Final = "/dicom-web/studies/{}?accept=application/zip&dicomdir=true"
_WAIT_S: Final = 60


class Download:
    """Gives them out, for whoever may take files away."""

    def __init__(self, kit: PageKit, services: StudyServices, recall: RecallPage) -> None:
        """Read by `services.archive`; what is cold is waited for on the page of `recall`."""
        self._kit = kit
        self._services = services
        self._recall = recall

    async def show(self, request: Request) -> Response:
        """Return the ZIP file; of one study the resource that can go on where it broke off.

        With what is cold among them it is a page, 503, that has asked for it and says when it
        comes; where some may not be taken away, one that says which.

        Raises:
            Unidentified: nobody is signed in.
            Denied: they may take nothing away.
            NotFound: there is none of the studies, or not for them.
            TooBroad: there are too many instances in them.
        """
        visit, choice = await choice_by(self._kit, self._services, request, Action.DOWNLOAD)
        caller = caller_in(request.scope)
        if not choice.studies:
            raise NotFound("none of these studies is there")
        if choice.refused:
            await note_refusal(self._kit.services, caller, Action.DOWNLOAD, choice.refused)
        if choice.refused or choice.missing:
            return await self._recall.page(
                request, visit, choice, HTTPStatus.FORBIDDEN, is_for_download=True
            )
        if any(one.row.is_cold for one in choice.studies):
            failure = await self._recall.asked_back(caller, choice.allowed, Action.DOWNLOAD)
            coming = await self._recall.coming(caller, choice)
            if failure is not None or not all(one.is_here for one in coming):
                response = await self._recall.page(
                    *(request, visit, choice, HTTPStatus.SERVICE_UNAVAILABLE),
                    coming=coming,
                    failure=failure,
                    is_for_download=True,
                )
                response.headers["retry-after"] = str(_WAIT_S)
                return response
        if len(choice.studies) == 1:
            return see_other(_ONE.format(choice.studies[0].uid))
        return await self._zip(request, caller, choice)

    async def _zip(self, request: Request, caller: Caller, choice: Choice) -> Response:
        archive = self._services.archive
        located: list[Located] = []
        for study in choice.allowed:
            located += await archive.readable.instances.locate(
                caller, study.uid, to=Action.DOWNLOAD
            )
            if len(located) > MAX_FILED:
                raise TooBroad(f"One ZIP file has up to {MAX_FILED} instances: choose fewer.")
        pieces = tuple((await archive.bundles.with_dicomdir(located)).pieces())
        headers = {
            "cache-control": "no-store",
            "content-disposition": f'attachment; filename="{_name(choice.studies)}"',
            "content-length": str(length_of(pieces)),
        }
        if request.method == "HEAD":
            return Response(None, HTTPStatus.OK, headers, "application/zip")
        chunks = stream(archive.objects, pieces)
        return StreamingResponse(chunks, HTTPStatus.OK, headers, "application/zip")


def _name(studies: Sequence[object]) -> str:
    """Return what the file is called: nothing of who it is about."""
    return f"{len(studies)}-studies.zip"
