"""What makes the viewer an app of its own on a phone: a manifest, and a worker for bad lines."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.web.assets import Assets
from pacs_cloud.web.page_kit import PageKit

MODULES: Final = (
    "cine",
    "install",
    "keyimages",
    "line",
    "pane",
    "pictures",
    "planes",
    "sheets",
    "sources",
    "tools",
    "touch",
    "view",
    "viewer",
)
"""The scripts of the viewer, below `light/`."""
_SHELL: Final = ("pacs.css", "mark.svg", "light/light.css", *(f"light/{one}.js" for one in MODULES))
_ICONS: Final = (("192", "any"), ("512", "any"), ("512", "maskable"))
_FIELDS: Final = {
    "cache-control": "no-cache",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'self'; frame-ancestors 'none'",
}


class Installing:
    """The manifest, the worker and the page for when there is no line."""

    def __init__(self, kit: PageKit, assets: Assets) -> None:
        """Name the files of `assets`."""
        self._kit = kit
        self._manifest = orjson.dumps(_manifest(assets))
        self._worker = _worker(assets)

    async def manifest(self, request: Request) -> Response:
        """Return what a browser installs (W3C Web Application Manifest)."""
        del request
        return Response(self._manifest, HTTPStatus.OK, _FIELDS, "application/manifest+json")

    async def worker(self, request: Request) -> Response:
        """Return the service worker: it keeps files of this version, and never a patient's data."""
        del request
        return Response(self._worker, HTTPStatus.OK, _FIELDS, "text/javascript; charset=utf-8")

    async def away(self, request: Request) -> Response:
        """Return the page that the worker shows where the archive cannot be reached."""
        del request
        return self._kit.templates.page("light/away.html")


def _manifest(assets: Assets) -> Mapping[str, object]:
    return {
        "id": "/light/",
        "name": "pacs-cloud viewer",
        "short_name": "Images",
        "start_url": "/light/",
        "scope": "/light/",
        "display": "standalone",
        "background_color": "#000000",
        "theme_color": "#0b0e13",
        "icons": [
            {
                "src": assets.url(
                    f"light/icon-{'maskable-' if of == 'maskable' else ''}{size}.png"
                ),
                "sizes": f"{size}x{size}",
                "type": "image/png",
                "purpose": of,
            }
            for size, of in _ICONS
        ],
    }


def _worker(assets: Assets) -> bytes:
    told = {
        "version": assets.version,
        "files": [assets.url(path) for path in _SHELL],
        "away": "/light/away",
    }
    return b"const HERE = " + orjson.dumps(told) + b";\n" + assets.content("light/worker.js")
