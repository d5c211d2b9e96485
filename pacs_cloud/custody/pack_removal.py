"""The removal of a pack that nobody wants any more."""

import logging
from collections.abc import Iterable

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import UidRef
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.telemetry import hashed

log = logging.getLogger(__name__)


async def remove_pack(
    objects: ObjectStore, catalogue: Catalogue, key: PackKey, sop_instance_uids: Iterable[str]
) -> None:
    """Remove all that is left of a pack that the catalogue does not know any more.

    Its own object goes last: as long as it is there, the sweep for orphans finds it.
    `sop_instance_uids` are all of its instances'.
    """
    ref = UidRef(key.study_instance_uid, key.series_instance_uid, key.pack_id)
    await catalogue.unstage(key.tenant, ref, sorted(sop_instance_uids))
    await objects.delete(key.index)
    await objects.delete(key.pack)
    log.info(
        "pack_removed",
        extra={
            "tenant": key.tenant,
            "study": hashed(key.study_instance_uid),
            "pack": key.pack_id,
        },
    )
