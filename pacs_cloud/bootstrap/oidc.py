"""The OpenID provider that the settings name."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from pacs_cloud.bootstrap.services import now_us
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
    site = settings.public_url or f"http://{settings.http}"
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


@asynccontextmanager
async def open_oidc(
    settings: Settings, secrets: Sequence[bytes]
) -> AsyncGenerator[OidcProvider | None]:
    """Give the provider that the settings name, or None; nothing is asked of it yet.

    Args:
        settings: which, and what is believed of it.
        secrets: those of sessions, the first in use; the same in all processes.

    Raises:
        InvalidRequest: the settings mean nothing, or name certificates that cannot be read.
    """
    config = oidc_config_of(settings)
    if config is None:
        yield None
        return
    try:
        client = open_client(settings.oidc_ca)
    except OSError as error:
        raise InvalidRequest(f"oidc_ca: no certificate can be read: {error.strerror}") from error
    async with client:
        yield OidcProvider(config, client, secrets, now_us)
