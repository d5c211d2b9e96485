"""The one place that decides who may do what; whatever it does not allow is refused.

A door makes a `Caller`, or lets nobody in. Services take that instead of a tenant's name, and
ask here: a door that forgets to say who asks does not type-check.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from pacs_cloud.errors import Denied
from pacs_cloud.security.caller import Action, Caller, Grant, Role
from pacs_cloud.security.rules import StudyFacts, StudyRule, rules_despite

_READING: Final = frozenset({Action.SEARCH, Action.READ, Action.DOWNLOAD})
_SEEING: Final = frozenset({Action.SEARCH, Action.READ})

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
_OF_NO_STUDY: Final = frozenset({Action.OPERATE, Action.AUDIT, Action.ADMINISTER})
_EVERY: Final = (StudyRule(),)


def may(caller: Caller, action: Action) -> bool:
    """Return whether somebody may do something at all, be it with few studies."""
    return any(_allows(grant, action) for grant in caller.grants)


def require(caller: Caller, action: Action) -> None:
    """Return where somebody may do something at all; raises Denied."""
    if not may(caller, action):
        raise Denied(f"{caller.subject} may not {action}")


def is_bounded(caller: Caller, action: Action, sensitive: frozenset[str] = frozenset()) -> bool:
    """Return whether there may be studies with which somebody may not do it.

    Args:
        caller: who.
        action: what.
        sensitive: the sensitive labels that these studies may have.
    """
    return not any(
        _allows(grant, action)
        and _is_unlimited(grant)
        and (not sensitive or _overlooks_labels(grant, action))
        for grant in caller.grants
    )


def administers(caller: Caller) -> bool:
    """Return whether somebody runs their whole tenant: for some studies only nobody does."""
    return not is_bounded(caller, Action.ADMINISTER)


def opens(caller: Caller, action: Action) -> bool:
    """Return whether the pages for something are open to somebody.

    Those that show the whole archive are for nobody who may do it with some studies only.
    """
    return not is_bounded(caller, action) if action in _OF_NO_STUDY else may(caller, action)


def may_with(caller: Caller, action: Action, facts: StudyFacts) -> bool:
    """Return whether somebody may do something with a study of their tenant."""
    return any(True for _ in _fitting(caller, action, facts))


def series_with(caller: Caller, action: Action, facts: StudyFacts) -> frozenset[str] | None:
    """Return with which series of a study somebody may do something; None: with all.

    Where `may_with` is not true that is none.
    """
    only: set[str] = set()
    for rule in _fitting(caller, action, facts):
        if not rule.series:
            return None
        only |= rule.series
    return frozenset(only)


def with_broken_glass(caller: Caller, studies: frozenset[str], sensitive: frozenset[str]) -> Caller:
    """Return somebody as they are while they have broken the glass of some studies.

    Each role of theirs that may do so sees these, and finds them, as far as it sees anything.

    Args:
        caller: who; whoever may not break the glass gets nothing by it.
        studies: these alone, by their UIDs.
        sensitive: the archive's sensitive labels: none of them hides these studies.
    """
    rules = rules_despite(StudyRule(studies=studies), sensitive)
    opened = tuple(
        Grant(grant.role, rules, _SEEING if grant.actions is None else _SEEING & grant.actions)
        for grant in caller.grants
        if _allows(grant, Action.BREAK_GLASS)
    )
    return replace(caller, grants=(*caller.grants, *opened))


def _fitting(caller: Caller, action: Action, facts: StudyFacts) -> Iterator[StudyRule]:
    """Yield each rule by which somebody may do it; of a grant without rules the empty one."""
    for grant in caller.grants:
        if not _allows(grant, action):
            continue
        shown = facts
        if facts.is_sensitive_by and _overlooks_labels(grant, action):
            shown = replace(facts, is_sensitive_by=frozenset())
        for rule in _EVERY if _is_unlimited(grant) else grant.rules or ():
            if rule.fits(shown):
                yield rule


def _allows(grant: Grant, action: Action) -> bool:
    return action in ALLOWED[grant.role] and (grant.actions is None or action in grant.actions)


def _overlooks_labels(grant: Grant, action: Action) -> bool:
    """Return whether no label hides a study from a grant.

    Administrators see all that they may. And whoever brings in whatever comes is no
    further shown anything by it: a modality goes on with its patient.
    """
    return grant.role is Role.ADMIN or (action is Action.STORE and grant.rules is None)


def _is_unlimited(grant: Grant) -> bool:
    return grant.rules is None and grant.role not in BOUNDED
