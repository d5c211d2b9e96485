"""An OpenID provider: whose tokens are believed, and where people sign in."""

from collections.abc import Callable, Sequence

import httpx

from pacs_cloud.identity.oidc_bearer import BearerTokens
from pacs_cloud.identity.oidc_config import OidcConfig
from pacs_cloud.identity.oidc_discovery import Discovery, Metadata
from pacs_cloud.identity.oidc_flow import Flows
from pacs_cloud.identity.oidc_http import ProviderHttp
from pacs_cloud.identity.oidc_id_token import IdTokens
from pacs_cloud.identity.oidc_keyring import KeyRing
from pacs_cloud.identity.oidc_keys import VerifyingKey
from pacs_cloud.identity.oidc_people import Person
from pacs_cloud.identity.oidc_sign_in import SignedIn, SignIn
from pacs_cloud.security.caller import Caller


class OidcProvider:
    """One provider; nothing is asked of it before somebody comes."""

    def __init__(
        self,
        config: OidcConfig,
        client: httpx.AsyncClient,
        secrets: Sequence[bytes],
        now_us: Callable[[], int],
    ) -> None:
        """Ask by `client`, of `oidc_http.open_client`.

        Args:
            config: which provider, and what is believed of it.
            client: closed by whoever opened it.
            secrets: 32 bytes or more each, the same in all processes: the first signs what a
                browser keeps during a sign-in, all of them are known.
            now_us: the time.
        """
        http = ProviderHttp(client, config.issuer)
        self._discovery = Discovery(http, config.issuer, now_us)
        self._keys = KeyRing(http, self._discovery, now_us)
        self._bearer = BearerTokens(config, self._keys, now_us)
        self._sign_in = SignIn(
            config,
            http,
            self._discovery,
            IdTokens(config, self._keys, now_us),
            Flows(secrets, f"{config.issuer}\0{config.client_id}"),
            now_us,
        )

    async def caller(self, token: str, *, address: str) -> Caller | None:
        """Return who brings a bearer token; None where it is another's, or proves nothing.

        Raises:
            Unavailable: it may be good, but the provider's keys cannot be had.
        """
        return await self._bearer.caller(token, address=address)

    async def explain(self, token: str) -> Person:
        """Return whose a bearer token is.

        Raises:
            TokenRefused: it proves nothing; says why, which is for administrators only.
            Unavailable: the provider's keys cannot be had.
        """
        return (await self._bearer.verify(token))[0]

    async def begin(self, return_to: str) -> tuple[str, str]:
        """Return where to send a browser, and what it keeps until it is back: `SignIn.begin`."""
        return await self._sign_in.begin(return_to)

    async def finish(self, flow_token: str, parameters: Sequence[tuple[str, str]]) -> SignedIn:
        """Return who came back from the provider: `SignIn.finish`."""
        return await self._sign_in.finish(flow_token, parameters)

    async def signed_out_url(self) -> str | None:
        """Return where a browser ends the provider's session: `SignIn.signed_out_url`."""
        return await self._sign_in.signed_out_url()

    async def metadata(self) -> Metadata:
        """Return what the provider says of itself; raises Unavailable."""
        return await self._discovery.metadata()

    async def keys(self) -> Sequence[VerifyingKey]:
        """Return the keys with which its tokens are verified; raises Unavailable."""
        return await self._keys.keys()
