"""The swap of packs for the one merged from them: one conditional change of their study.

What is visible stays the same, so that the study's and the series' records do too, but
for `rev`, and for the bytes of instances that were encoded anew.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from pacs_cloud.catalogue.hiding import Hidden
from pacs_cloud.catalogue.judging import ConflictPolicy, LoadTable, ref_of, weigh
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.races import next_rev, until_done
from pacs_cloud.catalogue.records import (
    ConflictRecord,
    PackRecord,
    StagedPack,
    StudyChange,
    StudyState,
)
from pacs_cloud.dicom.amendment import Amendment, of_series
from pacs_cloud.pack.index import PackIndex


@dataclass(frozen=True, slots=True)
class Swap:
    """What takes the place of what.

    Attributes:
        index: the merged pack's table.
        staged: the same pack, as it is staged.
        length_bytes: of its object, which is durable by now.
        storage_class: where that lies.
        hidden: what of it is not shown, and why.
        packs: the records it replaces, as they were when the pack was made.
        growth_bytes: by how much longer its visible instances are than theirs.
    """

    index: PackIndex
    staged: StagedPack
    length_bytes: int
    storage_class: str
    hidden: Hidden
    packs: Sequence[PackRecord]
    growth_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Swapped:
    """What the catalogue has now.

    Attributes:
        record: of the merged pack.
        rev: of the study, read with it.
    """

    record: PackRecord
    rev: int


async def swap_packs(
    catalogue: Catalogue,
    swap: Swap,
    *,
    load_table: LoadTable,
    now_us: Callable[[], int],
    until_us: int,
) -> Swapped | None:
    """Make the swap; return what came of it, None where it is not true any more.

    Args:
        catalogue: where the packs are.
        swap: what takes the place of what.
        load_table: returns the table of a committed pack.
        now_us: the clock, microseconds since 1970 UTC.
        until_us: from then on somebody may hold the merged pack for a leftover: no state
            of the study that is read later is acted on.

    Returns:
        None when one of the packs has changed meanwhile, or the time is over: then
        nothing was changed, and no change is under way.

    Raises:
        Unavailable: the catalogue cannot be reached (the change may have been made), or
            the study keeps changing.
    """
    await catalogue.stage(swap.staged)
    swapping = _Swapping(catalogue, swap, load_table, now_us, until_us)
    await until_done(swapping.step)
    return swapping.swapped


@dataclass(slots=True)
class _Swapping:
    """One swap on its way; fields as the arguments of `swap_packs`."""

    catalogue: Catalogue
    swap: Swap
    load_table: LoadTable
    now_us: Callable[[], int]
    until_us: int
    swapped: Swapped | None = field(default=None)

    async def step(self, attempt: int) -> bool:
        """Make the change, if it is true still; there is only one.

        Raises:
            Conflict: the study has changed since it was read; nothing was changed.
        """
        index = self.swap.index
        state = await self.catalogue.study(index.tenant, index.study_instance_uid)
        if state is None:
            return False
        now_us = self.now_us()
        packs = {pack.pack_id: pack for pack in state.packs}
        # An earlier try of ours was made, and its answer lost: that is so however late it is.
        if index.pack_id in packs:
            self.swapped = Swapped(packs[index.pack_id], state.study.rev)
        elif now_us <= self.until_us and all(
            packs.get(pack.pack_id) == pack and pack.amendments == self._amendments(state)
            for pack in self.swap.packs
        ):
            rev = next_rev(state.study, now_us + attempt)
            conflicts = await self._conflicts(state, now_us)
            change = self._change(state, conflicts, rev, now_us)
            await self.catalogue.commit(change)
            self.swapped = Swapped(change.put_packs[0], rev)
        return False

    async def _conflicts(self, state: StudyState, now_us: int) -> tuple[ConflictRecord, ...]:
        """Return what the merged pack disagrees with, as its records name other packs so far."""
        gone = {pack.pack_id for pack in self.swap.packs}
        left = tuple(pack for pack in state.packs if pack.pack_id not in gone)
        verdict = await weigh(
            self.catalogue,
            self.swap.index,
            replace(state, packs=left),
            self.load_table,
            policy=ConflictPolicy.KEEP_FIRST,  # nothing is judged: it is decided
            now_us=now_us,
            decided=self.swap.hidden,
        )
        return tuple(verdict.conflicts)

    def _amendments(self, state: StudyState) -> tuple[Amendment, ...]:
        """Return those of the series: a pack that has others is about to be amended."""
        return of_series(state.study.amendments, self.swap.index.series_instance_uid)

    def _change(
        self,
        state: StudyState,
        conflicts: tuple[ConflictRecord, ...],
        rev: int,
        now_us: int,
    ) -> StudyChange:
        swap, index = self.swap, self.swap.index
        grown = swap.growth_bytes
        merged = PackRecord(
            tenant=index.tenant,
            study_instance_uid=index.study_instance_uid,
            series_instance_uid=index.series_instance_uid,
            pack_id=index.pack_id,
            length_bytes=swap.length_bytes,
            instance_count=len(index.instances),
            committed_us=now_us,
            hidden=swap.hidden,
            storage_class=swap.storage_class,
            amendments=self._amendments(state),
        )
        return StudyChange(
            tenant=index.tenant,
            study_instance_uid=index.study_instance_uid,
            before=state.study,
            after=replace(state.study, rev=rev, length_bytes=state.study.length_bytes + grown),
            put_series=tuple(
                replace(one, length_bytes=one.length_bytes + grown)
                for one in state.series
                if grown and one.series_instance_uid == index.series_instance_uid
            ),
            put_packs=(merged,),
            drop_packs=tuple(map(ref_of, swap.packs)),
            conflicts=conflicts,
        )
