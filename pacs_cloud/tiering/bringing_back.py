"""Studies brought back to STANDARD for good, as whoever pinned them has asked.

What can be read is copied up, or moved where the store has another way; what is cold is
recalled first, and copied up once it has come. Each step is one that can be done again.
"""

import logging
from collections.abc import Sequence
from dataclasses import astuple, dataclass

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.errors import Conflict, Corrupt, Denied, InvalidRequest, NotFound, Offline
from pacs_cloud.objectstore.port import Availability, ObjectStore
from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.telemetry import hashed
from pacs_cloud.tiering.lying import note_where
from pacs_cloud.tiering.recall.causes import Cause, Why
from pacs_cloud.tiering.recall.demand import Recalls, RecallWish
from pacs_cloud.tiering.recall.marks import key_of

log = logging.getLogger(__name__)

_PINNED = Cause(Why.PIN)


@dataclass(frozen=True, slots=True)
class Brought:
    """What became of packs that did not lie in STANDARD.

    Attributes:
        moved: that do now.
        waiting: that are being recalled first.
        left: that could not be moved: locked, being changed, or gone.
    """

    moved: int = 0
    waiting: int = 0
    left: int = 0

    def __add__(self, other: "Brought") -> "Brought":
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Brought(*(mine + theirs for mine, theirs in pairs))


def elsewhere(packs: Sequence[PackRecord]) -> list[PackRecord]:
    """Return those that lie anywhere but in STANDARD, and of which something is shown."""
    return [
        pack
        for pack in packs
        if pack.storage_class != StorageClass.STANDARD and len(pack.hidden) < pack.instance_count
    ]


async def bring_back(
    objects: ObjectStore,
    catalogue: Catalogue,
    recalls: Recalls,
    wish: RecallWish,
    tenant: str,
    study_instance_uid: str,
    *,
    now_us: int,
) -> Brought:
    """Bring the packs of a study to STANDARD, as far as that goes now.

    Args:
        objects: where they lie.
        catalogue: what they are of.
        recalls: asks for what is cold.
        wish: how.
        tenant: whose.
        study_instance_uid: which study.
        now_us: microseconds since 1970 UTC.

    Raises:
        Unavailable: a store cannot be reached; what was moved is noted next time.
    """
    lie_in: dict[str, str] = {}
    cold: list[PackRecord] = []
    done = Brought()
    for pack in elsewhere(await catalogue.packs(tenant, study_instance_uid)):
        key = key_of(pack).pack
        try:
            info = await objects.head(key)
            if info.availability is not Availability.ONLINE:
                cold.append(pack)
                lie_in[pack.pack_id] = info.storage_class
                continue
            info = await objects.move(key, StorageClass.STANDARD)
        except Offline:
            cold.append(pack)  # its copy has gone in this moment
            continue
        except (Conflict, Corrupt, Denied, InvalidRequest, NotFound) as error:
            fields = {"study": hashed(study_instance_uid), "pack": pack.pack_id}
            log.warning("pack_not_brought_back", extra={**fields, "error": type(error).__name__})
            done += Brought(left=1)
            continue
        lie_in[pack.pack_id] = info.storage_class
        done += Brought(moved=1)
    names = tenant, study_instance_uid
    if lie_in:
        await note_where(catalogue, *names, lie_in, now_us=now_us)
    if cold:
        known = {pack.pack_id for pack in cold}
        packs = [pack for pack in await catalogue.packs(*names) if pack.pack_id in known]
        try:
            await recalls.start(packs, wish, _PINNED)
        except (Corrupt, Denied, InvalidRequest, NotFound, Offline) as error:
            # Other studies are brought back all the same.
            fields = {"study": hashed(study_instance_uid), "error": type(error).__name__}
            log.warning("study_not_brought_back", extra=fields)
            return done + Brought(left=len(cold))
    return done + Brought(waiting=len(cold))
