"""Sessions go on while somebody uses them, be it by scripts that ask for DICOMweb alone."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pacs_cloud.identity.sessions import Sessions
from pacs_cloud.security.caller import CALLER
from pacs_cloud.web.cookies import SESSION, UNATTENDED, Cookies

_NO_USE: Final = frozenset({b"authorization", UNATTENDED.encode()})
"""Headers of requests that are no use of a session."""
_SET_COOKIE: Final = b"set-cookie"
_ONES_OWN: Final = (b"private", b"no-store")
"""What says that no cache keeps an answer for anybody else (RFC 9111 5.2.2)."""


class Renewing:
    """Sets the cookie of a session anew with the answers to whoever it lets in.

    `Sessions.renewed` says when: every few minutes at most.
    """

    def __init__(self, app: ASGIApp, sessions: Sessions, public_url: str = "") -> None:
        """Surround `app`, whose door notes who asks; `public_url` as `Cookies`."""
        self._app = app
        self._sessions = sessions
        self._cookies = Cookies(public_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request as `app`, and let its session go on."""
        # What a page asks by itself keeps nobody signed in.
        by_header = any(name in _NO_USE for name, _ in scope.get("headers", ()))
        token = None if by_header or scope["type"] != "http" else self._token(scope)
        if token is None:
            await self._app(scope, receive, send)
            return

        async def send_renewed(message: Message) -> None:
            # Only who is known now: a session may have been ended before its time.
            if message["type"] == "http.response.start" and CALLER in scope:
                message = {**message, "headers": self._renewed(scope, token, message["headers"])}
            await send(message)

        await self._app(scope, receive, send_renewed)

    def _token(self, scope: Scope) -> str | None:
        return self._cookies.kept(Request(scope), SESSION)

    def _renewed(self, scope: Scope, token: str, headers: Any) -> list[tuple[bytes, bytes]]:
        fields: list[tuple[bytes, bytes]] = [(name.lower(), value) for name, value in headers]
        said = [value for name, value in fields if name == b"cache-control"]
        is_ones_own = any(word in value for value in said for word in _ONES_OWN)
        # A page that has set a cookie knows better: it may have signed somebody out.
        if not is_ones_own or any(name == _SET_COOKIE for name, _ in fields):
            return fields
        renewed = self._sessions.renewed(token)
        if renewed is None:
            return fields
        carrier = Response()
        self._cookies.keep(carrier, Request(scope), SESSION, renewed)
        return fields + [field for field in carrier.raw_headers if field[0] == _SET_COOKIE]
