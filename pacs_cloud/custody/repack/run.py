"""One series' packs on their way into fewer.

The merged pack and its index are stored, read back and checked; the ledger gets what it
hides; then one change of the catalogue puts it in the place of the others. These stay for
a grace, since readers may hold their keys, and the sweep for orphans removes them then.
The pack goes before its index: a pack that a crash leaves is found by that sweep.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from pacs_cloud.catalogue.decisions import Decision
from pacs_cloud.catalogue.judging import ref_of
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import HiddenReason, PackRecord, StudyState
from pacs_cloud.catalogue.repacking import Swap, swap_packs
from pacs_cloud.custody.deep import check_bytes
from pacs_cloud.custody.findings import Finding, FindingKind, Severity, about_pack
from pacs_cloud.custody.holds import is_held
from pacs_cloud.custody.ledger import decisions_of
from pacs_cloud.custody.pack_removal import remove_pack
from pacs_cloud.custody.repack.copying import MergedFile
from pacs_cloud.custody.repack.ledger import carry_over, is_settled, prove
from pacs_cloud.custody.repack.placing import put_beside
from pacs_cloud.custody.repack.plan import (
    Group,
    RepackTerms,
    Source,
    deleted_in,
    groups_of,
    without_versions,
)
from pacs_cloud.custody.repack.recoding import is_native, may_recode
from pacs_cloud.custody.repack.report import Repacked
from pacs_cloud.custody.repack.sweep import GRACE_US
from pacs_cloud.custody.repack.unfinished import UNFINISHED
from pacs_cloud.custody.repack.writing import write_worthwhile
from pacs_cloud.custody.stored_pack import (
    StoredPack,
    key_of,
    load_table,
    read_stored_pack,
    staged_pack,
    table_of,
)
from pacs_cloud.errors import Corrupt, NotFound, Offline, PacsError, Unavailable
from pacs_cloud.objectstore.keys import PackKey, parse_pack_key
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.pack.index import PackIndex
from pacs_cloud.pack.instance import PackInstance
from pacs_cloud.pack.pack_id import new_pack_id
from pacs_cloud.telemetry import hashed

log = logging.getLogger(__name__)

_LOOK = "check the archive's every byte (fsck --deep)"


@dataclass(slots=True)
class SeriesRepack:
    """One series on its way; fields as the arguments of `repack.repack_series`."""

    objects: ObjectStore
    catalogue: Catalogue
    terms: RepackTerms
    folder: Path
    now_us: Callable[[], int]
    problems: list[Finding] = field(default_factory=list[Finding])
    stored: set[str] | None = None

    async def run(self, state: StudyState, done: Repacked) -> Repacked:
        """Repack, group by group; return `done` with what that was."""
        records = [
            one for one in state.packs if one.series_instance_uid == done.series_instance_uid
        ]
        if deleted := deleted_in(records):
            found = await self.catalogue.find_uids(done.tenant, deleted)
            records = without_versions(records, found)
        look = self._read, self._is_worth_reading
        decisions: list[Decision] | None = None
        async with aclosing(groups_of(records, *look, self.terms)) as groups:
            async for group in groups:
                if not group.is_worth_it(self._may_recode):
                    continue
                if decisions is None:
                    # Behind the state: whatever is decided later changes the state's `rev`.
                    names = done.tenant, done.study_instance_uid
                    decisions = await decisions_of(self.objects, *names)
                done = await self._replace(group, state.study.rev, decisions, done)
        return replace(done, problems=tuple(self.problems))

    async def rewrite(self, state: StudyState, record: PackRecord) -> Repacked:
        """Make one pack of `state` anew, without what of it is purged; return what was done.

        It is left (`waiting`) while its study is held, while somebody changes what it hides,
        and while what it has replaced is stored.
        """
        done = Repacked(record.tenant, record.study_instance_uid, record.series_instance_uid)
        pack, group = await self._read(record), Group()
        if pack is None or not group.join(Source(record, pack), self.terms):
            return replace(done, waiting=1, problems=tuple(self.problems))
        names = record.tenant, record.study_instance_uid
        decisions = await decisions_of(self.objects, *names)
        done = await self._replace(group, state.study.rev, decisions, done)
        return replace(done, problems=tuple(self.problems))

    async def _read(self, record: PackRecord) -> StoredPack | None:
        """Return what a pack says of itself; None for one that has to be left alone for now."""
        key = key_of(record)
        try:
            pack = await read_stored_pack(self.objects, key.pack)
            table_of(key, pack.index)
        except Offline:
            return None  # a rule of the bucket has moved it
        except (Corrupt, NotFound) as error:
            self.problems.append(
                about_pack(
                    key, FindingKind.DAMAGED, Severity.ERROR, str(error), _LOOK, object_key=key.pack
                )
            )
            return None
        # What it has replaced must be gone first: afterwards nobody would name it.
        replaced = set(pack.table.replaces)
        return None if replaced and replaced & await self._stored_beside(key) else pack

    async def _is_worth_reading(self, record: PackRecord) -> bool:
        """Return whether a pack alone may win something, as far as the catalogue tells."""
        if HiddenReason.PURGED in record.hidden.values():
            return True
        if not self.terms.encode:
            return False
        try:
            table = await load_table(self.objects, self.catalogue, record.tenant, ref_of(record))
        except (Corrupt, NotFound, Offline):
            return True  # reading the pack will tell
        return any(map(is_native, table.instances))

    async def _stored_beside(self, key: PackKey) -> set[str]:
        """Return the ids of the series' packs that the store has."""
        if self.stored is None:
            prefix = key.pack.rpartition("/")[0] + "/"
            keys = [parse_pack_key(info.key) async for info in self.objects.list(prefix)]
            self.stored = {one.pack_id for one in keys if one is not None}
        return self.stored

    def _may_recode(self, source: Source, wanted: Sequence[PackInstance]) -> bool:
        return self.terms.encode and may_recode(source, wanted)

    async def _replace(
        self, group: Group, rev: int, decisions: Sequence[Decision], done: Repacked
    ) -> Repacked:
        """Make one pack of `group`, and return `done` with that added."""
        names = done.tenant, done.study_instance_uid
        is_free = not await is_held(self.objects, *names, now_us=self.now_us())
        if not is_free or not is_settled(group.records, rev, decisions):
            return replace(done, waiting=done.waiting + len(group.sources))
        pack_id = new_pack_id(self.now_us())
        path = self.folder / f"{pack_id}{UNFINISHED}"
        try:
            merged = await write_worthwhile(
                self.objects, group, path, self.terms, pack_id=pack_id, merged_rev=rev
            )
            if merged is None:
                return done
            swapped = self.terms.dry or await self._swap(group, merged, path, decisions)
        except (Corrupt, NotFound, Offline) as error:
            self.problems.append(unmergeable(done, error))
            return done
        except OSError as error:
            raise Unavailable(f"the folder for repacking: {error.strerror}") from error
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        if not swapped:
            return replace(done, waiting=done.waiting + len(group.sources))
        return _added(done, group, merged, self.terms)

    async def _swap(
        self, group: Group, merged: MergedFile, path: Path, decisions: Sequence[Decision]
    ) -> bool:
        """Store the merged pack, and put it in the place of the others; return whether it is.

        Raises:
            Corrupt: what the store has is not what was written.
        """
        table, hidden = merged.table, group.hidden
        key = PackKey(
            table.tenant, table.study_instance_uid, table.series_instance_uid, table.pack_id
        )
        until_us = self.now_us() + GRACE_US // 2
        await self.objects.put_file(key.pack, path)
        await self.objects.put_new(key.index, merged.index)
        try:
            await self._check(key, merged)
        except (Corrupt, NotFound):
            await remove_pack(self.objects, self.catalogue, key, ())
            raise
        kept: dict[str, list[str]] = {}
        for uid, (place, _) in group.kept.items():
            kept.setdefault(group.sources[place].record.pack_id, []).append(uid)
        await carry_over(self.objects, table, hidden, kept, decisions)
        swap = Swap(
            index=table,
            staged=staged_pack(table, merged.index),
            length_bytes=merged.length_bytes,
            storage_class=await put_beside(self.objects, key.pack, group.records[0]),
            hidden=hidden,
            packs=group.records,
            growth_bytes=_growth(group, table),
        )
        swapped = await swap_packs(
            self.catalogue,
            swap,
            load_table=partial(load_table, self.objects, self.catalogue),
            now_us=self.now_us,
            until_us=until_us,
        )
        if swapped is None:
            await remove_pack(self.objects, self.catalogue, key, group.kept)
            return False
        await prove(self.objects, swapped.record, swapped.rev)
        return True

    async def _check(self, key: PackKey, merged: MergedFile) -> None:
        """Read back what was stored; raises Corrupt where it is not what was written."""
        stored = await read_stored_pack(self.objects, key.pack)
        if stored.index != merged.index:
            raise Corrupt("the stored pack is not what was written")
        async for finding in check_bytes(self.objects, key, stored):
            raise Corrupt(f"the stored pack is not what was written: {finding.detail}")


def _growth(group: Group, table: PackIndex) -> int:
    """Return by how much longer the visible instances of a merged pack are than they were."""
    hidden = group.hidden
    return sum(
        one.length_bytes - group.kept[one.sop_instance_uid][1].length_bytes
        for one in table.instances
        if one.sop_instance_uid not in hidden
    )


def unmergeable(done: Repacked, error: PacsError) -> Finding:
    """Return the finding that packs of the series that `done` is about stay as they are."""
    return Finding(
        FindingKind.DAMAGED,
        Severity.ERROR,
        f"the packs of a series cannot be merged: {error}",
        _LOOK,
        tenant=done.tenant,
        study_instance_uid=done.study_instance_uid,
        series_instance_uid=done.series_instance_uid,
    )


def _added(done: Repacked, group: Group, merged: MergedFile, terms: RepackTerms) -> Repacked:
    """Return `done` with one more merged pack."""
    before = sum(record.length_bytes for record in group.records)
    instances = merged.table.instances
    read_bytes = dict(done.read_bytes)
    lay_in = group.records[0].storage_class
    if lay_in != terms.home_class:
        read_bytes[lay_in] = read_bytes.get(lay_in, 0) + before
    log.info(
        "series_looked_at" if terms.dry else "series_repacked",
        extra={
            "tenant": done.tenant,
            "study": hashed(done.study_instance_uid),
            "pack": merged.table.pack_id,
            "replaced": len(group.sources),
            "instances": len(instances),
            "saved_bytes": before - merged.length_bytes,
        },
    )
    return replace(
        done,
        replaced=done.replaced + len(group.sources),
        made=done.made + 1,
        instances=done.instances + len(instances),
        recoded=done.recoded + merged.recoded,
        left_out=done.left_out + group.examined - len(instances),
        bytes_before=done.bytes_before + before,
        bytes_after=done.bytes_after + merged.length_bytes,
        read_bytes=read_bytes,
    )
