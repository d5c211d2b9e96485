"""What a pack object says of itself, read from its end."""

from dataclasses import dataclass
from typing import Protocol

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import PackRecord, StagedPack, UidRef
from pacs_cloud.errors import Corrupt, NotFound
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.pack.index import PackIndex, decode_table, split_index
from pacs_cloud.pack.reader import SUFFIX_BYTES, NeedSuffix, read_directory, read_index
from pacs_cloud.pack.zipformat import Member


@dataclass(frozen=True, slots=True)
class StoredPack:
    """A pack as its own end describes it.

    Attributes:
        members: every member, `index.zst` last.
        index: the bytes of `index.zst`.
        table: what they say.
    """

    members: tuple[Member, ...]
    index: bytes
    table: PackIndex


class PackEnds(Protocol):
    """Gives the ends of pack objects, as `ObjectStore` does."""

    async def get_suffix(self, key: str, length_bytes: int) -> tuple[bytes, int]:
        """Return the last bytes of the object, and its size."""
        ...


async def read_stored_pack(objects: PackEnds, key: str) -> StoredPack:
    """Return what the pack object under `key` says of itself.

    Raises:
        NotFound: there is no such object.
        Offline: it is in a cold tier.
        Corrupt: it is not a finished pack, or its index has changed.
    """
    wanted = SUFFIX_BYTES
    while True:
        suffix, total_bytes = await objects.get_suffix(key, wanted)
        index = read_index(suffix, total_bytes)
        if isinstance(index, bytes):
            members = read_directory(suffix, total_bytes)
            assert not isinstance(members, NeedSuffix), "the index lies before the directory"
            split_index(index)
            return StoredPack(members, index, decode_table(index))
        if not wanted < index.length_bytes <= total_bytes:
            raise Corrupt("the pack's end records contradict each other")
        wanted = index.length_bytes


async def read_index_blob(objects: ObjectStore, key: PackKey) -> bytes:
    """Return the bytes of a pack's `index.zst`, from its index object.

    Where that is missing they come from the pack's own end, and the index object
    is written again: a cold pack's index must not need the pack.

    Raises:
        NotFound: there is neither.
        Offline: the index object is missing and the pack in a cold tier.
        Corrupt: what there is cannot be read.
    """
    try:
        return await objects.get(key.index)
    except NotFound:
        blob = (await read_stored_pack(objects, key.pack)).index
        await objects.put_new(key.index, blob)
        return blob


def key_of(record: PackRecord) -> PackKey:
    """Return the key of a committed pack."""
    return PackKey(
        record.tenant, record.study_instance_uid, record.series_instance_uid, record.pack_id
    )


def table_of(key: PackKey, blob: bytes) -> PackIndex:
    """Return the table in `blob`; raises Corrupt also when it is another pack's."""
    table = decode_table(blob)
    names = table.tenant, table.study_instance_uid, table.series_instance_uid, table.pack_id
    if PackKey(*names) != key:
        raise Corrupt("the index names another tenant, study, series or pack than its key")
    return table


def staged_pack(table: PackIndex, blob: bytes) -> StagedPack:
    """Return a pack as it is staged; raises Corrupt."""
    frames = split_index(blob)
    return StagedPack(
        table.tenant,
        table.study_instance_uid,
        table.series_instance_uid,
        table.pack_id,
        *frames,
        tuple(instance.sop_instance_uid for instance in table.instances),
    )


async def load_table(
    objects: ObjectStore, catalogue: Catalogue, tenant: str, ref: UidRef
) -> PackIndex:
    """Return a committed pack's table, from the catalogue or else from the store.

    Raises:
        NotFound, Offline, Corrupt: as `read_index_blob`.
    """
    frame = await catalogue.table(tenant, ref)
    if frame is not None:
        return decode_table(frame)
    key = PackKey(tenant, ref.study_instance_uid, ref.series_instance_uid, ref.pack_id)
    return table_of(key, await read_index_blob(objects, key))
