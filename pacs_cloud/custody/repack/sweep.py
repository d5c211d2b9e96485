"""What repacks leave, told from orphans: packs that were replaced, and merged ones never used."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from pacs_cloud.catalogue.decisions import Decision
from pacs_cloud.catalogue.judging import ref_of
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.races import next_rev
from pacs_cloud.catalogue.records import PackRecord, StudyChange, StudyState
from pacs_cloud.custody.findings import REBUILD, Finding, FindingKind, Severity, about_pack
from pacs_cloud.custody.holds import is_held
from pacs_cloud.custody.pack_removal import remove_pack
from pacs_cloud.custody.repack.ledger import Merge, prove, replaced_and_leftover
from pacs_cloud.custody.stored_pack import key_of, load_table, table_of
from pacs_cloud.custody.study_packs import StudyPacks
from pacs_cloud.errors import Conflict, Corrupt, Denied, NotFound, Offline
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.objectstore.port import ObjectInfo, ObjectStore
from pacs_cloud.pack.index import PackIndex

KEPT_US = 3_600_000_000
"""How long a replaced pack is kept for those who hold its key: one hour."""
GRACE_US = 3_600_000_000
"""How long the commit of a merged pack may be under way: one hour."""


@dataclass(slots=True)
class Retired:
    """What of a study's orphans is no orphan.

    Attributes:
        keys: of packs that are not to be adopted.
        removed: how many of them are removed.
        problems: packs that cannot be, and why.
    """

    keys: set[PackKey] = field(default_factory=set[PackKey])
    removed: int = 0
    problems: list[Finding] = field(default_factory=list[Finding])


async def retire_merged(
    objects: ObjectStore,
    catalogue: Catalogue,
    orphans: Mapping[PackKey, ObjectInfo],
    packs: StudyPacks,
    decisions: Collection[Decision],
    *,
    now_us: int,
    kept_us: int,
) -> Retired:
    """Remove what repacks have left of one study, once its grace is over.

    Args:
        objects: the store.
        catalogue: the catalogue.
        orphans: packs of one study that the catalogue does not know.
        packs: the study's packs as the store has them.
        decisions: all about the study.
        now_us: microseconds since 1970 UTC.
        kept_us: see `KEPT_US`.

    Raises:
        Corrupt: a hold of the study cannot be read.
        Unavailable: the store or the catalogue cannot be reached.
    """
    first = next(iter(orphans))
    state = await catalogue.study(first.tenant, first.study_instance_uid)
    sweep = _Sweep(objects, catalogue, state, packs, decisions, now_us, kept_us)
    await sweep.look_at_committed()
    for key, info in orphans.items():
        if key in packs.blobs:
            try:
                await sweep.retire(key, info)
            except Denied as error:
                sweep.retired.problems.append(_kept(key, error))
    return sweep.retired


@dataclass(slots=True)
class _Sweep:
    """One study; fields as the arguments of `retire_merged`."""

    objects: ObjectStore
    catalogue: Catalogue
    state: StudyState | None
    packs: StudyPacks
    decisions: Collection[Decision]
    now_us: int
    kept_us: int
    retired: Retired = field(default_factory=Retired)
    committed: dict[str, PackRecord] = field(default_factory=dict[str, PackRecord])
    replaced: dict[str, tuple[PackRecord, PackIndex]] = field(
        default_factory=dict[str, tuple[PackRecord, PackIndex]]
    )
    unclear: set[str] = field(default_factory=set[str])
    named: set[str] = field(default_factory=set[str])
    leftover: set[str] = field(default_factory=set[str])
    whole: dict[str, bool] = field(default_factory=dict[str, bool])

    async def look_at_committed(self) -> None:
        """Learn what committed packs have replaced; they may be younger than any listing."""
        self.named, self.leftover = replaced_and_leftover(self.packs.merges, self.decisions)
        for record in self.state.packs if self.state else ():
            self.committed[record.pack_id] = record
            try:
                blob = self.packs.blobs.get(key_of(record))
                table = (
                    await load_table(self.objects, self.catalogue, record.tenant, ref_of(record))
                    if blob is None
                    else table_of(key_of(record), blob)
                )
            except (Corrupt, NotFound, Offline):
                self.unclear.add(record.series_instance_uid)
                continue
            self.replaced |= dict.fromkeys(table.replaces, (record, table))

    async def retire(self, key: PackKey, info: ObjectInfo) -> None:
        """Remove a pack that repacks have left; note it where it is not to be adopted.

        Raises:
            Denied: the store does not let it go.
        """
        table = table_of(key, self.packs.blobs[key])
        if key.pack_id in self.committed:
            self.retired.keys.add(key)
        elif key.series_instance_uid in self.unclear:
            self.retired.keys.add(key)
            self.retired.problems.append(_wrong(key, *_UNCLEAR))
        elif key.pack_id in self.replaced:
            self.retired.keys.add(key)
            record, merged = self.replaced[key.pack_id]
            if record.committed_us > self.now_us - self.kept_us or await self._is_held():
                return
            if not await self._is_whole(record):
                if (lost := _wrong(key_of(record), *_LOST)) not in self.retired.problems:
                    self.retired.problems.append(lost)
                return
            await self._prove(record, merged)
            await self._remove(key, table)
        elif key.pack_id in self.named:  # by one that is purged, and whose removal was stopped
            self.retired.keys.add(key)
        elif key.pack_id in self.leftover:
            self.retired.keys.add(key)
            if info.modified_us <= self.now_us - GRACE_US and await self._is_fenced():
                await self._remove(key, table)
        elif table.merged_rev is not None and self.committed.keys() & set(table.replaces):
            self.retired.keys.add(key)
            self.retired.problems.append(_wrong(key, *_CONTRADICTED))

    async def _is_held(self) -> bool:
        """Return whether nothing of the study may be removed, not even what is twice there."""
        assert self.state is not None, "it has the replacing pack"
        study = self.state.study
        return await is_held(
            self.objects, study.tenant, study.study_instance_uid, now_us=self.now_us
        )

    async def _is_whole(self, record: PackRecord) -> bool:
        """Return whether the store has a merged pack; what it replaced may have to be kept."""
        if record.pack_id not in self.whole:
            try:
                info = await self.objects.head(key_of(record).pack)
            except NotFound:
                self.whole[record.pack_id] = False
            else:
                self.whole[record.pack_id] = info.length_bytes == record.length_bytes
        return self.whole[record.pack_id]

    async def _prove(self, record: PackRecord, table: PackIndex) -> None:
        """See to it that the ledger says that the merged pack is committed."""
        assert self.state is not None, "it has the record"
        if not Merge.of(table).is_proven(self.decisions):
            proof = await prove(self.objects, record, self.state.study.rev)
            self.decisions = [*self.decisions, proof]

    async def _is_fenced(self) -> bool:
        """Make sure that a repack which is still under way cannot commit any more.

        It acts on no state of the study that was read as late as this (`swap_packs`),
        and of an earlier one the `rev` is over now.
        """
        if self.state is None:
            return True
        study = self.state.study
        after = replace(study, rev=next_rev(study, self.now_us))
        try:
            await self.catalogue.commit(
                StudyChange(study.tenant, study.study_instance_uid, study, after)
            )
        except Conflict:
            return False  # it may have been the swap itself: the next sweep looks again
        self.state = replace(self.state, study=after)
        return True

    async def _remove(self, key: PackKey, table: PackIndex) -> None:
        uids = [one.sop_instance_uid for one in table.instances]
        await remove_pack(self.objects, self.catalogue, key, uids)
        self.retired.removed += 1


def _kept(key: PackKey, error: Denied) -> Finding:
    return about_pack(
        key,
        FindingKind.ORPHAN,
        Severity.NOTE,
        f"a pack that nobody needs since a repack cannot be removed: {error}",
        "nothing has to be done: it is removed once the store lets it go",
        object_key=key.pack,
    )


def _wrong(
    key: PackKey, detail: str, repair: str, kind: FindingKind = FindingKind.ORPHAN
) -> Finding:
    return about_pack(key, kind, Severity.ERROR, detail, repair, object_key=key.pack)


_LOST = (
    "a merged pack is missing, or not as long as it was: the packs it replaced are kept",
    "restore the object from an earlier version or a backup",
    FindingKind.DANGLING,
)
_UNCLEAR = (
    "a pack is not adopted: a committed one, which may have replaced it, cannot be read",
    "restore that one or its index object from an earlier version or a backup",
)
_CONTRADICTED = (
    "the ledger has a merged pack committed, and the catalogue has the packs it replaced",
    REBUILD,
)
