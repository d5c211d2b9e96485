"""What the archive is told of its OpenID provider, as one value."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, get_args

from pacs_cloud.security.claims import ClaimGrant, ClaimPath
from pacs_cloud.settings import OidcAlgorithm

RETURN_PATH: Final = "/oidc/callback"
"""Where the provider sends people back to, below the archive's address."""
SIGNED_OUT_PATH: Final = "/sign-in"


@dataclass(frozen=True, slots=True)
class OidcConfig:
    """One provider, and what the archive believes of it.

    Attributes:
        issuer: what the provider calls itself, letter by letter.
        tenant: whose data its users may ask for, where no claim says that.
        grants: what claims give.
        client_id: what the provider calls this archive; "": nobody signs in to pages.
        client_secret: "" for a public client, which PKCE alone protects.
        redirect_uri: the page that the provider sends people back to.
        signed_out_uri: the page that the provider sends people to whom it has signed out.
        audiences: a bearer token must be for one of them; none: no bearer token is accepted.
        name: of the provider in subjects; "": made from the issuer.
        user_claim: what names a user for ever; `sub` unless there is a reason.
        name_claim: how to greet them.
        tenant_claim: what names their tenant; who lacks it is nobody.
        scopes: what is asked for at a sign-in; `openid` always is.
        algorithms: of signatures, from `settings.OidcAlgorithm`.
        asks_userinfo: whether the sign-in asks for claims that the ID token lacks.
        skew_s: how far the provider's clock may be off.
        session_s: after so long claims are asked for again, by a new sign-in.
    """

    issuer: str
    tenant: str
    grants: Sequence[ClaimGrant]
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    redirect_uri: str = ""
    signed_out_uri: str = ""
    audiences: frozenset[str] = frozenset()
    name: str = ""
    user_claim: ClaimPath = ("sub",)
    name_claim: ClaimPath = ("name",)
    tenant_claim: ClaimPath | None = None
    scopes: Sequence[str] = ("openid", "profile", "email")
    algorithms: frozenset[str] = frozenset(get_args(OidcAlgorithm))
    asks_userinfo: bool = False
    skew_s: float = 60
    session_s: float = 3600

    @property
    def provider(self) -> str:
        """The provider's name in subjects: no other issuer's users can come to have them."""
        return self.name or hashlib.sha256(self.issuer.encode()).hexdigest()[:12]
