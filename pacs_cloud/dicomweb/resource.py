"""A resource: one path, and what answers each HTTP method of it."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, TypeAlias, cast

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pacs_cloud.dicomweb.problems import problem
from pacs_cloud.dicomweb.responses import Answer

Handler: TypeAlias = Callable[[Request], Awaitable[Answer]]
"""What GET's handler returns is also the answer to HEAD: an `Answer` leaves its body out."""


def resource(
    path: str,
    *,
    get: Handler | None = None,
    post: Handler | None = None,
    delete: Handler | None = None,
    options: Handler | None = None,
) -> Route:
    """Return the route of one resource; HEAD comes with GET, OPTIONS with any (RFC 9110 9.3)."""
    handlers = {"GET": get, "HEAD": get, "POST": post, "DELETE": delete, "OPTIONS": options}
    known = {method: handler for method, handler in handlers.items() if handler is not None}
    return Route(path, cast("Any", _Resource(known)))


def methods_of(route: Route) -> tuple[str, ...]:
    """Return the methods that a resource's route has handlers for."""
    made = cast("_Resource", route.endpoint)
    return made.methods


class _Resource:
    """One resource as plain ASGI: a request costs no more than its handler."""

    def __init__(self, handlers: dict[str, Handler]) -> None:
        self._handlers = handlers
        self.methods = tuple(handlers)
        self._allow = {"allow": ", ".join(dict.fromkeys([*handlers, "OPTIONS"]))}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = self._handlers.get(scope["method"])
        if handler is not None:
            answer = await handler(Request(scope, receive))
        elif scope["method"] == "OPTIONS":
            answer = Answer(status=HTTPStatus.NO_CONTENT, headers=self._allow)
        else:
            answer = problem(HTTPStatus.METHOD_NOT_ALLOWED, "", headers=self._allow)
        await answer(scope, receive, send)
