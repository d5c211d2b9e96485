"""A study's records made again from its packs and its ledger, in one conditional change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from pacs_cloud.catalogue.decisions import Decision, encode_trash, standing
from pacs_cloud.catalogue.hiding import Hidden
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.races import until_done
from pacs_cloud.catalogue.recompute import is_remembered, without_packs
from pacs_cloud.catalogue.records import (
    STAYS_HIDDEN,
    PackRecord,
    StagedPack,
    StudyRecord,
    StudyState,
)
from pacs_cloud.catalogue.wanted_pack import WantedPack
from pacs_cloud.catalogue.whole_study import make_whole
from pacs_cloud.custody.labels import label_entries, standing_labels
from pacs_cloud.custody.ledger import decisions_of
from pacs_cloud.custody.repair.sources import any_index
from pacs_cloud.custody.stored_pack import (
    key_of,
    load_table,
    read_stored_pack,
    staged_pack,
    table_of,
)
from pacs_cloud.custody.unreadable import UNREADABLE
from pacs_cloud.custody.walk import objects_of_study
from pacs_cloud.objectstore.keys import PackKey, decision_key
from pacs_cloud.objectstore.port import ObjectInfo, ObjectStore
from pacs_cloud.pack.index import PackIndex


async def recompute_records(
    objects: ObjectStore,
    catalogue: Catalogue,
    tenant: str,
    study_instance_uid: str,
    *,
    now_us: int,
) -> None:
    """Have a study's records be what its committed packs and its ledger give.

    No pack is dropped, also where its object is not there, and none is added. What the
    catalogue hides of a pack of which the ledger says nothing stays hidden, and the ledger
    is told: to show what somebody has hidden would be worse. Repeatable, and beside
    whatever else changes the study.

    Raises:
        Corrupt, NotFound: a decision, or every index of a pack, cannot be read; nothing
            was changed.
        Unavailable: a store cannot be reached, or the study keeps changing.
    """
    names = tenant, study_instance_uid

    async def step(attempt: int) -> bool:
        wanted = await records_wanted(objects, catalogue, *names)
        if wanted is None:
            return False
        for decision in wanted.untold:
            await _tell(objects, decision)
        await make_whole(
            catalogue,
            wanted.state,
            wanted.packs,
            load_table=partial(load_table, objects, catalogue),
            now_us=now_us + attempt,
            remembered=_remembered(replace(wanted.state.study, labels=wanted.labels)),
        )
        return False

    await until_done(step)


@dataclass(frozen=True, slots=True)
class RecordsWanted:
    """What a study's records shall be.

    Attributes:
        state: as they are.
        packs: its packs by id.
        labels: of the study, as the store has them.
        untold: what only the catalogue knows, and the ledger shall be told.
    """

    state: StudyState
    packs: Mapping[str, WantedPack]
    labels: frozenset[str]
    untold: Sequence[Decision]


async def records_wanted(
    objects: ObjectStore, catalogue: Catalogue, tenant: str, study_instance_uid: str
) -> RecordsWanted | None:
    """Return what a study's records shall be, None where it has none; changes nothing.

    Raises:
        Corrupt, NotFound: a decision, or every index of a pack, cannot be read.
        Unavailable: a store cannot be reached.
    """
    names = tenant, study_instance_uid
    state = await catalogue.study(*names)
    if state is None:
        return None
    # Read behind the state: what the ledger is told later changes the state's `rev`.
    found = await objects_of_study(objects, *names)
    decisions = [
        one
        for one in await decisions_of(objects, *names)
        if one.decided_us <= state.study.rev  # a later one may be on its way
    ]
    hidden = _hidden(state, decisions)
    await _keep_shown(catalogue, state, hidden)
    packs = {
        one.pack_id: await _wanted(
            objects, catalogue, one, found.packs.get(key_of(one)), hidden[one.pack_id]
        )
        for one in state.packs
    }
    labels = standing_labels(await label_entries(objects, *names))
    return RecordsWanted(state, packs, labels, _untold(state, hidden, decisions))


def _hidden(state: StudyState, decisions: Sequence[Decision]) -> dict[str, Hidden]:
    """Return what each pack shall hide: what the ledger says, and what only it has forgotten."""
    decided = standing(decisions)
    known = {one.pack_id for one in decisions}
    about_trash = {one.pack_id for one in decisions if one.about_trash}
    hidden: dict[str, Hidden] = {}
    for pack in state.packs:
        forgotten = {
            uid: why
            for uid, why in pack.hidden.items()
            if pack.pack_id not in known
            or (why in STAYS_HIDDEN and pack.pack_id not in about_trash)
        }
        hidden[pack.pack_id] = {**forgotten, **decided.get(pack.pack_id, {})}
    return hidden


async def _keep_shown(catalogue: Catalogue, state: StudyState, hidden: dict[str, Hidden]) -> None:
    """Hide nothing for the sake of another pack where no other pack shows it.

    A commit that told the ledger and died leaves such a decision, where it was made again
    by another policy.
    """
    news = {
        pack.pack_id: [
            uid
            for uid, why in hidden[pack.pack_id].items()
            if uid not in pack.hidden and why not in STAYS_HIDDEN
        ]
        for pack in state.packs
    }
    uids = {uid for some in news.values() for uid in some}
    places = await catalogue.find_uids(state.study.tenant, uids) if uids else {}
    for pack in state.packs:
        for uid in news[pack.pack_id]:
            others = {
                ref.pack_id
                for ref in places.get(uid, ())
                if ref.series_instance_uid == pack.series_instance_uid
            } & (hidden.keys() - {pack.pack_id})
            if all(uid in hidden[other] for other in others):
                mine = hidden[pack.pack_id]
                hidden[pack.pack_id] = {one: why for one, why in mine.items() if one != uid}


def _untold(
    state: StudyState, hidden: Mapping[str, Hidden], decisions: Sequence[Decision]
) -> list[Decision]:
    """Return what the ledger has forgotten."""
    decided = standing(decisions)
    return [
        Decision(
            tenant=pack.tenant,
            study_instance_uid=pack.study_instance_uid,
            series_instance_uid=pack.series_instance_uid,
            pack_id=pack.pack_id,
            hidden=hidden[pack.pack_id],
            decided_us=state.study.rev,
            about_trash=not STAYS_HIDDEN.isdisjoint(hidden[pack.pack_id].values()),
        )
        for pack in state.packs
        if dict(hidden[pack.pack_id]) != dict(decided.get(pack.pack_id, {}))
    ]


async def _tell(objects: ObjectStore, decision: Decision) -> None:
    names = decision.tenant, decision.study_instance_uid, decision.decided_us, decision.pack_id
    data = encode_trash([decision]) if decision.about_trash else decision.to_json()
    await objects.put_new(decision_key(*names), data)


async def _wanted(
    objects: ObjectStore,
    catalogue: Catalogue,
    record: PackRecord,
    info: ObjectInfo | None,
    hidden: Hidden,
) -> WantedPack:
    key = key_of(record)
    blob, table = await any_index(objects, catalogue, key, record)
    return WantedPack(
        partial(_read, key, blob),
        await _length(objects, key, record, info, table),
        info.storage_class if info else record.storage_class,
        hidden,
    )


def _read(key: PackKey, blob: bytes) -> tuple[PackIndex, StagedPack]:
    # Read again when it is its turn: a study's tables need not all be in memory.
    table = table_of(key, blob)
    return table, staged_pack(table, blob)


async def _length(
    objects: ObjectStore,
    key: PackKey,
    record: PackRecord,
    info: ObjectInfo | None,
    table: PackIndex,
) -> int:
    """Return an object's size where that is the pack of `table`; else what the record says."""
    if info is None or info.length_bytes == record.length_bytes:
        return record.length_bytes
    try:
        pack = await read_stored_pack(objects, key.pack)
    except UNREADABLE:
        return record.length_bytes
    return info.length_bytes if pack.table == table else record.length_bytes


def _remembered(study: StudyRecord) -> StudyRecord | None:
    return without_packs(study, 0) if is_remembered(study) else None
