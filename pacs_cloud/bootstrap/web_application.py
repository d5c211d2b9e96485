"""The HTTP application that settings ask for: who is let in, and what goes on record."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from starlette.types import ASGIApp

from pacs_cloud.audit.trail import Trail
from pacs_cloud.audit.witness import DoorWitness
from pacs_cloud.bootstrap.accounts import accounts_of, api_keys_of, sessions_of
from pacs_cloud.bootstrap.auditing import open_trail
from pacs_cloud.bootstrap.authenticating import Authentication, local_administrator
from pacs_cloud.bootstrap.oidc import open_oidc
from pacs_cloud.bootstrap.rate_limits import Rate, TokenBuckets, limited, rate_limited
from pacs_cloud.bootstrap.services import (
    Reading,
    Stores,
    now_us,
    open_intake,
    open_reading,
    trash_of,
)
from pacs_cloud.bootstrap.session_secrets import session_secrets
from pacs_cloud.dicomweb.app import HttpOptions, Services, create_app
from pacs_cloud.dicomweb.callers import Identify, everybody_is
from pacs_cloud.identity.shares import Shares
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.settings import Settings
from pacs_cloud.web.navigation import PagesForBrowsers
from pacs_cloud.web.routes import OPEN_FOLDERS, open_paths, routes
from pacs_cloud.web.services import WebServices
from pacs_cloud.web.share_services import ShareServices

DOOR: Final = "dicomweb"
_PAUSE_S: Final = 10.0


@asynccontextmanager
async def open_application(
    settings: Settings, stores: Stores, ready: Callable[[], Awaitable[None]]
) -> AsyncGenerator[ASGIApp]:
    """Give the application over an archive's stores.

    Args:
        settings: whose; with `no_auth` everybody is its administrator, and there are no pages.
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
        trash = trash_of(stores, reading.archive) if settings.http_delete else None

        def services(identify: Identify) -> Services:
            archive, search = reading.archive, reading.search
            return Services(intake, search, archive, ready, identify, witness, trash)

        if settings.no_auth:
            everybody = everybody_is(local_administrator(settings.tenant))
            app = create_app(services(everybody), options_of(settings))
        else:
            app = await _guarded(settings, stores, services, trail, intake, reading, stack)
        yield rate_limited(app, settings)


async def _guarded(
    settings: Settings,
    stores: Stores,
    services: Callable[[Identify], Services],
    trail: Trail,
    intake: Intake,
    reading: Reading,
    stack: AsyncExitStack,
) -> ASGIApp:
    """Return the application behind its sign-in, with the pages that this needs."""
    secrets = session_secrets(settings)
    accounts = accounts_of(settings, stores.objects)
    sessions, keys = sessions_of(settings, accounts), api_keys_of(settings, stores.objects)
    provider = await stack.enter_async_context(open_oidc(settings, secrets))
    shares = Shares(stores.objects, stores.catalogue, settings.tenant, now_us, trail.record)
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
            ShareServices(shares, reading.search, reading.archive.instances.admission, intake),
        )
    )
    identify: Identify = Authentication(keys, sessions, shares, provider, settings.public_url)
    if settings.http_rate_per_s:
        rate = Rate.with_pauses(settings.http_rate_per_s, _PAUSE_S)
        identify = limited(identify, TokenBuckets(rate))
    app = create_app(
        services(identify),
        options_of(settings),
        pages,
        open_paths=open_paths(pages),
        open_folders=OPEN_FOLDERS,
    )
    return PagesForBrowsers(app)


def options_of(settings: Settings) -> HttpOptions:
    """Return how the application behaves."""
    return HttpOptions(
        tenant=settings.tenant,
        public_url=settings.public_url,
        max_body_bytes=settings.max_stow_bytes,
        body_idle_s=settings.network_timeout_s,
        cors_origins=settings.cors_origins,
        host_names=settings.host_names,
    )
