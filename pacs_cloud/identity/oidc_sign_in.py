"""Signing in to pages: authorization code with PKCE (OIDC Core 3.1, RFC 6749 4.1, RFC 7636)."""

import base64
import hmac
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from urllib.parse import parse_qsl, quote_plus, urlencode, urlsplit, urlunsplit

from pacs_cloud.errors import InvalidRequest, Unavailable, Unidentified
from pacs_cloud.identity.external import ExternalUser
from pacs_cloud.identity.oidc_config import OidcConfig
from pacs_cloud.identity.oidc_discovery import Discovery, Metadata
from pacs_cloud.identity.oidc_flow import Flow, Flows
from pacs_cloud.identity.oidc_http import ProviderHttp
from pacs_cloud.identity.oidc_id_token import IdTokens
from pacs_cloud.identity.oidc_jwt import TokenRefused
from pacs_cloud.identity.oidc_people import person_of

log = logging.getLogger(__name__)

_LONGEST_VALUE: Final = 4096
_OURS: Final = ("state", "code", "iss", "error")


class SignInFault(StrEnum):
    """Why a sign-in came to nothing, in words for whoever tried."""

    STALE = "this sign-in was begun too long ago, or in another browser: begin again"
    FORGED = "the answer is not the one to this sign-in: begin again"
    OTHER_PROVIDER = "the answer is not from the provider that was asked: begin again"
    DECLINED = "the provider did not let you in, or you declined"
    AGAIN = "the provider wants you to sign in once more: begin again"
    REFUSED = "the provider refuses what this archive asks for: an administrator has to look"
    CODE = "the provider does not know this sign-in any more: begin again"
    UNPROVEN = "the provider's answer proves nothing: an administrator has to look"


_ERRORS: Final[Mapping[str, SignInFault]] = {
    "access_denied": SignInFault.DECLINED,
    "login_required": SignInFault.AGAIN,
    "interaction_required": SignInFault.AGAIN,
    "account_selection_required": SignInFault.AGAIN,
    "consent_required": SignInFault.DECLINED,
    "invalid_request": SignInFault.REFUSED,
    "unauthorized_client": SignInFault.REFUSED,
    "unsupported_response_type": SignInFault.REFUSED,
    "invalid_scope": SignInFault.REFUSED,
}
"""What providers say (RFC 6749 4.1.2.1, OIDC Core 3.1.2.6); their own words are not shown."""
_PASSING: Final = frozenset({"temporarily_unavailable", "server_error"})


class SignInRefused(Unidentified):
    """A sign-in that came to nothing.

    Attributes:
        fault: why.
    """

    def __init__(self, fault: SignInFault) -> None:
        super().__init__(str(fault))
        self.fault = fault


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A sign-in that is done.

    Attributes:
        user: who it is.
        return_to: the path of this archive that it was begun for.
    """

    user: ExternalUser
    return_to: str = field(repr=False)


class SignIn:
    """Sends people to the provider, and knows who comes back."""

    def __init__(
        self,
        config: OidcConfig,
        http: ProviderHttp,
        discovery: Discovery,
        id_tokens: IdTokens,
        flows: Flows,
        now_us: Callable[[], int],
    ) -> None:
        """Ask by `http`, and go by `config`."""
        self._config = config
        self._http = http
        self._discovery = discovery
        self._id_tokens = id_tokens
        self._flows = flows
        self._now_us = now_us

    async def begin(self, return_to: str) -> tuple[str, str]:
        """Return where to send a browser, and the value that it has to keep until it is back.

        The value goes into a cookie: `HttpOnly`, `SameSite=Lax`, for ten minutes.

        Raises:
            InvalidRequest: `return_to` is not a path of this archive, or nobody signs in here.
            Unavailable: the provider cannot be reached, or cannot do what is needed.
        """
        config = self._config
        if not (config.client_id and config.redirect_uri):
            raise InvalidRequest("no OpenID client is configured: nobody can sign in by it")
        flow, token = self._flows.begin(return_to, now_us=self._now_us())
        metadata = await self._discovery.metadata()
        if (
            not metadata.authorization_endpoint
            or not metadata.token_endpoint
            or "code" not in metadata.response_types_supported
            or "S256" not in metadata.code_challenge_methods_supported
        ):
            raise Unavailable("the OpenID provider offers no authorization code with PKCE")
        asked = {
            "response_type": "code",
            "client_id": config.client_id,
            "redirect_uri": config.redirect_uri,
            "scope": " ".join(dict.fromkeys(["openid", *config.scopes])),
            "state": flow.state,
            "nonce": flow.nonce,
            "code_challenge": flow.challenge,
            "code_challenge_method": "S256",
        }
        return _with_query(metadata.authorization_endpoint, asked), token

    async def finish(self, flow_token: str, parameters: Sequence[tuple[str, str]]) -> SignedIn:
        """Return who came back from the provider.

        Args:
            flow_token: what the browser kept since `begin`.
            parameters: the query that it came with, repeated ones too.

        Raises:
            SignInRefused: it came to nothing; says why.
            Unavailable: the provider cannot be reached, or does not know this archive.
        """
        try:
            return await self._finish(flow_token, parameters)
        except SignInRefused as refusal:
            log.warning("oidc_sign_in_refused", extra={"why": refusal.fault.name.lower()})
            raise
        except TokenRefused as refusal:
            log.warning("oidc_sign_in_refused", extra={"why": refusal.fault})
            raise SignInRefused(SignInFault.UNPROVEN) from refusal

    async def signed_out_url(self) -> str | None:
        """Return where to send a browser whose session here has ended, to end the provider's.

        None where the provider offers no such thing (RP-Initiated Logout 1.0).

        Raises:
            Unavailable: the provider cannot be reached.
        """
        metadata = await self._discovery.metadata()
        if not metadata.end_session_endpoint:
            return None
        asked = {"client_id": self._config.client_id}
        if self._config.signed_out_uri:
            asked["post_logout_redirect_uri"] = self._config.signed_out_uri
        return _with_query(metadata.end_session_endpoint, asked)

    async def _finish(self, flow_token: str, parameters: Sequence[tuple[str, str]]) -> SignedIn:
        flow = self._flows.known(flow_token, now_us=self._now_us())
        if flow is None:
            raise SignInRefused(SignInFault.STALE)
        said = _once(parameters)
        state = said.get("state", "")
        if not (state.isascii() and hmac.compare_digest(state, flow.state)):
            raise SignInRefused(SignInFault.FORGED)
        metadata = await self._discovery.metadata()
        is_named = "iss" in said or metadata.authorization_response_iss_parameter_supported
        if is_named and said.get("iss") != self._config.issuer:
            raise SignInRefused(SignInFault.OTHER_PROVIDER)  # RFC 9207 2.4
        if "error" in said:
            raise _answered(said["error"])
        if not said.get("code"):
            raise SignInRefused(SignInFault.FORGED)
        answer = await self._redeem(said["code"], flow, metadata)
        claims = await self._claims(answer, flow, metadata)
        person = person_of(claims, self._config)
        until_us = self._now_us() + int(self._config.session_s * 1_000_000)
        user = ExternalUser(
            person.tenant, person.subject, person.display_name, person.grants, until_us
        )
        return SignedIn(user, flow.return_to)

    async def _redeem(self, code: str, flow: Flow, metadata: Metadata) -> dict[str, Any]:
        """Return what the provider gives for a code (RFC 6749 4.1.3)."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._config.redirect_uri,
            "code_verifier": flow.verifier,
        }
        headers = self._identify(form, metadata)
        status, answer = await self._http.post(metadata.token_endpoint, form, headers=headers)
        if status == 200:
            return answer
        if answer.get("error") == "invalid_grant":
            raise SignInRefused(SignInFault.CODE)
        if status == 401 or answer.get("error") == "invalid_client":
            raise Unavailable("the OpenID provider does not know this archive, or its secret")
        if status == 429:
            raise Unavailable("the OpenID provider is too busy")
        raise SignInRefused(SignInFault.REFUSED)

    def _identify(self, form: dict[str, str], metadata: Metadata) -> dict[str, str]:
        """Return headers that say who asks, or put that into the form (RFC 6749 2.3.1)."""
        config = self._config
        if not config.client_secret:
            form["client_id"] = config.client_id
            return {}
        supported = metadata.token_endpoint_auth_methods_supported
        if "client_secret_basic" in supported:
            pair = f"{quote_plus(config.client_id)}:{quote_plus(config.client_secret)}"
            return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        if "client_secret_post" in supported:
            form |= {"client_id": config.client_id, "client_secret": config.client_secret}
            return {}
        raise Unavailable("the OpenID provider accepts no client secret")

    async def _claims(
        self, answer: Mapping[str, Any], flow: Flow, metadata: Metadata
    ) -> dict[str, Any]:
        id_token: object = answer.get("id_token")
        access_token: object = answer.get("access_token")
        if not isinstance(id_token, str) or not isinstance(access_token, str):
            raise SignInRefused(SignInFault.UNPROVEN)
        if not (access_token.isascii() and access_token.isprintable()):
            raise SignInRefused(SignInFault.UNPROVEN)  # RFC 6749 A.12
        claims = await self._id_tokens.verify(id_token, nonce=flow.nonce, access_token=access_token)
        if not (self._config.asks_userinfo and metadata.userinfo_endpoint):
            return claims
        more = await self._http.get(metadata.userinfo_endpoint, bearer=access_token)
        if more.get("sub") != claims.get("sub"):
            raise SignInRefused(SignInFault.UNPROVEN)  # OIDC Core 5.3.2
        return {**more, **claims}


def _once(parameters: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the parameters that count, each of which may be there once (RFC 6749 3.1)."""
    said = [(name, value) for name, value in parameters if name in _OURS]
    if any(count > 1 for count in Counter(name for name, _ in said).values()):
        raise SignInRefused(SignInFault.FORGED)
    if any(len(value) > _LONGEST_VALUE for _, value in said):
        raise SignInRefused(SignInFault.FORGED)
    return dict(said)


def _answered(error: str) -> SignInRefused | Unavailable:
    if error in _PASSING:
        return Unavailable("the OpenID provider cannot sign anybody in now")
    return SignInRefused(_ERRORS.get(error, SignInFault.REFUSED))


def _with_query(url: str, more: Mapping[str, str]) -> str:
    """Return `url` with parameters besides those that it has (RFC 6749 3.1)."""
    parts = urlsplit(url)
    kept = [
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if name not in more
    ]
    return urlunsplit(parts._replace(query=urlencode([*kept, *more.items()])))
