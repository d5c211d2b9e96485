"""The OpenID provider that the settings name."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.bootstrap.tenants import site_of
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.identity.oidc import OidcProvider
from pacs_cloud.identity.oidc_config import RETURN_PATH, SIGNED_OUT_PATH, OidcConfig
from pacs_cloud.identity.oidc_http import open_client
from pacs_cloud.security.claims import read_path, read_table
from pacs_cloud.settings import Settings


def oidc_config_of(settings: Settings) -> OidcConfig | None:
    """Return what the settings say of the provider; None where they name none.

    Raises:
        InvalidRequest: what they say of claims means nothing; says why.
    """
    table = read_table(settings.oidc_grants)
    paths = {
        name: read_path(getattr(settings, name), name)
        for name in ("oidc_user_claim", "oidc_name_claim", "oidc_tenant_claim")
        if getattr(settings, name)
    }
    if not settings.oidc_issuer:
        return None
    site = site_of(settings)
    return OidcConfig(
        issuer=settings.oidc_issuer,
        tenant=settings.tenant,
        grants=table,
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_client_secret.get_secret_value(),
        redirect_uri=site + RETURN_PATH,
        signed_out_uri=site + SIGNED_OUT_PATH,
        audiences=frozenset(settings.oidc_audiences),
        name=settings.oidc_name,
        user_claim=paths["oidc_user_claim"],
        name_claim=paths["oidc_name_claim"],
        tenant_claim=paths.get("oidc_tenant_claim"),
        scopes=settings.oidc_scopes,
        algorithms=frozenset(settings.oidc_algorithms),
        asks_userinfo=settings.oidc_userinfo,
        skew_s=settings.oidc_skew_s,
        session_s=settings.oidc_session_minutes * 60,
    )


ProviderOf: TypeAlias = Callable[[Settings], OidcProvider | None]
"""Returns the provider as a tenant's pages and doors know it, by the settings of that tenant."""


@asynccontextmanager
async def open_providers(
    settings: Settings, secrets: Sequence[bytes]
) -> AsyncGenerator[ProviderOf]:
    """Give what returns the provider that the settings name; nothing is asked of it yet.

    Where no claim tells whose its users are they are `tenant`'s, and nobody at others' hosts.

    Args:
        settings: which, and what is believed of it.
        secrets: those of sessions, the first in use; the same in all processes.

    Raises:
        InvalidRequest: the settings mean nothing, or name certificates that cannot be read.
    """
    if oidc_config_of(settings) is None:
        yield lambda _: None
        return
    try:
        client = open_client(settings.oidc_ca)
    except OSError as error:
        raise InvalidRequest(f"oidc_ca: no certificate can be read: {error.strerror}") from error

    def provider_of(theirs: Settings) -> OidcProvider | None:
        if theirs.tenant != settings.tenant and not settings.oidc_tenant_claim:
            return None
        config = oidc_config_of(theirs)
        return None if config is None else OidcProvider(config, client, secrets, now_us)

    async with client:
        yield provider_of


@asynccontextmanager
async def open_oidc(
    settings: Settings, secrets: Sequence[bytes]
) -> AsyncGenerator[OidcProvider | None]:
    """Give the provider as `tenant` knows it, or None; as `open_providers`."""
    async with open_providers(settings, secrets) as provider_of:
        yield provider_of(settings)
