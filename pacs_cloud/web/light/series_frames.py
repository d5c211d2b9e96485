"""The images of a series as JSON, for the viewer's scripts."""

from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.entity_tags import is_unchanged
from pacs_cloud.security.caller import caller_in
from pacs_cloud.web.light.frame_list import FrameLists
from pacs_cloud.web.resource import uid_in

_FIELDS: Final = {
    # As pictures are: only the reader's own device keeps it, and asks whether it still stands.
    "cache-control": "private, no-cache",
    "vary": "accept-encoding",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


class SeriesFrames:
    """The list of one series."""

    def __init__(self, lists: FrameLists) -> None:
        """Answer from `lists`."""
        self._lists = lists

    async def show(self, request: Request) -> Response:
        """Return the list.

        Raises:
            Unidentified, Denied: whoever asks sees no images.
            NotFound: there is no such series, or not for them.
        """
        caller = caller_in(request.scope)
        study, series = uid_in(request, "study"), uid_in(request, "series")
        found = await self._lists.of(caller, study, series)
        is_packed = "gzip" in request.headers.get("accept-encoding", "").lower()
        etag = f'"{found.etag}{"-gzip" if is_packed else ""}"'
        headers = {**_FIELDS, "etag": etag}
        if is_unchanged(request, etag):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        if is_packed:
            headers["content-encoding"] = "gzip"
        body = found.packed if is_packed else found.text
        return Response(body, HTTPStatus.OK, headers, "application/json")
