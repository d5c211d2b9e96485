"""What a study's record begins with: what its objects say that no pack does."""

from pacs_cloud.catalogue.amendment_entries import standing_amendments
from pacs_cloud.catalogue.recompute import empty_study, is_remembered
from pacs_cloud.catalogue.records import StudyRecord
from pacs_cloud.custody.corrections.ledger import is_amendment_key, read_entry
from pacs_cloud.custody.erasure.entries import read_erasures, tombstones
from pacs_cloud.custody.labels import read_labels, standing_labels
from pacs_cloud.custody.walk import StudyObjects
from pacs_cloud.objectstore.port import ObjectStore


async def remembered(objects: ObjectStore, found: StudyObjects) -> StudyRecord | None:
    """Return a study's record before any pack: with its corrections, erasures and labels.

    Returns:
        None where it has none of these.

    Raises:
        NotFound, Corrupt: one of them cannot be read.
        Unavailable: the store cannot be reached.
    """
    erasures = await read_erasures(objects, [info.key for info in found.erasures])
    labels = await read_labels(objects, [info.key for info in found.labels])
    keys = [info.key for info in found.ledger if is_amendment_key(info.key)]
    entries = [await read_entry(objects, key) for key in keys]
    study = empty_study(
        found.tenant,
        found.study_instance_uid,
        0,
        amendments=standing_amendments(entries),
        erased=tombstones(erasures),
        labels=standing_labels(labels),
    )
    return study if is_remembered(study) else None
