"""Erased instances in the catalogue: their study remembers them, and no pack shows them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from pacs_cloud.catalogue.changing import Wanted, change_packs, is_purged
from pacs_cloud.catalogue.decisions import Decision
from pacs_cloud.catalogue.judging import LoadTable, ref_of
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.races import next_rev, until_done
from pacs_cloud.catalogue.recompute import empty_study
from pacs_cloud.catalogue.records import HiddenReason, PackRecord, StudyChange, StudyState
from pacs_cloud.custody.ledger import decided_by, decisions_of
from pacs_cloud.custody.trash.marked_ledger import MarkedLedger
from pacs_cloud.objectstore.port import ObjectStore


@dataclass(slots=True)
class ErasedHiding:
    """One study on its way.

    Attributes:
        objects: the store, with the ledger.
        catalogue: where the study is.
        ledger: of the study, behind its mark.
        load_table: returns the table of a committed pack.
        now_us: the clock, microseconds since 1970 UTC.
        erased: SOP Instance UIDs.
        within: by pack id, which of them a pack holds, as far as that was looked up.
    """

    objects: ObjectStore
    catalogue: Catalogue
    ledger: MarkedLedger
    load_table: LoadTable
    now_us: Callable[[], int]
    erased: frozenset[str]
    within: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])

    async def hide(self, tenant: str, study_instance_uid: str) -> None:
        """Have the study remember what is erased, and each of its packs hide it for good.

        One change does both. Packs of which nothing else is left are dropped by it; their
        objects stay.

        Raises:
            Corrupt, NotFound, Offline: a decision or a pack's table cannot be read.
            Held: the study is on hold.
            Unavailable: a store cannot be reached, or the study keeps changing.
        """
        names = tenant, study_instance_uid
        await until_done(partial(self._begin, *names))
        await change_packs(self.catalogue, *names, self._intend, self.load_table)

    async def _begin(self, tenant: str, study_instance_uid: str, attempt: int) -> bool:
        """Make the record of a study that has none, for what comes later; nothing is left then."""
        names = tenant, study_instance_uid
        if self.erased and await self.catalogue.study(*names) is None:
            record = empty_study(*names, self.now_us() + attempt, erased=self.erased)
            await self.catalogue.commit(StudyChange(*names, None, record))
        return False

    async def _intend(self, state: StudyState, attempt: int) -> Wanted:
        """Return what shall be, once the ledger has it."""
        study = state.study
        # Read behind the state: whatever is decided later changes the state's `rev`.
        decisions = await decisions_of(self.objects, study.tenant, study.study_instance_uid)
        decided = decided_by(decisions)
        rev = next_rev(study, max(self.now_us() + attempt, decided.last_us + 1))
        after: dict[str, PackRecord] = {}
        unsaid: list[Decision] = []
        is_told_late = False
        for pack in state.packs:
            erased = await self._erased_in(pack)
            if not erased:
                continue
            hidden = {**pack.hidden, **dict.fromkeys(erased, HiddenReason.PURGED)}
            shall = replace(pack, hidden=hidden)
            if shall != pack or is_purged(shall):
                after[pack.pack_id] = shall
            is_told_late |= any(
                one.pack_id == pack.pack_id and one.decided_us > study.rev for one in decisions
            )
            if dict(decided.hidden.get(pack.pack_id, {})) != hidden:
                unsaid.append(
                    Decision(
                        tenant=pack.tenant,
                        study_instance_uid=pack.study_instance_uid,
                        series_instance_uid=pack.series_instance_uid,
                        pack_id=pack.pack_id,
                        hidden=hidden,
                        decided_us=rev,
                        about_trash=True,
                    )
                )
        if unsaid:
            await self.ledger.record(unsaid)
        is_due = bool(unsaid) or is_told_late or study.erased != self.erased
        return Wanted(rev, replace(study, erased=self.erased), after, is_due=is_due)

    async def _erased_in(self, pack: PackRecord) -> frozenset[str]:
        """Return what of a pack is erased."""
        if pack.pack_id not in self.within:
            table = await self.load_table(pack.tenant, ref_of(pack))
            uids = {one.sop_instance_uid for one in table.instances}
            self.within[pack.pack_id] = self.erased & uids
        return self.within[pack.pack_id]
