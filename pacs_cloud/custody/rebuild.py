"""The catalogue, made again from the objects alone."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.races import until_done
from pacs_cloud.catalogue.records import HiddenReason, StudyRecord, StudyState
from pacs_cloud.catalogue.wanted_pack import NOT_OVER, WantedPack
from pacs_cloud.catalogue.whole_study import Whole, make_whole
from pacs_cloud.custody.findings import Finding
from pacs_cloud.custody.in_order import in_order
from pacs_cloud.custody.ledger import Decided, decided_by, decisions_of
from pacs_cloud.custody.remembered import remembered
from pacs_cloud.custody.repack.ledger import replaced_and_leftover
from pacs_cloud.custody.share import ALL_STUDIES, Share
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.custody.study_packs import (
    Committing,
    StudyPacks,
    left_out,
    read_study_packs,
    without_pack,
)
from pacs_cloud.custody.unreadable import UNREADABLE
from pacs_cloud.custody.walk import PACKS, StudyObjects, walk_studies
from pacs_cloud.dicom.amendment import of_series
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.objectstore.storage_classes import without_access_tier

AT_ONCE = 8
"""Studies that are committed at a time: enough for a disk."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild did so far.

    Attributes:
        studies: with a pack that is committed now.
        packs: committed.
        instances: in these packs, hidden ones too.
        kept: packs that were in the catalogue already, as they shall be (without a wipe).
        replaced: packs left out because others were merged from them, or because they are
            merged ones that were never committed.
        seen: packs that were looked at, of those that `count_packs` counts.
        problems: packs, and whole studies, that could not be brought back, and why.
    """

    studies: int = 0
    packs: int = 0
    instances: int = 0
    kept: int = 0
    replaced: int = 0
    seen: int = 0
    problems: tuple[Finding, ...] = ()

    def __add__(self, other: "Rebuilt") -> "Rebuilt":
        return Rebuilt(
            self.studies + other.studies,
            self.packs + other.packs,
            self.instances + other.instances,
            self.kept + other.kept,
            self.replaced + other.replaced,
            self.seen + other.seen,
            self.problems + other.problems,
        )


async def count_packs(objects: ObjectStore, tenant: str | None = None) -> int:
    """Return how many pack objects there are, of one tenant or of all: a listing, no more."""
    below = PACKS if tenant is None else f"{PACKS}{tenant}/"
    return sum([1 async for _ in objects.list(below)])


async def rebuild(
    objects: ObjectStore,
    catalogue: Catalogue,
    *,
    policy: ConflictPolicy,
    now_us: int,
    tenant: str | None = None,
    wipe: bool = True,
    share: Share = ALL_STUDIES,
    progress: Callable[[Rebuilt], None] | None = None,
    at_once: int = AT_ONCE,
) -> Rebuilt:
    """Fill the catalogue from index objects, packs and the ledger; return what was done.

    The ledger says what of each pack is hidden. A pack without a decision shows all
    its instances; only where one of them is shown already (its commit never
    happened) is it judged as a newcomer. A study of whose ledger, labels or erasures
    something cannot be read is left out: it would show what was hidden. The archive must
    be at rest. No byte of a pack is read, unless its index object is missing.

    Args:
        objects: the store.
        catalogue: what is made again.
        policy: for packs whose commit never happened.
        now_us: microseconds since 1970 UTC.
        tenant: whose; None for all.
        wipe: remove what the catalogue holds first; without it what is there as it shall
            be is kept, which resumes a rebuild that was killed at any moment.
        share: which studies; others are left to other rebuilds, and then nothing is wiped here.
        progress: called after each study with the sum so far.
        at_once: how many studies at a time: more where the store is far away.

    Raises:
        InvalidRequest: a share, and a wipe.
        Corrupt, Denied, Unavailable: store or catalogue cannot be read, or not be reached.
    """
    if wipe and share.of > 1:
        raise InvalidRequest("a catalogue is wiped before it is filled in shares")
    if wipe:
        await catalogue.wipe(tenant)
    committing = Committing(objects, catalogue, policy, now_us)

    async def studies() -> AsyncIterator[StudyObjects]:
        async for found in walk_studies(objects, tenant):
            if isinstance(found, StudyObjects) and share.has(found.study_instance_uid):
                yield found

    async def work(found: StudyObjects) -> Rebuilt:
        return await _StudyRebuild(objects, catalogue, committing, found, now_us).run()

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
        now_us: int,
    ) -> None:
        self._objects = objects
        self._catalogue = catalogue
        self._committing = committing
        self._found = found
        self._now_us = now_us
        self._remembered: StudyRecord | None = None

    async def run(self) -> Rebuilt:
        found = self._found
        names = found.tenant, found.study_instance_uid
        try:
            decisions = await decisions_of(self._objects, *names) if found.ledger else []
            self._remembered = await remembered(self._objects, found)
        except UNREADABLE as error:
            await self._leave_out()
            return Rebuilt(seen=len(found.packs), problems=(left_out(*names, error),))
        decided = decided_by(decisions)
        state = await self._catalogue.study(*names)
        if state is not None and self._is_whole(state, decided):
            return Rebuilt(studies=1, kept=len(state.packs), seen=len(state.packs))
        packs = await read_study_packs(self._objects, found.packs)
        out = set[str]().union(*replaced_and_leftover(packs.merges, decisions))
        merged = {key for key in packs.blobs if key.pack_id in out}
        certain, unjudged = self._sorted(packs, decided, out)
        whole = await self._make_whole(packs, certain, decided)
        for key in unjudged:
            table = await self._committing.commit(
                key, packs.blobs[key], found.packs[key], None, last_decided_us=decided.last_us
            )
            whole = Whole(whole.packs + 1, whole.instances + len(table.instances), True)
        return Rebuilt(
            studies=bool(certain or unjudged),
            packs=whole.packs,
            instances=whole.instances,
            kept=len(certain) + len(unjudged) - whole.packs,
            replaced=len(merged),
            seen=len(found.packs),
            problems=(*packs.problems, *self._without_pack()),
        )

    @property
    def _erased(self) -> frozenset[str]:
        return self._remembered.erased if self._remembered else frozenset()

    def _is_whole(self, state: StudyState, decided: Decided) -> bool:
        """Return whether a study is there as this rebuild would leave it: no index need be read.

        What has records and objects of other packs, whatever the reason, is looked at.
        """
        infos = {key.pack_id: info for key, info in self._found.packs.items()}
        records = {one.pack_id: one for one in state.packs}
        amendments = self._remembered.amendments if self._remembered else ()
        labels = self._remembered.labels if self._remembered else frozenset[str]()
        return (
            state.study.erased == self._erased
            and state.study.labels == labels
            and state.study.amendments == amendments
            and records.keys() == infos.keys()
            and self._found.indexes.keys() == self._found.packs.keys()
            and all(
                one.committed_us != NOT_OVER
                and one.length_bytes == infos[one.pack_id].length_bytes
                and without_access_tier(one.storage_class) == infos[one.pack_id].storage_class
                and dict(one.hidden) == dict(decided.hidden.get(one.pack_id, {}))
                and one.amendments == of_series(amendments, one.series_instance_uid)
                for one in state.packs
            )
        )

    def _sorted(
        self, packs: StudyPacks, decided: Decided, out: set[str]
    ) -> tuple[dict[PackKey, Mapping[str, HiddenReason]], list[PackKey]]:
        """Return what certain packs hide, and the packs that must be judged, oldest first."""
        certain: dict[PackKey, Mapping[str, HiddenReason]] = {}
        unjudged: list[PackKey] = []
        shown: dict[str, set[str]] = {}
        # What was decided stands; of others the oldest came first.
        for key in sorted(
            packs.blobs, key=lambda key: (key.pack_id not in decided.hidden, key.pack_id)
        ):
            if key.pack_id in out:
                continue
            hidden = decided.hidden.get(key.pack_id)
            uids = {one.sop_instance_uid for one in packs.table(key).instances}
            erased = uids & self._erased
            if _is_purged(uids, {**(hidden or {}), **dict.fromkeys(erased, HiddenReason.PURGED)}):
                continue  # a purge that was stopped is ended by the sweep for orphans
            visible = uids - (hidden or {}).keys() - erased
            so_far = shown.setdefault(key.series_instance_uid, set())
            if hidden is None and visible & so_far:
                unjudged.append(key)
            else:
                certain[key] = {**(hidden or {}), **dict.fromkeys(erased, HiddenReason.PURGED)}
                so_far |= visible
        return certain, unjudged

    async def _make_whole(
        self,
        packs: StudyPacks,
        certain: Mapping[PackKey, Mapping[str, HiddenReason]],
        decided: Decided,
    ) -> Whole:
        wanted = {
            key.pack_id: WantedPack(
                partial(packs.staged, key),
                self._found.packs[key].length_bytes,
                self._found.packs[key].storage_class,
                hidden,
            )
            for key, hidden in certain.items()
        }
        # What is decided from now on must be later.
        return await self._write(wanted, max(self._now_us, decided.last_us + 1))

    async def _leave_out(self) -> None:
        """Remove what the catalogue has of the study: it may show what was hidden since."""
        self._remembered = None
        await self._write({}, self._now_us)

    async def _write(self, wanted: Mapping[str, WantedPack], now_us: int) -> Whole:
        names = self._found.tenant, self._found.study_instance_uid
        made = Whole(0, 0, False)

        async def step(attempt: int) -> bool:
            nonlocal made
            state = await self._catalogue.study(*names)
            made = await make_whole(
                self._catalogue,
                state,
                wanted,
                load_table=partial(load_table, self._objects, self._catalogue),
                now_us=now_us + attempt,
                remembered=self._remembered,
            )
            return False

        await until_done(step)
        return made

    def _without_pack(self) -> list[Finding]:
        return [
            without_pack(key)
            for key in sorted(self._found.indexes, key=lambda key: key.pack_id)
            if key not in self._found.packs
        ]


def _is_purged(uids: set[str], hidden: Mapping[str, HiddenReason] | None) -> bool:
    """Return whether the ledger says that nothing of a pack is wanted any more."""
    return bool(hidden) and all(hidden.get(uid) is HiddenReason.PURGED for uid in uids)
