"""The HTTP application that settings ask for: who is let in, and what goes on record."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp

from pacs_cloud.audit.trail import Trail
from pacs_cloud.audit.witness import DoorWitness
from pacs_cloud.bootstrap.accounts import accounts_of, api_keys_of, sessions_of
from pacs_cloud.bootstrap.auditing import open_trail
from pacs_cloud.bootstrap.authenticating import Authentication, local_administrator
from pacs_cloud.bootstrap.breaking_glass import break_glass_of
from pacs_cloud.bootstrap.oidc import open_providers
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
from pacs_cloud.bootstrap.tenants import ByHost, as_tenant
from pacs_cloud.dicomweb.app import HttpOptions, Services, create_app
from pacs_cloud.dicomweb.callers import Identify, everybody_is
from pacs_cloud.identity.oidc import OidcProvider
from pacs_cloud.identity.shares import Shares
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.settings import Settings
from pacs_cloud.web.navigation import PagesForBrowsers
from pacs_cloud.web.routes import OPEN_FOLDERS, open_paths, routes
from pacs_cloud.web.services import WebServices
from pacs_cloud.web.share_services import ShareServices

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

    def services(self, settings: Settings, identify: Identify) -> Services:
        archive, search = self.reading.archive, self.reading.search
        trash = trash_of(self.stores, archive) if settings.http_delete else None
        return Services(self.intake, search, archive, self.ready, identify, self.witness, trash)


@asynccontextmanager
async def open_application(
    settings: Settings, stores: Stores, ready: Callable[[], Awaitable[None]]
) -> AsyncGenerator[ASGIApp]:
    """Give the application over an archive's stores: at each host its tenant's.

    What somebody has from one tenant, be it a session, a key, a link or a provider's token, is
    nobody's at another's host.

    Args:
        settings: whose; with `no_auth` everybody is an administrator of the tenant at whose
            host they ask, and there are no pages.
        stores: its stores.
        ready: returns when the archive can serve; raises Unavailable or Denied.

    Raises:
        InvalidRequest: the settings cannot be followed.
        Unavailable: the spool or the trail cannot be written.
    """
    async with AsyncExitStack() as stack:
        trail = await stack.enter_async_context(open_trail(settings, stores))
        witness = DoorWitness(trail, DOOR, now_us)
        intake = await stack.enter_async_context(open_intake(settings, stores))
        reading = await stack.enter_async_context(open_reading(settings, stores, witness))
        rooms = _Rooms(stores, ready, trail, intake, reading, witness)
        if settings.no_auth:

            def app_of(tenant: str) -> ASGIApp:
                return _open(as_tenant(settings, tenant), rooms)

        else:
            secrets = session_secrets(settings)
            provider_of = await stack.enter_async_context(open_providers(settings, secrets))

            def app_of(tenant: str) -> ASGIApp:
                theirs = as_tenant(settings, tenant)
                return _guarded(theirs, rooms, secrets, provider_of(theirs))

        tenants, tenant = settings.http_tenants, settings.tenant
        app = ByHost(tenants, tenant, app_of) if tenants else app_of(tenant)
        yield rate_limited(app, settings)


def _open(settings: Settings, rooms: _Rooms) -> ASGIApp:
    """Return the application of one tenant, as an administrator of which everybody comes."""
    everybody = everybody_is(local_administrator(settings.tenant))
    return create_app(rooms.services(settings, everybody), options_of(settings))


def _guarded(
    settings: Settings, rooms: _Rooms, secrets: Sequence[bytes], provider: OidcProvider | None
) -> ASGIApp:
    """Return the application of one tenant behind its sign-in, with the pages that this needs."""
    stores, trail, reading = rooms.stores, rooms.trail, rooms.reading
    accounts = accounts_of(settings, stores.objects)
    sessions, keys = sessions_of(settings, accounts), api_keys_of(settings, stores.objects)
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
    pages = routes(
        WebServices(
            settings.tenant,
            accounts,
            sessions,
            keys,
            secrets,
            now_us,
            trail.record,
            provider if settings.oidc_client_id else None,
            settings.oidc_name,
            settings.public_url,
            ShareServices(
                shares, reading.search, reading.archive.instances.admission, rooms.intake
            ),
            glass,
        )
    )
    identify: Identify = Authentication(
        settings.tenant, keys, sessions, shares, glass, provider, settings.public_url
    )
    if settings.http_rate_per_s:
        rate = Rate.with_pauses(settings.http_rate_per_s, _PAUSE_S)
        identify = limited(identify, TokenBuckets(rate))
    app = create_app(
        rooms.services(settings, identify),
        options_of(settings),
        pages,
        open_paths=open_paths(pages),
        open_folders=OPEN_FOLDERS,
    )
    return Renewing(PagesForBrowsers(app), sessions, settings.public_url)


def options_of(settings: Settings) -> HttpOptions:
    """Return how the application behaves."""
    return HttpOptions(
        tenant=settings.tenant,
        public_url=settings.public_url,
        max_body_bytes=settings.max_stow_bytes,
        body_idle_s=settings.network_timeout_s,
        cors_origins=settings.cors_origins,
        host_names=(*settings.host_names, *settings.http_names),
    )
