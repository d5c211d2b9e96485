"""Changes of what committed packs hide: deletions, what takes them back, and purges.

As with a commit the study is read, what shall be is worked out, the ledger is
written, and the change is made on condition that the study is still as it was read.
A study of many packs takes several changes; the ledger has them all before the first.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pacs_cloud.catalogue.aggregate import (
    Contribution,
    contributes_nothing,
    recompute,
    summarise,
)
from pacs_cloud.catalogue.decisions import Decision
from pacs_cloud.catalogue.judging import LoadTable, ref_of
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.races import next_rev, until_done
from pacs_cloud.catalogue.records import (
    HiddenReason,
    PackRecord,
    SeriesRecord,
    StudyChange,
    StudyRecord,
    StudyState,
)
from pacs_cloud.errors import Conflict, NotFound

Hidden = Mapping[str, HiddenReason]
"""What a pack hides, by SOP Instance UID."""

Plan = Callable[[StudyState], Awaitable[Mapping[str, Hidden]]]
"""Returns, by pack id, all that packs of the study shall hide; packs it leaves out stay."""

RecordDecisions = Callable[[Sequence[Decision]], Awaitable[None]]
"""Writes decisions of one moment to the ledger, as one; returns when they are durable."""

PACKS_PER_CHANGE = 40
"""Each may bring its series: with that, twice as many records (`CHANGED_AT_ONCE`)."""
UIDS_PER_CHANGE = 50_000
"""A DynamoDB transaction has at most 4 MB, and a UID takes some 20 bytes compressed."""

_LOADS_AT_ONCE = 8


@dataclass(slots=True)
class Changed:
    """What a change of the hidden did.

    Attributes:
        instances: how many instances of packs are hidden for another reason now, or
            not hidden any more, or hidden at last.
        purged: packs of which every instance is purged, and which the catalogue
            knows no more.
    """

    instances: int = 0
    purged: list[PackRecord] = field(default_factory=list[PackRecord])


async def change_hidden(
    catalogue: Catalogue,
    tenant: str,
    study_instance_uid: str,
    plan: Plan,
    *,
    load_table: LoadTable,
    record: RecordDecisions,
    now_us: int,
    told: dict[str, Decision] | None = None,
) -> Changed:
    """Hide what `plan` says, and nothing else; return what that changed.

    Args:
        catalogue: where the study is.
        tenant: whose.
        study_instance_uid: which study; where there is none nothing is done.
        plan: asked again whenever the study has changed meanwhile, and until it
            wants nothing any more. A pack that it has purge every instance is dropped.
        load_table: returns the table of a committed pack.
        record: writes to the ledger, before the catalogue shows it.
        now_us: microseconds since 1970 UTC.
        told: by pack id, what else the ledger says; `plan` may add what it has read
            there. Where that is neither so nor wanted, it is taken back.

    Raises:
        Corrupt, NotFound: a pack's table cannot be read.
        Unavailable: a store cannot be reached, or the study keeps changing.
    """
    change = _HiddenChange(
        catalogue,
        tenant,
        study_instance_uid,
        plan,
        load_table,
        record,
        now_us,
        told if told is not None else {},
    )
    return await change.run()


@dataclass(slots=True)
class _HiddenChange:
    """One study on its way; fields as the arguments of `change_hidden`."""

    catalogue: Catalogue
    tenant: str
    study_instance_uid: str
    plan: Plan
    load_table: LoadTable
    record: RecordDecisions
    now_us: int
    told: dict[str, Decision]
    changed: Changed = field(default_factory=Changed)
    kept: dict[str, tuple[frozenset[str], Contribution]] = field(
        default_factory=dict[str, tuple[frozenset[str], Contribution]]
    )

    async def run(self) -> Changed:
        await until_done(self._step)
        return self.changed

    async def _step(self, attempt: int) -> bool:
        """Make one change; return whether there may be more.

        Raises:
            Conflict: the study has changed since it was read; nothing was changed.
        """
        state = await self.catalogue.study(self.tenant, self.study_instance_uid)
        if state is None:
            return False
        packs = {pack.pack_id: pack for pack in state.packs}
        wanted = {
            pack_id: hidden
            for pack_id, hidden in (await self.plan(state)).items()
            if pack_id in packs and hidden != packs[pack_id].hidden
        }
        # Later than what the ledger says, also where that has another machine's time.
        told_us = max((one.decided_us for one in self.told.values()), default=0)
        rev = next_rev(state.study, max(self.now_us + attempt, told_us + 1))
        took_back = await self._record(packs, wanted, rev)
        some = _some(wanted)
        if not some and not took_back:
            return False
        after = [replace(packs[pack_id], hidden=wanted[pack_id]) for pack_id in some]
        try:
            change = await self._change(state, after, rev)
        except NotFound as error:
            now = await self.catalogue.study(self.tenant, self.study_instance_uid)
            if now is None or now.study.rev != state.study.rev:
                raise Conflict("a pack was purged meanwhile") from error
            raise
        await self.catalogue.commit(change)
        for pack in after:
            before = packs[pack.pack_id].hidden
            self.changed.instances += sum(
                before.get(uid) != pack.hidden.get(uid) for uid in {*before, *pack.hidden}
            )
        self.changed.purged += filter(is_purged, after)
        return len(some) < len(wanted)

    async def _record(
        self, packs: Mapping[str, PackRecord], wanted: Mapping[str, Hidden], rev: int
    ) -> bool:
        """Write what the ledger does not say yet; return whether something was taken back."""
        due = {
            pack_id: hidden
            for pack_id, hidden in wanted.items()
            if pack_id not in self.told or self.told[pack_id].hidden != hidden
        }
        lost = {
            pack_id: packs[pack_id].hidden
            for pack_id, decision in self.told.items()
            if pack_id in packs
            and pack_id not in wanted
            and decision.hidden != packs[pack_id].hidden
        }
        decisions = [
            Decision(
                tenant=self.tenant,
                study_instance_uid=self.study_instance_uid,
                series_instance_uid=packs[pack_id].series_instance_uid,
                pack_id=pack_id,
                hidden=hidden,
                decided_us=rev,
                about_trash=True,
            )
            for pack_id, hidden in (due | lost).items()
        ]
        if decisions:
            await self.record(decisions)
            self.told |= {one.pack_id: one for one in decisions}
        return bool(lost)

    async def _change(
        self, state: StudyState, after: Sequence[PackRecord], rev: int
    ) -> StudyChange:
        changed = {pack.pack_id: pack for pack in after}
        dropped = {pack.pack_id for pack in after if is_purged(pack)}
        left = [
            changed.get(pack.pack_id, pack) for pack in state.packs if pack.pack_id not in dropped
        ]
        before = {pack.pack_id: pack.hidden.keys() for pack in state.packs}
        shows_the_same = all(before[pack.pack_id] == pack.hidden.keys() for pack in after)
        put_series: tuple[SeriesRecord, ...] = ()
        drop_series: tuple[str, ...] = ()
        study: StudyRecord | None
        if not left:
            study = None
            drop_series = tuple(one.series_instance_uid for one in state.series)
        elif shows_the_same:
            study = replace(state.study, rev=rev)
        else:
            study, series = recompute(await self._contributions(left), rev=rev, before=state.study)
            known = {one.series_instance_uid: one for one in state.series}
            # Not all that differ: other packs' may be too many for one change.
            touched = {pack.series_instance_uid for pack in after}
            put_series = tuple(
                series[uid]
                for uid in sorted(touched & series.keys())
                if series[uid] != known.get(uid)
            )
            drop_series = tuple(sorted(known.keys() - series.keys()))
        return StudyChange(
            tenant=self.tenant,
            study_instance_uid=self.study_instance_uid,
            before=state.study,
            after=study,
            put_series=put_series,
            drop_series=drop_series,
            put_packs=tuple(pack for pack in after if pack.pack_id not in dropped),
            drop_packs=tuple(ref_of(pack) for pack in after if pack.pack_id in dropped),
        )

    async def _contributions(self, packs: Sequence[PackRecord]) -> list[Contribution]:
        gate = asyncio.Semaphore(_LOADS_AT_ONCE)

        async def of(pack: PackRecord) -> Contribution:
            hidden = frozenset(pack.hidden)
            if len(hidden) >= pack.instance_count:
                return contributes_nothing(pack)
            kept = self.kept.get(pack.pack_id)
            if kept is None or kept[0] != hidden:
                async with gate:
                    table = await self.load_table(pack.tenant, ref_of(pack))
                visible = {one.sop_instance_uid for one in table.instances} - hidden
                kept = self.kept[pack.pack_id] = hidden, summarise(table, visible)
            return kept[1]

        return list(await asyncio.gather(*map(of, packs)))


def is_purged(pack: PackRecord) -> bool:
    """Return whether nothing of `pack` is wanted any more: every instance is purged."""
    purged = sum(why is HiddenReason.PURGED for why in pack.hidden.values())
    return purged >= pack.instance_count


def _some(wanted: Mapping[str, Hidden]) -> list[str]:
    """Return the ids of as many packs as one change may touch, oldest first."""
    some: list[str] = []
    uids = 0
    for pack_id in sorted(wanted):
        uids += len(wanted[pack_id])
        if some and (len(some) == PACKS_PER_CHANGE or uids > UIDS_PER_CHANGE):
            break
        some.append(pack_id)
    return some
