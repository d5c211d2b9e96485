"""A study made to hide what the notes in force reject of it, and nothing else as rejected.

The ledger says it first, as with every hiding. Whoever dies in between leaves the notes
written down: to settle the study again, which the next pack, the job that died or the
worker's round does, ends it.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from pacs_cloud.catalogue.decisions import Decision
from pacs_cloud.catalogue.hiding import Hidden, RecordDecisions, change_hidden
from pacs_cloud.catalogue.judging import LoadTable, ref_of
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import HiddenReason, PackRecord, StudyState
from pacs_cloud.custody.ledger import Decided, as_told, decided_of, record_trash
from pacs_cloud.custody.rejections.force import Force
from pacs_cloud.custody.rejections.note import Note
from pacs_cloud.custody.rejections.registry import notes_about
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.pack.index import PackInstance

_Place = tuple[str, str]
"""Series and SOP Instance UID."""


async def settle_with(
    objects: ObjectStore,
    catalogue: Catalogue,
    tenant: str,
    study_instance_uid: str,
    *,
    load_table: LoadTable,
    now_us: int,
    known: dict[str, Note] | None = None,
) -> int:
    """Settle a study, and every one that a note of it touches; return how many instances changed.

    Where a note was stored, deleted or rejected, what it names changes with it, and among
    that may be notes again. For a study that no note touches this is one listing.

    Args:
        objects: the store.
        catalogue: the catalogue.
        tenant: whose.
        study_instance_uid: where something was stored, hidden or shown.
        load_table: returns the table of a committed pack.
        now_us: microseconds since 1970 UTC.
        known: notes that were read before, as of `notes_about`.

    Raises:
        Corrupt, NotFound: a note, a decision or a pack's table cannot be read.
        Unavailable: a store cannot be reached, or a study keeps changing.
    """
    known = {} if known is None else known
    due, seen, changed = [study_instance_uid], {study_instance_uid}, 0
    while due:
        study = due.pop()
        notes = await notes_about(objects, tenant, study, known)
        if not notes:
            continue
        plan_of = partial(_Plan, objects, catalogue, load_table, known)
        changed += await _settle(
            catalogue, tenant, study, plan_of, load_table, partial(record_trash, objects), now_us
        )
        for note in notes:
            if note.study_instance_uid == study:
                due += sorted(note.studies - seen)
                seen |= note.studies
    return changed


async def _settle(
    catalogue: Catalogue,
    tenant: str,
    study: str,
    plan_of: "Callable[[], _Plan]",
    load_table: LoadTable,
    record: RecordDecisions,
    now_us: int,
) -> int:
    total = 0
    while True:
        plan = plan_of()
        changed = await change_hidden(
            catalogue,
            tenant,
            study,
            plan,
            load_table=load_table,
            record=record,
            now_us=now_us,
            told=plan.told,
        )
        # Once more behind a change: a note of another study may have gone meanwhile, and
        # whoever took it did not see yet what was hidden here.
        if not changed.instances:
            return total
        total += changed.instances


class _Plan:
    """Says what the packs of a study shall hide.

    Attributes:
        told: by pack id, what the ledger says of rejections that the catalogue does not.
    """

    def __init__(
        self,
        objects: ObjectStore,
        catalogue: Catalogue,
        load_table: LoadTable,
        known: dict[str, Note],
    ) -> None:
        self.told: dict[str, Decision] = {}
        self._objects = objects
        self._catalogue = catalogue
        self._load_table = load_table
        self._known = known

    async def __call__(self, state: StudyState) -> Mapping[str, Hidden]:
        study = state.study
        names = study.tenant, study.study_instance_uid
        # All read behind the state, anew for each: what changes after changes its `rev`.
        self.told |= _untrue(state.packs, await decided_of(self._objects, *names))
        rejected = await self._rejected(*names)
        wanted = {pack.pack_id: dict(pack.hidden) for pack in state.packs}
        places = rejected.keys() | {
            (pack.series_instance_uid, uid)
            for pack in state.packs
            for uid, why in pack.hidden.items()
            if why is HiddenReason.REJECTED
        }
        holders = await self._holders(state, places)
        for (series, uid), packs in holders.items():
            if (series, uid) in rejected:
                await self._hide(wanted, uid, packs, rejected[series, uid])
            else:
                await self._show(wanted, uid, packs)
        return {
            pack.pack_id: wanted[pack.pack_id]
            for pack in state.packs
            if wanted[pack.pack_id] != pack.hidden
        }

    async def _rejected(self, tenant: str, study: str) -> dict[_Place, int | None]:
        """Return what notes in force reject of a study, and what was received by when."""
        force = Force(self._objects, self._catalogue, self._load_table, self._known)
        rejected: dict[_Place, int | None] = {}
        for note in await force.about(tenant, study):
            if not await force.has(note):
                continue
            for place in note.places(study):
                before = rejected.get(place, 0)
                is_open = before is None or note.until_us is None
                rejected[place] = None if is_open else max(before or 0, note.until_us or 0)
        return rejected

    async def _holders(
        self, state: StudyState, places: Iterable[_Place]
    ) -> dict[_Place, list[PackRecord]]:
        """Return, oldest first, the packs of each place that have an instance of it."""
        packs = {ref_of(pack): pack for pack in state.packs}
        series = {ref.series_instance_uid for ref in packs}
        wanted = {place for place in places if place[0] in series}
        found = await self._catalogue.find_uids(state.study.tenant, {uid for _, uid in wanted})
        holders: dict[_Place, list[PackRecord]] = {}
        for uid, refs in found.items():
            for ref in sorted(refs, key=lambda ref: ref.pack_id):
                place = ref.series_instance_uid, uid
                if ref in packs and place in wanted:
                    holders.setdefault(place, []).append(packs[ref])
        return holders

    async def _hide(
        self,
        wanted: Mapping[str, dict[str, HiddenReason]],
        uid: str,
        packs: Iterable[PackRecord],
        until_us: int | None,
    ) -> None:
        for pack in packs:
            if uid in pack.hidden:
                continue
            if until_us is None or (await self._instance(pack, uid)).received_us <= until_us:
                wanted[pack.pack_id][uid] = HiddenReason.REJECTED

    async def _show(
        self, wanted: Mapping[str, dict[str, HiddenReason]], uid: str, packs: Iterable[PackRecord]
    ) -> None:
        """Show the oldest that was rejected, where none is shown; the others stand against it."""
        back = [pack for pack in packs if pack.hidden.get(uid) is HiddenReason.REJECTED]
        shown = next((pack for pack in packs if uid not in pack.hidden), None)
        for pack in back:
            if shown is None:
                shown = pack
                del wanted[pack.pack_id][uid]
                continue
            is_same = (await self._instance(pack, uid)).digest == (
                await self._instance(shown, uid)
            ).digest
            wanted[pack.pack_id][uid] = (
                HiddenReason.DUPLICATE if is_same else HiddenReason.QUARANTINED
            )

    async def _instance(self, pack: PackRecord, uid: str) -> PackInstance:
        table = await self._load_table(pack.tenant, ref_of(pack))
        return next(one for one in table.instances if one.sop_instance_uid == uid)


def _untrue(packs: Iterable[PackRecord], decided: Decided) -> dict[str, Decision]:
    """Return, by pack id, what stands in the ledger where the catalogue rejects something else."""
    return {
        pack.pack_id: as_told(pack, decided)
        for pack in packs
        if pack.pack_id in decided.hidden
        and _rejected_in(decided.hidden[pack.pack_id]) != _rejected_in(pack.hidden)
    }


def _rejected_in(hidden: Hidden) -> set[str]:
    return {uid for uid, why in hidden.items() if why is HiddenReason.REJECTED}
