"""Every byte of a pack against its checksums and digests, in one pass at constant memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from blake3 import blake3

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import UidRef
from pacs_cloud.custody.findings import REBUILD, Finding, FindingKind, Severity, about_pack
from pacs_cloud.custody.pack_check import LET_READ, RESTORE
from pacs_cloud.custody.stored_pack import StoredPack
from pacs_cloud.errors import Corrupt, Denied, NotFound, Offline
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.pack.index import PackIndex
from pacs_cloud.pack.writer import checksum, member_name

READ_BYTES = 4 << 20
MayBeStaged = Callable[[PackKey], Awaitable[bool]]
"""Says whether there is anything of a pack but what is staged of it."""
TookBytes = Callable[[int], Awaitable[None]]
"""Told how many bytes have come; the next are asked for when it has returned."""


@dataclass(slots=True)
class _Extent:
    """One member's bytes, hashed as they come by."""

    start: int
    dataset: int
    end: int
    crc32: int
    digest: str
    crc: int = 0
    hasher: blake3 = field(default_factory=blake3)

    def take(self, at: int, chunk: memoryview) -> None:
        """Hash what of `chunk`, which lies at `at`, is this member's."""
        end = self.end - at
        if (start := max(self.start - at, 0)) < min(end, len(chunk)):
            self.crc = checksum(chunk[start:end], self.crc)
        if (start := max(self.dataset - at, 0)) < min(end, len(chunk)):
            self.hasher.update(chunk[start:end])


class PackBytes(Protocol):
    """Gives the bytes of pack objects, as `ObjectStore` does."""

    def stream(
        self, key: str, start: int = 0, end: int | None = None, *, chunk_bytes: int
    ) -> AsyncIterator[bytes]:
        """Yield a range in chunks."""
        ...


async def check_bytes(
    objects: PackBytes, key: PackKey, pack: StoredPack, took: TookBytes | None = None
) -> AsyncIterator[Finding]:
    """Yield what of a pack's bytes is not what was written.

    The index was verified when it was read (`read_stored_pack`). `took` may hold the
    reading up.
    """
    crcs = {member.name: member.crc32 for member in pack.members}
    extents = sorted(
        (
            _Extent(
                start=one.offset,
                dataset=one.offset + one.dataset_offset,
                end=one.offset + one.length_bytes,
                # An instance without a member was reported with the table (`pack_check`).
                crc32=crcs.get(member_name(one.sop_instance_uid), -1),
                digest=one.stored_digest,
            )
            for one in pack.table.instances
        ),
        key=lambda extent: extent.start,
    )
    try:
        await _hash(objects, key.pack, extents, took)
    except (Corrupt, NotFound, Offline) as error:
        detail = f"the pack could not be read to its end: {error}"
        yield about_pack(
            key, FindingKind.DAMAGED, Severity.ERROR, detail, RESTORE, object_key=key.pack
        )
        return
    except Denied as error:
        detail = f"the pack may not be read: {error}"
        yield about_pack(
            key, FindingKind.DENIED, Severity.ERROR, detail, LET_READ, object_key=key.pack
        )
        return
    bad_crc = sum(extent.crc != extent.crc32 for extent in extents)
    bad_digest = sum(extent.hasher.hexdigest() != extent.digest for extent in extents)
    for count, kind, what in (
        (bad_crc, FindingKind.CHECKSUM, "members do not have their CRC-32"),
        (bad_digest, FindingKind.DIGEST, "data sets do not have their digest"),
    ):
        if count:
            yield about_pack(
                key, kind, Severity.ERROR, f"{count} {what}", RESTORE, object_key=key.pack
            )


async def _hash(
    objects: PackBytes, key: str, extents: list[_Extent], took: TookBytes | None
) -> None:
    at, first = 0, 0

    def take(chunk: bytes) -> None:
        nonlocal first
        view = memoryview(chunk)
        while first < len(extents) and extents[first].end <= at:
            first += 1
        for extent in extents[first:]:
            if extent.start >= at + len(chunk):
                break
            extent.take(at, view)

    async for chunk in objects.stream(key, chunk_bytes=READ_BYTES):
        await asyncio.to_thread(take, chunk)
        at += len(chunk)
        if took is not None:
            await took(len(chunk))


async def check_findable(
    catalogue: Catalogue, key: PackKey, table: PackIndex, may_be_staged: MayBeStaged
) -> AsyncIterator[Finding]:
    """Yield whether the catalogue finds every instance of a pack by its UID, and nothing else.

    `may_be_staged` is asked of other packs of the same study.
    """
    ref = UidRef(key.study_instance_uid, key.series_instance_uid, key.pack_id)
    uids = [instance.sop_instance_uid for instance in table.instances]
    refs = await catalogue.find_uids(key.tenant, [*uids, key.series_instance_uid])
    missing = [uid for uid in uids if ref not in refs.get(uid, ())]
    if missing or not refs.get(key.series_instance_uid):
        yield about_pack(
            key,
            FindingKind.UNFINDABLE,
            Severity.WARNING,
            f"the catalogue does not find {len(missing)} of its instances, or its series, by UID",
            REBUILD,
        )
    seen = {one for found in refs.values() for one in found}
    left = {one for one in seen if one.study_instance_uid == key.study_instance_uid}
    for one in sorted(left, key=lambda one: one.pack_id):
        other = PackKey(key.tenant, one.study_instance_uid, one.series_instance_uid, one.pack_id)
        if one != ref and not await may_be_staged(other):
            yield about_pack(
                other,
                FindingKind.STAGED,
                Severity.WARNING,
                "the catalogue has the index of a pack that is nowhere",
                REBUILD,
            )
