"""Templates become pages: everything is escaped, and nothing that is missing passes for empty."""

from http import HTTPStatus
from typing import Any, Final

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from pacs_cloud.security.passwords import SHORTEST
from pacs_cloud.web.assets import Assets

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""Nothing that was smuggled into a page runs (CSP Level 3). A form's redirects count as its
targets in some browsers, so that what leads to a provider is a link."""
_LIVE: Final = (
    _POLICY.replace("img-src 'self'", "img-src 'self' blob:")
    + "; connect-src 'self'; manifest-src 'self'; media-src 'self'; worker-src 'self'"
)
"""Of a page whose scripts ask this origin for more, and show what they were given."""

PAGE_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    # Not no-referrer: browsers then say `Origin: null` of our own forms (Fetch 3.2), which
    # nobody can tell from a stranger's. No other origin learns anything by this one either.
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
}
LIVE_HEADERS: Final = {**PAGE_HEADERS, "content-security-policy": _LIVE}


def json_answer(said: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return what a page's script asked for."""
    return Response(orjson.dumps(said), status, PAGE_HEADERS, "application/json")


class Templates:
    """The templates of `web/templates`."""

    def __init__(self, assets: Assets, *, signs_in: bool = True) -> None:
        """Find them.

        Args:
            assets: what they name.
            signs_in: whether people sign in; else every page says that nobody does, and none
                leads to an account.
        """
        self.signs_in = signs_in
        self._jinja = Environment(
            loader=PackageLoader("pacs_cloud.web", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        every_page: dict[str, Any] = {
            "static": assets.url,
            "least_password": SHORTEST,
            "signs_in": signs_in,
        }
        self._jinja.globals |= every_page

    def page(
        self, name: str, status: HTTPStatus = HTTPStatus.OK, /, **context: Any
    ) -> HTMLResponse:
        """Return a template as the answer to a browser; `who` of the context is shown above."""
        return HTMLResponse(self._text(name, context), status, PAGE_HEADERS)

    def live(
        self, name: str, status: HTTPStatus = HTTPStatus.OK, /, **context: Any
    ) -> HTMLResponse:
        """Return the same for a page, or a part of one, whose scripts ask this origin for more."""
        return HTMLResponse(self._text(name, context), status, LIVE_HEADERS)

    def _text(self, name: str, context: dict[str, Any]) -> str:
        return self._jinja.get_template(name).render({"who": None, "places": (), **context})
