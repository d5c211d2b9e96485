"""Tables of packs, wherever they can be read cheaply."""

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import UidRef
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.pack.index import PackIndex, decode_table


class Tables:
    """Loads a committed pack's table: from the catalogue, else from its index object."""

    def __init__(self, catalogue: Catalogue, objects: ObjectStore) -> None:
        self._catalogue = catalogue
        self._objects = objects

    async def load(self, tenant: str, ref: UidRef) -> PackIndex:
        """Return the table of `ref`'s pack.

        Raises:
            NotFound: it is nowhere.
            Corrupt: it cannot be read.
        """
        table = await self._catalogue.table(tenant, ref)
        if table is None:
            key = PackKey(tenant, ref.study_instance_uid, ref.series_instance_uid, ref.pack_id)
            table = await self._objects.get(key.index)
        return decode_table(table)
