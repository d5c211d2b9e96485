"""A study's records, made from all its packs at once: what rebuilds and repairs write.

Pack after pack is weighed and added as a commit would do it (`judging`, `pack_change`), to
records in memory; what then differs from what the catalogue has is written, in one change
where it is small enough. So the work grows with the packs, and not with their square.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from pacs_cloud.catalogue.change_parts import parts_of
from pacs_cloud.catalogue.hiding import Hidden
from pacs_cloud.catalogue.judging import (
    ConflictPolicy,
    LoadTable,
    Verdict,
    ref_of,
    settle,
    weigh,
)
from pacs_cloud.catalogue.pack_change import Newcomer, change_by
from pacs_cloud.catalogue.places_so_far import PlacesSoFar
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.races import next_rev
from pacs_cloud.catalogue.records import (
    COLD_CLASSES,
    ConflictRecord,
    PackRecord,
    SeriesRecord,
    StagedPack,
    StudyChange,
    StudyRecord,
    StudyState,
    UidRef,
)
from pacs_cloud.catalogue.wanted_pack import NOT_OVER, WantedPack, is_kept, placed
from pacs_cloud.pack.index import PackIndex

_TABLES_AT_ONCE = 32
"""So many packs' tables are in memory at a time, and so many are staged side by side."""


@dataclass(frozen=True, slots=True)
class Whole:
    """What was written.

    Attributes:
        packs: records that are new or changed.
        instances: of all the packs.
        is_changed: whether anything was written.
    """

    packs: int
    instances: int
    is_changed: bool


async def make_whole(
    catalogue: Catalogue,
    state: StudyState | None,
    wanted: Mapping[str, WantedPack],
    *,
    load_table: LoadTable,
    now_us: int,
    remembered: StudyRecord | None = None,
) -> Whole:
    """Let a study be what `wanted` gives: its packs and no others; return what was written.

    Repeatable. Nothing is judged or announced: what is hidden was decided before.

    Args:
        catalogue: where the study is.
        state: as it was read; None where there is none.
        wanted: its packs by id; without any it is removed, unless it is remembered.
        load_table: returns the table of a committed pack.
        now_us: microseconds since 1970 UTC.
        remembered: what the study has of no pack (`recompute.empty_study`); None: nothing.

    Raises:
        Conflict: the study has changed since it was read. Some of it may be written.
        Corrupt: a pack's table cannot be read; nothing was written but staged packs.
        Unavailable: the catalogue cannot be reached.
    """
    making = _Making(catalogue, state, wanted, load_table, now_us, remembered)
    return await making.run()


@dataclass(slots=True)
class _Making:
    """One study on its way; fields as the arguments of `make_whole`, `study` as far as made."""

    catalogue: Catalogue
    state: StudyState | None
    wanted: Mapping[str, WantedPack]
    load_table: LoadTable
    now_us: int
    study: StudyRecord | None
    instances: int = 0
    series: dict[str, SeriesRecord] = field(default_factory=dict[str, SeriesRecord])
    added: dict[str, PackRecord] = field(default_factory=dict[str, PackRecord])
    conflicts: list[ConflictRecord] = field(default_factory=list[ConflictRecord])
    unsettled: list[tuple[PackIndex, Mapping[str, set[UidRef]]]] = field(
        default_factory=list[tuple[PackIndex, Mapping[str, set[UidRef]]]]
    )

    async def run(self) -> Whole:
        known = {one.pack_id: one for one in self.state.packs} if self.state else {}
        # What is there already first: newcomers are weighed against it.
        kept = [
            pack_id
            for pack_id, pack in sorted(self.wanted.items())
            if is_kept(known.get(pack_id), pack)
        ]
        for pack_id in kept:
            index, _ = self.wanted[pack_id].read()
            await self._add(index, Verdict(hidden=dict(self._hidden(pack_id))))
        news = iter(sorted(self.wanted.keys() - set(kept)))
        while some := list(islice(news, _TABLES_AT_ONCE)):
            await self._add_new([self.wanted[pack_id].read() for pack_id in some])
        put_packs = [
            after
            for pack_id, made in self.added.items()
            if (after := placed(made, known.get(pack_id), self.wanted[pack_id]))
            != known.get(pack_id)
        ]
        is_changed = await self._write(known, put_packs)
        return Whole(len(put_packs), self.instances, is_changed)

    def _hidden(self, pack_id: str) -> Hidden:
        return self.wanted[pack_id].hidden

    async def _add_new(self, packs: Sequence[tuple[PackIndex, StagedPack]]) -> None:
        await asyncio.gather(*(self.catalogue.stage(staged) for _, staged in packs))
        uids = {one.sop_instance_uid for index, _ in packs for one in index.instances}
        tenant = packs[0][0].tenant
        places = PlacesSoFar(
            self.catalogue, self.added, await self.catalogue.find_uids(tenant, uids)
        )
        for index, _ in packs:
            verdict = await weigh(
                places,
                index,
                self._so_far(index, places.met(index)),
                self.load_table,
                policy=ConflictPolicy.KEEP_FIRST,  # nothing is judged: it is decided
                now_us=self.now_us,
                decided=self._hidden(index.pack_id),
            )
            # Packs of this study that come later are weighed against this one.
            elsewhere = {
                uid: refs
                for uid, found in verdict.unsettled.items()
                if (refs := {ref for ref in found if ref.pack_id not in self.wanted})
            }
            if elsewhere:
                self.unsettled.append((index, elsewhere))
            self.conflicts += await self._add(index, verdict)

    def _so_far(self, index: PackIndex, met: Collection[PackRecord]) -> StudyState | None:
        """Return the study as far as it is made: as much of it as one pack's change looks at."""
        if self.study is None:
            return None
        series = self.series.get(index.series_instance_uid)
        return StudyState(self.study, (series,) if series else (), tuple(met))

    async def _add(self, index: PackIndex, verdict: Verdict) -> Sequence[ConflictRecord]:
        """Add one pack to the records; return what it disagrees with."""
        wanted = self.wanted[index.pack_id]
        newcomer = Newcomer(
            index, wanted.length_bytes, self.now_us, self.load_table, is_announced=False
        )
        before = self.study.rev if self.study else 0
        change = await change_by(newcomer, self._so_far(index, ()), None, verdict, before)
        assert change.after is not None
        self.study = change.after
        self.series |= {one.series_instance_uid: one for one in change.put_series}
        self.added[index.pack_id] = change.put_packs[0]
        self.instances += len(index.instances)
        return change.conflicts

    async def _write(self, known: Mapping[str, PackRecord], packs: Sequence[PackRecord]) -> bool:
        if self.study is None:
            return await self._remove()
        before = self.state.study if self.state else None
        are = {one.series_instance_uid: one for one in self.state.series} if self.state else {}
        shall = replace(
            self.study,
            rev=before.rev if before else 0,
            has_cold_packs=any(one.storage_class in COLD_CLASSES for one in self.wanted.values()),
        )
        puts = [one for uid, one in sorted(self.series.items()) if one != are.get(uid)]
        drop_series = tuple(sorted(are.keys() - self.series.keys()))
        drop_packs = tuple(ref_of(known[one]) for one in sorted(known.keys() - self.added.keys()))
        differs = shall != before or puts or drop_series or packs or drop_packs or self.conflicts
        # Whoever dies before these are settled has it to be seen: they would never be.
        open_ids = {index.pack_id for index, _ in self.unsettled}
        whole = [one for one in packs if one.pack_id in open_ids]
        if differs:
            first = StudyChange(
                shall.tenant,
                shall.study_instance_uid,
                before,
                shall,
                drop_series=drop_series,
                drop_packs=drop_packs,
                conflicts=tuple(self.conflicts),
            )
            before = await self._commit(
                first,
                puts,
                [
                    replace(one, committed_us=NOT_OVER) if one.pack_id in open_ids else one
                    for one in packs
                ],
            )
        async for late in self._late():
            assert before is not None
            change = StudyChange(
                shall.tenant, shall.study_instance_uid, before, before, conflicts=late
            )
            before = await self._commit(change, (), ())
        if whole:
            change = StudyChange(shall.tenant, shall.study_instance_uid, before, before)
            await self._commit(change, (), whole)
        return bool(differs)

    async def _remove(self) -> bool:
        """Remove the study; return whether there was one."""
        if self.state is None:
            return False
        study = self.state.study
        await self.catalogue.commit(
            StudyChange(
                study.tenant,
                study.study_instance_uid,
                study,
                None,
                drop_series=tuple(one.series_instance_uid for one in self.state.series),
                drop_packs=tuple(map(ref_of, self.state.packs)),
            )
        )
        return True

    async def _commit(
        self, change: StudyChange, series: Sequence[SeriesRecord], packs: Sequence[PackRecord]
    ) -> StudyRecord:
        """Make `change` with these records, in as many parts as they take; return the study."""
        for some in parts_of([*series, *packs]):
            assert change.after is not None
            after = replace(change.after, rev=next_rev(change.before, self.now_us))
            await self.catalogue.commit(
                replace(
                    change,
                    after=after,
                    put_series=tuple(one for one in some if isinstance(one, SeriesRecord)),
                    put_packs=tuple(one for one in some if isinstance(one, PackRecord)),
                )
            )
            change = StudyChange(change.tenant, change.study_instance_uid, after, after)
        assert change.before is not None
        return change.before

    async def _late(self) -> AsyncIterator[tuple[ConflictRecord, ...]]:
        """Yield the conflicts with packs of other studies that were committed meanwhile."""
        for index, refs in self.unsettled:
            late = Verdict()
            await settle(self.catalogue, index, refs, late, now_us=self.now_us)
            if late.conflicts:
                yield tuple(late.conflicts)
