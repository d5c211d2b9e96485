"""The one place that decides who may do what; whatever it does not allow is refused.

A door makes a `Caller`, or lets nobody in. Services take that instead of a tenant's name, and
ask here: a door that forgets to say who asks does not type-check.
"""

from collections.abc import Mapping
from typing import Final

from pacs_cloud.errors import Denied
from pacs_cloud.security.caller import Action, Caller, Grant, Role
from pacs_cloud.security.rules import StudyFacts

_READING: Final = frozenset({Action.SEARCH, Action.READ, Action.DOWNLOAD})

ALLOWED: Final[Mapping[Role, frozenset[Action]]] = {
    Role.ADMIN: frozenset(Action),
    Role.OPS: frozenset({Action.OPERATE}),
    Role.RADIOLOGIST: _READING
    | {Action.STORE, Action.SEND, Action.SHARE, Action.DEIDENTIFY, Action.BREAK_GLASS},
    Role.CLINICIAN: _READING | {Action.SHARE, Action.BREAK_GLASS},
    Role.REFERRER: _READING,
    Role.TECHNOLOGIST: _READING | {Action.STORE, Action.SEND, Action.DELETE, Action.CORRECT},
    Role.RESEARCHER: frozenset({Action.DEIDENTIFY}),
    Role.AUDITOR: frozenset({Action.AUDIT}),
    Role.DEVICE: _READING | {Action.STORE, Action.SEND},
    Role.GUEST: _READING | {Action.STORE},
}
"""What each role may do, with the studies that its rules fit."""

BOUNDED: Final = frozenset({Role.REFERRER, Role.RESEARCHER, Role.GUEST})
"""Roles that see nothing unless a rule says what."""


def may(caller: Caller, action: Action) -> bool:
    """Return whether somebody may do something at all, be it with few studies."""
    return any(_allows(grant, action) for grant in caller.grants)


def require(caller: Caller, action: Action) -> None:
    """Return where somebody may do something at all; raises Denied."""
    if not may(caller, action):
        raise Denied(f"{caller.subject} may not {action}")


def is_bounded(caller: Caller, action: Action) -> bool:
    """Return whether there may be studies with which somebody may not do it."""
    return not any(_allows(grant, action) and _is_unlimited(grant) for grant in caller.grants)


def may_with(caller: Caller, action: Action, facts: StudyFacts) -> bool:
    """Return whether somebody may do something with a study of their tenant."""
    return any(
        _allows(grant, action)
        and (_is_unlimited(grant) or any(rule.fits(facts) for rule in grant.rules or ()))
        for grant in caller.grants
    )


def series_with(caller: Caller, action: Action, facts: StudyFacts) -> frozenset[str] | None:
    """Return with which series of a study somebody may do something; None: with all.

    Where `may_with` is not true that is none.
    """
    only: set[str] = set()
    for grant in caller.grants:
        if not _allows(grant, action):
            continue
        if _is_unlimited(grant):
            return None
        for rule in grant.rules or ():
            if rule.fits(facts):
                if not rule.series:
                    return None
                only |= rule.series
    return frozenset(only)


def _allows(grant: Grant, action: Action) -> bool:
    return action in ALLOWED[grant.role] and (grant.actions is None or action in grant.actions)


def _is_unlimited(grant: Grant) -> bool:
    return grant.rules is None and grant.role not in BOUNDED
