"""What corrections have written down about instances that are erased: it names the patient."""

from collections.abc import Collection

from pacs_cloud.custody.corrections.book import read_correction
from pacs_cloud.custody.corrections.correction import CorrectionKind
from pacs_cloud.custody.corrections.ledger import is_amendment_key, read_entry
from pacs_cloud.custody.walk import CORRECTIONS, StudyObjects
from pacs_cloud.dicom.amendment import Amendment
from pacs_cloud.errors import NotFound
from pacs_cloud.objectstore.port import ObjectStore


async def words_about(
    objects: ObjectStore, found: StudyObjects, erased: frozenset[str], left: Collection[str]
) -> list[str]:
    """Return the keys of what was written about nothing but what is erased of a study.

    These are entries of its ledger that amend an erased instance, or a series or a study of
    which nothing is left, and orders of corrections that are about such alone: a merge of
    patients is about more.

    Args:
        objects: the store.
        found: the study's objects.
        erased: SOP Instance UIDs.
        left: UIDs of the series that have another instance.

    Raises:
        Corrupt: an entry or an order cannot be read.
    """
    by_correction: dict[str, list[str]] = {}
    doomed: set[str] = set()
    for info in found.ledger:
        if is_amendment_key(info.key):
            entry = await read_entry(objects, info.key)
            by_correction.setdefault(entry.correction_id, []).append(info.key)
            if entry.amendment is not None and _is_about(entry.amendment, erased, left):
                doomed.add(entry.correction_id)
    keys: list[str] = []
    for correction_id in sorted(doomed):
        # The orders first: as long as an entry is there, the next turn finds them.
        keys += await _orders(objects, found, correction_id)
        keys += by_correction[correction_id]
    return keys


def _is_about(amendment: Amendment, erased: frozenset[str], left: Collection[str]) -> bool:
    if amendment.sop_instance_uid:
        return amendment.sop_instance_uid in erased
    if amendment.series_instance_uid:
        return amendment.series_instance_uid not in left
    return not left


async def _orders(objects: ObjectStore, found: StudyObjects, correction_id: str) -> list[str]:
    """Return the keys of a correction's order, where it is about this study alone."""
    try:
        order = await read_correction(objects, found.tenant, correction_id)
    except NotFound:
        return []
    if order.kind is CorrectionKind.PATIENT_MERGE or set(order.studies) != {
        found.study_instance_uid
    }:
        return []
    prefix = f"{CORRECTIONS}{found.tenant}/{correction_id}"
    return [info.key async for info in objects.list(prefix)]
