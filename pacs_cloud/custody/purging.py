"""The end of what was deleted: hidden for good, then its packs removed.

An instance whose retention is over is purged: no restoration brings it back, and the
versions of it that it had hidden go with it. A pack of which every instance is purged
is removed: from the catalogue first, then its index, then itself, so that a crash on
the way leaves a pack that the ledger tells from an orphan. Any other pack keeps its
bytes, with the purged instances hidden for ever.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pacs_cloud.catalogue.decisions import Decision, deleted_since, standing
from pacs_cloud.catalogue.hiding import Hidden, change_hidden
from pacs_cloud.catalogue.judging import LoadTable
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import GONE, HiddenReason, PackRecord, StudyState
from pacs_cloud.custody.ledger import decisions_of, record_trash
from pacs_cloud.custody.pack_removal import remove_pack
from pacs_cloud.custody.trash_marks import Action, marks, remove_mark
from pacs_cloud.errors import Corrupt, NotFound, Offline
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.telemetry import hashed

log = logging.getLogger(__name__)

GRACE_US = 60_000_000
"""How long a deletion or restoration is left alone after its mark: one minute."""
_MARK_STAYS_US = 3_600_000_000
"""A deletion loses its mark no sooner, whatever the retention: it may still be under way."""

_PASSES = 2
"""The first may only finish a deletion; what is due of that is purged at the second.

So nothing goes from visible to purged in one change, and a decision that purges what
the catalogue shows is known for one that lost."""


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge did.

    Attributes:
        instances: of packs, that nobody can bring back any more.
        packs: removed.
        length_bytes: of their objects.
        finished: instances whose deletion or restoration had stopped between ledger
            and catalogue.
        problems: studies that were left, because their ledger or a table cannot be read.
    """

    instances: int = 0
    packs: int = 0
    length_bytes: int = 0
    finished: int = 0
    problems: int = 0

    def __add__(self, other: "Purged") -> "Purged":
        return Purged(
            self.instances + other.instances,
            self.packs + other.packs,
            self.length_bytes + other.length_bytes,
            self.finished + other.finished,
            self.problems + other.problems,
        )


async def tend_trash(
    objects: ObjectStore,
    catalogue: Catalogue,
    *,
    load_table: LoadTable,
    now_us: int,
    retention_us: int,
    unseen_us: int = 0,
    tenant: str | None = None,
) -> Purged:
    """Purge what is due, and finish what a crash has stopped; return what was done.

    Args:
        objects: the store.
        catalogue: the catalogue.
        load_table: returns the table of a committed pack.
        now_us: microseconds since 1970 UTC.
        retention_us: how long what is deleted can be restored.
        unseen_us: deletions that were marked before were seen to end.
        tenant: whose; None for all.

    Raises:
        Unavailable: the store or the catalogue cannot be reached.
    """
    total = Purged()
    cutoff_us = now_us - retention_us
    # A study deleted instance by instance has a mark for each, and is tended once.
    is_tended: dict[tuple[str, str], bool] = {}
    async for mark in marks(objects, tenant):
        is_due = mark.marked_us <= cutoff_us
        is_settled = mark.marked_us <= now_us - GRACE_US
        if not is_due and not (is_settled and mark.marked_us >= unseen_us):
            continue
        study = mark.scope.tenant, mark.scope.study_instance_uid
        if study not in is_tended:
            try:
                total += await purge_study(
                    objects,
                    catalogue,
                    *study,
                    load_table=load_table,
                    now_us=now_us,
                    cutoff_us=cutoff_us,
                )
            except (Corrupt, NotFound, Offline) as error:
                # The next study is not kept waiting.
                log.error("trash_unreadable", extra={"study": hashed(study[1]), "reason": error})
                total += Purged(problems=1)
                is_tended[study] = False
            else:
                is_tended[study] = True
        if not is_tended[study]:
            continue
        is_over = is_due and mark.marked_us <= now_us - _MARK_STAYS_US
        if is_over or mark.action is Action.RESTORE:
            await remove_mark(objects, mark)
    return total


async def purge_study(
    objects: ObjectStore,
    catalogue: Catalogue,
    tenant: str,
    study_instance_uid: str,
    *,
    load_table: LoadTable,
    now_us: int,
    cutoff_us: int,
) -> Purged:
    """Purge what of one study was deleted at `cutoff_us` or before; return what was done.

    First the catalogue follows the ledger in what was deleted and restored, where a
    crash had kept it from that.

    Raises:
        Corrupt, NotFound, Offline: a decision, or a pack's table, cannot be read;
            nothing is purged.
        Unavailable: the store or the catalogue cannot be reached.
    """
    purged: set[tuple[str, str]] = set()

    async def plan(state: StudyState) -> Mapping[str, Hidden]:
        # Read behind the state: whatever changes after both changes the state's `rev`.
        decisions = await decisions_of(objects, tenant, study_instance_uid)
        decided, since = standing(decisions), deleted_since(decisions)
        packs = {pack.pack_id: pack for pack in state.packs}
        # What an earlier try did not come to.
        purged.difference_update(
            [
                (pack_id, uid)
                for pack_id, uid in purged
                if pack_id in packs and packs[pack_id].hidden.get(uid) is not HiddenReason.PURGED
            ]
        )
        followed = {
            pack.pack_id: _follow(pack.hidden, decided.get(pack.pack_id)) for pack in state.packs
        }
        due = {
            pack_id: {
                uid
                for uid, why in hidden.items()
                if why is HiddenReason.DELETED
                # Not what is hidden only now: that is purged at the second pass.
                and packs[pack_id].hidden.get(uid) is HiddenReason.DELETED
                and since.get(pack_id, {}).get(uid, now_us) <= cutoff_us
            }
            for pack_id, hidden in followed.items()
        }
        wanted = _purge(followed, due)
        await _purge_others(catalogue, state.packs, wanted, decided)
        purged.update(
            (pack.pack_id, uid)
            for pack in state.packs
            for uid, why in wanted[pack.pack_id].items()
            if why is HiddenReason.PURGED and pack.hidden.get(uid) is not why
        )
        return wanted

    async def record(decisions: Sequence[Decision]) -> None:
        await record_trash(objects, decisions)

    total = Purged()
    for _ in range(_PASSES):
        purged.clear()
        changed = await change_hidden(
            catalogue,
            tenant,
            study_instance_uid,
            plan,
            load_table=load_table,
            record=record,
            now_us=now_us,
        )
        for pack in changed.purged:
            await remove_pack(objects, catalogue, _key_of(pack), pack.hidden)
        finished = max(changed.instances - len(purged), 0)
        total += Purged(
            instances=len(purged),
            packs=len(changed.purged),
            length_bytes=sum(pack.length_bytes for pack in changed.purged),
            finished=finished,
        )
        if not finished:
            break
    return total


def _follow(hidden: Hidden, decided: Hidden | None) -> dict[str, HiddenReason]:
    """Return `hidden` with what the ledger says of the trash, and nothing else, taken over.

    What else a decision says is its own commit's affair: that may never have happened.
    Nor is a purge followed of what is not in the trash: it may have lost to a
    restoration, which is told and must hold.
    """
    if decided is None:
        return dict(hidden)
    followed: dict[str, HiddenReason] = {}
    for uid in {*hidden, *decided}:
        was, now = hidden.get(uid), decided.get(uid)
        if now is HiddenReason.PURGED and was not in GONE:
            now = was
        why = now if now in GONE or was in GONE else was
        if why is not None:
            followed[uid] = why
    return followed


def _purge(
    hidden: Mapping[str, Hidden], due: Mapping[str, set[str]]
) -> dict[str, dict[str, HiddenReason]]:
    """Return, by pack id, what is hidden once `due` is purged."""
    return {
        pack_id: {**reasons, **dict.fromkeys(due[pack_id], HiddenReason.PURGED)}
        for pack_id, reasons in hidden.items()
    }


async def _purge_others(
    catalogue: Catalogue,
    packs: Sequence[PackRecord],
    wanted: Mapping[str, dict[str, HiddenReason]],
    decided: Mapping[str, Hidden],
) -> None:
    """Purge in `wanted` the versions, too, that were hidden because of one that is purged.

    That one may be gone by now: then the ledger says of the version that it goes too.
    A version stays while one of the same UID is visible in its series, or in the trash.
    """
    purged: set[tuple[str, str]] = set()
    other: dict[tuple[str, str], list[str]] = {}
    alive: set[tuple[str, str]] = set()
    for pack in packs:
        for uid, why in wanted[pack.pack_id].items():
            place = pack.series_instance_uid, uid
            said = decided.get(pack.pack_id, {}).get(uid)
            if HiddenReason.PURGED in {why, said}:
                purged.add(place)
            if why is HiddenReason.PURGED:
                continue
            if why is HiddenReason.DELETED:
                alive.add(place)
            else:
                other.setdefault(place, []).append(pack.pack_id)
    ending = (purged & other.keys()) - alive
    if not ending:
        return
    found = await catalogue.find_uids(packs[0].tenant, {uid for _, uid in ending})
    for series, uid in ending:
        is_shown = any(
            ref.series_instance_uid == series
            and ref.pack_id in wanted
            and uid not in wanted[ref.pack_id]
            for ref in found.get(uid, ())
        )
        if not is_shown:
            for pack_id in other[series, uid]:
                wanted[pack_id][uid] = HiddenReason.PURGED


def _key_of(pack: PackRecord) -> PackKey:
    return PackKey(pack.tenant, pack.study_instance_uid, pack.series_instance_uid, pack.pack_id)
