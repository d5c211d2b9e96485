"""What a study's ledger is told of a correction, once it is made or undone there."""

from collections.abc import Sequence
from dataclasses import replace

from pacs_cloud.catalogue.amendment_entries import (
    AmendmentEntry,
    latest_entries,
    standing_amendments,
)
from pacs_cloud.catalogue.records import StudyState
from pacs_cloud.custody.corrections.book import Undone
from pacs_cloud.custody.corrections.correction import Correction
from pacs_cloud.custody.corrections.ledger import Decide
from pacs_cloud.dicom.amendment import Amendment


def making(correction: Correction, came_us: int | None) -> Decide:
    """Return what tells a study's ledger of the correction, unless it was told before.

    Over a study that came later, at `came_us`, it lies over all that stands there,
    whatever clock that has.
    """

    def decide(state: StudyState, entries: Sequence[AmendmentEntry]) -> AmendmentEntry | None:
        if correction.correction_id in latest_entries(entries):
            return None
        if state.study.erased and not state.packs:
            return None  # it would name a patient of whom nothing may be left here
        amended_us = correction.corrected_us
        if came_us is not None:
            last_us = max((one.amended_us for one in standing_amendments(entries)), default=0)
            amended_us = max(came_us, last_us + 1)
        elements = correction.elements
        amendment = replace(correction.amendment, elements=elements, amended_us=amended_us)
        return _entry(correction, state, amendment, correction.who, correction.reason)

    return decide


def undoing(correction: Correction, undone: Undone) -> Decide:
    """Return what tells a study's ledger that the correction is undone, where it stands."""

    def decide(state: StudyState, entries: Sequence[AmendmentEntry]) -> AmendmentEntry | None:
        latest = latest_entries(entries).get(correction.correction_id)
        if latest is None or latest.amendment is None:
            return None
        return _entry(correction, state, None, undone.who, undone.reason)

    return decide


def _entry(
    correction: Correction, state: StudyState, amendment: Amendment | None, who: str, reason: str
) -> AmendmentEntry:
    return AmendmentEntry(
        tenant=correction.tenant,
        study_instance_uid=state.study.study_instance_uid,
        correction_id=correction.correction_id,
        amendment=amendment,
        who=who,
        reason=reason,
        entered_us=0,  # that of the change
    )
