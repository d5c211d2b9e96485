"""ID tokens: what a provider says of somebody who has just signed in (OIDC Core 3.1.3.7)."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Any, Final

from pacs_cloud.identity.oidc_config import OidcConfig
from pacs_cloud.identity.oidc_jwt import (
    Fault,
    TokenRefused,
    audiences_of,
    check_times,
    read_header,
    verified_claims,
)
from pacs_cloud.identity.oidc_keyring import KeyRing

_TYPES: Final = frozenset({"", "jwt"})
_DIGESTS: Final = {"256": "sha256", "384": "sha384", "512": "sha512"}


class IdTokens:
    """Verifies them."""

    def __init__(self, config: OidcConfig, keys: KeyRing, now_us: Callable[[], int]) -> None:
        """Verify with `keys`, and as `config` says."""
        self._config = config
        self._keys = keys
        self._now_us = now_us

    async def verify(self, token: str, *, nonce: str, access_token: str) -> dict[str, Any]:
        """Return the claims of the ID token that one sign-in was answered with.

        Raises:
            TokenRefused: it proves nothing; says why.
            Unavailable: the provider's keys cannot be had.
        """
        config = self._config
        header = read_header(token, config.algorithms)
        if header.type not in _TYPES:
            raise TokenRefused(Fault.TYPE)
        claims = verified_claims(token, header, await self._keys.find(header))
        if claims.get("iss") != config.issuer:
            raise TokenRefused(Fault.ISSUER)
        if claims.get("typ", "ID") != "ID":
            raise TokenRefused(Fault.TYPE)  # Keycloak names the kind of its tokens
        audiences = audiences_of(claims)
        party: object = claims.get("azp")
        if config.client_id not in audiences or party not in (None, config.client_id):
            raise TokenRefused(Fault.AUDIENCE)
        if len(audiences) > 1 and party is None:
            raise TokenRefused(Fault.AUDIENCE)
        check_times(claims, now_us=self._now_us(), skew_s=config.skew_s)
        if not _is_same(claims.get("nonce"), nonce):
            raise TokenRefused(Fault.NONCE)
        if "at_hash" in claims and not _is_same(
            claims["at_hash"], _half_digest(access_token, header.algorithm)
        ):
            raise TokenRefused(Fault.NONCE)
        return claims


def _is_same(said: object, expected: str) -> bool:
    return isinstance(said, str) and said.isascii() and hmac.compare_digest(said, expected)


def _half_digest(access_token: str, algorithm: str) -> str:
    """Return what `at_hash` has to be (OIDC Core 3.1.3.6); EdDSA's digest is SHA-512."""
    digest = hashlib.new(_DIGESTS.get(algorithm[-3:], "sha512"), access_token.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
