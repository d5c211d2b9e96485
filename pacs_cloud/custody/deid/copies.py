"""Tenants that hold nothing but copies for a time: found, and removed whole.

Copies of no value by themselves: there is no trash for them, no ledger and no grace.
"""

import logging
from typing import Final

from pacs_cloud.catalogue.judging import ref_of
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.races import until_done
from pacs_cloud.catalogue.records import StudyChange
from pacs_cloud.custody.pack_removal import remove_with_replaced
from pacs_cloud.custody.stored_pack import read_index_blob, table_of
from pacs_cloud.custody.walk import AUDIT, INDEX, KNOWN, PACKS
from pacs_cloud.errors import Corrupt, NotFound, Offline
from pacs_cloud.objectstore.keys import PackKey, parse_pack_key
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.objectstore.tenants import tenants_of

log = logging.getLogger(__name__)

_TREES: Final = tuple(tree for tree in KNOWN if tree != AUDIT)
"""Where something of them may lie; what was done with them stays on record."""


async def tenants_beginning(objects: ObjectStore, begin: str) -> set[str]:
    """Return the tenants of whom there is anything and whose names begin so."""
    found: set[str] = set()
    for tree in _TREES:
        found.update(f"{begin}{rest}" for rest in await tenants_of(objects, f"{tree}{begin}"))
    return found


async def remove_tenant(objects: ObjectStore, catalogue: Catalogue, tenant: str) -> None:
    """Remove all that a tenant has, from the catalogue first, then from the store.

    Packs go last of each study: what a crash leaves is found by them, and removed the next time.

    Raises:
        Denied: the store locks some of it.
        Unavailable: the store or the catalogue cannot be reached, or somebody writes there
            again and again.
    """
    packs = [
        key
        for tree in (PACKS, INDEX)
        async for info in objects.list(f"{tree}{tenant}/")
        if (key := parse_pack_key(info.key)) is not None
    ]
    for study in dict.fromkeys(key.study_instance_uid for key in packs):
        await _forget(catalogue, tenant, study)
    for key in dict.fromkeys(packs):
        await remove_with_replaced(objects, catalogue, key, await _uids(objects, key))
    for tree in _TREES:
        for left in [info.key async for info in objects.list(f"{tree}{tenant}/")]:
            await objects.delete(left)
    if packs:
        log.info("copies_removed", extra={"tenant": tenant, "packs": len(set(packs))})


async def _forget(catalogue: Catalogue, tenant: str, study: str) -> None:
    """Have the catalogue know nothing of a study any more."""

    async def forgotten(_: int) -> bool:
        state = await catalogue.study(tenant, study)
        if state is not None:
            gone = StudyChange(
                tenant,
                study,
                before=state.study,
                after=None,
                drop_series=tuple(one.series_instance_uid for one in state.series),
                drop_packs=tuple(map(ref_of, state.packs)),
            )
            await catalogue.commit(gone)
        return False

    await until_done(forgotten)


async def _uids(objects: ObjectStore, key: PackKey) -> list[str]:
    """Return the SOP Instance UIDs of a pack, as far as anything tells them."""
    try:
        table = table_of(key, await read_index_blob(objects, key))
    except (NotFound, Corrupt, Offline):
        return []
    return [one.sop_instance_uid for one in table.instances]
