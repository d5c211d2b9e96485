"""A series as a volume: what it is, planes through it, views of it, and what lies at a point."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from blake3 import blake3
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from pacs_cloud.entity_tags import is_unchanged
from pacs_cloud.errors import NotAcceptable, Offline
from pacs_cloud.retrieve.volumes import SeriesVolume, VolumeLoading, Volumes
from pacs_cloud.retrieve.volumes_room import VolumesFull
from pacs_cloud.security.caller import caller_in
from pacs_cloud.web.light.volume_parameters import plane_picture, point, view_picture
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.refusals import Refusals, Words, sentence
from pacs_cloud.web.resource import resource, uid_in
from pacs_cloud.web.study_services import StudyServices
from pacs_cloud.web.templating import json_answer

VOLUME: Final = "/light/studies/{study}/series/{series}/volume"

_CACHING: Final = {
    # Only the reader's own device may keep it, and asks each time: rights may have changed.
    "cache-control": "private, no-cache",
    "vary": "accept",
    "x-content-type-options": "nosniff",
}
_LOADING_S: Final = 1
_FULL_S: Final = 30

_FULL: Final = Words(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "Others are looking at volumes",
    "All the memory for volumes is in use. Try again in a minute; the images themselves can be"
    " looked at as ever.",
)
_LOADING: Final = Words(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "The volume is being loaded",
    "Ask again in a second.",
)
_NONE: Final = Words(HTTPStatus.NOT_ACCEPTABLE, "This series is no volume", "")
_CHANGED: Final = Words(
    HTTPStatus.GONE,
    "This series has changed",
    "Images have come or gone since it was opened. Open it again.",
)
_COLD: Final = Words(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "These images lie in a cold tier",
    "They have been asked for, and can be seen when they are back.",
)


class _Changed(Exception):
    """What is asked for is of a volume that is another by now."""


def volume_routes(kit: PageKit, services: StudyServices) -> list[BaseRoute]:
    """Return the addresses of volumes; none where nothing makes them."""
    if services.volumes is None:
        return []
    pages = VolumePages(services.volumes, kit.refusals)
    refusals = kit.refusals
    return [
        resource(VOLUME, refusals, get=pages.told),
        resource(f"{VOLUME}/plane", refusals, get=pages.plane),
        resource(f"{VOLUME}/view", refusals, get=pages.view),
        resource(f"{VOLUME}/point", refusals, get=pages.point),
    ]


class VolumePages:
    """Answers what is asked of volumes."""

    def __init__(self, volumes: Volumes, refusals: Refusals) -> None:
        """Look at `volumes`."""
        self._volumes = volumes
        self._refusals = refusals

    async def told(self, request: Request) -> Response:
        """Answer what a volume is, and begin to load it."""

        async def answer() -> Response:
            series = await self._series(request)
            return json_answer(await series.told())

        return await self._or_refused(request, answer)

    async def plane(self, request: Request) -> Response:
        """Answer with a picture of a plane."""

        async def answer() -> Response:
            wanted = plane_picture(request)
            series = await self._series(request)
            return await _picture(
                request, series, repr(wanted), wanted.media_type, lambda: series.plane(wanted)
            )

        return await self._or_refused(request, answer)

    async def view(self, request: Request) -> Response:
        """Answer with a picture of all of a volume."""

        async def answer() -> Response:
            wanted = view_picture(request)
            series = await self._series(request)
            return await _picture(
                request, series, repr(wanted), wanted.media_type, lambda: series.view(wanted)
            )

        return await self._or_refused(request, answer)

    async def point(self, request: Request) -> Response:
        """Answer what lies at a point of a plane's picture."""

        async def answer() -> Response:
            cut, x, y = point(request)
            series = await self._series(request)
            return json_answer(await series.point(cut, x, y))

        return await self._or_refused(request, answer)

    async def _series(self, request: Request) -> SeriesVolume:
        study, series = uid_in(request, "study"), uid_in(request, "series")
        found = await self._volumes.find(caller_in(request.scope), study, series)
        if request.query_params.get("id", found.name) != found.name:
            raise _Changed
        return found

    async def _or_refused(
        self, request: Request, answer: Callable[[], Awaitable[Response]]
    ) -> Response:
        """Return the answer, or why there is none, where other pages know nothing of it."""
        try:
            return await answer()
        except VolumeLoading:
            return self._refused(request, _LOADING, _LOADING_S)
        except VolumesFull:
            return self._refused(request, _FULL, _FULL_S)
        except Offline as error:
            return self._refused(request, _COLD, error.retry_after_s)
        except _Changed:
            return self._refusals.answer(request, _CHANGED, _CHANGED.detail)
        except NotAcceptable as error:
            return self._refusals.answer(request, _NONE, sentence(error))

    def _refused(self, request: Request, words: Words, retry_after_s: int) -> Response:
        response = self._refusals.answer(request, words, words.detail)
        response.headers["retry-after"] = str(retry_after_s)
        return response


async def _picture(
    request: Request,
    series: SeriesVolume,
    wanted: str,
    media_type: str,
    make: Callable[[], Awaitable[bytes]],
) -> Response:
    mark = blake3(f"{series.name} {wanted}".encode()).hexdigest(length=16)
    headers = {**_CACHING, "etag": f'"{mark}"'}
    if is_unchanged(request, headers["etag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(await make(), headers=headers, media_type=media_type)
