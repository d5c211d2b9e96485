"""Several tenants at one port: which of them a request is for, and where each one's pages are."""

from collections.abc import Callable, Mapping
from functools import cache
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from pacs_cloud.dicomweb.strange_pages import host_name
from pacs_cloud.settings import Settings


def as_tenant(settings: Settings, tenant: str) -> Settings:
    """Return the settings as they are for one of the tenants that they name."""
    if tenant == settings.tenant:
        return settings
    theirs = settings.model_copy(update={"tenant": tenant})
    return theirs.model_copy(update={"public_url": _public_url(theirs)})


def site_of(settings: Settings) -> str:
    """Return where browsers find the pages of `tenant`: scheme, host, and a port if need be.

    That is the host of `public_url`, a name that `http_tenants` has for them where that one is
    not theirs, or where the archive listens.
    """
    public = urlsplit(_public_url(settings))
    if public.netloc:
        return f"{public.scheme}://{public.netloc}"
    scheme = "https" if settings.http_tls_certificate else "http"
    names = settings.http_names
    return f"{scheme}://" + (f"{names[0]}:{settings.http.port}" if names else str(settings.http))


def _public_url(settings: Settings) -> str:
    public, names = urlsplit(settings.public_url), settings.http_names
    if not public.netloc or not names or public.hostname in names:
        return settings.public_url
    port = "" if public.port is None else f":{public.port}"
    return public._replace(netloc=names[0] + port).geturl()


class ByHost:
    """Passes each request on to the application of the tenant at whose host it was sent."""

    def __init__(
        self, tenants: Mapping[str, str], tenant: str, app_of: Callable[[str], ASGIApp]
    ) -> None:
        """Begin with the application of `tenant`; the others are made once somebody comes.

        Args:
            tenants: by the name of a host, in lower case.
            tenant: whose every other host is.
            app_of: makes a tenant's application, which judges by itself what Host may say.
        """
        self._tenants = tenants
        self._app_of = cache(app_of)
        self._app = self._app_of(tenant)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        app = self._app
        for name, value in scope.get("headers", ()):
            if name == b"host":
                tenant = self._tenants.get(host_name(value))
                app = app if tenant is None else self._app_of(tenant)
        await app(scope, receive, send)
