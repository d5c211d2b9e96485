"""The HTTP application: the DICOMweb resources, the probes, and what surrounds every request."""

import itertools
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.routing import BaseRoute, Mount, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pacs_cloud.custody.trash.deletion import Trash
from pacs_cloud.dicomweb import problems
from pacs_cloud.dicomweb.capabilities import Capabilities
from pacs_cloud.dicomweb.cors import Cors
from pacs_cloud.dicomweb.deletion import Deletion
from pacs_cloud.dicomweb.encodings import encoded
from pacs_cloud.dicomweb.metadata import MetadataResource
from pacs_cloud.dicomweb.openapi import OpenApi
from pacs_cloud.dicomweb.pixel_resources import PixelResources
from pacs_cloud.dicomweb.qido import Qido
from pacs_cloud.dicomweb.rendered import Rendered
from pacs_cloud.dicomweb.resource import Handler, resource
from pacs_cloud.dicomweb.responses import Answer, Bytes
from pacs_cloud.dicomweb.served import served
from pacs_cloud.dicomweb.stow import Stow
from pacs_cloud.dicomweb.strange_pages import StrangePages
from pacs_cloud.dicomweb.wado import Wado
from pacs_cloud.dicomweb.wado_uri import WadoUri
from pacs_cloud.errors import PacsError
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.query.service import Search
from pacs_cloud.retrieve.archive import Archive

log = logging.getLogger(__name__)

HEALTHZ: Final = "/healthz"
READYZ: Final = "/readyz"
_ALL_METHODS: Final = "GET, HEAD, POST, DELETE, OPTIONS"
_NO_SNIFFING: Final = (b"x-content-type-options", b"nosniff")
_ESCAPED_SLASH: Final = re.compile(rb"%(?:2f|5c)", re.IGNORECASE)
_REQUEST_ID: Final = re.compile(rb"[0-9A-Za-z._\-]{1,64}")


@dataclass(frozen=True, slots=True)
class Services:
    """What the application serves.

    Attributes:
        intake: takes what STOW-RS brings.
        search: answers QIDO-RS.
        archive: answers WADO-RS.
        ready: returns when the archive can serve; raises Unavailable or Denied.
        trash: takes what DELETE names; None where nobody may delete over HTTP.
    """

    intake: Intake
    search: Search
    archive: Archive
    ready: Callable[[], Awaitable[None]]
    trash: Trash | None = None


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
        cors_origins: origins whose scripts may read and write; none by default; `*`: all
            may read.
        host_names: what clients call this host, besides `localhost` and addresses; None:
            anything.
    """

    tenant: str = "default"
    prefix: str = "/dicom-web"
    public_url: str = ""
    max_body_bytes: int = 64 << 30
    max_header_bytes: int = 64 << 10
    body_idle_s: float = 60.0
    cors_origins: tuple[str, ...] = ()
    host_names: tuple[str, ...] | None = None


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
    wado_uri = WadoUri(services.archive.readable, options.tenant)
    routes: list[BaseRoute] = [
        resource(HEALTHZ, get=_healthy),
        resource(READYZ, get=_readiness(services.ready)),
        resource("/wado", get=wado_uri.instance),
    ]
    dicomweb = Mount(
        options.prefix,
        Router(dicomweb_routes(services, options), redirect_slashes=False),
    )
    openapi = OpenApi(lambda: served([*routes, dicomweb]))
    routes.append(resource("/openapi.json", get=encoded(openapi.document)))
    # DICOMweb is asked for most: first, unless it is at the root and would hide the others.
    ordered = [dicomweb, *routes] if options.prefix else [*routes, dicomweb]
    router = Router([*ordered, *more_routes], redirect_slashes=False)
    pages = StrangePages(options.host_names, options.public_url, options.cors_origins)
    app = _Edge(router, options.max_header_bytes, pages)
    return Cors(app, options.cors_origins) if options.cors_origins else app


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
    readable = services.archive.readable
    wado = Wado(readable, tenant, public_url)
    metadata = MetadataResource(services.archive, tenant, public_url)
    pixels = PixelResources(readable, tenant, public_url)
    rendered = Rendered(readable, tenant)
    # A page of thumbnails must not recall every cold study that it lists.
    thumbnails = Rendered(services.archive, tenant)
    study = "/studies/{study}"
    series = f"{study}/series/{{series}}"
    instance = f"{series}/instances/{{instance}}"
    wado_uri = WadoUri(readable, tenant)
    trash = services.trash
    delete = Deletion(trash, services.archive, tenant).delete if trash else None
    routes: list[BaseRoute] = [
        # The most asked for first: routes are tried in this order.
        resource("/studies", get=encoded(qido.studies), post=stow.store),
        resource(f"{instance}/frames/{{frames}}", get=pixels.frames),
        resource(instance, get=wado.instances, delete=delete),
        *(
            route
            for level in (instance, f"{instance}/frames/{{frames}}", series, study)
            for route in (
                resource(f"{level}/rendered", get=rendered.resource),
                resource(f"{level}/thumbnail", get=thumbnails.thumbnail),
            )
        ),
        resource(f"{series}/metadata", get=metadata.metadata),
        resource(f"{instance}/metadata", get=metadata.metadata),
        resource(f"{study}/metadata", get=metadata.metadata),
        resource(f"{instance}/bulkdata/{{path:path}}", get=pixels.bulk_data),
        *(
            route
            for level in (instance, series, study)
            for route in (
                resource(f"{level}/bulkdata", get=pixels.all_bulk_data),
                resource(f"{level}/pixeldata", get=pixels.pixel_data),
            )
        ),
        resource(f"{study}/series", get=encoded(qido.series)),
        resource(f"{series}/instances", get=encoded(qido.instances)),
        resource(study, get=wado.instances, post=stow.store, delete=delete),
        resource(series, get=wado.instances, delete=delete),
        resource(f"{study}/instances", get=encoded(qido.instances)),
        resource("/series", get=encoded(qido.series)),
        resource("/instances", get=encoded(qido.instances)),
        resource("/wado", get=wado_uri.instance),
    ]
    capabilities = Capabilities(lambda: served(routes, is_dicomweb=True), public_url)
    routes.append(resource("/", get=capabilities.describe, options=capabilities.describe))
    return routes


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

    def __init__(self, app: ASGIApp, max_header_bytes: int, pages: StrangePages) -> None:
        self._app = app
        self._pages = pages
        self._max_header_bytes = max_header_bytes
        # Requests are numbered: what tells processes apart is drawn once.
        self._name = secrets.token_hex(4).encode()
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
                message["headers"] += ((b"x-request-id", request_id), _NO_SNIFFING)
            await send(message)

        answer = self._without_routing(scope, raw_path, header_bytes)
        if answer is not None:
            await answer(scope, receive, send_marked)
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
