"""What the pages about custody and people need of the rooms below."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.custody.corrections.applying import Corrector
from pacs_cloud.custody.trash.deletion import Trash
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.security.witness import Witness
from pacs_cloud.workqueue.port import WorkQueue


@dataclass(frozen=True, slots=True)
class CustodyServices:
    """What is looked after with.

    Attributes:
        tenant: whose archive it is.
        objects: where packs lie.
        catalogue: what is known of them.
        queue: takes checks, which a worker does.
        archive: reads instances, hidden ones too.
        trash: restores what was deleted.
        corrector: makes corrections, and takes them back.
        witness: puts on record what is done and seen here.
        now_us: the time, microseconds since 1970 UTC.
        journals: where the audit trail's journals lie on this disk; None: nowhere.
        lets_in_locals: whether whoever is on this machine may associate without being known.
        aet: our own AE title, which corrections name as their system.
        sensitive: labels that hide a study from whoever is not named for them.
        trash_days: how long what was deleted can be restored.
        reread_days: in so many days every pack is read again; 0: never.
    """

    tenant: str
    objects: ObjectStore
    catalogue: Catalogue
    queue: WorkQueue
    archive: Archive
    trash: Trash
    corrector: Corrector
    witness: Witness
    now_us: Callable[[], int]
    journals: Path | None
    lets_in_locals: bool
    aet: str
    sensitive: frozenset[str]
    trash_days: float
    reread_days: float
