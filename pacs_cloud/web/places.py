"""Where the bar above every page leads, by what somebody may do."""

from dataclasses import dataclass
from typing import Final

from pacs_cloud.identity.shares_record import share_id_of
from pacs_cloud.security import access
from pacs_cloud.security.caller import Action, Caller
from pacs_cloud.web.local_paths import HOME, OPS, SHARES, STUDIES, UPLOAD, share_url


@dataclass(frozen=True, slots=True)
class Place:
    """A page that others start from.

    Attributes:
        path: where it is; what lies below it belongs to it.
        name: what the bar calls it.
        icon: beside that, of `parts.html`.
    """

    path: str
    name: str
    icon: str


_PLACES: Final = (
    (Place(STUDIES, "Studies", "studies"), frozenset({Action.SEARCH})),
    (Place(UPLOAD, "Upload", "upload"), frozenset({Action.STORE})),
    (Place(SHARES, "Shares", "share"), frozenset({Action.SHARE, Action.ADMINISTER})),
    (
        Place(OPS, "Operations", "pulse"),
        frozenset(
            {
                *(Action.OPERATE, Action.AUDIT, Action.ADMINISTER),
                *(Action.CORRECT, Action.DELETE),
            }
        ),
    ),
)
"""Each with what opens it; any one of these."""


def places_of(caller: Caller, *, has_people: bool = True) -> tuple[Place, ...]:
    """Return the places that are open to somebody, the one they start from first.

    Args:
        caller: who.
        has_people: whether people are told from one another here; else nothing is shared.
    """
    return tuple(
        place
        for place, actions in _PLACES
        if any(access.opens(caller, one) for one in actions)
        and (has_people or place.path != SHARES)
    )


def start_of(caller: Caller) -> str:
    """Return the path that somebody starts from: a guest the page of their link.

    The account is open to everybody else.
    """
    share = share_id_of(caller.subject)
    if share is not None:
        return share_url(share)
    return next((place.path for place in places_of(caller)), HOME)
