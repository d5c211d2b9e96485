"""Headers with the bulk values that decide how frames look."""

import asyncio
from typing import Final

from pacs_cloud.dicom.element_values import DataSet
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.retrieve.bulk import Bulk
from pacs_cloud.retrieve.cache import BoundedCache
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.retrieve.pieces import stream
from pacs_cloud.retrieve.stored_parts import Stored

_LOOKS: Final = frozenset(
    {"00283006", "00281201", "00281202", "00281203", "00281221", "00281222", "00281223"}
)
"""Lookup tables and palettes."""
_OVERLAYS: Final = frozenset(f"{group:04X}3000" for group in range(0x6000, 0x6020, 2))
_MAX_VALUE_BYTES: Final = 8 << 20
_MAX_VALUES: Final = 64
"""Of one header; what looks are made of more is nothing that anybody has made in earnest."""
_JSON_FACTOR: Final = 8
"""How much more memory a parsed header takes than its text."""


class ViewedHeaders:
    """Parsed headers, kept for the frames that are asked for next."""

    def __init__(
        self, objects: ObjectStore, stored: Stored, bulk: Bulk, *, max_bytes: int = 64 << 20
    ) -> None:
        """Keep up to so many bytes."""
        self._objects = objects
        self._stored = stored
        self._bulk = bulk
        self._kept: BoundedCache[DataSet] = BoundedCache(max_bytes, "viewed-headers")

    async def read(self, located: Located, *, with_overlays: bool = False) -> DataSet:
        """Return the header of an instance; with the data of its overlay planes if wanted."""
        instance = located.instance
        key = (*located.shown_key, str(with_overlays))

        async def load() -> tuple[DataSet, int]:
            wanted = _LOOKS | _OVERLAYS if with_overlays else _LOOKS
            paths = [
                value.path
                for value in instance.bulk
                if value.path.rpartition("/")[2] in wanted and value.length <= _MAX_VALUE_BYTES
            ][:_MAX_VALUES]
            values = await asyncio.gather(*(self._value(located, path) for path in paths))
            elements = await self._stored.header(located)
            size = _JSON_FACTOR * instance.header_length + sum(map(len, values))
            return DataSet(elements, dict(zip(paths, values, strict=True))), size

        return await self._kept.get(key, load)

    async def _value(self, located: Located, path: str) -> bytes:
        pieces = self._bulk.pieces(located, path)
        return b"".join([chunk async for chunk in stream(self._objects, pieces)])
