"""Commits: what makes a pack visible, in one conditional change of its study.

A pack is staged first (its index and UID items), then its study is read, then
the UIDs are looked up, then the change is made on condition that the study is
still as it was read. Of two packs of one study that race, the second to commit
fails on that condition, looks again, and then sees the first.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from pacs_cloud.catalogue.change_parts import first_part
from pacs_cloud.catalogue.decisions import Decision
from pacs_cloud.catalogue.elsewhere import tell_late
from pacs_cloud.catalogue.judging import (
    ConflictPolicy,
    InstanceOutcome,
    LoadTable,
    Verdict,
    met_before,
    outcome_of,
    weigh,
)
from pacs_cloud.catalogue.pack_change import Newcomer, change_by
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.races import next_rev, until_done
from pacs_cloud.catalogue.records import (
    STAYS_HIDDEN,
    HiddenReason,
    PackRecord,
    StagedPack,
    StudyChange,
    StudyState,
)
from pacs_cloud.pack.index import PackIndex

PACKS_PER_CHANGE = 80
"""How many other packs one change hides instances in; more take several changes."""

RecordDecision = Callable[[Decision], Awaitable[None]]
"""Writes a decision to the ledger; returns when it is durable."""


async def judge(
    catalogue: Catalogue, index: PackIndex, load_table: LoadTable
) -> Mapping[str, InstanceOutcome]:
    """Return what a commit of `index` would meet, by SOP Instance UID; nothing is written.

    Other content under the same UID is "kept-first", whatever the policy will be.
    """
    state = await catalogue.study(index.tenant, index.study_instance_uid)
    verdict = await weigh(
        catalogue, index, state, load_table, policy=ConflictPolicy.KEEP_FIRST, now_us=0
    )
    return verdict.outcomes


async def find_repeated(
    catalogue: Catalogue, index: PackIndex, load_table: LoadTable
) -> Mapping[str, InstanceOutcome] | None:
    """Return what `judge` does where all of `index` is there already; None where something is new.

    For nearly every pack one look-up answers: nobody has seen its first instance.
    """
    if index.instances and not await met_before(catalogue, index, index.instances[0]):
        return None
    outcomes = await judge(catalogue, index, load_table)
    # Two contents of one UID have one outcome.
    if len(outcomes) == len(index.instances) and all(
        outcome.status == "duplicate" for outcome in outcomes.values()
    ):
        return outcomes
    return None


async def commit_pack(
    catalogue: Catalogue,
    index: PackIndex,
    staged: StagedPack,
    length_bytes: int,
    *,
    policy: ConflictPolicy,
    now_us: int,
    load_table: LoadTable,
    record_decision: RecordDecision,
    decided: Mapping[str, HiddenReason] | None = None,
    told: Mapping[str, Mapping[str, HiddenReason]] | None = None,
) -> Mapping[str, InstanceOutcome]:
    """Make a pack visible and return what became of its instances, by SOP Instance UID.

    May be called again for the same pack, after a crash or beside another
    process: what is committed already changes nothing.

    Args:
        catalogue: where it becomes visible.
        index: the pack's table.
        staged: the same pack, as it is staged.
        length_bytes: of the pack's object, which is durable by now.
        policy: for other content under a SOP Instance UID that is already there.
        now_us: microseconds since 1970 UTC.
        load_table: returns the table of a committed pack.
        record_decision: writes a decision to the ledger, before the catalogue shows it.
        decided: by `rebuild`: what of this pack the ledger hides. Then nothing is
            judged, recorded in the ledger or announced again.
        told: by adoption: what commits have told the ledger last, by pack id. What one of
            this pack told that died is taken back where this one decides otherwise.

    Raises:
        Unavailable: the catalogue cannot be reached, or the study keeps changing.
    """
    await catalogue.stage(staged)
    commit = _Commit(
        catalogue,
        index,
        length_bytes,
        policy,
        now_us,
        load_table,
        record_decision,
        decided,
        told or {},
    )
    return await commit.run()


@dataclass(slots=True)
class _Commit:
    """One pack on its way into the catalogue; fields as the arguments of `commit_pack`."""

    catalogue: Catalogue
    index: PackIndex
    length_bytes: int
    policy: ConflictPolicy
    now_us: int
    load_table: LoadTable
    record_decision: RecordDecision
    decided: Mapping[str, HiddenReason] | None
    told: Mapping[str, Mapping[str, HiddenReason]]
    outcomes: dict[str, InstanceOutcome] = field(default_factory=dict[str, InstanceOutcome])
    recorded: set[str] = field(default_factory=set[str])

    async def run(self) -> Mapping[str, InstanceOutcome]:
        await until_done(self._step)
        return self.outcomes

    async def _step(self, attempt: int) -> bool:
        """Make one change; return whether there may be more.

        Raises:
            Conflict: the study has changed since it was read; nothing was changed.
        """
        index = self.index
        state = await self.catalogue.study(index.tenant, index.study_instance_uid)
        own = self._own(state)
        if own is not None and not self._waiting(own):
            self._recall(own)
            return False
        verdict = await weigh(
            self.catalogue,
            index,
            state,
            self.load_table,
            policy=self.policy,
            now_us=self.now_us,
            decided=self.decided,
        )
        if own is not None:
            verdict = _only(verdict, self._waiting(own))
        deferred = _defer(verdict, state)
        rev = next_rev(state.study if state else None, self.now_us + attempt)
        change = await change_by(self._newcomer(), state, own, verdict, rev)
        await self._record(state, change, rev)
        await self.catalogue.commit(change)
        self.told = {}
        self.recorded.clear()  # it is so now
        for uid, outcome in verdict.outcomes.items():
            if own is None or outcome.status == "replaced":
                self.outcomes[uid] = outcome
        if verdict.unsettled:
            await tell_late(self.catalogue, index, verdict.unsettled, now_us=self.now_us)
        return deferred

    def _own(self, state: StudyState | None) -> PackRecord | None:
        """Return this pack's record, where it is committed already."""
        packs = state.packs if state else ()
        return next((pack for pack in packs if pack.pack_id == self.index.pack_id), None)

    def _newcomer(self) -> Newcomer:
        return Newcomer(
            self.index,
            self.length_bytes,
            self.now_us,
            self.load_table,
            is_announced=self.decided is None,
        )

    def _waiting(self, own: PackRecord) -> set[str]:
        """Return the UIDs that this pack shall show once others have given way."""
        if self.policy is not ConflictPolicy.REPLACE or self.decided is not None:
            return set()
        return {uid for uid, why in own.hidden.items() if why is HiddenReason.KEPT_FIRST}

    def _recall(self, own: PackRecord) -> None:
        """Fill in the outcomes of instances that an earlier call committed."""
        for instance in self.index.instances:
            uid = instance.sop_instance_uid
            self.outcomes.setdefault(uid, outcome_of(own.hidden.get(uid)))

    async def _record(self, state: StudyState | None, change: StudyChange, rev: int) -> None:
        """Write what `change` hides to the ledger, and take back what a lost try had written."""
        if self.decided is not None:
            return
        packs = {pack.pack_id: pack for pack in state.packs} if state else {}
        before = {pack_id: pack.hidden for pack_id, pack in packs.items()}
        packs |= {pack.pack_id: pack for pack in change.put_packs}
        for pack_id, pack in sorted(packs.items()):
            is_so = pack.hidden == before.get(pack_id, {}) and self._is_told(pack)
            # What a lost try had written is written anew: whoever won may have taken it back.
            if is_so and pack_id not in self.recorded:
                continue
            decision = Decision(
                tenant=pack.tenant,
                study_instance_uid=pack.study_instance_uid,
                series_instance_uid=pack.series_instance_uid,
                pack_id=pack_id,
                hidden=pack.hidden,
                decided_us=rev,
            )
            await self.record_decision(decision)
            self.recorded.add(pack_id)

    def _is_told(self, pack: PackRecord) -> bool:
        """Return whether the ledger was told nothing else of what `pack` has of this pack's."""
        told = self.told.get(pack.pack_id)
        return told is None or all(
            told.get(uid) == pack.hidden.get(uid) or told.get(uid) in STAYS_HIDDEN
            for uid in (instance.sop_instance_uid for instance in self.index.instances)
        )


def _only(verdict: Verdict, uids: set[str]) -> Verdict:
    """Return the part of `verdict` that is about `uids`."""
    return Verdict(
        outcomes={uid: one for uid, one in verdict.outcomes.items() if uid in uids},
        hidden={uid: why for uid, why in verdict.hidden.items() if uid in uids},
        replaced={
            pack_id: found & uids for pack_id, found in verdict.replaced.items() if found & uids
        },
        conflicts=[one for one in verdict.conflicts if one.sop_instance_uid in uids],
    )


def _defer(verdict: Verdict, state: StudyState | None) -> bool:
    """Cut `verdict` down to what one change may touch; return whether something waits.

    What waits stays visible where it is, and hidden in the newcomer, so that each
    step on the way shows every instance exactly once.
    """
    if state is None or not verdict.replaced:
        return False
    packs = [pack for pack in state.packs if pack.pack_id in verdict.replaced]
    oldest = sorted(packs, key=lambda pack: pack.pack_id)
    some = {pack.pack_id for pack in first_part(oldest, PACKS_PER_CHANGE)}
    later = sorted(verdict.replaced.keys() - some)
    waiting = {uid for pack_id in later for uid in verdict.replaced[pack_id]}
    for pack_id in later:
        del verdict.replaced[pack_id]
    for uids in verdict.replaced.values():
        uids.difference_update(waiting)
    for uid in waiting:
        verdict.hidden[uid] = HiddenReason.KEPT_FIRST
    verdict.conflicts = [one for one in verdict.conflicts if one.sop_instance_uid not in waiting]
    return bool(waiting)
