"""Who a provider's claims are about, and what that makes them here; pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pacs_cloud.identity.oidc_config import OidcConfig
from pacs_cloud.identity.oidc_jwt import Fault, TokenRefused
from pacs_cloud.security.caller import Grant
from pacs_cloud.security.claims import grants_for, values_at

_TENANT: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_LONGEST_USER: Final = 255
_LONGEST_NAME: Final = 80


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whom verified claims are about.

    Attributes:
        tenant: whose data they may ask for.
        subject: `oidc:<provider>:<user>`.
        display_name: how to greet them.
        grants: what the site's table makes of their claims.
    """

    tenant: str
    subject: str
    display_name: str = field(repr=False)
    grants: tuple[Grant, ...] = field(repr=False)


def person_of(claims: Mapping[str, Any], config: OidcConfig) -> Person:
    """Return whom verified claims are about.

    Raises:
        TokenRefused: they name no user, or no tenant where a claim has to.
    """
    user = _one(claims, config.user_claim)
    if not user or len(user) > _LONGEST_USER or not user.isprintable():
        raise TokenRefused(Fault.USER)
    tenant = config.tenant
    if config.tenant_claim is not None:
        tenant = _one(claims, config.tenant_claim)
        if not _TENANT.fullmatch(tenant):
            raise TokenRefused(Fault.USER)
    names = (_one(claims, path) for path in (config.name_claim, ("preferred_username",)))
    greeting = next((name for name in names if name), user)
    shown = "".join(character for character in greeting if character.isprintable())
    grants = grants_for(claims, config.grants)
    return Person(tenant, f"oidc:{config.provider}:{user}", shown[:_LONGEST_NAME], grants)


def _one(claims: Mapping[str, Any], path: tuple[str, ...]) -> str:
    """Return the only text in a claim; "" where there is none, or several."""
    values = values_at(claims, path)
    return values[0] if len(values) == 1 else ""
