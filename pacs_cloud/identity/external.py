"""Somebody whom a provider vouches for; nothing of them is kept but their session."""

from dataclasses import dataclass, field

from pacs_cloud.security.caller import Caller, Grant


@dataclass(frozen=True, slots=True)
class ExternalUser:
    """Who has signed in elsewhere, and what that makes them here.

    Attributes:
        tenant: whose data they may ask for.
        subject: who, as the audit trail names them: `oidc:<provider>:<user>`.
        display_name: how pages greet them; it identifies nobody.
        grants: what their claims gave at the sign-in; () may do nothing.
        until_us: from then on they have to sign in again.
    """

    tenant: str
    subject: str
    display_name: str = field(repr=False)
    grants: tuple[Grant, ...] = field(repr=False)
    until_us: int

    def caller(self, *, address: str) -> Caller:
        """Return them as somebody who asks."""
        return Caller(self.tenant, self.subject, self.grants, address)
