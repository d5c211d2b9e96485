"""The catalogue, made again from the objects alone."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace

from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.pack_facts import note_packs
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import HiddenReason, PackRecord
from pacs_cloud.custody.findings import Finding, FindingKind, Severity, about_pack
from pacs_cloud.custody.in_order import in_order
from pacs_cloud.custody.ledger import decided_by, decisions_of
from pacs_cloud.custody.repack.ledger import replaced_and_leftover
from pacs_cloud.custody.stored_pack import table_of
from pacs_cloud.custody.study_packs import Committing, StudyPacks, read_study_packs
from pacs_cloud.custody.walk import StudyObjects, walk_studies
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.pack.index import PackIndex

AT_ONCE = 8
"""Studies that are committed at a time: enough for a disk."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild did so far.

    Attributes:
        studies: with a pack that is visible now.
        packs: committed.
        instances: in these packs, hidden ones too.
        kept: packs that were in the catalogue already (without a wipe).
        replaced: packs left out because others were merged from them, or because they are
            merged ones that were never committed.
        problems: packs that could not be brought back, and why.
    """

    studies: int = 0
    packs: int = 0
    instances: int = 0
    kept: int = 0
    replaced: int = 0
    problems: tuple[Finding, ...] = ()

    def __add__(self, other: "Rebuilt") -> "Rebuilt":
        return Rebuilt(
            self.studies + other.studies,
            self.packs + other.packs,
            self.instances + other.instances,
            self.kept + other.kept,
            self.replaced + other.replaced,
            self.problems + other.problems,
        )


async def rebuild(
    objects: ObjectStore,
    catalogue: Catalogue,
    *,
    policy: ConflictPolicy,
    now_us: int,
    tenant: str | None = None,
    wipe: bool = True,
    progress: Callable[[Rebuilt], None] | None = None,
    at_once: int = AT_ONCE,
) -> Rebuilt:
    """Fill the catalogue from index objects, packs and the ledger; return what was done.

    The ledger says what of each pack is hidden. A pack without a decision shows all
    its instances; only where one of them is shown already (its commit never
    happened) is it judged as a newcomer. The archive must be at rest.

    Args:
        objects: the store.
        catalogue: what is made again.
        policy: for packs whose commit never happened.
        now_us: microseconds since 1970 UTC.
        tenant: whose; None for all.
        wipe: remove what the catalogue holds first; without it packs that are there
            are kept as they are, which resumes a rebuild that was interrupted.
        progress: called after each study with the sum so far.
        at_once: how many studies at a time: more where the store is far away.

    Raises:
        Corrupt: a decision of the ledger cannot be read; the rebuild would show
            what was hidden. Studies before it are committed.
        Unavailable: the store or the catalogue cannot be reached.
    """
    if wipe:
        await catalogue.wipe(tenant)
    committing = Committing(objects, catalogue, policy, now_us)

    async def studies() -> AsyncIterator[StudyObjects]:
        async for found in walk_studies(objects, tenant):
            if isinstance(found, StudyObjects):
                yield found

    async def work(found: StudyObjects) -> Rebuilt:
        return await _StudyRebuild(objects, catalogue, committing, found, fresh=wipe).run()

    total = Rebuilt()
    async with aclosing(in_order(work, studies(), at_once)) as done:
        async for one in done:
            total += one
            if progress is not None:
                progress(total)
    return total


class _StudyRebuild:
    """One study on its way back into the catalogue."""

    def __init__(
        self,
        objects: ObjectStore,
        catalogue: Catalogue,
        committing: Committing,
        found: StudyObjects,
        *,
        fresh: bool,
    ) -> None:
        self._objects = objects
        self._catalogue = catalogue
        self._committing = committing
        self._found = found
        self._fresh = fresh
        self._shown: dict[str, set[str]] = {}

    async def run(self) -> Rebuilt:
        found = self._found
        names = found.tenant, found.study_instance_uid
        decisions = await decisions_of(self._objects, *names) if found.ledger else []
        decided = decided_by(decisions)
        packs = await read_study_packs(self._objects, found.packs)
        kept = await self._kept(packs)
        new = packs.blobs.keys() - kept
        out = set[str]().union(*replaced_and_leftover(packs.merges, decisions))
        merged = {key for key in new if key.pack_id in out}
        todo = [
            key
            for key in new - merged
            # A purge that was stopped is ended by the sweep for orphans.
            if not _is_purged(table_of(key, packs.blobs[key]), decided.hidden.get(key.pack_id))
        ]
        instances = 0
        for key in sorted(todo, key=lambda key: key.pack_id):
            table = table_of(key, packs.blobs[key])
            hidden = decided.hidden.get(key.pack_id)
            visible = {one.sop_instance_uid for one in table.instances} - (hidden or {}).keys()
            shown = self._shown.setdefault(key.series_instance_uid, set())
            if hidden is None and not visible & shown:
                hidden = {}
            shown |= visible
            instances += len(table.instances)
            await self._committing.commit(
                key,
                packs.blobs[key],
                found.packs[key],
                hidden,
                last_decided_us=decided.last_us,
            )
        await self._note_classes(now_us=decided.last_us)
        return Rebuilt(
            studies=bool(todo or kept),
            packs=len(todo),
            instances=instances,
            kept=len(kept),
            replaced=len(merged),
            problems=(*packs.problems, *self._without_pack()),
        )

    async def _kept(self, packs: StudyPacks) -> set[PackKey]:
        """Return the packs that are committed already, and note what they show."""
        if self._fresh:
            return set()
        kept: set[PackKey] = set()
        names = self._found.tenant, self._found.study_instance_uid
        for record in await self._catalogue.packs(*names):
            key = PackKey(*names, record.series_instance_uid, record.pack_id)
            if key in packs.blobs:
                kept.add(key)
                uids = {one.sop_instance_uid for one in table_of(key, packs.blobs[key]).instances}
                shown = self._shown.setdefault(record.series_instance_uid, set())
                shown |= uids - record.hidden.keys()
        return kept

    async def _note_classes(self, *, now_us: int) -> None:
        """Note where the packs lie that left the class they were put in."""
        lie_in = {key.pack_id: info.storage_class for key, info in self._found.packs.items()}
        if set(lie_in.values()) <= {StorageClass.STANDARD}:
            return

        def noted(pack: PackRecord) -> PackRecord:
            return replace(pack, storage_class=lie_in.get(pack.pack_id, pack.storage_class))

        names = self._found.tenant, self._found.study_instance_uid
        await note_packs(self._catalogue, *names, noted, now_us=now_us)

    def _without_pack(self) -> list[Finding]:
        return [
            about_pack(
                key,
                FindingKind.INDEX_ORPHAN,
                Severity.ERROR,
                "an index object without its pack: its instances cannot be brought back",
                "restore the pack from an earlier version or a backup",
                object_key=key.index,
            )
            for key in sorted(self._found.indexes, key=lambda key: key.pack_id)
            if key not in self._found.packs
        ]


def _is_purged(table: PackIndex, hidden: Mapping[str, HiddenReason] | None) -> bool:
    """Return whether the ledger says that nothing of a pack is wanted any more."""
    return bool(hidden) and all(
        hidden.get(one.sop_instance_uid) is HiddenReason.PURGED for one in table.instances
    )
