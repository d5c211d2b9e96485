"""The outermost layer of HTTP: who asks, request ids, limits of headers, errors nobody expected."""

import itertools
import logging
import re
import secrets
from http import HTTPStatus
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pacs_cloud.dicomweb import problems
from pacs_cloud.dicomweb.callers import Door
from pacs_cloud.dicomweb.responses import Answer
from pacs_cloud.dicomweb.security_headers import SecurityHeaders
from pacs_cloud.dicomweb.strange_pages import StrangePages
from pacs_cloud.errors import PacsError

log = logging.getLogger(__name__)

_ALL_METHODS: Final = "GET, HEAD, POST, DELETE, OPTIONS"
_ESCAPED_SLASH: Final = re.compile(rb"%(?:2f|5c)", re.IGNORECASE)
_REQUEST_ID: Final = re.compile(rb"[0-9A-Za-z._\-]{1,64}")


class Edge:
    """The outermost layer: request ids, the header's limit, and errors nobody expected."""

    def __init__(
        self,
        app: ASGIApp,
        max_header_bytes: int,
        pages: StrangePages,
        door: Door,
        secure: SecurityHeaders,
        *,
        is_https: bool = False,
    ) -> None:
        """Surround `app`.

        Args:
            app: the router.
            max_header_bytes: of one request's header fields and target.
            pages: refuses what strange pages make browsers ask.
            door: knows who asks.
            secure: adds what keeps answers from being framed, cached or embedded.
            is_https: whether a proxy in front speaks TLS with clients.
        """
        self._app = app
        self._secure = secure
        self._is_https = is_https
        self._pages = pages
        self._door = door
        self._max_header_bytes = max_header_bytes
        # Requests are numbered: what tells processes apart is drawn once.
        self._name = secrets.token_hex(4).encode()
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = b""
        raw_path: bytes = scope.get("raw_path", b"")
        header_bytes = len(raw_path) + len(scope["query_string"])
        for name, value in scope["headers"]:
            header_bytes += len(name) + len(value)
            if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                request_id = value
        request_id = request_id or b"%b%08x" % (self._name, next(self._numbers))
        has_started = False

        async def send_marked(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                headers = message["headers"]
                is_tls = self._is_https or scope.get("scheme") == "https"
                headers += self._secure.missing(headers, is_tls=is_tls)
                headers.append((b"x-request-id", request_id))
            await send(message)

        answer = self._without_routing(scope, raw_path, header_bytes)
        if answer is not None:
            await answer(scope, receive, send_marked)
            return
        scope["app"] = self  # so that the router raises its refusals
        try:
            await self._door.enter(scope)
            await self._app(scope, receive, send_marked)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - the outermost edge: nothing may pass it
            failed = _answer_to(error)
            if has_started or failed.status == HTTPStatus.INTERNAL_SERVER_ERROR:
                log.error(
                    "request_failed",
                    extra={
                        "request_id": request_id.decode("latin-1"),
                        "method": scope["method"],
                        "error": type(error).__name__,
                        "at": _place_of(error),
                        "has_started": has_started,
                    },
                )
            # Once it has started, the server breaks the connection: the answer is not whole.
            if not has_started:
                await failed(scope, receive, send_marked)

    def _without_routing(self, scope: Scope, raw_path: bytes, header_bytes: int) -> Answer | None:
        if header_bytes > self._max_header_bytes:
            return problems.problem(
                HTTPStatus.REQUEST_URI_TOO_LONG
                if len(raw_path) > self._max_header_bytes // 2
                else HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"A request's header may have up to {self._max_header_bytes} bytes.",
            )
        if b"%" in raw_path and _ESCAPED_SLASH.search(raw_path):
            # To a proxy that guards paths it is no slash: here it must not become one.
            return problems.problem(HTTPStatus.BAD_REQUEST, "A path's slashes are not escaped.")
        if scope["method"] == "OPTIONS" and scope["path"] == "*":
            return Answer(status=HTTPStatus.NO_CONTENT, headers={"allow": _ALL_METHODS})
        return self._pages.refuse(scope)


def _answer_to(error: Exception) -> Answer:
    if isinstance(error, PacsError):
        return problems.of_error(error)
    if isinstance(error, HTTPException):
        return problems.of_http(error)
    return problems.problem(HTTPStatus.INTERNAL_SERVER_ERROR, "")


def _place_of(error: BaseException) -> str:
    """Return where in the code an error was raised: its message might hold patient data."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return f"{at.tb_frame.f_code.co_name}:{at.tb_lineno}" if at else ""
