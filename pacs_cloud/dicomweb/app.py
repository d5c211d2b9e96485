"""The HTTP application: the DICOMweb resources, the probes, and what surrounds every request."""

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.routing import BaseRoute, Mount, Router
from starlette.types import ASGIApp

from pacs_cloud.custody.trash.deletion import Trash
from pacs_cloud.dicomweb.callers import Door, Identify
from pacs_cloud.dicomweb.capabilities import Capabilities
from pacs_cloud.dicomweb.cors import Cors
from pacs_cloud.dicomweb.deletion import Deletion
from pacs_cloud.dicomweb.edge import Edge
from pacs_cloud.dicomweb.encodings import encoded
from pacs_cloud.dicomweb.metadata import MetadataResource
from pacs_cloud.dicomweb.openapi import OpenApi
from pacs_cloud.dicomweb.pixel_resources import PixelResources
from pacs_cloud.dicomweb.qido import Qido
from pacs_cloud.dicomweb.rendered import Rendered
from pacs_cloud.dicomweb.resource import Handler, resource
from pacs_cloud.dicomweb.responses import Answer, Bytes
from pacs_cloud.dicomweb.security_headers import SecurityHeaders
from pacs_cloud.dicomweb.served import served
from pacs_cloud.dicomweb.stow import Stow
from pacs_cloud.dicomweb.strange_pages import StrangePages
from pacs_cloud.dicomweb.wado import Wado
from pacs_cloud.dicomweb.wado_uri import WadoUri
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.query.service import Search
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.security.witness import Witness

log = logging.getLogger(__name__)

HEALTHZ: Final = "/healthz"
READYZ: Final = "/readyz"


@dataclass(frozen=True, slots=True)
class Services:
    """What the application serves.

    Attributes:
        intake: takes what STOW-RS brings.
        search: answers QIDO-RS.
        archive: answers WADO-RS.
        ready: returns when the archive can serve; raises Unavailable or Denied.
        identify: tells who makes a request.
        witness: puts on record what they do.
        trash: takes what DELETE names; None where nobody may delete over HTTP.
    """

    intake: Intake
    search: Search
    archive: Archive
    ready: Callable[[], Awaitable[None]]
    identify: Identify
    witness: Witness
    trash: Trash | None = None


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How the application behaves.

    Attributes:
        tenant: whose archive it is, as far as nobody is known.
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
        signs_in: whether people sign in; what else `StrangePages` refuses where nobody does.
    """

    tenant: str = "default"
    prefix: str = "/dicom-web"
    public_url: str = ""
    max_body_bytes: int = 64 << 30
    max_header_bytes: int = 64 << 10
    body_idle_s: float = 60.0
    cors_origins: tuple[str, ...] = ()
    host_names: tuple[str, ...] | None = None
    signs_in: bool = True


def create_app(
    services: Services,
    options: HttpOptions | None = None,
    more_routes: Sequence[BaseRoute] = (),
    *,
    open_paths: Collection[str] = (),
    open_folders: Collection[str] = (),
) -> ASGIApp:
    """Return the whole HTTP side as one ASGI application.

    Args:
        services: what it serves.
        options: how.
        more_routes: other edges' resources on the same port.
        open_paths: those of them that anybody may ask for.
        open_folders: all that is below these, which end in `/`, likewise.
    """
    options = options or HttpOptions()
    wado_uri = WadoUri(services.archive.readable)
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
    pages = StrangePages(
        options.host_names,
        options.public_url,
        options.cors_origins,
        signs_in=options.signs_in,
    )
    # What describes the service, and says that it lives, tells nothing of anybody.
    door = Door(
        services.identify,
        services.witness,
        options.tenant,
        {HEALTHZ, READYZ, "/openapi.json", options.prefix, f"{options.prefix}/", *open_paths},
        open_folders,
    )
    secure = SecurityHeaders(has_origins=bool(options.cors_origins))
    app = Edge(
        router,
        options.max_header_bytes,
        pages,
        door,
        secure,
        is_https=options.public_url.startswith("https:"),
    )
    return Cors(app, options.cors_origins) if options.cors_origins else app


def dicomweb_routes(services: Services, options: HttpOptions) -> list[BaseRoute]:
    """Return the resources of PS3.18 chapter 10 that are served."""
    public_url = options.public_url
    stow = Stow(
        services.intake,
        services.archive.instances.admission,
        services.witness,
        public_url,
        max_body_bytes=options.max_body_bytes,
        body_idle_s=options.body_idle_s,
    )
    qido = Qido(services.search, public_url)
    readable = services.archive.readable
    wado = Wado(readable, public_url)
    metadata = MetadataResource(services.archive, public_url)
    pixels = PixelResources(readable, public_url)
    rendered = Rendered(readable)
    # A page of thumbnails must not recall every cold study that it lists.
    thumbnails = Rendered(services.archive)
    study = "/studies/{study}"
    series = f"{study}/series/{{series}}"
    instance = f"{series}/instances/{{instance}}"
    wado_uri = WadoUri(readable)
    trash = services.trash
    delete = Deletion(trash, services.archive, services.witness).delete if trash else None
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
