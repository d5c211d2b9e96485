"""User identity of a request for an association: names and passcodes (PS3.7 D.3.3.7)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from pacs_cloud.dimse.associate import UserIdentity
from pacs_cloud.dimse.gate import PeerRefused
from pacs_cloud.dimse.pdu import USER_IDENTITY_NOT_ACCEPTED
from pacs_cloud.errors import Denied, InvalidRequest
from pacs_cloud.identity.devices import UserPolicy
from pacs_cloud.security.caller import Action, Caller


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A user who has proved who they are.

    Attributes:
        caller: them.
        still: returns whether they would come in as the same now.
    """

    caller: Caller
    still: Callable[[], Awaitable[bool]]


SignIn = Callable[[str, str, str, str], Awaitable[SignedIn]]
"""Returns the user of a tenant with a name and a passcode, from an address; raises Denied."""

_NAME: Final = 1
_NAME_AND_PASSCODE: Final = 2
_KINDS: Final = {3: "kerberos", 4: "saml", 5: "jwt"}
_MOST_BYTES: Final = 1024
"""Of a name or a passcode: hashing more would be work that a stranger gives us."""


async def user_of(
    identity: UserIdentity | None,
    policy: UserPolicy,
    sign_in: SignIn | None,
    tenant: str,
    address: str,
) -> SignedIn | None:
    """Return the user that a request names and proves; None where none has to be.

    Args:
        identity: what the request says, or None.
        policy: what is made of it.
        sign_in: proves names and passcodes; None: nobody has any.
        tenant: whose users.
        address: where the request comes from.

    Raises:
        PeerRefused: no user is proved, where one has to be.
        Unavailable: users cannot be read now.
    """
    if policy is UserPolicy.IGNORE:
        return None
    if identity is None or identity.kind == _NAME:
        # A name alone proves nothing.
        if policy is UserPolicy.REQUIRE:
            raise _refused("passcode-missing")
        return None
    if identity.kind != _NAME_AND_PASSCODE:
        raise _refused(f"{_KINDS.get(identity.kind, 'kind')}-not-supported")
    if sign_in is None or max(len(identity.primary), len(identity.secondary)) > _MOST_BYTES:
        raise _refused("not-signed-in")
    try:
        name, passcode = identity.primary.decode(), identity.secondary.decode()
        return await sign_in(tenant, name, passcode, address)
    except (UnicodeDecodeError, InvalidRequest, Denied) as error:
        # Neither the name nor the passcode may reach a log.
        raise _refused("not-signed-in") from error


def narrowed(user: Caller, actions: frozenset[Action]) -> Caller:
    """Return a user at a device: they may what both may."""
    grants = tuple(
        replace(grant, actions=actions if grant.actions is None else grant.actions & actions)
        for grant in user.grants
    )
    return replace(user, grants=grants)


def _refused(why: str) -> PeerRefused:
    return PeerRefused(USER_IDENTITY_NOT_ACCEPTED, f"user-{why}")
