"""A file of OHIF as an answer: from the disk, packed for whoever unpacks it, in parts if asked."""

import logging
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from pacs_cloud.entity_tags import is_unchanged
from pacs_cloud.errors import NotFound, Unavailable
from pacs_cloud.web.viewer.installed import Installed, ViewerFiles
from pacs_cloud.web.viewer.viewer_headers import OHIF_FILE_HEADERS

log = logging.getLogger(__name__)

_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
    "wasm": "application/wasm",
    "woff2": "font/woff2",
    "woff": "font/woff",
    "ttf": "font/ttf",
    "png": "image/png",
    "jpg": "image/jpeg",
    "gif": "image/gif",
}


def file_answer(request: Request, files: ViewerFiles, installed: Installed, name: str) -> Response:
    """Return a file, or that it has not changed.

    Args:
        request: of a browser.
        files: where it lies.
        installed: what there is.
        name: of the file.

    Raises:
        NotFound: there is none.
        Unavailable: we may not read it.
    """
    file = installed.files.get(name)
    if file is None:
        raise NotFound("there is no such file")
    # Parts are of the file itself: what a program resumes must not depend on what it unpacks.
    is_packed = (
        file.packed_digest is not None and _takes_brotli(request) and "range" not in request.headers
    )
    digest = file.packed_digest if is_packed and file.packed_digest else file.digest
    etag = f'"{digest[:32]}"'
    headers = {**OHIF_FILE_HEADERS, "etag": etag, "vary": "accept-encoding"}
    if is_unchanged(request, etag):
        return Response(None, HTTPStatus.NOT_MODIFIED, headers)
    if is_packed:
        headers["content-encoding"] = "br"
    path = files.path_of(installed, name, is_packed=is_packed)
    try:
        path.open("rb").close()
    except FileNotFoundError as error:  # another installation is taking its place
        raise NotFound("there is no such file any more") from error
    except OSError as error:
        log.error("viewer_file_unreadable", extra={"file": str(path), "error": error.strerror})
        raise Unavailable(f"{path} cannot be read: {error.strerror}") from error
    return FileResponse(path, headers=headers, media_type=_TYPES.get(name.rpartition(".")[2]))


def _takes_brotli(request: Request) -> bool:
    offered = ",".join(request.headers.getlist("accept-encoding")).lower()
    for coding in offered.split(","):
        name, _, weight = coding.partition(";")
        if name.strip() == "br":
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
