"""Packs that stay where they are, though a policy has asked the store to move them."""

import logging

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.errors import Conflict, Corrupt, Denied, InvalidRequest, NotFound, Offline
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.objectstore.storage_classes import class_named
from pacs_cloud.tiering.lying import note_where
from pacs_cloud.tiering.recall.marks import key_of

log = logging.getLogger(__name__)


async def stay(objects: ObjectStore, pack: PackRecord) -> str:
    """Take back what was asked of the store for a pack; return the class that it lies in.

    Moved to where it is, it has no tag any more by which a lifecycle rule would move it.

    Raises:
        as `ObjectStore.head` and `move`.
    """
    key = key_of(pack).pack
    lies_in = (await objects.head(key)).storage_class
    known = class_named(lies_in)
    return lies_in if known is None else (await objects.move(key, known)).storage_class


async def stay_all(
    objects: ObjectStore,
    catalogue: Catalogue,
    tenant: str,
    study_instance_uid: str,
    *,
    now_us: int,
) -> int:
    """Do so for all packs of a study, and note where they lie; return how many failed.

    Raises:
        Unavailable: a store cannot be reached.
    """
    failed = 0
    lie_in: dict[str, str] = {}
    for pack in await catalogue.packs(tenant, study_instance_uid):
        try:
            lie_in[pack.pack_id] = await stay(objects, pack)
        except (Conflict, Corrupt, Denied, InvalidRequest, NotFound, Offline) as error:
            failed += 1
            fields = {"pack": pack.pack_id, "error": type(error).__name__}
            log.warning("pack_not_kept", extra=fields)
    await note_where(catalogue, tenant, study_instance_uid, lie_in, now_us=now_us)
    return failed
