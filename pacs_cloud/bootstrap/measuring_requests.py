"""HTTP requests counted by the template of their route: how many, how long, how much."""

import time
from typing import Final

from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pacs_cloud import metrics, tracing

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})
_NO_ROUTE: Final = "none"


class MeasuredRequests:
    """Counts what an application answers; it stands before everything else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s = time.perf_counter()
        first_s, status, length_bytes = 0.0, 0, 0

        async def send_counted(message: Message) -> None:
            nonlocal first_s, status, length_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                body = message.get("body", b"")
                length_bytes += len(body)
                if body and not first_s:
                    first_s = time.perf_counter()
            await send(message)

        metrics.HTTP_OPEN.inc()
        method = scope["method"] if scope["method"] in _METHODS else metrics.OTHER
        parent = tracing.incoming(scope["headers"])
        try:
            with tracing.span(method, parent=parent, serves=True) as span:
                try:
                    await self._app(scope, receive, send_counted)
                finally:
                    route = route_of(scope)
                    span.say(
                        f"{method} {route}",
                        http__request__method=method,
                        http__route=route,
                        http__response__status_code=status,
                    )
        finally:
            metrics.HTTP_OPEN.dec()
            ended_s = time.perf_counter()
            route = route_of(scope)
            metrics.HTTP_REQUESTS.labels(
                route,
                method,
                f"{status // 100}xx" if status else "none",
            ).inc()
            metrics.HTTP_SECONDS.labels(route).observe(ended_s - began_s)
            if status:
                first_byte_s = (first_s or ended_s) - began_s
                metrics.HTTP_FIRST_BYTE_SECONDS.labels(route).observe(first_byte_s)
            metrics.HTTP_BYTES.labels(route).inc(length_bytes)


def route_of(scope: Scope) -> str:
    """Return the template of the route that was taken, "none" where it was none."""
    route = scope.get("route")
    if route is None or isinstance(route, Mount):
        return _NO_ROUTE
    mounted = scope.get("root_path", "").removeprefix(scope.get("app_root_path", ""))
    return f"{mounted}{route.path}"
