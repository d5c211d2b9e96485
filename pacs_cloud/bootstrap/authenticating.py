"""Who makes an HTTP request: by an API key, a provider's token, or a page's session."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pacs_cloud.errors import Denied, Unidentified
from pacs_cloud.identity.break_glass import BreakGlass
from pacs_cloud.identity.keys import ApiKeys
from pacs_cloud.identity.oidc import OidcProvider
from pacs_cloud.identity.sessions import Sessions
from pacs_cloud.identity.shares import Shares
from pacs_cloud.security.caller import Caller
from pacs_cloud.web.cookies import session_cookie_of

_KEY: Final = "pacs_"
"""What API keys begin with, and no provider's token."""
_AUTHORIZATION: Final = b"authorization"


@dataclass(frozen=True, slots=True)
class Authentication:
    """Finds out who makes a request (RFC 9110 11).

    Attributes:
        tenant: at whose door that is.
        keys: of programs; also the password of Basic, for those that speak nothing else.
        sessions: of whoever has signed in on a page.
        shares: say what guests may see now.
        glass: says what people see now who have broken it.
        provider: whose bearer tokens count; None: nobody's.
        public_url: what clients call this archive, when a proxy changes it.
    """

    tenant: str
    keys: ApiKeys
    sessions: Sessions
    shares: Shares
    glass: BreakGlass
    provider: OidcProvider | None = None
    public_url: str = ""

    async def __call__(self, scope: Mapping[str, Any]) -> Caller | None:
        """Return who it is, None where the request does not say.

        Raises:
            Unidentified: what it says is not true, or over, or nothing that is known here:
                what else it may say does not count then.
            Denied: the provider knows them, as somebody of another tenant.
            Unavailable: what is needed to know cannot be reached.
        """
        client = scope.get("client")
        address: str = client[0] if client else ""
        said = [value for name, value in scope["headers"] if name == _AUTHORIZATION]
        if not said:
            token = session_cookie_of(scope, self.public_url)
            caller = await self.sessions.caller(token, address=address) if token else None
            caller = caller and await self.shares.still(caller)
            return caller and await self.glass.opened(caller)
        caller = await self._by_header(said[0], address) if len(said) == 1 else None
        if caller is None:
            raise Unidentified("the request's credentials are of nobody")
        return await self.glass.opened(caller)

    async def _by_header(self, value: bytes, address: str) -> Caller | None:
        scheme, _, rest = value.decode("latin-1").partition(" ")
        token = rest.strip()
        if scheme.lower() == "basic":
            token = _password_in(token)
            if not token.startswith(_KEY):
                return None
        elif scheme.lower() != "bearer":
            return None
        if token.startswith(_KEY):
            return await self.keys.caller(token, address=address)
        if self.provider is None:
            return None
        caller = await self.provider.caller(token, address=address)
        if caller is not None and caller.tenant != self.tenant:
            raise Denied("whoever brings this token belongs to another archive")
        return caller


def _password_in(token: str) -> str:
    """Return the password of RFC 7617; "" where it is none."""
    try:
        pair = base64.b64decode(token, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return ""
    return pair.partition(":")[2]
