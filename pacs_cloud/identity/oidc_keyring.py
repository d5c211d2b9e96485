"""A provider's keys as they are kept: read again now and then, and when one is missing."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from pacs_cloud.errors import Unavailable
from pacs_cloud.identity.oidc_discovery import Discovery
from pacs_cloud.identity.oidc_http import ProviderHttp
from pacs_cloud.identity.oidc_jwt import Fault, Header, TokenRefused
from pacs_cloud.identity.oidc_keys import VerifyingKey, fitting, read_keys

log = logging.getLogger(__name__)

_FRESH_US: Final = 600 * 1_000_000
"""After so long a key that the provider has withdrawn is believed no more, while it answers."""
_STALE_US: Final = 24 * 3600 * 1_000_000
"""So long keys are believed while the provider does not answer."""
_AGAIN_US: Final = 10 * 1_000_000
"""Between two requests at least, whatever unknown keys tokens name."""
_RETRY_US: Final = 60 * 1_000_000
"""Between two attempts to freshen keys that still count: whoever makes one may wait for it."""


class KeyRing:
    """Finds the key that a token was signed with."""

    def __init__(self, http: ProviderHttp, discovery: Discovery, now_us: Callable[[], int]) -> None:
        """Read keys by `http` from where `discovery` says they are."""
        self._http = http
        self._discovery = discovery
        self._now_us = now_us
        self._lock = asyncio.Lock()
        self._keys: tuple[VerifyingKey, ...] = ()
        self._read_us: int | None = None
        self._asked_us: int | None = None
        self._why = ""

    async def find(self, header: Header) -> VerifyingKey:
        """Return the one key that a token's header means.

        Raises:
            TokenRefused: there is none, or several fit a header that names none
                (OIDC Core 10.1).
            Unavailable: the provider's keys are not known, and cannot be had.
        """
        if not self._is_younger(_FRESH_US):
            await self._read(_FRESH_US)
        found = self._fitting(header)
        if not found:
            await self._read(0)
            found = self._fitting(header)
        if len(found) == 1:
            return found[0]
        if not found and self._why:
            # It may be a new key: whoever cannot ask cannot say that there is none.
            raise Unavailable(self._why)
        raise TokenRefused(Fault.KEY)

    async def keys(self) -> tuple[VerifyingKey, ...]:
        """Return all keys, fresh.

        Raises:
            Unavailable: they cannot be had.
        """
        await self._read(_FRESH_US)
        if self._why:
            raise Unavailable(self._why)
        return self._keys

    def _fitting(self, header: Header) -> tuple[VerifyingKey, ...]:
        if not self._is_younger(_STALE_US):
            return ()
        return tuple(fitting(self._keys, header.key_id, header.algorithm))

    def _is_younger(self, age_us: int) -> bool:
        return self._read_us is not None and 0 <= self._now_us() - self._read_us < age_us

    async def _read(self, age_us: int) -> None:
        """Read the keys anew, unless they are younger than `age_us`, or were just asked for."""
        is_optional = age_us > 0 and self._is_younger(_STALE_US)
        if is_optional and self._lock.locked():
            return  # somebody else is at it
        async with self._lock:
            now_us = self._now_us()
            pause_us = _RETRY_US if is_optional and self._why else _AGAIN_US
            is_asked = self._asked_us is not None and 0 <= now_us - self._asked_us < pause_us
            if is_asked or self._is_younger(age_us):
                return
            # Whoever asks may be cut off: then the next ones do not take that for an answer.
            self._asked_us, self._why = now_us, "the OpenID provider was not asked to the end"
            try:
                await self._ask(now_us)
            except Unavailable as error:
                self._why = str(error)
                log.warning("oidc_keys_failed", extra={"why": self._why})

    async def _ask(self, now_us: int) -> None:
        metadata = await self._discovery.metadata()
        keys = read_keys(await self._http.get(metadata.jwks_uri))
        if not keys:
            raise Unavailable("the OpenID provider has no key that may be used")
        self._keys, self._read_us, self._why = keys, now_us, ""
        log.info("oidc_keys_read", extra={"keys": len(keys)})
