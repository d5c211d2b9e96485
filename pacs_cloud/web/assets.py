"""Style sheets, scripts and pictures: URLs that name their content, so that they last."""

import gzip
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.errors import NotFound

_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
    "wasm": "application/wasm",
    "png": "image/png",
}
_PACKED: Final = ("text/", "image/svg")
"""Types that gzip makes smaller; nothing secret is in any of these files."""
_FOR_EVER: Final = "public, max-age=31536000, immutable"  # RFC 8246
_NO_DOCUMENT: Final = "default-src 'none'; frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    content_type: str


class Assets:
    """The files of `web/static`, read once.

    All stand below one folder that is named by a digest of them all, so that relative URLs
    between them (a module's imports, a style sheet's pictures) stay within one version.
    """

    def __init__(self) -> None:
        """Read them."""
        self._files = dict(_files_of(resources.files("pacs_cloud.web") / "static"))
        digest = sha256()
        for path, file in sorted(self._files.items()):
            digest.update(f"{path}\0{len(file.content)}\0".encode())
            digest.update(file.content)
        self.version = digest.hexdigest()[:16]
        self._packed: dict[str, bytes] = {}

    def url(self, path: str) -> str:
        """Return where a file is found; raises NotFound, so that no page names one in vain."""
        if path not in self._files:
            raise NotFound(f"there is no {path} among the static files")
        return f"/static/{self.version}/{path}"

    def content(self, path: str) -> bytes:
        """Return what a file holds; raises NotFound."""
        if path not in self._files:
            raise NotFound(f"there is no {path} among the static files")
        return self._files[path].content

    async def answer(self, request: Request) -> Response:
        """Return a file; raises NotFound.

        Another version's name is answered with what is here, to be asked for again: while a
        new release comes up, pages of one process ask the other for theirs.
        """
        file = self._files.get(request.path_params["path"])
        if file is None:
            raise NotFound("there is no such file")
        is_this = request.path_params["version"] == self.version
        headers = {
            "cache-control": _FOR_EVER if is_this else "no-cache",
            "content-security-policy": _NO_DOCUMENT,
            "cross-origin-resource-policy": "same-origin",
        }
        content = file.content
        if file.content_type.startswith(_PACKED):
            headers["vary"] = "accept-encoding"
            if "gzip" in _codings(request):
                headers["content-encoding"] = "gzip"
                content = self._as_gzip(request.path_params["path"])
        return Response(content, HTTPStatus.OK, headers, file.content_type)

    def _as_gzip(self, path: str) -> bytes:
        """Return a file in fewer bytes, packed when it is first asked for."""
        if path not in self._packed:
            self._packed[path] = gzip.compress(self._files[path].content, mtime=0)
        return self._packed[path]


def _codings(request: Request) -> set[str]:
    """Return the content codings that a client takes (RFC 9110 12.5.3)."""
    offered = request.headers.get("accept-encoding", "").replace(" ", "").lower().split(",")
    return {one.partition(";")[0] for one in offered if not one.endswith((";q=0", ";q=0.0"))}


def _files_of(folder: Traversable, above: str = "") -> list[tuple[str, _File]]:
    found: list[tuple[str, _File]] = []
    for entry in folder.iterdir():
        path = above + entry.name
        if entry.is_dir():
            found += _files_of(entry, f"{path}/")
        elif kind := _TYPES.get(path.rpartition(".")[2]):
            found.append((path, _File(entry.read_bytes(), kind)))
    return found
