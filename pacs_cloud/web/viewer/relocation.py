"""OHIF's build, which is made for `/`, moved to the folder where we serve it (pure).

`@ohif/app` ships ready-made scripts that look for each other, for style sheets, fonts and
decoders at the root of their host. Nothing is built again: the few places that name the root
are written anew, and what would reach beyond this origin is left out.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from html.parser import HTMLParser
from typing import Final

from pacs_cloud.errors import InvalidRequest

RELOCATION: Final = 1
"""Counts the changes of what stands here: what an older one made is installed anew."""

_LEFT_OUT: Final = (
    # `web/static/viewer` has ours.
    *("app-config.js", "manifest.json", "serve.json"),
    # A service worker, and what it loads from another origin.
    *("sw.js", "init-service-worker.js"),
    # Sign-in by OHIF itself, and a demonstration of another archive.
    *("oidc-client.min.js", "google.js"),
    # Neural networks, whose 115 MB are no use without models from another origin.
    "ort/*",
    # Icons of a home screen; very old browsers.
    *("assets/*.png", "assets/*.json", "es6-shim.min.js", "polyfill.min.js"),
)
_KEPT: Final = ("assets/images/*",)
_SERVED: Final = frozenset(
    {"js", "css", "wasm", "woff2", "woff", "ttf", "svg", "png", "jpg", "gif", "json"}
)
"""Ends of names; pages, maps of sources and what a URL may ask for (`.jsonc`) are not of them."""

_PUBLIC_PATH: Final = re.compile(rb'(__webpack_require__\.p = )"/"')
"""Where a bundle of webpack's, be it a page's or a worker's, finds all others."""
_MICROSCOPY: Final = re.compile(rb"""(?<=["'])/(?=dicom-microscopy-viewer/)""")
_ARRAY_CLASS: Final = re.compile(rb"(function compileConstructor\(dtype, dimension\) \{\n)")
_ARRAY_CLASS_OF_OURS: Final = (
    rb"\1if (globalThis.ndarrayConstructor) return globalThis.ndarrayConstructor("
    rb"dtype, dimension, CACHED_CONSTRUCTORS[dtype], order);\n"
)
"""A library's classes that are made of text, which the page's policy forbids: `ndarray.js` of
`web/static/viewer` has the same without. A worker, which may, goes on as it did."""
_STYLE_URL: Final = re.compile(rb"""(url\(["']?)/(?!/)""")


@dataclass(frozen=True, slots=True)
class EntryPoints:
    """What the page loads that shows OHIF; the scripts load the rest.

    Attributes:
        scripts: paths within the build, in their order.
        styles: likewise.
    """

    scripts: tuple[str, ...]
    styles: tuple[str, ...]


def is_served(path: str) -> bool:
    """Return whether a file of the build, by its path there, is part of what we serve."""
    if path.rpartition(".")[2] not in _SERVED:
        return False
    return _is_any(path, _KEPT) or not _is_any(path, _LEFT_OUT)


def relocated(path: str, content: bytes, root: str) -> bytes:
    """Return a file of the build as it is served below `root`.

    Args:
        path: of the file, within the build.
        content: of it.
        root: a URL's path, which begins and ends in a slash.
    """
    where = root.encode()
    if path.endswith(".css"):
        return _STYLE_URL.sub(rb"\g<1>" + where, content)
    if path.endswith(".js"):
        content = _PUBLIC_PATH.sub(rb'\g<1>"' + where + rb'"', content)
        content = _MICROSCOPY.sub(where, content)
        return _ARRAY_CLASS.sub(_ARRAY_CLASS_OF_OURS, content)
    return content


def entry_points(page: str) -> EntryPoints:
    """Return what the build's own `index.html` loads.

    Raises:
        InvalidRequest: that is not how OHIF's page looks.
    """
    reader = _PageReader()
    reader.feed(page)
    if not reader.scripts or not reader.styles:
        raise InvalidRequest("its index.html names no deferred script, or no style sheet")
    return EntryPoints(tuple(reader.scripts), tuple(reader.styles))


def is_movable(path: str, content: bytes) -> bool:
    """Return whether a script of the page says where the others are in the way we know."""
    return path.endswith(".js") and _PUBLIC_PATH.search(content) is not None


class _PageReader(HTMLParser):
    """Notes what a page loads from the root of its host."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.styles: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "script" and "defer" in named and (path := _within(named.get("src"))):
            self.scripts.append(path)
        if (
            tag == "link"
            and named.get("rel") == "stylesheet"
            and (path := _within(named.get("href")))
        ):
            self.styles.append(path)


def _within(url: str | None) -> str:
    return url[1:] if url and url.startswith("/") and not url.startswith("//") else ""


def _is_any(path: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)
