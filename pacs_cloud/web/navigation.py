"""What a browser is told that was on its way to a page, whichever edge refuses it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pacs_cloud.web.assets import Assets
from pacs_cloud.web.cookies import field_of
from pacs_cloud.web.refusals import Refusals, Words, to_sign_in
from pacs_cloud.web.templating import Templates

_PROBLEM: Final = b"application/problem+json"
_KEPT: Final = frozenset({b"x-request-id", b"x-content-type-options", b"retry-after"})
_MOST_BYTES: Final = 16 << 10


class PagesForBrowsers:
    """Shows problems (RFC 9457) as pages to whoever opens an address in a browser.

    Whoever is not signed in is sent to the sign-in page, and back afterwards. Programs, and
    scripts of pages, get what the application answers.
    """

    def __init__(self, app: ASGIApp, *, signs_in: bool = True) -> None:
        """Show what `app` answers; `signs_in` as `Templates`."""
        self._app = app
        self._refusals = Refusals(Templates(Assets(), signs_in=signs_in))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] != "GET" or not is_navigation(scope):
            await self._app(scope, receive, send)
            return
        started: Message | None = None
        problem = bytearray()

        async def send_or_hold(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start" and _is_problem(message):
                started = message
            elif started is None:
                await send(message)
            elif len(problem) < _MOST_BYTES:
                problem.extend(message.get("body", b""))

        await self._app(scope, receive, send_or_hold)
        if started is not None:
            await self._show(Request(scope, receive), started, bytes(problem), send)

    async def _show(self, request: Request, start: Message, problem: bytes, send: Send) -> None:
        status = HTTPStatus(start["status"])
        # A browser that sends wrong credentials with each request would go there for ever.
        if status is HTTPStatus.UNAUTHORIZED and "authorization" not in request.headers:
            response = to_sign_in(request)
        else:
            words = Words(status, status.phrase, "")
            response = self._refusals.answer(request, words, _detail(problem))
        kept = {name: value for name, value in start["headers"] if name in _KEPT}
        response.raw_headers = [
            *((name, value) for name, value in response.raw_headers if name not in kept),
            *kept.items(),
        ]
        await response(request.scope, request.receive, send)


def is_navigation(scope: Mapping[str, Any]) -> bool:
    """Return whether a browser opens an address to show it (Fetch Metadata 2.2)."""
    mode = field_of(scope, b"sec-fetch-mode")
    if mode:
        return mode == "navigate"
    return "text/html" in field_of(scope, b"accept").lower()


def _is_problem(message: Message) -> bool:
    return any(
        name == b"content-type" and value.startswith(_PROBLEM) for name, value in message["headers"]
    )


def _detail(problem: bytes) -> str:
    try:
        said: Any = orjson.loads(problem)
        return str(said.get("detail", ""))
    except (ValueError, AttributeError):
        return ""
