"""Deflated data sets, inflated once and kept for the frames that are asked for next."""

import asyncio

from pacs_cloud.dicom import uid
from pacs_cloud.dicom.deflate import inflate
from pacs_cloud.errors import Corrupt, InvalidInstance
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.retrieve.cache import BoundedCache
from pacs_cloud.retrieve.instances import Located


class DataSets:
    """Bytes of data sets, addressed as a pack's table does: deflated ones as inflated."""

    def __init__(self, objects: ObjectStore, *, inflated_max_bytes: int = 256 << 20) -> None:
        """Keep up to so many bytes of inflated data sets."""
        self._objects = objects
        self._inflated: BoundedCache[bytes] = BoundedCache(inflated_max_bytes, "inflated")
        self._one_at_a_time = asyncio.Semaphore(1)

    async def read(self, located: Located, start: int, end: int) -> bytes:
        """Return bytes `start` to `end` of an instance's (inflated) data set."""
        if uid.is_deflated(located.instance.transfer_syntax_uid):
            return (await self.inflated(located))[start:end]
        where = located.data_set(start, end)
        return await self._objects.get(where.key, where.start, where.end)

    async def inflated(self, located: Located) -> bytes:
        """Return a deflated instance's data set, inflated.

        Raises:
            Corrupt: it no longer inflates to what it did at ingest.
        """
        instance = located.instance
        return await self._inflated.get(
            (located.pack.pack_id, instance.sop_instance_uid), lambda: self._inflate(located)
        )

    async def _inflate(self, located: Located) -> tuple[bytes, int]:
        expected = located.instance.inflated_bytes or 0
        where = located.data_set()
        async with self._one_at_a_time:
            deflated = await self._objects.get(where.key, where.start, where.end)
            try:
                data = await asyncio.to_thread(inflate, deflated, expected)
            except InvalidInstance as error:
                raise Corrupt("A deflated data set can no longer be inflated.") from error
        if len(data) != expected:
            raise Corrupt("A deflated data set does not inflate to its former length.")
        return data, len(data)
