"""Where the bytes come from that repair an object: another copy, or an earlier version."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import PackRecord, UidRef
from pacs_cloud.custody.corrections.ledger import is_amendment_key, read_entry
from pacs_cloud.custody.deep import PackBytes, check_bytes
from pacs_cloud.custody.ledger import Gets, read_decisions
from pacs_cloud.custody.pack_check import PackReport, check_extents
from pacs_cloud.custody.stored_pack import PackEnds, read_stored_pack, staged_pack, table_of
from pacs_cloud.custody.unreadable import UNREADABLE
from pacs_cloud.errors import Conflict, Corrupt, NotFound, PacsError
from pacs_cloud.objectstore.earlier import AsOf, KeepsEarlier
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.pack.index import PackIndex, decode_headers


class Reads(Gets, PackEnds, PackBytes, Protocol):
    """Gives the bytes of objects: a store, or one object as it was."""


IsGood = Callable[[Reads], Awaitable[bool]]
"""Returns whether a version is what the object should be."""


async def good_index(
    objects: ObjectStore, catalogue: Catalogue, key: PackKey, record: PackRecord | None
) -> tuple[bytes, PackIndex]:
    """Return the bytes of a pack's `index.zst` and its table, from wherever they are right.

    The pack's own end is asked first, then its index object, then the catalogue.

    Args:
        objects: the store.
        catalogue: the catalogue.
        key: which pack.
        record: of the pack; its count must agree.

    Raises:
        Corrupt: they are nowhere right.
    """
    reasons: list[str] = []
    for source in (
        lambda: _own(objects, key),
        lambda: objects.get(key.index),
        lambda: _staged(catalogue, key),
    ):
        try:
            blob = await source()
            table = table_of(key, blob)
            decode_headers(staged_pack(table, blob).headers)
            if record is not None and len(table.instances) != record.instance_count:
                raise Corrupt("an index counts other instances than the record")
        except UNREADABLE as error:
            reasons.append(str(error))
        else:
            return blob, table
    raise Corrupt(f"no copy of the pack's index is right: {'; '.join(reasons)}")


async def any_index(
    objects: ObjectStore, catalogue: Catalogue, key: PackKey, record: PackRecord | None
) -> tuple[bytes, PackIndex]:
    """Return the same where one agrees with the record, else whatever index there is."""
    try:
        return await good_index(objects, catalogue, key, record)
    except Corrupt:
        return await good_index(objects, catalogue, key, None)


async def _own(objects: ObjectStore, key: PackKey) -> bytes:
    return (await read_stored_pack(objects, key.pack)).index


async def _staged(catalogue: Catalogue, key: PackKey) -> bytes:
    ref = UidRef(key.study_instance_uid, key.series_instance_uid, key.pack_id)
    frames = await catalogue.index(key.tenant, ref)
    if frames is None:
        raise NotFound("the catalogue has no copy")
    return frames.table + frames.headers


async def earlier_version(objects: ObjectStore, key: str, is_good: IsGood) -> str:
    """Return the newest earlier version that is what the object should be.

    Raises:
        NotFound: there is none; says why.
        Conflict: the object is what it should be, or is so again.
        Denied, Offline: it may be, and cannot be read; or an earlier version cannot.
        Unavailable: the store cannot be reached.
    """
    if await _is_good(is_good, objects):
        raise Conflict("the object is whole")
    if not isinstance(objects, KeepsEarlier):
        raise NotFound("this store keeps no earlier versions")
    versions = await objects.earlier(key)
    for version in versions:
        if await _is_good(is_good, AsOf(objects, version)):
            return version
    if versions:
        raise NotFound(f"none of its {len(versions)} earlier versions is whole")
    raise NotFound("there is no earlier version of it")


async def _is_good(is_good: IsGood, version: Reads) -> bool:
    try:
        return await is_good(version)
    except (Corrupt, NotFound):
        return False


def is_whole_pack(key: PackKey, known: PackIndex | None, length_bytes: int | None) -> IsGood:
    """Return what says whether a version is the pack of `key`, to its last byte.

    Args:
        key: of the pack.
        known: its table, where that is known.
        length_bytes: of its object, which counts where nothing else is known of it.
    """

    async def is_good(version: Reads) -> bool:
        pack = await read_stored_pack(version, key.pack)
        table = table_of(key, pack.index)
        report = PackReport(key)
        check_extents(pack, report)
        if report.findings:
            return False
        if known is not None and table != known:
            return False
        if known is None and length_bytes is not None:
            _, size = await version.get_suffix(key.pack, 1)
            if size != length_bytes:
                return False
        return [one async for one in check_bytes(version, key, pack)] == []

    return is_good


def is_ledger_object(key: str) -> IsGood:
    """Return what says whether a version can be read as what a ledger has under this key."""

    async def is_good(version: Reads) -> bool:
        if is_amendment_key(key):
            await read_entry(version, key)
            return True
        # A key begins with when it was decided.
        name = key.rpartition("/")[2]
        return all(
            name.startswith(f"{one.decided_us:016x}-") for one in await read_decisions(version, key)
        )

    return is_good


def because(error: PacsError) -> str:
    """Return why something is left, as a sentence's end."""
    return str(error).rstrip(".")
