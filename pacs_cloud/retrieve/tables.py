"""Decoded pack tables and header frames, kept in memory up to a number of bytes.

A pack never changes, so what was decoded once stays true for as long as it is kept. What is
shown of it may, by amendments, which its record holds: here is the one place where tables and
headers are laid under them.
"""

import asyncio
from dataclasses import dataclass

import orjson

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import PackRecord, UidRef
from pacs_cloud.dicom.amended_header import amended_header
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.pack.amended import amended
from pacs_cloud.pack.index import PackIndex, PackInstance, decode_headers, decode_table, split_index
from pacs_cloud.retrieve.cache import BoundedCache

_INSTANCE_BYTES = 4096
"""What one decoded instance of a table takes in memory, roughly: its attributes above all."""
_RANGE_BYTES = 16
_LOADS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class PackTable:
    """A decoded table and its instances by UID."""

    index: PackIndex
    by_uid: dict[str, PackInstance]


class PackTables:
    """Tables and headers of committed packs, from the catalogue or else the `index/` object."""

    def __init__(
        self,
        catalogue: Catalogue,
        objects: ObjectStore,
        *,
        tables_max_bytes: int = 128 << 20,
        headers_max_bytes: int = 64 << 20,
    ) -> None:
        """Keep up to so many bytes of decoded tables and of headers."""
        self._catalogue = catalogue
        self._objects = objects
        self._tables: BoundedCache[PackTable] = BoundedCache(tables_max_bytes, "tables")
        self._headers: BoundedCache[bytes] = BoundedCache(headers_max_bytes, "headers")
        self._slots = asyncio.Semaphore(_LOADS_AT_ONCE)

    async def table(self, tenant: str, ref: UidRef) -> PackIndex:
        """Return the table of a committed pack; raises NotFound or Corrupt."""
        return (await self.lookup(tenant, ref)).index

    async def lookup(self, tenant: str, ref: UidRef) -> PackTable:
        """Return the table of a committed pack with its instances by UID; raises as `table`."""
        key = (tenant, ref.pack_id)
        kept = self._tables.peek(key)
        if kept is not None:
            return kept
        return await self._tables.get(key, lambda: self._load_table(tenant, ref))

    async def shown(self, pack: PackRecord) -> PackTable:
        """Return the table of a committed pack as its amendments show it; raises as `table`."""
        if not pack.amendments:
            return await self.lookup(pack.tenant, ref_of(pack))
        key = (pack.tenant, pack.pack_id, *(one.correction_id for one in pack.amendments))
        return await self._tables.get(key, lambda: self._amend(pack))

    async def shown_index(self, pack: PackRecord) -> PackIndex:
        """Return the table of a committed pack likewise, without its instances by UID."""
        return (await self.shown(pack)).index

    async def shown_header(self, pack: PackRecord, instance: PackInstance) -> Elements:
        """Return one header of a committed pack as its amendments show it; raises as `table`."""
        return header_in(await self.headers(pack.tenant, ref_of(pack)), pack, instance)

    def is_kept(self, tenant: str, ref: UidRef) -> bool:
        """Tell whether the table can be had without a read."""
        return (tenant, ref.pack_id) in self._tables

    async def headers(self, tenant: str, ref: UidRef) -> bytes:
        """Return the headers of a committed pack with a comma between, no longer a line break.

        Instances find theirs by offset all the same. Raises as `table`.
        """
        return await self._headers.get(
            (tenant, ref.pack_id), lambda: self._load_headers(tenant, ref)
        )

    async def _load_table(self, tenant: str, ref: UidRef) -> tuple[PackTable, int]:
        async with self._slots:
            frame = await self._catalogue.table(tenant, ref)
            if frame is None:
                frame, _ = split_index(await self._index_object(tenant, ref))
            index = await asyncio.to_thread(decode_table, frame)
        return _table_of(index)

    async def _amend(self, pack: PackRecord) -> tuple[PackTable, int]:
        stored = await self.lookup(pack.tenant, ref_of(pack))
        # Each amendment may look at each of thousands of instances.
        index = await asyncio.to_thread(amended, stored.index, pack.amendments)
        return _table_of(index)

    async def _load_headers(self, tenant: str, ref: UidRef) -> tuple[bytes, int]:
        async with self._slots:
            frames = await self._catalogue.index(tenant, ref)
            if frames is None:
                _, frame = split_index(await self._index_object(tenant, ref))
            else:
                frame = frames.headers
            headers = await asyncio.to_thread(_joined, frame)
        return headers, len(headers)

    async def _index_object(self, tenant: str, ref: UidRef) -> bytes:
        key = PackKey(tenant, ref.study_instance_uid, ref.series_instance_uid, ref.pack_id)
        return await self._objects.get(key.index)


def ref_of(pack: PackRecord) -> UidRef:
    """Return the names that find a pack's table."""
    return UidRef(pack.study_instance_uid, pack.series_instance_uid, pack.pack_id)


def header_in(headers: bytes, pack: PackRecord, instance: PackInstance) -> Elements:
    """Return one of a pack's headers as the pack's amendments show it.

    Args:
        headers: of the pack, all of them.
        pack: its record.
        instance: whose header.
    """
    start = instance.header_offset
    header: Elements = orjson.loads(headers[start : start + instance.header_length])
    return amended_header(header, pack.amendments, instance.sop_instance_uid)


def _table_of(index: PackIndex) -> tuple[PackTable, int]:
    by_uid = {instance.sop_instance_uid: instance for instance in index.instances}
    return PackTable(index, by_uid), _size_of(index)


def _joined(frame: bytes) -> bytes:
    # A JSON string has no line break of its own (RFC 8259 7), so these are the lines' ends.
    return decode_headers(frame).rstrip(b"\n").replace(b"\n", b",")


def _size_of(index: PackIndex) -> int:
    size = 0
    for instance in index.instances:
        size += _INSTANCE_BYTES + 128 * len(instance.bulk)
        if instance.pixels is not None and instance.pixels.encapsulated:
            size += _RANGE_BYTES * len(instance.pixels.frames or ())
    return size
