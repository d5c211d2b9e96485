"""What an OpenID provider says of itself (OpenID Connect Discovery 1.0)."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from pacs_cloud.errors import Unavailable
from pacs_cloud.identity.oidc_http import ProviderHttp, is_trusted_url

log = logging.getLogger(__name__)

_KEPT_US: Final = 3600 * 1_000_000
_AGAIN_US: Final = 30 * 1_000_000


class Metadata(BaseModel):
    """The parts of a provider's document that we go by (Discovery 3, RFC 8414 2, RFC 9207 3)."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    issuer: str
    jwks_uri: str
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    userinfo_endpoint: str = ""
    end_session_endpoint: str = ""
    response_types_supported: list[str] = ["code"]
    code_challenge_methods_supported: list[str] = ["S256"]
    token_endpoint_auth_methods_supported: list[str] = ["client_secret_basic"]
    authorization_response_iss_parameter_supported: bool = False


_METADATA: Final = TypeAdapter(Metadata)


def read_metadata(document: dict[str, Any], issuer: str) -> Metadata:
    """Return a provider's document.

    Raises:
        Unavailable: it is malformed, another issuer's (Discovery 4.3), or names addresses
            that are not trusted.
    """
    try:
        said = {name: value for name, value in document.items() if value is not None}
        metadata = _METADATA.validate_python(said)
    except ValidationError as error:
        raise Unavailable("the OpenID provider's document is malformed") from error
    if metadata.issuer != issuer:
        raise Unavailable("the OpenID provider's document names another issuer")
    addresses = (
        metadata.jwks_uri,
        metadata.authorization_endpoint,
        metadata.token_endpoint,
        metadata.userinfo_endpoint,
        metadata.end_session_endpoint,
    )
    if not all(is_trusted_url(address, issuer) for address in addresses if address):
        raise Unavailable("the OpenID provider's document names an address that is not trusted")
    return metadata


class Discovery:
    """Asks for a provider's document once an hour; while it cannot be had, the last one counts."""

    def __init__(self, http: ProviderHttp, issuer: str, now_us: Callable[[], int]) -> None:
        """Ask `issuer` by `http`."""
        self._http = http
        self._issuer = issuer
        self._now_us = now_us
        self._lock = asyncio.Lock()
        self._known: Metadata | None = None
        self._read_us = 0
        self._failed: tuple[int, str] | None = None

    async def metadata(self) -> Metadata:
        """Return the provider's document.

        Raises:
            Unavailable: it was never had, and cannot be now.
        """
        async with self._lock:
            now_us = self._now_us()
            if self._known is not None and 0 <= now_us - self._read_us < _KEPT_US:
                return self._known
            if self._failed is not None and 0 <= now_us - self._failed[0] < _AGAIN_US:
                if self._known is None:
                    raise Unavailable(self._failed[1])
                return self._known
            try:
                await self._read(now_us)
            except Unavailable as error:
                self._failed = (now_us, str(error))
                log.warning("oidc_discovery_failed", extra={"why": str(error)})
                if self._known is None:
                    raise
            assert self._known is not None
            return self._known

    async def _read(self, now_us: int) -> None:
        # An issuer may end in a slash, which is left out before the path (Discovery 4).
        url = self._issuer.removesuffix("/") + "/.well-known/openid-configuration"
        self._known = read_metadata(await self._http.get(url), self._issuer)
        self._read_us, self._failed = now_us, None
