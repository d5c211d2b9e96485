"""One study's erasures, on their way to a proof.

An entry says what is wanted, and holds from then on (`entries`). One change of the catalogue
has the study remember it, and every pack hide it for good, once the ledger says so. Then the
keys that have to go are written down, packs that hold something else too are made anew
without it, and the others are removed with all their versions. At last all versions are
listed: where none is left of any of these keys, that is the proof. Whatever dies on the way,
the next turn begins at the top, and finds less to do.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from pacs_cloud.catalogue.forgetting import KeepsRemoved
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.custody.corrections.ledger import follow_ledger
from pacs_cloud.custody.erasure.doomed import (
    Doomed,
    count_versions,
    find_doomed,
    versions_below,
)
from pacs_cloud.custody.erasure.entries import (
    SETTLES_US,
    ErasureEntry,
    Step,
    enter,
    erasures_of,
    is_proven,
    is_settled,
    removed_keys,
    tombstones,
)
from pacs_cloud.custody.erasure.hiding import ErasedHiding
from pacs_cloud.custody.erasure.removing import Recall, Removal
from pacs_cloud.custody.holds import refuse_held
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.custody.trash.marked_ledger import MarkedLedger
from pacs_cloud.custody.trash.marks import Action, Scope
from pacs_cloud.custody.walk import INDEX, PACKS, THUMBS
from pacs_cloud.errors import NotFound
from pacs_cloud.objectstore.keys import study_path
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.objectstore.uploads import KeepsParts
from pacs_cloud.telemetry import hashed

log = logging.getLogger(__name__)

_ROUNDS: Final = 6
"""What packs had replaced goes first, then they are made anew, then they go themselves."""


@dataclass(frozen=True, slots=True)
class Erasing:
    """How far the erasures of one study are.

    Attributes:
        tenant: whose.
        study_instance_uid: which study.
        instances: how many of its SOP Instance UIDs are erased.
        removed: by key, how many versions there were of what is, or shall be, removed.
        rewritten: packs that were made anew just now.
        waiting: in words, why it is not done.
        is_proven: whether it is done.
    """

    tenant: str
    study_instance_uid: str
    instances: int = 0
    removed: Mapping[str, int] = field(default_factory=dict[str, int])
    rewritten: int = 0
    waiting: tuple[str, ...] = ()
    is_proven: bool = False


@dataclass(slots=True)
class StudyErasure:
    """The erasures of one study; fields as of `Removal`."""

    objects: ObjectStore
    catalogue: Catalogue
    folder: Path
    recall: Recall
    now_us: Callable[[], int]
    tenant: str
    study_instance_uid: str
    waiting: set[str] = field(default_factory=set[str])

    async def run(self) -> Erasing:
        """Do what can be done now; return how far it is.

        Raises:
            Held: the study is on hold.
            Corrupt, NotFound, Offline: an entry, a decision, a hold or a pack's table cannot
                be read.
            Unavailable: a store cannot be reached.
        """
        names = self.tenant, self.study_instance_uid
        entries = await erasures_of(self.objects, *names)
        erased = tombstones(entries)
        await self._refuse_held()
        ledger = MarkedLedger(self.objects, Scope(*names), Action.TEND, self._refuse_held)
        hiding = ErasedHiding(
            self.objects,
            self.catalogue,
            ledger,
            partial(load_table, self.objects, self.catalogue),
            self.now_us,
            erased,
        )
        await hiding.hide(*names)
        removal = Removal(
            *(self.objects, self.catalogue, self.folder, self.recall, self.now_us, *names),
            waiting=self.waiting,
        )
        for _ in range(_ROUNDS):
            self.waiting.clear()
            doomed = await self._doomed(erased)
            self.waiting.update(f"{one.detail} ({one.key})" for one in doomed.read.problems)
            if not doomed or await self._is_locked(doomed):
                break
            await ledger.mark(self.now_us())  # a hold that comes now waits, or is not sure
            entries = await self._announce(entries, doomed)
            if not await removal.remove(doomed):
                break
        await self._follow_corrections()
        await ledger.unmark()
        entries = await self._prove(entries, erased)
        return Erasing(
            *names,
            instances=len(erased),
            removed=removed_keys(entries),
            rewritten=removal.rewritten,
            waiting=tuple(sorted(self.waiting)),
            is_proven=not self.waiting and is_proven(entries),
        )

    async def _refuse_held(self) -> None:
        names = self.tenant, self.study_instance_uid
        await refuse_held(self.objects, *names, now_us=self.now_us())

    async def _follow_corrections(self) -> None:
        """Have the catalogue know no words that are removed."""
        names = self.tenant, self.study_instance_uid
        state = await self.catalogue.study(*names)
        if state is not None and state.study.amendments:
            load = partial(load_table, self.objects, self.catalogue)
            now_us = self.now_us()
            await follow_ledger(
                self.objects, self.catalogue, *names, load_table=load, now_us=now_us
            )

    async def _doomed(self, erased: frozenset[str]) -> Doomed:
        names = self.tenant, self.study_instance_uid
        committed = [pack.pack_id for pack in await self.catalogue.packs(*names)]
        return await find_doomed(self.objects, *names, erased, committed)

    async def _is_locked(self, doomed: Doomed) -> bool:
        """Return whether the store keeps something that has to go: then nothing is begun."""
        is_locked = False
        for key in doomed.keys:
            try:
                lock = await self.objects.lock_of(key)
            except NotFound:
                continue
            if lock:
                what = "by a legal hold" if lock.is_held else "until its retention date is over"
                self.waiting.add(f"the store locks {key} {what}: nothing was removed")
                is_locked = True
        return is_locked

    async def _announce(self, entries: list[ErasureEntry], doomed: Doomed) -> list[ErasureEntry]:
        """Write down what is about to be removed; return all entries."""
        known = removed_keys(_unproven(entries))
        versions = {
            key: count
            for key in doomed.keys
            if (count := doomed.versions[key]) and key not in known
        }
        if not versions:
            return entries
        names = self.tenant, self.study_instance_uid
        now_us = self.now_us()
        entry = await enter(self.objects, *names, Step.REMOVING, now_us=now_us, versions=versions)
        return [*entries, entry]

    async def _prove(
        self, entries: list[ErasureEntry], erased: frozenset[str]
    ) -> list[ErasureEntry]:
        """Write down that all is gone, where it is and nobody has yet; return all entries."""
        names = self.tenant, self.study_instance_uid
        now_us = self.now_us()
        last_us = max((one.entered_us for one in entries), default=0)
        is_due = not is_proven(entries) or (
            not is_settled(entries) and now_us >= last_us + SETTLES_US
        )
        if self.waiting or not is_due:
            return entries
        if await self._doomed(erased):
            self.waiting.add("something of it has come in meanwhile")
            return entries
        gone = removed_keys(_unproven(entries))
        versions = await versions_below(self.objects, *names)
        for key in sorted(gone):
            is_below = key.startswith((PACKS, INDEX, THUMBS))
            left = versions[key] if is_below else await count_versions(self.objects, key)
            if left:
                self.waiting.add(f"{left} versions of {key} are left")
        if not self.waiting and isinstance(self.objects, KeepsParts):
            # None that had begun before is under way any more.
            below = PACKS + study_path(*names)
            await self.objects.drop_uploads(below, before_us=now_us - SETTLES_US)
        if isinstance(self.catalogue, KeepsRemoved) and not await self.catalogue.forget_removed():
            self.waiting.add("the catalogue's log is being read")
        if self.waiting:
            return entries
        entry = await enter(self.objects, *names, Step.PROVEN, now_us=now_us, versions=gone)
        log.info(
            "erasure_proven",
            extra={"study": hashed(self.study_instance_uid), "keys": len(gone)},
        )
        return [*entries, entry]


def _unproven(entries: Sequence[ErasureEntry]) -> list[ErasureEntry]:
    """Return what was entered behind the last proof."""
    last_us = max((one.entered_us for one in entries if one.step is Step.PROVEN), default=0)
    return [one for one in entries if one.entered_us > last_us]
