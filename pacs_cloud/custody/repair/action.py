"""What repairs there are, and which of them is for what was found."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pacs_cloud.custody.findings import Finding, FindingKind
from pacs_cloud.custody.ledger_check import OF_THE_TRASH, TEND
from pacs_cloud.objectstore.keys import PackKey

Kind = FindingKind


class Action(StrEnum):
    """One kind of repair, in the order in which they are done."""

    BRING_BACK = "bring an earlier version of the object back"
    WRITE_INDEX = "write the index object again"
    STAGE = "give the catalogue the pack's index and UIDs again"
    RECOMPUTE = "make the study's records again from its packs and its ledger"
    ADOPT = "adopt the pack, or remove it where the ledger says that nothing of it is wanted"
    REMOVE_INDEX = "remove the index object"
    UNSTAGE = "remove what the catalogue keeps of the pack"


_ACTIONS: Mapping[FindingKind, Action] = {
    Kind.DANGLING: Action.BRING_BACK,
    Kind.DAMAGED: Action.BRING_BACK,
    Kind.MISPLACED: Action.BRING_BACK,
    Kind.OUTSIDE: Action.BRING_BACK,
    Kind.CHECKSUM: Action.BRING_BACK,
    Kind.DIGEST: Action.BRING_BACK,
    Kind.INDEX_MISSING: Action.WRITE_INDEX,
    Kind.INDEX_DIFFERS: Action.WRITE_INDEX,
    Kind.UNSTAGED: Action.STAGE,
    Kind.UNFINDABLE: Action.STAGE,
    Kind.SIZE: Action.RECOMPUTE,
    Kind.COUNT: Action.RECOMPUTE,
    Kind.AGGREGATE: Action.RECOMPUTE,
    Kind.DOUBLE: Action.RECOMPUTE,
    Kind.LEDGER: Action.RECOMPUTE,
    Kind.STORAGE_CLASS: Action.RECOMPUTE,
    Kind.ORPHAN: Action.ADOPT,
    Kind.INDEX_ORPHAN: Action.REMOVE_INDEX,
    Kind.STAGED: Action.UNSTAGE,
}
_OF_THE_OBJECT = frozenset({Kind.DAMAGED, Kind.MISPLACED, Kind.DANGLING})
"""With one of these about a pack, it is the object that is wrong, and not its record."""


class Outcome(StrEnum):
    """What became of a finding."""

    WOULD = "would"
    """It would be repaired."""
    DONE = "done"
    """It is repaired: a check does not find it any more."""
    LEFT = "left"
    """It cannot be repaired, or is not to be: the words say why, and what to do."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """What is done about one finding.

    Attributes:
        finding: what was found.
        outcome: whether it would be repaired, is, or is left.
        detail: how, or why not; without patient data.
    """

    finding: Finding
    outcome: Outcome
    detail: str


def action_for(finding: Finding, all_findings: Collection[Finding]) -> Action | None:
    """Return what repairs a finding; None: nothing does.

    Args:
        finding: what was found.
        all_findings: about the same study.
    """
    if finding.kind is Kind.LEDGER and finding.key:
        return Action.BRING_BACK
    if finding.kind is Kind.LEDGER and (finding.repair == TEND or not finding.pack_id):
        return None  # somebody's deletion or correction is not over
    if finding.repair == OF_THE_TRASH:
        return None  # adopting it by itself would be taking a deletion for undone
    if finding.kind is Kind.INDEX_DIFFERS and not finding.key:
        return Action.STAGE
    about = {one.kind for one in all_findings if one.pack_id == finding.pack_id}
    if (finding.kind is Kind.SIZE and not about.isdisjoint(_OF_THE_OBJECT)) or (
        finding.kind is Kind.INDEX_DIFFERS and Kind.MISPLACED in about
    ):
        return Action.BRING_BACK
    return _ACTIONS.get(finding.kind)


def key_of(finding: Finding) -> PackKey:
    """Return the key of the pack that a finding is about."""
    return PackKey(
        finding.tenant, finding.study_instance_uid, finding.series_instance_uid, finding.pack_id
    )
