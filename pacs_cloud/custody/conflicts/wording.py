"""What disagrees, in words."""

from typing import Final

from pacs_cloud.catalogue.records import ConflictKind, HiddenReason
from pacs_cloud.custody.conflicts.listing import Disagreement

NEWCOMER: Final = "newcomer"
OTHER: Final = "other"
BOTH: Final = "both"
_WAITS: Final = HiddenReason.QUARANTINED.value


def shown_side(one: Disagreement) -> str:
    """Return which is shown: NEWCOMER, OTHER or BOTH."""
    if one.shown is None:
        return BOTH
    return NEWCOMER if one.shown == one.newcomer else OTHER


def in_words(one: Disagreement) -> str:
    """Return what disagrees, and which is shown, in a sentence or two."""
    if one.kind is ConflictKind.PATIENT:
        return "One study names several patients."
    if one.kind is ConflictKind.ELSEWHERE:
        return "One instance UID is in two series or studies; both are shown."
    which = "that came later" if shown_side(one) == NEWCOMER else "that came first"
    waits = " The other waits for a decision." if one.resolution == _WAITS else ""
    return f"Two contents under one instance UID; shown is the one {which}.{waits}"
