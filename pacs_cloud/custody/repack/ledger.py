"""What the ledger says of merged packs: what they hide, and that they were ever committed.

Before the catalogue shows a merged pack the ledger has what it hides, as of the times when
that was decided of the packs it replaces. These decisions are no later than the study's
`rev` that the pack was merged as of (`PackIndex.merged_rev`); its *proof*, written behind
the commit, and whatever is decided about it from then on, are later. A merged pack without
a proof is a leftover: the packs it names hold the truth, and none of them is removed
before the proof is there. So whoever wins a race with a repack needs no regard for it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pacs_cloud.catalogue.decisions import Decision, deleted_since, encode_trash, standing
from pacs_cloud.catalogue.hiding import Hidden
from pacs_cloud.catalogue.records import HiddenReason, PackRecord
from pacs_cloud.custody.ledger import record_decision
from pacs_cloud.objectstore.keys import decision_key
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.pack.index import PackIndex


@dataclass(frozen=True, slots=True)
class Merge:
    """What a merged pack's table says of how it came about; fields as in `PackIndex`."""

    pack_id: str
    replaces: tuple[str, ...]
    merged_rev: int | None

    @classmethod
    def of(cls, table: PackIndex) -> "Merge":
        """Return what a table says; of a pack that was not merged, that it replaces nothing."""
        return cls(table.pack_id, table.replaces, table.merged_rev)

    def is_proven(self, decisions: Iterable[Decision]) -> bool:
        """Return whether `decisions`, all about its study, say that the pack was committed.

        A pack that was not merged as of any `rev` needs no proof.
        """
        rev = self.merged_rev
        return rev is None or any(
            one.pack_id == self.pack_id and one.decided_us > rev for one in decisions
        )


def replaced_and_leftover(
    merges: Iterable[Merge], decisions: Collection[Decision]
) -> tuple[set[str], set[str]]:
    """Return the ids of packs that merged ones have replaced, and of merged ones without proof.

    Args:
        merges: of one study.
        decisions: all about it.
    """
    replaced: set[str] = set()
    leftover: set[str] = set()
    for merge in merges:
        if merge.is_proven(decisions):
            replaced.update(merge.replaces)
        else:
            leftover.add(merge.pack_id)
    return replaced, leftover


def is_settled(packs: Iterable[PackRecord], rev: int, decisions: Sequence[Decision]) -> bool:
    """Return whether the ledger and the catalogue agree on what `packs` hide.

    Where they do not somebody is about to make them, or has died on the way.

    Args:
        packs: as the catalogue has them.
        rev: of their study's record, read with them.
        decisions: all about their study, read behind.
    """
    ids = {pack.pack_id: pack.hidden for pack in packs}
    decided = standing(decisions)
    return not any(one.pack_id in ids and one.decided_us > rev for one in decisions) and all(
        dict(hidden) == dict(decided.get(pack_id, {})) for pack_id, hidden in ids.items()
    )


async def carry_over(
    objects: ObjectStore,
    merged: PackIndex,
    hidden: Hidden,
    kept: Mapping[str, Collection[str]],
    decisions: Sequence[Decision],
) -> None:
    """Write what `merged` hides, each deletion at the time when it was made.

    So that what lies in the trash is due when it was. Writing it twice is once.

    Args:
        objects: the store.
        merged: the merged pack's table.
        hidden: what it hides, and why.
        kept: by id of the packs it replaces, the SOP Instance UIDs taken from there.
        decisions: all about its study.
    """
    about = [one for one in decisions if one.pack_id in kept]
    since = deleted_since(about)
    deleted = {
        uid: since[pack_id][uid]
        for pack_id, uids in kept.items()
        for uid in uids
        if hidden.get(uid) is HiddenReason.DELETED
    }
    others = {uid: why for uid, why in hidden.items() if uid not in deleted}
    times = set(deleted.values())
    if others and not times:
        times = {max(one.decided_us for one in about)}
    for decided_us in sorted(times):
        so_far = {uid for uid, since_us in deleted.items() if since_us <= decided_us}
        decision = Decision(
            tenant=merged.tenant,
            study_instance_uid=merged.study_instance_uid,
            series_instance_uid=merged.series_instance_uid,
            pack_id=merged.pack_id,
            hidden={**others, **dict.fromkeys(so_far, HiddenReason.DELETED)},
            decided_us=decided_us,
            about_trash=True,
        )
        key = decision_key(merged.tenant, merged.study_instance_uid, decided_us, merged.pack_id)
        await objects.put_new(key, encode_trash([decision]))


async def prove(objects: ObjectStore, record: PackRecord, rev: int) -> Decision:
    """Write that a merged pack is committed; return the decision that says so.

    Args:
        objects: the store.
        record: of the pack, as the catalogue has it.
        rev: of the study, read with it.
    """
    decision = Decision(
        tenant=record.tenant,
        study_instance_uid=record.study_instance_uid,
        series_instance_uid=record.series_instance_uid,
        pack_id=record.pack_id,
        hidden=record.hidden,
        decided_us=rev,
    )
    await record_decision(objects, decision)
    return decision
