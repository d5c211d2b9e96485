"""Index objects that are missing, written again while the catalogue still has what they held."""

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.custody.repair.sources import good_index
from pacs_cloud.custody.walk import StudyObjects, walk_studies
from pacs_cloud.errors import Conflict, Corrupt, Denied
from pacs_cloud.objectstore.port import ObjectStore


async def write_missing_indexes(objects: ObjectStore, catalogue: Catalogue) -> int:
    """Write the index objects that packs are without; return how many.

    Of a pack that lies cold, or is damaged, the catalogue may have the only other copy.
    What can be had nowhere, or may not be written, is left to whoever needs it.

    Raises:
        Unavailable: the store or the catalogue cannot be reached.
    """
    written = 0
    async for found in walk_studies(objects):
        if not isinstance(found, StudyObjects):
            continue
        for key in found.packs.keys() - found.indexes.keys():
            try:
                blob, _ = await good_index(objects, catalogue, key, None)
                await objects.put_new(key.index, blob)
            except (Corrupt, Denied, Conflict):
                continue
            written += 1
    return written
