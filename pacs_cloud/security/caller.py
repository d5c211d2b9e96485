"""Who asks: made by a door once somebody is known, and asked for by every service."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from pacs_cloud.errors import Unidentified
from pacs_cloud.security.rules import StudyRule

CALLER: Final = "pacs.caller"
"""Where a request's ASGI scope has its caller, once a door has let it in."""


class Action(StrEnum):
    """What somebody may do, or not."""

    SEARCH = "search"
    """Find studies, and see their attributes."""
    READ = "read"
    """See headers and images."""
    DOWNLOAD = "download"
    """Take whole instances away as files."""
    STORE = "store"
    """Bring instances in; whoever may so with some studies only, to one of these by its name."""
    SEND = "send"
    """Have studies sent to another application entity."""
    DELETE = "delete"
    """Put into the trash, restore, reject."""
    CORRECT = "correct"
    """Merge patients, move and correct studies, choose between two contents of one UID."""
    SHARE = "share"
    """Let somebody else see a study that one sees oneself."""
    DEIDENTIFY = "deidentify"
    """Take studies out without what identifies their patients."""
    BREAK_GLASS = "break-glass"
    """See a study that no rule lets one see, for a reason that is kept."""
    OPERATE = "operate"
    """Tiers, recalls, costs, repairs; no patient's data."""
    AUDIT = "audit"
    """Read who did what."""
    ADMINISTER = "administer"
    """Users, keys, application entities, and what they may."""


class Role(StrEnum):
    """What somebody is to the archive; `access` says what each may do."""

    ADMIN = "admin"
    OPS = "ops"
    RADIOLOGIST = "radiologist"
    CLINICIAN = "clinician"
    REFERRER = "referrer"
    TECHNOLOGIST = "technologist"
    RESEARCHER = "researcher"
    AUDITOR = "auditor"
    DEVICE = "device"
    GUEST = "guest"


@dataclass(frozen=True, slots=True)
class Grant:
    """One role, and for which studies.

    Attributes:
        role: which.
        rules: any one of them must fit a study; None: every study of the tenant, but for
            roles that are bounded (`access.BOUNDED`), to which None is no study.
        actions: what of the role's they may do; None: all of it. It never adds any.
    """

    role: Role
    rules: tuple[StudyRule, ...] | None = None
    actions: frozenset[Action] | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who is known.

    Attributes:
        tenant: whose data; there are no others for them.
        subject: who, as the audit trail names them: `user:anna`, `key:3f…`, `ae:CT1`,
            `guest:…`, `system`.
        grants: what they are. None at all may do nothing.
        address: where they are, "" where that is this process.
    """

    tenant: str
    subject: str
    grants: tuple[Grant, ...] = field(repr=False)
    address: str = ""


def caller_in(scope: Mapping[str, Any]) -> Caller:
    """Return who makes the request of an ASGI scope; raises Unidentified where nobody knows."""
    caller: Caller | None = scope.get(CALLER)
    if caller is None:
        raise Unidentified("nobody is signed in")
    return caller


def system(tenant: str) -> Caller:
    """Return the archive itself, at work for a tenant: whoever may run its processes may all."""
    return Caller(tenant, "system", (Grant(Role.ADMIN),))
