"""Who everybody is where nobody signs in (`no_auth`): whoever uses the archive's machine."""

from dataclasses import dataclass
from typing import Final

from pacs_cloud.security.caller import Action, Caller, Grant, Role

_GRANTS: Final = (
    Grant(Role.ADMIN, actions=frozenset(Action) - {Action.SHARE, Action.BREAK_GLASS}),
)
"""A link would be opened by nobody, and no glass is left to break."""


@dataclass(frozen=True, slots=True)
class Everybody:
    """Whoever uses this machine, as an administrator of a tenant.

    Attributes:
        tenant: which.
        subject: how the audit trail names them.
        display_name: how pages call them.
    """

    tenant: str
    subject: str = "local"
    display_name: str = "Local administrator"

    @property
    def grants(self) -> tuple[Grant, ...]:
        """What they may do."""
        return _GRANTS

    def caller(self, *, address: str) -> Caller:
        """Return them as somebody who asks."""
        return Caller(self.tenant, self.subject, self.grants, address)
