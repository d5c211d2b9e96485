"""The session's cookie: its name says how it is kept (RFC 6265bis 4.1.3.2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.loopback import is_loopback

SESSION: Final = "pacs"
UNATTENDED: Final = "x-unattended"
"""A header of what a page asks by itself: no session goes on by it."""
_OVER_TLS: Final = "__Host-"
"""Browsers keep such a cookie over TLS only and without a Domain: no other host plants one."""


def session_cookie_of(scope: Mapping[str, Any], public_url: str = "") -> str | None:
    """Return the session that a request's cookies hold, as it was issued; None without one.

    Args:
        scope: the request's.
        public_url: what clients call this archive, when a proxy changes it.
    """
    return _cookie(scope, _name(scope, SESSION, public_url))


def is_plain_loopback(scope: Mapping[str, Any]) -> bool:
    """Return whether a request came without TLS to what its client calls by a loopback name."""
    return scope.get("scheme", "http") == "http" and _says_loopback(field_of(scope, b"host"))


@lru_cache(maxsize=64)  # a viewer's requests all name the same host
def _says_loopback(field: str) -> bool:
    try:
        return is_loopback(urlsplit(f"//{field}").hostname or "")
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Cookies:
    """What browsers keep for this archive.

    Over TLS, or where nobody can tell, by a `__Host-` name; on a loopback address without
    TLS, where some browsers keep no such cookie, by the plain one. Elsewhere the plain name
    counts for nothing: a neighbouring host could have planted it.

    Attributes:
        public_url: what clients call this archive, when a proxy changes it.
    """

    public_url: str = ""

    def keep(
        self,
        response: Response,
        request: Request,
        name: str,
        value: str,
        *,
        max_age_s: int | None = None,
    ) -> None:
        """Have the browser send `value` with what pages of this origin ask for.

        Args:
            response: which tells it so.
            request: that is answered: how it came decides by which name.
            name: without a prefix.
            value: of the cookie.
            max_age_s: how long; None: until the browser is closed.
        """
        full = _name(request.scope, name, self.public_url)
        self._set(response, full, value, max_age_s)

    def kept(self, request: Request, name: str) -> str | None:
        """Return what `keep` had the browser keep by that name."""
        return _cookie(request.scope, _name(request.scope, name, self.public_url))

    def drop(self, response: Response, request: Request, name: str) -> None:
        """Have the browser forget it."""
        self._set(response, _name(request.scope, name, self.public_url), "", 0)

    @staticmethod
    def _set(response: Response, full: str, value: str, max_age_s: int | None) -> None:
        response.set_cookie(
            full,
            value,
            max_age=max_age_s,
            path="/",
            secure=full.startswith(_OVER_TLS),
            httponly=True,
            samesite="lax",
        )


def field_of(scope: Mapping[str, Any], name: bytes) -> str:
    """Return a header field of a request, "" where it is not there."""
    for field, value in scope["headers"]:
        if field == name:
            return value.decode("latin-1")
    return ""


def _name(scope: Mapping[str, Any], name: str, public_url: str) -> str:
    is_plain = is_plain_loopback(scope) and not public_url.startswith("https:")
    return name if is_plain else _OVER_TLS + name


def _cookie(scope: Mapping[str, Any], name: str) -> str | None:
    for field, value in scope["headers"]:
        if field == b"cookie":
            for pair in value.decode("latin-1").split(";"):
                key, _, text = pair.strip().partition("=")
                if key == name and text:
                    return text.strip('"')
    return None
