"""What somebody may do, in words; it follows from the one table that decides."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pacs_cloud.security.access import ALLOWED, BOUNDED
from pacs_cloud.security.caller import Action, Grant, Role
from pacs_cloud.security.rules import StudyRule

ROLE_NAMES: Final[Mapping[Role, str]] = {
    Role.ADMIN: "Administrator",
    Role.OPS: "Operations",
    Role.RADIOLOGIST: "Radiologist",
    Role.CLINICIAN: "Clinician",
    Role.REFERRER: "Referrer",
    Role.TECHNOLOGIST: "Technologist",
    Role.RESEARCHER: "Researcher",
    Role.AUDITOR: "Auditor",
    Role.DEVICE: "Device",
    Role.GUEST: "Guest",
}

_ACTIONS: Final[Mapping[Action, str]] = {
    Action.SEARCH: "find studies",
    Action.READ: "see images",
    Action.DOWNLOAD: "download them",
    Action.STORE: "bring studies in",
    Action.SEND: "send studies to other devices",
    Action.DELETE: "delete or restore them",
    Action.CORRECT: "correct or merge them",
    Action.SHARE: "share studies",
    Action.DEIDENTIFY: "take studies out de-identified",
    Action.BREAK_GLASS: "open restricted studies in an emergency",
    Action.OPERATE: "run storage and costs",
    Action.AUDIT: "read who did what",
    Action.ADMINISTER: "manage users, keys and devices",
}


@dataclass(frozen=True, slots=True)
class GrantText:
    """One grant as a page shows it.

    Attributes:
        role: its name.
        may: what it allows, a sentence.
        studies: with which studies, a sentence; "": with all.
    """

    role: str
    may: str
    studies: str


def grant_text(grant: Grant) -> GrantText:
    """Return a grant in words."""
    allowed = ALLOWED[grant.role] if grant.actions is None else ALLOWED[grant.role] & grant.actions
    words = [text for action, text in _ACTIONS.items() if action in allowed]
    if allowed >= frozenset(Action):
        may = "May do everything."
    else:
        may = f"May {_listed(words)}." if words else "May do nothing."
    return GrantText(ROLE_NAMES[grant.role], may, _studies(grant))


def _studies(grant: Grant) -> str:
    if grant.rules is None:
        return "No study is opened to this role yet." if grant.role in BOUNDED else ""
    if not grant.rules:
        return "No study is opened to this role yet."
    return f"Only studies {_listed([_rule(rule) for rule in grant.rules], 'or')}."


def _rule(rule: StudyRule) -> str:
    words: list[str] = []
    if rule.institutions:
        words.append(f"of {_listed(sorted(rule.institutions), 'or')}")
    if rule.referring_physicians:
        words.append(f"referred by {_listed(sorted(rule.referring_physicians), 'or')}")
    if rule.modalities:
        words.append(f"of modality {_listed(sorted(rule.modalities), 'or')}")
    if rule.labels:
        words.append(f"labelled {_listed(sorted(rule.labels), 'or')}")
    if rule.studies:
        words.append("named one by one" if len(rule.studies) > 1 else "named by its UID")
    if rule.series:
        words.append("of these some series")
    return " and ".join(words) or "of any kind"


def _listed(words: list[str], last: str = "and") -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"
