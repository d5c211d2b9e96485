"""Cross-origin requests of scripts of named origins (Fetch standard, 3.2: the CORS protocol)."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pacs_cloud.dicomweb.problems import problem
from pacs_cloud.dicomweb.responses import Answer
from pacs_cloud.dicomweb.strange_pages import WRITING

ANY_ORIGIN: Final = "*"
_METHODS: Final = "GET, HEAD, POST, DELETE, OPTIONS"
_READING: Final = "GET, HEAD, OPTIONS"
_EXPOSED: Final = (
    b"Accept-Ranges, Content-Encoding, Content-Length, Content-Location, Content-Range, ETag, "
    b"Link, Location, Retry-After, Warning, X-Request-Id"
)
_OURS_ALONE: Final = (b"cross-origin-resource-policy", b"same-origin")
_MAX_AGE_S: Final = 7200
"""How long a browser may go by one preflight: no browser keeps one longer."""


class Cors:
    """Lets scripts of other origins read what the application answers, its errors too.

    Only those of origins that are named may write: `*` names nobody. What says itself that it is
    for its own origin (Cross-Origin-Resource-Policy), as pages do, is for nobody else.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        """Surround `app`.

        Args:
            app: the application.
            origins: `https://viewer.example`, as browsers write them; `*` for every one.
        """
        self._app = app
        self._origins = frozenset(origin.encode() for origin in origins)
        self._any = ANY_ORIGIN in origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight; mark the answer to any other request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origin = asked = wanted = None
        for name, value in scope["headers"]:
            if name == b"origin":
                origin = value
            elif name == b"access-control-request-method":
                asked = value
            elif name == b"access-control-request-headers":
                wanted = value
        is_allowed = origin is not None and (self._any or origin in self._origins)
        if origin is not None and asked is not None and scope["method"] == "OPTIONS":
            may_write = origin in self._origins
            is_allowed = may_write or (is_allowed and asked.decode("latin-1") not in WRITING)
            answer = _preflight(wanted, _METHODS if may_write else _READING)
            if not is_allowed:
                answer = _refusal()
            await answer(scope, receive, self._marked(send, origin if is_allowed else None))
            return
        await self._app(scope, receive, self._marked(send, origin if is_allowed else None))

    def _marked(self, send: Send, origin: bytes | None) -> Send:
        varying = [] if self._any else [(b"vary", b"origin")]
        marks: list[tuple[bytes, bytes]] = []
        if origin is not None:
            marks = [
                (b"access-control-allow-origin", ANY_ORIGIN.encode() if self._any else origin),
                (b"access-control-expose-headers", _EXPOSED),
            ]

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                headers.extend(varying if _OURS_ALONE in headers else [*varying, *marks])
            await send(message)

        return send_marked


def _preflight(wanted: bytes | None, methods: str) -> Answer:
    headers = {
        "access-control-allow-methods": methods,
        "access-control-max-age": str(_MAX_AGE_S),
        "vary": "access-control-request-headers",
    }
    if wanted:
        # Any header field may be sent: what none of ours reads changes nothing.
        headers["access-control-allow-headers"] = wanted.decode("latin-1")
    return Answer(status=HTTPStatus.NO_CONTENT, headers=headers)


def _refusal() -> Answer:
    return problem(HTTPStatus.FORBIDDEN, "Scripts of this origin may not do this here.")
