"""The sections of the operations pages, and who may see each."""

from dataclasses import dataclass
from typing import Final

from pacs_cloud.security import access
from pacs_cloud.security.caller import Action, Caller
from pacs_cloud.web.local_paths import OPS


@dataclass(frozen=True, slots=True)
class Section:
    """A page of its own in the navigation.

    Attributes:
        path: where it is; what lies below it belongs to it.
        name: what the navigation calls it.
        action: what somebody must be allowed to do to see it.
        is_of_people: whether it is about who may come in; where nobody signs in there is none.
    """

    path: str
    name: str
    action: Action
    is_of_people: bool = False


SECTIONS: Final = (
    Section(OPS, "Overview", Action.OPERATE),
    Section(f"{OPS}/ingest", "Ingest", Action.OPERATE),
    Section(f"{OPS}/queue", "Queue", Action.OPERATE),
    Section(f"{OPS}/devices", "Devices", Action.OPERATE),
    Section(f"{OPS}/tiers", "Tiers", Action.OPERATE),
    Section(f"{OPS}/cost", "Cost", Action.OPERATE),
    Section(f"{OPS}/recalls", "Recalls", Action.OPERATE),
    Section(f"{OPS}/integrity", "Integrity", Action.OPERATE),
    Section(f"{OPS}/conflicts", "Conflicts", Action.CORRECT),
    Section(f"{OPS}/corrections", "Corrections", Action.CORRECT),
    Section(f"{OPS}/trash", "Trash", Action.DELETE),
    Section(f"{OPS}/users", "Users", Action.ADMINISTER, is_of_people=True),
    Section(f"{OPS}/keys", "API keys", Action.ADMINISTER, is_of_people=True),
    Section(f"{OPS}/ae-titles", "AE titles", Action.ADMINISTER),
    Section(f"{OPS}/shares", "Shares", Action.ADMINISTER, is_of_people=True),
    Section(f"{OPS}/audit", "Audit", Action.AUDIT),
)
"""In the order of the navigation."""


def sections_of(caller: Caller, *, has_people: bool = True) -> tuple[Section, ...]:
    """Return the sections that are open to somebody; `has_people` as `places_of`."""
    return tuple(
        one
        for one in SECTIONS
        if access.opens(caller, one.action) and (has_people or not one.is_of_people)
    )
