"""What amends a study in the catalogue, against what its ledger says."""

from collections.abc import Sequence
from typing import Final

from pacs_cloud.catalogue.amendment_entries import AmendmentEntry, standing_amendments
from pacs_cloud.catalogue.records import StudyState
from pacs_cloud.custody.findings import Finding, FindingKind, Severity
from pacs_cloud.dicom.amendment import of_series

_TEND: Final = (
    "start the archive: within minutes its worker ends a correction that has stopped; else"
    " rebuild the catalogue"
)


def against_entries(
    tenant: str,
    study_instance_uid: str,
    state: StudyState | None,
    entries: Sequence[AmendmentEntry],
    *,
    settled_us: int,
) -> list[Finding]:
    """Return how the amendments of a study differ from its ledger, and its packs' from its own.

    Args:
        tenant: whose.
        study_instance_uid: which study.
        state: as it was read; None where there is no record of it.
        entries: all that its ledger says of amendments, read behind.
        settled_us: what was told before should be committed by now.
    """
    known_us = max(state.study.rev if state else 0, settled_us)
    told = standing_amendments(one for one in entries if one.entered_us <= known_us)
    shown = state.study.amendments if state else ()
    details: list[str] = []
    if shown not in (told, standing_amendments(entries)):
        details.append("the study's corrections are not what the ledger says")
    behind = sum(
        pack.amendments != of_series(shown, pack.series_instance_uid)
        for pack in (state.packs if state else ())
    )
    if behind:
        details.append(f"{behind} of its packs do not have the study's corrections")
    return [
        Finding(
            FindingKind.LEDGER,
            Severity.WARNING,
            detail,
            _TEND,
            tenant=tenant,
            study_instance_uid=study_instance_uid,
        )
        for detail in details
    ]
