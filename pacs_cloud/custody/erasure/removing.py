"""The removal of what holds something erased, and of nothing else."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from pacs_cloud.catalogue.decisions import standing
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import HiddenReason, PackRecord, StudyState
from pacs_cloud.custody.erasure.doomed import Doomed
from pacs_cloud.custody.ledger import decisions_of
from pacs_cloud.custody.pack_removal import remove_pack, remove_with_replaced
from pacs_cloud.custody.repack.plan import RepackTerms
from pacs_cloud.custody.repack.run import SeriesRepack
from pacs_cloud.custody.repack.sweep import GRACE_US, retire_merged
from pacs_cloud.custody.stored_pack import key_of
from pacs_cloud.errors import Denied, NotFound
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.objectstore.port import Availability, ObjectStore
from pacs_cloud.pack.index import PackIndex

Recall: TypeAlias = Callable[[Sequence[PackRecord]], Awaitable[object]]
"""Begins to make packs readable that lie in a cold class."""


@dataclass(slots=True)
class Removal:
    """Of one study.

    Attributes:
        objects: the store.
        catalogue: the catalogue.
        folder: where packs are written that are made anew, as for `repack_series`.
        recall: asks for packs that are cold.
        now_us: the clock, microseconds since 1970 UTC.
        tenant: whose.
        study_instance_uid: which study.
        rewritten: how many packs were made anew.
        waiting: in words, why something could not be removed.
    """

    objects: ObjectStore
    catalogue: Catalogue
    folder: Path
    recall: Recall
    now_us: Callable[[], int]
    tenant: str
    study_instance_uid: str
    rewritten: int = 0
    waiting: set[str] = field(default_factory=set[str])

    async def remove(self, doomed: Doomed) -> bool:
        """Remove what can be removed, make anew what must be kept; return whether any was."""
        names = self.tenant, self.study_instance_uid
        for key in doomed.plain:
            await self._delete(key)
        changed = bool(doomed.plain)
        state = await self.catalogue.study(*names)
        records = {key_of(pack): pack for pack in state.packs} if state else {}
        changed |= await self._remove_orphans(doomed, records)
        cold: list[PackRecord] = []
        for key in sorted(doomed.packs.keys() & records.keys(), key=lambda key: key.pack_id):
            if await self._is_cold(key):
                cold.append(records[key])
            else:
                changed |= await self._rewrite(key)
        if cold:
            await self.recall(cold)
            self.waiting.add(f"{len(cold)} packs lie in a cold class, and were asked back from it")
        return changed

    async def _remove_orphans(self, doomed: Doomed, records: Mapping[PackKey, PackRecord]) -> bool:
        """Remove what the catalogue does not have; return whether anything was."""
        names = self.tenant, self.study_instance_uid
        decisions = await decisions_of(self.objects, *names)
        named = {pack_id for key in records for pack_id in _replaced(doomed.packs.get(key))}
        orphans = {
            key: info
            for key, info in doomed.found.packs.items()
            if key not in records and (key in doomed.packs or key.pack_id in named)
        }
        removed = 0
        settled: set[PackKey] = set()
        if orphans:
            now_us = self.now_us()
            retired = await retire_merged(
                self.objects,
                self.catalogue,
                orphans,
                doomed.read,
                decisions,
                now_us=now_us,
                kept_us=0,  # whoever holds the key of what is erased shall not read it
            )
            removed, settled = retired.removed, retired.keys
            self.waiting.update(one.detail for one in retired.problems)
            if len(settled) > removed:
                self.waiting.add("packs that a repack has left are removed within two hours")
        decided = standing(decisions)
        for key in doomed.packs.keys() - records.keys() - settled:
            uids = {one.sop_instance_uid for one in doomed.packs[key].instances}
            hidden = decided.get(key.pack_id, {})
            is_purged = all(hidden.get(uid) is HiddenReason.PURGED for uid in uids)
            removed += await self._remove_orphan(doomed, key, uids, is_purged=is_purged)
        return removed > 0

    async def _remove_orphan(
        self, doomed: Doomed, key: PackKey, uids: set[str], *, is_purged: bool
    ) -> bool:
        """Remove a pack that is purged, or an index object that was left; return whether."""
        index = doomed.found.indexes.get(key)
        is_left = key not in doomed.found.packs and (
            index is None or index.modified_us <= self.now_us() - GRACE_US
        )
        if not is_purged and not is_left:
            self.waiting.add("a pack that holds something of it is not in the catalogue yet")
            return False
        remove = remove_with_replaced if is_purged else remove_pack
        try:
            await remove(self.objects, self.catalogue, key, uids)
        except Denied as error:
            self.waiting.add(str(error))
            return False
        return True

    async def _is_cold(self, key: PackKey) -> bool:
        try:
            info = await self.objects.head(key.pack)
        except NotFound:
            return False  # reading it says so
        return info.availability is not Availability.ONLINE

    async def _rewrite(self, key: PackKey) -> bool:
        """Put a pack without what is erased in the place of one; return whether that was done."""
        state = await self.catalogue.study(self.tenant, self.study_instance_uid)
        record = _record_of(state, key)
        if state is None or record is None:
            return True  # somebody has come before
        terms = RepackTerms(max_bytes=record.length_bytes, max_instances=record.instance_count)
        repack = SeriesRepack(self.objects, self.catalogue, terms, self.folder, self.now_us)
        done = await repack.rewrite(state, record)
        self.rewritten += done.made
        self.waiting.update(f"{one.detail} ({one.key})" for one in done.problems)
        if not done.made and not done.problems:
            self.waiting.add("a pack that holds something of it is being changed by somebody else")
        return bool(done.made)

    async def _delete(self, key: str) -> None:
        try:
            await self.objects.delete(key)
        except Denied as error:
            self.waiting.add(str(error))


def _replaced(table: PackIndex | None) -> tuple[str, ...]:
    return table.replaces if table else ()


def _record_of(state: StudyState | None, key: PackKey) -> PackRecord | None:
    packs = state.packs if state else ()
    return next((pack for pack in packs if pack.pack_id == key.pack_id), None)
