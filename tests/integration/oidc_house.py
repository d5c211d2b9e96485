"""What the tests with a real OpenID provider share: an archive's side of it, with its own clock."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest

from pacs_cloud.identity.oidc import OidcProvider
from pacs_cloud.identity.oidc_config import OidcConfig
from pacs_cloud.identity.oidc_http import open_client
from pacs_cloud.security.claims import read_table
from servers.node_clients import Absent
from servers.oidc_provider import API, PACS, REDIRECT, SIGNED_OUT, Provider, serving

TABLE = read_table(
    [
        {"claim": "realm_access.roles", "value": "pacs-radiologist", "role": "radiologist"},
        {
            "claim": "realm_access.roles",
            "value": "pacs-referrer",
            "role": "referrer",
            "rules": [
                {
                    "referring_physicians": {"claim": "dicom_name"},
                    "institutions": {"claim": "hospital"},
                }
            ],
        },
    ]
)


@asynccontextmanager
async def real_provider(directory: Path, **options: Any) -> AsyncGenerator[Provider]:
    """Run a provider, or skip the test and say why."""
    try:
        async with serving(directory, **options) as provider:
            yield provider
    except Absent as reason:
        pytest.skip(str(reason))


class Clock:
    """The time, which stands still until a test moves it; the provider's own goes on."""

    def __init__(self) -> None:
        self.ahead_s = 0.0
        self._begun_us = time.time_ns() // 1000

    def __call__(self) -> int:
        return self._begun_us + int(self.ahead_s * 1_000_000)


def config_for(provider: Provider, **changes: Any) -> OidcConfig:
    config = OidcConfig(
        issuer=provider.issuer,
        tenant="here",
        grants=TABLE,
        client_id="pacs",
        client_secret=PACS["client_secret"],
        redirect_uri=REDIRECT,
        signed_out_uri=SIGNED_OUT,
        audiences=frozenset({API}),
        name="test",
    )
    return replace(config, **changes)


@asynccontextmanager
async def archive_of(
    provider: Provider, clock: Clock, **changes: Any
) -> AsyncGenerator[OidcProvider]:
    """Give an archive's side of `provider`, which knows nothing yet."""
    async with open_client() as client:
        yield OidcProvider(config_for(provider, **changes), client, [b"s" * 32], clock)


def said_in(token: str) -> dict[str, Any]:
    """Return what a token claims."""
    return jwt.decode(token, options={"verify_signature": False})


async def signing_key(provider: Provider, kind: str = "RSA") -> tuple[str, Any]:
    """Return the name of a key that the provider signs with, and the key itself."""
    key = next(key for key in await provider.keys() if key["kty"] == kind)
    algorithm = {"RSA": "RS256", "OKP": "EdDSA", "EC": "ES256"}[kind]
    return key["kid"], jwt.PyJWK(key, algorithm=algorithm).key
