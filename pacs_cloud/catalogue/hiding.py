"""Changes of what committed packs hide: deletions, what takes them back, and purges."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pacs_cloud.catalogue.changing import Wanted, change_packs, is_purged
from pacs_cloud.catalogue.decisions import Decision
from pacs_cloud.catalogue.judging import LoadTable
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.races import next_rev
from pacs_cloud.catalogue.records import HiddenReason, PackRecord, StudyState

Hidden = Mapping[str, HiddenReason]
"""What a pack hides, by SOP Instance UID."""

Plan = Callable[[StudyState], Awaitable[Mapping[str, Hidden]]]
"""Returns, by pack id, all that packs of the study shall hide; packs it leaves out stay."""

RecordDecisions = Callable[[Sequence[Decision]], Awaitable[None]]
"""Writes decisions of one moment to the ledger, as one; returns when they are durable."""


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
        tenant, study_instance_uid, plan, record, now_us, told if told is not None else {}
    )
    changed = Changed()
    for before, after in await change_packs(
        catalogue, tenant, study_instance_uid, change.intend, load_table
    ):
        changed.instances += sum(
            before.hidden.get(uid) != after.hidden.get(uid)
            for uid in {*before.hidden, *after.hidden}
        )
        if is_purged(after):
            changed.purged.append(after)
    return changed


@dataclass(frozen=True, slots=True)
class _HiddenChange:
    """One study on its way; fields as the arguments of `change_hidden`."""

    tenant: str
    study_instance_uid: str
    plan: Plan
    record: RecordDecisions
    now_us: int
    told: dict[str, Decision]

    async def intend(self, state: StudyState, attempt: int) -> Wanted:
        """Return what `plan` wants of the study, once the ledger says it."""
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
        after = {pack_id: replace(packs[pack_id], hidden=wanted[pack_id]) for pack_id in wanted}
        return Wanted(rev, state.study, after, is_due=took_back)

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
            self.told.update({one.pack_id: one for one in decisions})
        return bool(lost)
