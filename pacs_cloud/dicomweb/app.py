"""The HTTP application: the DICOMweb resources, the probes, and what surrounds every request."""

import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, cast

from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pacs_cloud.dicomweb import problems
from pacs_cloud.dicomweb.qido import Qido
from pacs_cloud.dicomweb.responses import Answer, Bytes
from pacs_cloud.dicomweb.stow import Stow
from pacs_cloud.dicomweb.wado import Wado
from pacs_cloud.errors import PacsError
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.query.service import Search
from pacs_cloud.retrieve.archive import Archive

log = logging.getLogger(__name__)

_REQUEST_ID: Final = re.compile(rb"[0-9A-Za-z._\-]{1,64}")


@dataclass(frozen=True, slots=True)
class Services:
    """What the application serves.

    Attributes:
        intake: takes what STOW-RS brings.
        search: answers QIDO-RS.
        archive: answers WADO-RS.
        ready: returns when the archive can serve; raises Unavailable or Denied.
    """

    intake: Intake
    search: Search
    archive: Archive
    ready: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How the application behaves.

    Attributes:
        tenant: whose archive it is.
        prefix: where DICOMweb is, "/dicom-web".
        public_url: what clients call that place, when a proxy changes it; "" to go by
            each request's Host header.
        max_body_bytes: of one request's body.
        max_header_bytes: of one request's header fields and target.
        body_idle_s: how long a body may pause.
        cors_origins: origins whose scripts may read; none by default.
    """

    tenant: str = "default"
    prefix: str = "/dicom-web"
    public_url: str = ""
    max_body_bytes: int = 64 << 30
    max_header_bytes: int = 64 << 10
    body_idle_s: float = 60.0
    cors_origins: tuple[str, ...] = ()


def create_app(
    services: Services, options: HttpOptions | None = None, more_routes: Sequence[BaseRoute] = ()
) -> ASGIApp:
    """Return the whole HTTP side as one ASGI application.

    Args:
        services: what it serves.
        options: how.
        more_routes: other edges' resources on the same port.
    """
    options = options or HttpOptions()
    router = Router(
        [
            Route("/healthz", cast("Any", _Resource(_healthy))),
            Route("/readyz", cast("Any", _Resource(_readiness(services.ready)))),
            Mount(
                options.prefix,
                Router(dicomweb_routes(services, options), redirect_slashes=False),
            ),
            *more_routes,
        ],
        redirect_slashes=False,
    )
    app = _Edge(router, options.max_header_bytes)
    if not options.cors_origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=options.cors_origins,
        allow_methods=("GET", "HEAD", "POST"),
        allow_headers=("*",),
        expose_headers=("ETag", "Warning", "X-Request-Id"),
    )


def dicomweb_routes(services: Services, options: HttpOptions) -> list[BaseRoute]:
    """Return the resources of PS3.18 chapter 10 that are served."""
    tenant, public_url = options.tenant, options.public_url
    stow = Stow(
        services.intake,
        tenant,
        public_url,
        max_body_bytes=options.max_body_bytes,
        body_idle_s=options.body_idle_s,
    )
    qido = Qido(services.search, tenant, public_url)
    wado = Wado(services.archive, tenant, public_url)
    study = "/studies/{study}"
    series = f"{study}/series/{{series}}"
    instance = f"{series}/instances/{{instance}}"
    return [
        # The most asked for first: routes are tried in this order.
        _resource(f"{instance}/frames/{{frames}}", get=wado.frames),
        _resource(instance, get=wado.instances),
        _resource(f"{series}/metadata", get=wado.metadata),
        _resource(f"{instance}/metadata", get=wado.metadata),
        _resource(f"{study}/metadata", get=wado.metadata),
        _resource(f"{instance}/bulkdata/{{path:path}}", get=wado.bulk_data),
        _resource("/studies", get=qido.studies, post=stow.store),
        _resource(f"{study}/series", get=qido.series),
        _resource(f"{series}/instances", get=qido.instances),
        _resource(study, get=wado.instances, post=stow.store),
        _resource(series, get=wado.instances),
        _resource(f"{study}/instances", get=qido.instances),
        _resource("/series", get=qido.series),
        _resource("/instances", get=qido.instances),
    ]


Handler = Callable[[Request], Awaitable[Answer]]


class _Resource:
    """One resource as plain ASGI: a request costs no more than its handler."""

    def __init__(self, get: Handler, post: Handler | None = None) -> None:
        self._get = get
        self._post = post

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        handler = self._post if scope["method"] == "POST" else self._get
        assert handler is not None
        answer = await handler(request)
        await answer(scope, receive, send)


def _resource(path: str, *, get: Handler, post: Handler | None = None) -> Route:
    return Route(
        path, cast("Any", _Resource(get, post)), methods=["GET", "POST"] if post else ["GET"]
    )


async def _healthy(request: Request) -> Answer:
    del request
    return Bytes(b"ok\n", "text/plain", headers={"cache-control": "no-store"})


def _readiness(ready: Callable[[], Awaitable[None]]) -> Handler:
    async def answer(request: Request) -> Answer:
        del request
        await ready()
        return Bytes(b"ready\n", "text/plain", headers={"cache-control": "no-store"})

    return answer


class _Edge:
    """The outermost layer: request ids, the header's limit, and errors nobody expected."""

    def __init__(self, app: ASGIApp, max_header_bytes: int) -> None:
        self._app = app
        self._max_header_bytes = max_header_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = b""
        header_bytes = len(scope.get("raw_path", b"")) + len(scope["query_string"])
        for name, value in scope["headers"]:
            header_bytes += len(name) + len(value)
            if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                request_id = value
        request_id = request_id or secrets.token_hex(8).encode()
        has_started = False

        async def send_marked(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                message["headers"].append((b"x-request-id", request_id))
            await send(message)

        if header_bytes > self._max_header_bytes:
            too_large = problems.problem(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"A request's header may have up to {self._max_header_bytes} bytes.",
            )
            await too_large(scope, receive, send_marked)
            return
        scope["app"] = self  # so that the router raises its refusals
        try:
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
