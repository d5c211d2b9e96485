"""The file of a merged pack, with received bytes given up only where that is worth it."""

import asyncio
from functools import partial
from pathlib import Path

from pacs_cloud.custody.repack.copying import MergedFile, write_merged
from pacs_cloud.custody.repack.plan import Group, RepackTerms
from pacs_cloud.custody.repack.recoding import Recoder
from pacs_cloud.custody.repack.unfinished import created
from pacs_cloud.objectstore.port import ObjectStore

LEAST_SAVED_PART = 0.05
"""An instance of which less would be saved stays as it came."""


async def write_worthwhile(
    objects: ObjectStore,
    group: Group,
    path: Path,
    terms: RepackTerms,
    *,
    pack_id: str,
    merged_rev: int,
) -> MergedFile | None:
    """Write the pack that `group` becomes to `path`; None where nothing is won by it.

    What is encoded anew stays as it came where all of that saves less than
    `terms.least_saved_bytes`; the packs are merged all the same.

    Raises:
        Corrupt, NotFound, Offline, OSError: as `write_merged`.
    """
    write = partial(write_merged, objects, group, pack_id=pack_id, merged_rev=merged_rev)
    if not terms.encode:
        return await write(created(path))
    part = LEAST_SAVED_PART if terms.least_saved_bytes else 0.0
    recoder = Recoder(path.parent, least_saved_part=part)
    merged = await write(created(path), recoder=recoder)
    if merged.recoded and merged.recoding_saved_bytes >= terms.least_saved_bytes:
        return merged
    if not group.frees:
        return None
    if not merged.recoded:
        return merged
    await asyncio.to_thread(path.unlink)
    return await write(created(path))
