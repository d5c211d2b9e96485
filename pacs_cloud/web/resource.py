"""A page's address: what answers each HTTP method of it, and what becomes of errors."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, TypeAlias, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import InvalidUid, NotFound, PacsError
from pacs_cloud.web.refusals import Refusals, Words

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


class Resource:
    """One address, as plain ASGI.

    Attributes:
        methods: that have a handler.
    """

    def __init__(self, refusals: Refusals, handlers: dict[str, Handler]) -> None:
        """Answer by `handlers`, and what they raise by `refusals`."""
        self._refusals = refusals
        self._handlers = handlers
        self.methods = tuple(handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        handler = self._handlers.get(request.method)
        if handler is not None:
            try:
                return await handler(request)
            except PacsError as error:
                return self._refusals.of(request, error)
        allow = ", ".join((*self.methods, "OPTIONS"))
        if request.method == "OPTIONS":
            return Response(status_code=HTTPStatus.NO_CONTENT, headers={"allow": allow})
        words = Words(
            HTTPStatus.METHOD_NOT_ALLOWED,
            "This address is not opened like that",
            "It takes what a form sends. Go on from a page.",
        )
        response = self._refusals.answer(request, words, words.detail)
        response.headers["allow"] = allow
        return response


def resource(
    path: str, refusals: Refusals, *, get: Handler | None = None, post: Handler | None = None
) -> Route:
    """Return the route of one address; HEAD comes with GET (RFC 9110 9.3.2)."""
    handlers = {"GET": get, "HEAD": get, "POST": post}
    known = {method: handler for method, handler in handlers.items() if handler is not None}
    return Route(path, cast("Any", Resource(refusals, known)))


def uid_in(request: Request, name: str) -> str:
    """Return a UID of the address, such as its `study`; raises NotFound where it is none."""
    try:
        return parse_uid(request.path_params[name])
    except InvalidUid as error:
        raise NotFound(f"there is no such {name}") from error
