"""The end of what was deleted: hidden for good, then its packs removed.

An instance whose retention is over is purged: no restoration brings it back, and the
versions of it that it had hidden go with it. A pack of which every instance is purged
is removed: from the catalogue first, then its index, then itself, so that a crash on
the way leaves a pack that the ledger tells from an orphan. Any other pack keeps its
bytes, with the purged instances hidden for ever.
"""

import logging
from dataclasses import dataclass, replace

from pacs_cloud.catalogue.hiding import change_hidden
from pacs_cloud.catalogue.judging import LoadTable
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import HiddenReason
from pacs_cloud.custody.holds import refuse_held
from pacs_cloud.custody.ledger import decided_by, decisions_of
from pacs_cloud.custody.pack_removal import remove_with_replaced
from pacs_cloud.custody.stored_pack import key_of
from pacs_cloud.custody.trash.marked_ledger import MarkedLedger
from pacs_cloud.custody.trash.marks import Action, Mark, Scope, marks, put_mark, remove_mark
from pacs_cloud.custody.trash.purge_plan import PurgePlan
from pacs_cloud.custody.unreadable import UNREADABLE
from pacs_cloud.custody.walk import PACKS
from pacs_cloud.objectstore.keys import parse_pack_key, study_path
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.telemetry import hashed

log = logging.getLogger(__name__)

GRACE_US = 60_000_000
"""How long whatever has a mark is left alone after it: one minute."""
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
        held: studies of which something was left that is due, because they are on hold.
    """

    instances: int = 0
    packs: int = 0
    length_bytes: int = 0
    finished: int = 0
    problems: int = 0
    held: int = 0

    def __add__(self, other: "Purged") -> "Purged":
        return Purged(
            self.instances + other.instances,
            self.packs + other.packs,
            self.length_bytes + other.length_bytes,
            self.finished + other.finished,
            self.problems + other.problems,
            self.held + other.held,
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
    tended: dict[tuple[str, str], Purged] = {}
    lost: dict[tuple[str, str], bool] = {}
    async for mark in marks(objects, tenant):
        is_due = mark.marked_us <= cutoff_us
        is_settled = mark.marked_us <= now_us - GRACE_US
        if not is_due and not (is_settled and mark.marked_us >= unseen_us):
            continue
        study = mark.scope.tenant, mark.scope.study_instance_uid
        if study not in tended:
            done = await purge_readable(
                objects,
                catalogue,
                *study,
                load_table=load_table,
                now_us=now_us,
                cutoff_us=cutoff_us,
            )
            total += done
            tended[study] = done
            if done.problems and not is_due:
                # Else nobody would look at it again before it is.
                await put_mark(objects, Mark(Scope(*study), Action.TEND, now_us))
        if tended[study].problems:
            if mark.action is Action.TEND and not is_due:
                await remove_mark(objects, mark)  # another one keeps it in sight
        elif mark.action is not Action.DELETE or not tended[study].held:
            # The deletions of a held study wait for the end of the hold.
            is_deletion = mark.action is Action.DELETE
            stays_us = max(retention_us, _MARK_STAYS_US) if is_deletion else GRACE_US
            if mark.marked_us > now_us - stays_us:
                continue
            if is_deletion and study not in lost:
                lost[study] = await _has_lost_packs(objects, catalogue, *study)
            if not (is_deletion and lost[study]):
                await remove_mark(objects, mark)
    return total


async def _has_lost_packs(
    objects: ObjectStore, catalogue: Catalogue, tenant: str, study_instance_uid: str
) -> bool:
    """Return whether a rebuild would bring something back into the trash, or may."""
    names = tenant, study_instance_uid
    known = {one.pack_id for one in await catalogue.packs(*names)}
    found = [parse_pack_key(info.key) async for info in objects.list(PACKS + study_path(*names))]
    lost = {key.pack_id for key in found if key is not None} - known
    if not lost:
        return False
    try:
        hidden = decided_by(await decisions_of(objects, *names)).hidden
    except UNREADABLE:
        return True
    return any(HiddenReason.DELETED in hidden.get(one, {}).values() for one in lost)


async def purge_readable(
    objects: ObjectStore,
    catalogue: Catalogue,
    tenant: str,
    study_instance_uid: str,
    *,
    load_table: LoadTable,
    now_us: int,
    cutoff_us: int,
) -> Purged:
    """Do as `purge_study`, but count a study that is held or cannot be read; the next may follow.

    Raises:
        Unavailable: the store or the catalogue cannot be reached.
    """
    try:
        return await _purge(
            objects,
            catalogue,
            tenant,
            study_instance_uid,
            load_table=load_table,
            now_us=now_us,
            cutoff_us=cutoff_us,
        )
    except UNREADABLE as error:
        log.error("trash_unreadable", extra={"study": hashed(study_instance_uid), "reason": error})
        return Purged(problems=1)


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

    Before that it ends, or takes back, what a crash has stopped (`PurgePlan`).

    Raises:
        Corrupt, NotFound, Offline, Denied: a decision, or a pack's table, cannot be
            read; nothing is purged.
        Held: the study is on hold, and something of it would be purged else.
        Unavailable: the store or the catalogue cannot be reached.
    """
    done = await _purge(
        objects,
        catalogue,
        tenant,
        study_instance_uid,
        load_table=load_table,
        now_us=now_us,
        cutoff_us=cutoff_us,
    )
    if done.held:
        await refuse_held(objects, tenant, study_instance_uid, now_us=now_us)
    return done


async def _purge(
    objects: ObjectStore,
    catalogue: Catalogue,
    tenant: str,
    study_instance_uid: str,
    *,
    load_table: LoadTable,
    now_us: int,
    cutoff_us: int,
) -> Purged:
    plan = PurgePlan(objects, catalogue, now_us=now_us, cutoff_us=cutoff_us)

    async def guard() -> None:
        if plan.is_purging:
            await refuse_held(objects, tenant, study_instance_uid, now_us=now_us)

    ledger = MarkedLedger(objects, Scope(tenant, study_instance_uid), Action.TEND, guard)
    total = Purged()
    for _ in range(_PASSES):
        plan.purged.clear()
        changed = await change_hidden(
            catalogue,
            tenant,
            study_instance_uid,
            plan,
            load_table=load_table,
            record=ledger.record,
            now_us=now_us,
            told=plan.told,
        )
        for pack in changed.purged:
            await remove_with_replaced(objects, catalogue, key_of(pack), pack.hidden)
        finished = max(changed.instances - len(plan.purged), 0)
        total += Purged(
            instances=len(plan.purged),
            packs=len(changed.purged),
            length_bytes=sum(pack.length_bytes for pack in changed.purged),
            finished=finished,
        )
        if not finished:
            break
    await ledger.unmark()
    return replace(total, held=int(plan.is_held))
