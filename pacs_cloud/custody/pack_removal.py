"""The removal of a pack that nobody wants any more."""

import logging
from collections.abc import Iterable
from dataclasses import replace

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import UidRef
from pacs_cloud.custody.stored_pack import read_index_blob, table_of
from pacs_cloud.errors import Corrupt, NotFound, Offline
from pacs_cloud.objectstore.hot_keys import thumbs_prefix
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.pack.index import PackIndex
from pacs_cloud.telemetry import hashed

log = logging.getLogger(__name__)


async def remove_with_replaced(
    objects: ObjectStore, catalogue: Catalogue, key: PackKey, sop_instance_uids: Iterable[str]
) -> None:
    """Remove a pack, and before it what it has replaced, as far as that waits for removal.

    Without it nobody could tell those packs from such whose commit never happened.
    Arguments as `remove_pack`.
    """
    for pack_id in await _replaced_by(objects, key):
        older = replace(key, pack_id=pack_id)
        try:
            table = await _table(objects, older)
        except NotFound:
            continue  # it is removed already
        uids = [one.sop_instance_uid for one in table.instances] if table else []
        await remove_pack(objects, catalogue, older, uids)
    await remove_pack(objects, catalogue, key, sop_instance_uids)


async def _replaced_by(objects: ObjectStore, key: PackKey) -> tuple[str, ...]:
    try:
        table = await _table(objects, key)
    except NotFound:
        return ()
    return table.replaces if table else ()


async def _table(objects: ObjectStore, key: PackKey) -> PackIndex | None:
    """Return a pack's table, None where it cannot be read; raises NotFound."""
    try:
        return table_of(key, await read_index_blob(objects, key))
    except (Corrupt, Offline):
        return None


async def remove_pack(
    objects: ObjectStore, catalogue: Catalogue, key: PackKey, sop_instance_uids: Iterable[str]
) -> None:
    """Remove all that is left of a pack that the catalogue does not know any more.

    Its own object goes last: as long as it is there, the sweep for orphans finds it.
    `sop_instance_uids` are all of its instances'.
    """
    ref = UidRef(key.study_instance_uid, key.series_instance_uid, key.pack_id)
    await catalogue.unstage(key.tenant, ref, sorted(sop_instance_uids))
    names = key.study_instance_uid, key.series_instance_uid, key.pack_id
    thumbnails = [info.key async for info in objects.list(thumbs_prefix(key.tenant, *names))]
    for thumbnail in thumbnails:
        await objects.delete(thumbnail)
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
