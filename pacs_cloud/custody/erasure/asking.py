"""Erasures asked for and lifted, and what one would do."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.custody.erasure.doomed import Doomed, find_doomed
from pacs_cloud.custody.erasure.entries import (
    ErasureEntry,
    Step,
    enter,
    erasures_of,
    is_proven,
    tombstones,
)
from pacs_cloud.custody.holds import refuse_held
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.errors import Conflict, Corrupt, Gone, Held, NotFound
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.objectstore.port import Availability, ObjectStore


@dataclass(frozen=True, slots=True)
class ErasurePlan:
    """What an erasure would do.

    Attributes:
        scope: what was named.
        uids: SOP Instance UIDs, wherever in the study they are.
        removed: packs that hold nothing else.
        rewritten: packs that are made anew without it.
        length_bytes: of all these packs.
        cold: how many of them have to be recalled first.
        elsewhere: other studies that hold instances under these UIDs: they stay there.
    """

    scope: Scope
    uids: tuple[str, ...]
    removed: int
    rewritten: int
    length_bytes: int
    cold: int
    elsewhere: tuple[str, ...]


async def plan_erasure(
    objects: ObjectStore, catalogue: Catalogue, scope: Scope, *, now_us: int
) -> ErasurePlan:
    """Return what an erasure of `scope` would do, whether it is visible, deleted or hidden.

    Raises:
        NotFound: there is nothing of it.
        Gone: all of it is erased already.
        Held: its study is on hold, or the store locks something of it.
        Corrupt: a hold, or an entry, cannot be read; or, of more than an instance, the index
            of a pack: nobody could tell what is to be erased.
        Unavailable: a store cannot be reached.
    """
    names = scope.tenant, scope.study_instance_uid
    await refuse_held(objects, *names, now_us=now_us)
    everything = await find_doomed(objects, *names, frozenset(), ())
    stored = everything.tables()
    if everything.read.problems and not scope.sop_instance_uid:
        key = everything.read.problems[0].key
        raise Corrupt(f"what {key} holds cannot be told: `pacs-cloud fsck` says what is wrong")
    uids = {
        one.sop_instance_uid
        for key, table in stored.items()
        if scope.series_instance_uid in {"", key.series_instance_uid}
        for one in table.instances
        if scope.has(one.sop_instance_uid)
    }
    if not uids:
        raise await _absent(objects, scope)
    holding = {
        key: table
        for key, table in stored.items()
        if any(one.sop_instance_uid in uids for one in table.instances)
    }
    cold = 0
    for key in holding:
        for name in (key.pack, key.index):
            try:
                if await objects.lock_of(name):
                    raise Held(
                        f"The store locks {name}: nothing of it can be erased. `pacs-cloud hold"
                        " list` says what is held."
                    )
            except NotFound:
                continue
    removed = 0
    for key, table in holding.items():
        if all(one.sop_instance_uid in uids for one in table.instances):
            removed += 1
        elif key in everything.found.packs:
            info = await objects.head(key.pack)
            cold += info.availability is not Availability.ONLINE
    elsewhere = {
        ref.study_instance_uid
        for refs in (await catalogue.find_uids(scope.tenant, uids)).values()
        for ref in refs
    }
    return ErasurePlan(
        scope=scope,
        uids=tuple(sorted(uids)),
        removed=removed,
        rewritten=len(holding) - removed,
        length_bytes=_length(everything, holding),
        cold=cold,
        elsewhere=tuple(sorted(elsewhere - {scope.study_instance_uid})),
    )


async def _absent(objects: ObjectStore, scope: Scope) -> NotFound:
    erased = tombstones(await erasures_of(objects, scope.tenant, scope.study_instance_uid))
    if scope.sop_instance_uid in erased or (erased and not scope.sop_instance_uid):
        return Gone("This is erased: `pacs-cloud erase show` says when, and by whom.")
    return NotFound(f"There is no such {scope.level}.")


def _length(everything: Doomed, holding: Collection[PackKey]) -> int:
    return sum(info.length_bytes for key, info in everything.found.packs.items() if key in holding)


async def ask(
    objects: ObjectStore, plan: ErasurePlan, *, who: str, reason: str, now_us: int
) -> ErasureEntry:
    """Write down that `plan` shall be done: from here on it holds."""
    scope = plan.scope
    return await enter(
        objects,
        scope.tenant,
        scope.study_instance_uid,
        Step.ASKED,
        uids=plan.uids,
        series_instance_uid=scope.series_instance_uid,
        who=who,
        reason=reason,
        now_us=now_us,
    )


async def lift(
    objects: ObjectStore,
    tenant: str,
    study_instance_uid: str,
    sop_instance_uid: str,
    *,
    who: str,
    reason: str,
    now_us: Callable[[], int],
) -> ErasureEntry:
    """Let what is erased of a study be stored again: one instance, or with "" all.

    What was erased is gone all the same.

    Raises:
        NotFound: nothing of it is erased.
        Conflict: the erasure is not over.
        Corrupt: an entry cannot be read.
    """
    entries = await erasures_of(objects, tenant, study_instance_uid)
    erased = tombstones(entries)
    uids = erased if not sop_instance_uid else erased & {sop_instance_uid}
    if not uids:
        raise NotFound("Nothing of this is erased.")
    if not is_proven(entries):
        raise Conflict("Its erasure is not over: `pacs-cloud erase show` says what it waits for.")
    return await enter(
        objects,
        tenant,
        study_instance_uid,
        Step.LIFTED,
        uids=tuple(uids),
        who=who,
        reason=reason,
        now_us=now_us(),
    )
