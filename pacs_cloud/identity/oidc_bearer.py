"""Access tokens that programs bring (RFC 6750), where they are JWTs (RFC 9068)."""

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

from pacs_cloud.identity.oidc_config import OidcConfig
from pacs_cloud.identity.oidc_jwt import (
    LARGEST_CHARACTERS,
    Fault,
    TokenRefused,
    audiences_of,
    check_times,
    read_header,
    unverified_issuer,
    verified_claims,
)
from pacs_cloud.identity.oidc_keyring import KeyRing
from pacs_cloud.identity.oidc_people import Person, person_of
from pacs_cloud.security.caller import Caller

log = logging.getLogger(__name__)

_KEPT: Final = 10_000
_KEPT_US: Final = 60 * 1_000_000
_TYPES: Final = frozenset({"", "jwt", "at+jwt"})
_OTHER_KINDS: Final = ("nonce", "at_hash", "c_hash", "s_hash", "events")
"""Claims of ID tokens and logout tokens, which prove nothing to an API (RFC 8725 3.11)."""


class BearerTokens:
    """Says whose a token is; what was verified is believed for a minute, by the token's digest."""

    def __init__(self, config: OidcConfig, keys: KeyRing, now_us: Callable[[], int]) -> None:
        """Verify with `keys`, and as `config` says."""
        self._config = config
        self._keys = keys
        self._now_us = now_us
        self._kept: OrderedDict[bytes, tuple[int, Person]] = OrderedDict()

    async def caller(self, token: str, *, address: str) -> Caller | None:
        """Return who brings a token; None where it is another's, or proves nothing.

        Raises:
            Unavailable: it may be good, but the provider's keys cannot be had.
        """
        if not self._config.audiences or len(token) > LARGEST_CHARACTERS or not token.isascii():
            return None
        now_us = self._now_us()
        digest = hashlib.sha256(token.encode()).digest()
        kept = self._kept.get(digest)
        if kept is not None and now_us < kept[0] <= now_us + _KEPT_US:
            person = kept[1]
        else:
            self._kept.pop(digest, None)
            try:
                person, end_us = await self.verify(token)
            except TokenRefused as refusal:
                log.debug("bearer_refused", extra={"why": refusal.fault})
                return None
            self._keep(digest, min(end_us, now_us + _KEPT_US), person)
        return Caller(person.tenant, person.subject, person.grants, address)

    async def verify(self, token: str) -> tuple[Person, int]:
        """Return whose a token is, and when it ends.

        Raises:
            TokenRefused: it proves nothing; says why.
            Unavailable: the provider's keys cannot be had.
        """
        config = self._config
        header = read_header(token, config.algorithms)
        if header.type not in _TYPES:
            raise TokenRefused(Fault.TYPE)
        # Others' tokens make us ask nobody for keys.
        if unverified_issuer(token) != config.issuer:
            raise TokenRefused(Fault.ISSUER)
        claims = verified_claims(token, header, await self._keys.find(header))
        if claims.get("iss") != config.issuer:
            raise TokenRefused(Fault.ISSUER)
        if not _is_access_token(header.type, claims):
            raise TokenRefused(Fault.TYPE)
        if not audiences_of(claims) & config.audiences:
            raise TokenRefused(Fault.AUDIENCE)
        end_s = check_times(claims, now_us=self._now_us(), skew_s=config.skew_s)
        return person_of(claims, config), int(end_s * 1_000_000)

    def _keep(self, digest: bytes, until_us: int, person: Person) -> None:
        self._kept[digest] = until_us, person
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)


def _is_access_token(kind: str, claims: Mapping[str, Any]) -> bool:
    """Return whether claims are an access token's that whoever holds it may use.

    Keycloak says in a claim of its own which kind a token is. A token that is bound to its
    owner's key (`cnf`, RFC 7800) proves nothing without that.
    """
    if "cnf" in claims or claims.get("typ", "Bearer") != "Bearer":
        return False
    return kind == "at+jwt" or "typ" in claims or not any(name in claims for name in _OTHER_KINDS)
