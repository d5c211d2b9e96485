"""Changes of committed packs' records: what they hide, and what amends them.

As with a commit the study is read, what shall be is worked out, the ledger is
written, and the change is made on condition that the study is still as it was read.
A study of many packs takes several changes; the ledger has them all before the first.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pacs_cloud.catalogue.aggregate import Contribution, contributes_nothing, contribution_of
from pacs_cloud.catalogue.change_parts import first_part
from pacs_cloud.catalogue.elsewhere import shown_elsewhere, tell_late
from pacs_cloud.catalogue.judging import LoadTable, Verdict, ref_of
from pacs_cloud.catalogue.pack_change import event_about, patient_conflicts
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.races import until_done
from pacs_cloud.catalogue.recompute import recompute
from pacs_cloud.catalogue.records import (
    ConflictRecord,
    HiddenReason,
    OutboxEvent,
    PackRecord,
    SeriesRecord,
    StudyChange,
    StudyRecord,
    StudyState,
)
from pacs_cloud.errors import Conflict, NotFound

PATIENT_SHOWN = "patient-shown"
"""The kind of the event that a change leaves in the outbox whereby a study names a patient that
it did not name before: from the trash, or from under a correction. Its body is as that of
`pack_change.PACK_STORED`."""

PACKS_PER_CHANGE = 40
"""Each may bring its series: with that, twice as many records (`CHANGED_AT_ONCE`)."""

_LOADS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Wanted:
    """What shall be otherwise in a study.

    Attributes:
        rev: of the study's next record.
        study: its record as it was read, with what it shall remember: that is written with
            the first packs.
        packs: by pack id, the records of packs that shall be otherwise. One of which every
            instance is purged is dropped.
        is_due: whether the study's record is written even where no pack's is.
    """

    rev: int
    study: StudyRecord
    packs: Mapping[str, PackRecord]
    is_due: bool = False


Intend = Callable[[StudyState, int], Awaitable[Wanted]]
"""Returns what shall be otherwise, once the ledger has it; told the number of the try, so
that no two have one `rev`. Asked again whenever the study has changed meanwhile, and until
nothing shall be otherwise any more."""


async def change_packs(
    catalogue: Catalogue,
    tenant: str,
    study_instance_uid: str,
    intend: Intend,
    load_table: LoadTable,
) -> list[tuple[PackRecord, PackRecord]]:
    """Have a study's packs be as `intend` wants them; return each that changed, before and after.

    Where there is no such study nothing is done.

    Args:
        catalogue: where the study is.
        tenant: whose.
        study_instance_uid: which study.
        intend: what shall be.
        load_table: returns the table of a committed pack.

    Raises:
        Corrupt, NotFound: a pack's table cannot be read.
        Unavailable: a store cannot be reached, or the study keeps changing.
    """
    change = _Change(catalogue, tenant, study_instance_uid, intend, load_table)
    await until_done(change.step)
    return change.changed


@dataclass(slots=True)
class _Change:
    """One study on its way; fields as the arguments of `change_packs`."""

    catalogue: Catalogue
    tenant: str
    study_instance_uid: str
    intend: Intend
    load_table: LoadTable
    changed: list[tuple[PackRecord, PackRecord]] = field(
        default_factory=list[tuple[PackRecord, PackRecord]]
    )
    kept: dict[str, tuple[PackRecord, Contribution]] = field(
        default_factory=dict[str, tuple[PackRecord, Contribution]]
    )

    async def step(self, attempt: int) -> bool:
        """Make one change; return whether there may be more.

        Raises:
            Conflict: the study has changed since it was read; nothing was changed.
        """
        state = await self.catalogue.study(self.tenant, self.study_instance_uid)
        if state is None:
            return False
        packs = {pack.pack_id: pack for pack in state.packs}
        wanted = await self.intend(state, attempt)
        oldest = (wanted.packs[pack_id] for pack_id in sorted(wanted.packs))
        after = first_part(oldest, PACKS_PER_CHANGE)
        if not after and not wanted.is_due:
            return False
        try:
            change = await self._change(state, wanted, after)
            shown = await self._shown_again(packs, after, wanted.rev)
        except NotFound as error:
            now = await self.catalogue.study(self.tenant, self.study_instance_uid)
            if now is None or now.study.rev != state.study.rev:
                raise Conflict("a pack was purged meanwhile") from error
            raise
        conflicts = [one for _, verdict in shown for one in verdict.conflicts]
        await self.catalogue.commit(replace(change, conflicts=(*change.conflicts, *conflicts)))
        for pack, verdict in shown:
            await tell_late(self.catalogue, pack, verdict.unsettled, now_us=wanted.rev)
        self.changed += [(packs[pack.pack_id], pack) for pack in after]
        return len(after) < len(wanted.packs)

    async def _shown_again(
        self, before: Mapping[str, PackRecord], after: Sequence[PackRecord], now_us: int
    ) -> list[tuple[PackRecord, Verdict]]:
        """Return the packs that hide less than before, and what is elsewhere of that too."""
        return [
            (pack, await shown_elsewhere(self.catalogue, pack, uids, now_us=now_us))
            for pack in after
            if (uids := before[pack.pack_id].hidden.keys() - pack.hidden.keys())
        ]

    async def _change(
        self, state: StudyState, wanted: Wanted, after: Sequence[PackRecord]
    ) -> StudyChange:
        changed = {pack.pack_id: pack for pack in after}
        dropped = {pack.pack_id for pack in after if is_purged(pack)}
        left = [
            changed.get(pack.pack_id, pack) for pack in state.packs if pack.pack_id not in dropped
        ]
        put_series: tuple[SeriesRecord, ...] = ()
        drop_series: tuple[str, ...] = ()
        study: StudyRecord | None
        if left and all(
            _shows_the_same(pack, changed[pack.pack_id])
            for pack in state.packs
            if pack.pack_id in changed
        ):
            study = replace(wanted.study, rev=wanted.rev)
        else:
            contributions = await self._contributions(left)
            study, series = recompute(contributions, rev=wanted.rev, before=wanted.study)
            known = {one.series_instance_uid: one for one in state.series}
            # Not all that differ: other packs' may be too many for one change.
            touched = {pack.series_instance_uid for pack in after}
            put_series = tuple(
                series[uid]
                for uid in sorted(touched & series.keys())
                if series[uid] != known.get(uid)
            )
            drop_series = tuple(sorted(known.keys() - series.keys()))
        conflicts, events = _of_patients(state.study, study, after)
        return StudyChange(
            tenant=self.tenant,
            study_instance_uid=self.study_instance_uid,
            before=state.study,
            after=study,
            put_series=put_series,
            drop_series=drop_series,
            put_packs=tuple(pack for pack in after if pack.pack_id not in dropped),
            drop_packs=tuple(ref_of(pack) for pack in after if pack.pack_id in dropped),
            conflicts=conflicts,
            events=events,
        )

    async def _contributions(self, packs: Sequence[PackRecord]) -> list[Contribution]:
        gate = asyncio.Semaphore(_LOADS_AT_ONCE)

        async def of(pack: PackRecord) -> Contribution:
            if len(pack.hidden) >= pack.instance_count:
                return contributes_nothing(pack)
            kept = self.kept.get(pack.pack_id)
            if kept is None or not _shows_the_same(kept[0], pack):
                async with gate:
                    table = await self.load_table(pack.tenant, ref_of(pack))
                kept = self.kept[pack.pack_id] = pack, contribution_of(pack, table)
            return kept[1]

        return list(await asyncio.gather(*map(of, packs)))


def _of_patients(
    before: StudyRecord, after: StudyRecord | None, packs: Sequence[PackRecord]
) -> tuple[tuple[ConflictRecord, ...], tuple[OutboxEvent, ...]]:
    """Return what is told where a study names a patient that it did not name before."""
    if after is None or after.patients <= before.patients:
        return (), ()
    told = patient_conflicts(before, after, packs[0], after.rev)
    return told, (event_about(PATIENT_SHOWN, packs[0], after.rev),)


def is_purged(pack: PackRecord) -> bool:
    """Return whether nothing of `pack` is wanted any more: every instance is purged."""
    purged = sum(why is HiddenReason.PURGED for why in pack.hidden.values())
    return purged >= pack.instance_count


def _shows_the_same(one: PackRecord, other: PackRecord) -> bool:
    """Return whether two records of a pack show the same, whatever their reasons."""
    return one.hidden.keys() == other.hidden.keys() and one.amendments == other.amendments
