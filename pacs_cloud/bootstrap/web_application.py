"""The HTTP application that settings ask for: who is let in, and what goes on record."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from pacs_cloud.audit.trail import Trail
from pacs_cloud.audit.witness import DoorWitness
from pacs_cloud.bootstrap.accounts import accounts_of, api_keys_of, sessions_of
from pacs_cloud.bootstrap.auditing import open_trail
from pacs_cloud.bootstrap.authenticating import Authentication
from pacs_cloud.bootstrap.breaking_glass import break_glass_of
from pacs_cloud.bootstrap.custody_pages import custody_services_of
from pacs_cloud.bootstrap.exposing import Exposition, metrics_route
from pacs_cloud.bootstrap.measuring_requests import MeasuredRequests
from pacs_cloud.bootstrap.oidc import open_providers
from pacs_cloud.bootstrap.ops_pages import OpsRooms, open_ops
from pacs_cloud.bootstrap.rate_limits import Rate, TokenBuckets, limited, rate_limited
from pacs_cloud.bootstrap.services import (
    Reading,
    Stores,
    now_us,
    open_intake,
    open_reading,
    trash_of,
)
from pacs_cloud.bootstrap.session_renewal import Renewing
from pacs_cloud.bootstrap.session_secrets import session_secrets
from pacs_cloud.bootstrap.share_copies import copying
from pacs_cloud.bootstrap.study_actions import sending_of
from pacs_cloud.bootstrap.tenants import ByHost, as_tenant
from pacs_cloud.bootstrap.volumes import open_volumes
from pacs_cloud.dicomweb.app import HttpOptions, Services, create_app
from pacs_cloud.dicomweb.callers import Identify, everybody_is
from pacs_cloud.identity.everybody import Everybody
from pacs_cloud.identity.oidc import OidcProvider
from pacs_cloud.identity.shares import Shares
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.retrieve.volumes import Volumes
from pacs_cloud.settings import Settings
from pacs_cloud.web.navigation import PagesForBrowsers
from pacs_cloud.web.routes import OPEN_FOLDERS, open_paths, routes
from pacs_cloud.web.services import WebServices
from pacs_cloud.web.share_services import ShareServices
from pacs_cloud.web.study_services import StudyServices
from pacs_cloud.web.viewer.installed import ViewerFiles

DOOR: Final = "dicomweb"
_PAUSE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Rooms:
    """What the applications of all tenants share."""

    stores: Stores
    ready: Callable[[], Awaitable[None]]
    trail: Trail
    intake: Intake
    reading: Reading
    witness: DoorWitness
    ops: OpsRooms
    metrics: BaseRoute
    volumes: Volumes

    def services(self, settings: Settings, identify: Identify) -> Services:
        archive, search = self.reading.archive, self.reading.search
        trash = trash_of(self.stores, archive) if settings.http_delete else None
        return Services(self.intake, search, archive, self.ready, identify, self.witness, trash)


@asynccontextmanager
async def open_application(
    settings: Settings,
    stores: Stores,
    ready: Callable[[], Awaitable[None]],
    exposition: Exposition | None = None,
) -> AsyncGenerator[ASGIApp]:
    """Give the application over an archive's stores: at each host its tenant's.

    What somebody has from one tenant, be it a session, a key, a link or a provider's token, is
    nobody's at another's host.

    Args:
        settings: whose; with `no_auth` everybody is an administrator of the tenant at whose
            host they ask.
        stores: its stores.
        ready: returns when the archive can serve; raises Unavailable or Denied.
        exposition: what `/metrics` says; None: one of its own.

    Raises:
        InvalidRequest: the settings cannot be followed.
        Unavailable: the spool or the trail cannot be written.
    """
    async with AsyncExitStack() as stack:
        trail = await stack.enter_async_context(open_trail(settings, stores))
        witness = DoorWitness(trail, DOOR, now_us)
        intake = await stack.enter_async_context(open_intake(settings, stores))
        reading = await stack.enter_async_context(open_reading(settings, stores, witness))
        ops = await stack.enter_async_context(open_ops(settings, stores))
        exposed = metrics_route(exposition or Exposition(settings, stores), settings.tenant)
        volumes = await stack.enter_async_context(open_volumes(settings, reading.archive))
        rooms = _Rooms(stores, ready, trail, intake, reading, witness, ops, exposed, volumes)
        secrets = session_secrets(settings)
        if settings.no_auth:

            def app_of(tenant: str) -> ASGIApp:
                return _open(as_tenant(settings, tenant), rooms, secrets)

        else:
            provider_of = await stack.enter_async_context(open_providers(settings, secrets))

            def app_of(tenant: str) -> ASGIApp:
                theirs = as_tenant(settings, tenant)
                return _guarded(theirs, rooms, secrets, provider_of(theirs))

        tenants, tenant = settings.http_tenants, settings.tenant
        app = ByHost(tenants, tenant, app_of) if tenants else app_of(tenant)
        yield MeasuredRequests(rate_limited(app, settings))


def _open(settings: Settings, rooms: _Rooms, secrets: Sequence[bytes]) -> ASGIApp:
    """Return the application of one tenant, as an administrator of which everybody comes."""
    everybody = Everybody(settings.tenant)
    pages = routes(replace(_web_services(settings, rooms, secrets), everybody=everybody))
    identify = everybody_is(everybody.caller(address=""))
    app = create_app(
        rooms.services(settings, identify), options_of(settings), [rooms.metrics, *pages]
    )
    return PagesForBrowsers(app, signs_in=False)


def _guarded(
    settings: Settings, rooms: _Rooms, secrets: Sequence[bytes], provider: OidcProvider | None
) -> ASGIApp:
    """Return the application of one tenant behind its sign-in, with the pages that this needs."""
    stores, trail, reading = rooms.stores, rooms.trail, rooms.reading
    shares = Shares(
        stores.objects,
        stores.catalogue,
        settings.tenant,
        now_us,
        trail.record,
        sensitive=settings.sensitive_labels,
        copying=copying(settings, stores, reading, rooms.intake),
    )
    glass = break_glass_of(settings, stores, trail.record)
    admission = reading.archive.instances.admission
    services = replace(
        _web_services(settings, rooms, secrets),
        oidc=provider if settings.oidc_client_id else None,
        provider_name=settings.oidc_name,
        sharing=ShareServices(shares, reading.search, admission, rooms.intake),
        glass=glass,
    )
    keys, sessions = services.keys, services.sessions
    pages = routes(services)
    identify: Identify = Authentication(
        settings.tenant, keys, sessions, shares, glass, provider, settings.public_url
    )
    if settings.http_rate_per_s:
        rate = Rate.with_pauses(settings.http_rate_per_s, _PAUSE_S)
        identify = limited(identify, TokenBuckets(rate))
    app = create_app(
        rooms.services(settings, identify),
        options_of(settings),
        [rooms.metrics, *pages],
        open_paths=open_paths(pages),
        open_folders=OPEN_FOLDERS,
    )
    return Renewing(PagesForBrowsers(app), sessions, settings.public_url)


def _web_services(settings: Settings, rooms: _Rooms, secrets: Sequence[bytes]) -> WebServices:
    """Return what the pages of one tenant are made of, whoever sees them."""
    stores, trail, reading = rooms.stores, rooms.trail, rooms.reading
    accounts = accounts_of(settings, stores.objects)
    return WebServices(
        settings.tenant,
        accounts,
        sessions_of(settings, accounts),
        api_keys_of(settings, stores.objects),
        secrets,
        now_us,
        trail.record,
        public_url=settings.public_url,
        studies=StudyServices(
            *(reading.search, reading.archive, rooms.intake),
            *(stores.objects, stores.catalogue, stores.queue),
            viewer=ViewerFiles(settings.viewer_folder),
            sending=sending_of(settings, stores),
            most_upload_bytes=settings.max_stow_bytes,
            volumes=rooms.volumes,
        ),
        ops=replace(
            rooms.ops.services(settings),
            custody=custody_services_of(settings, stores, reading, trail),
        ),
    )


def options_of(settings: Settings) -> HttpOptions:
    """Return how the application behaves."""
    return HttpOptions(
        tenant=settings.tenant,
        public_url=settings.public_url,
        max_body_bytes=settings.max_stow_bytes,
        body_idle_s=settings.network_timeout_s,
        cors_origins=settings.cors_origins,
        host_names=(*settings.host_names, *settings.http_names),
        signs_in=not settings.no_auth,
    )
