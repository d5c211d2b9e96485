"""What is known of a pack whose object, or whose record, is not as it should be."""

from dataclasses import dataclass
from itertools import islice

from pacs_cloud.catalogue.decisions import standing
from pacs_cloud.catalogue.judging import ref_of
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import HiddenReason, PackRecord, UidRef
from pacs_cloud.custody.findings import Finding, FindingKind
from pacs_cloud.custody.ledger import decisions_of
from pacs_cloud.custody.repack.ledger import Merge
from pacs_cloud.custody.repair.action import key_of
from pacs_cloud.custody.repair.sources import (
    any_index,
    earlier_version,
    good_index,
    is_ledger_object,
    is_whole_pack,
)
from pacs_cloud.custody.stored_pack import key_of as pack_key
from pacs_cloud.custody.stored_pack import load_table, table_of
from pacs_cloud.custody.unreadable import UNREADABLE
from pacs_cloud.errors import Conflict, Corrupt, NotFound
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.pack.index import PackIndex

_NAMED = 20
"""So many instances are named; the count tells of the others."""
_SOME = frozenset({FindingKind.CHECKSUM, FindingKind.DIGEST})
"""Findings about some instances of a pack."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Looks at a store and a catalogue, and changes neither."""

    objects: ObjectStore
    catalogue: Catalogue

    async def lost(self, one: Finding) -> str:
        """Return in words which instances cannot be read, or some of which."""
        try:
            table = await self.table(one)
        except Corrupt:
            return "nothing tells which instances it holds"
        uids = [instance.sop_instance_uid for instance in table.instances]
        what = "of these some are damaged" if one.kind in _SOME else "these are lost until then"
        more = ", …" if len(uids) > _NAMED else ""
        return f"{what}: {len(uids)} instances, {', '.join(islice(uids, _NAMED))}{more}"

    async def table(self, one: Finding) -> PackIndex:
        """Return the table of a pack from wherever it can be read; raises Corrupt."""
        key = key_of(one)
        try:
            return table_of(key, await self.objects.get(key.index))
        except UNREADABLE:
            _, table = await any_index(self.objects, self.catalogue, key, await self.record(one))
            return table

    async def record(self, one: Finding) -> PackRecord | None:
        """Return the record of a pack, None where it has none."""
        packs = await self.catalogue.packs(
            one.tenant, one.study_instance_uid, one.series_instance_uid
        )
        return next((pack for pack in packs if pack.pack_id == one.pack_id), None)

    async def index(self, one: Finding) -> tuple[bytes, PackIndex]:
        """Return the bytes of a pack's `index.zst` and its table; raises Corrupt."""
        record = await self.record(one)
        return await good_index(self.objects, self.catalogue, key_of(one), record)

    async def earlier(self, one: Finding) -> str:
        """Return the name of the newest version of an object that is what it should be.

        Raises:
            NotFound: there is none; says why.
            Conflict: it is so already, or its pack has gone from the catalogue meanwhile.
        """
        if not one.pack_id:
            return await earlier_version(self.objects, one.key, is_ledger_object(one.key))
        key, record = key_of(one), await self.record(one)
        if record is None and one.kind is not FindingKind.INDEX_ORPHAN:
            raise Conflict("the catalogue does not have the pack any more")
        try:
            known = await self._known(key)
        except UNREADABLE:
            known = None
        is_good = is_whole_pack(key, known, record.length_bytes if record else None)
        return await earlier_version(self.objects, key.pack, is_good)

    async def _known(self, key: PackKey) -> PackIndex:
        """Return a pack's table as its index object has it, or else the catalogue."""
        try:
            return table_of(key, await self.objects.get(key.index))
        except UNREADABLE:
            ref = UidRef(key.study_instance_uid, key.series_instance_uid, key.pack_id)
            frame = await self.catalogue.table(key.tenant, ref)
            if frame is None:
                raise
            return table_of(key, frame)

    async def pack_before(self, one: Finding) -> str | None:
        """Return an earlier version of the pack that an index object is without, if any."""
        try:
            return await self.earlier(one)
        except NotFound:
            return None

    async def nothing_is_lost(self, one: Finding) -> PackIndex:
        """Return the table of an index object without its pack, of which nobody needs anything.

        Raises:
            Conflict: an instance is named in it that is nowhere else.
        """
        key = key_of(one)
        table = table_of(key, await self.objects.get(key.index))
        decisions = await decisions_of(self.objects, key.tenant, key.study_instance_uid)
        if table.merged_rev is not None and not Merge.of(table).is_proven(decisions):
            return table  # its sources have everything
        purged = standing(decisions).get(key.pack_id, {})
        digests = {
            instance.sop_instance_uid: instance.digest
            for instance in table.instances
            if purged.get(instance.sop_instance_uid) is not HiddenReason.PURGED
        }
        for pack in await self.catalogue.packs(
            key.tenant, key.study_instance_uid, key.series_instance_uid
        ):
            try:
                await self.objects.head(pack_key(pack).pack)
            except NotFound:
                continue  # lost itself
            other = await load_table(self.objects, self.catalogue, key.tenant, ref_of(pack))
            for instance in other.instances:
                if digests.get(instance.sop_instance_uid) == instance.digest:
                    del digests[instance.sop_instance_uid]
        if digests:
            more = ", …" if len(digests) > _NAMED else ""
            raise Conflict(
                f"{len(digests)} instances are named in it that are nowhere else:"
                f" {', '.join(islice(sorted(digests), _NAMED))}{more}"
            )
        return table
