"""Locks that are set later than their hold: of what comes in, and of what was missed.

Whoever sets one looks at the holds again behind it: a release that went between has let
go of all that it saw, and nobody else would let go of this.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import UidRef
from pacs_cloud.custody.holds import standing_holds
from pacs_cloud.custody.holds_locks import (
    Locked,
    differences_of,
    lock_object,
    studies_with_holds,
    wanted_by,
)
from pacs_cloud.errors import Corrupt, NotFound
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.telemetry import hashed

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LockedAgain:
    """What was locked that should have been before.

    Attributes:
        objects: how many.
        refused: how many the store does not let us lock.
        unreadable: studies whose holds cannot be read.
    """

    objects: int = 0
    refused: int = 0
    unreadable: int = 0


async def lock_pack(
    objects: ObjectStore, catalogue: Catalogue, tenant: str, ref: UidRef, *, now_us: int
) -> Locked:
    """Have the store lock a pack that has come in, where its study is held.

    Args:
        objects: the store.
        catalogue: where the pack is committed, or is no more.
        tenant: whose.
        ref: which pack.
        now_us: microseconds since 1970 UTC.

    Raises:
        Corrupt: a hold cannot be read.
        Unavailable: a store cannot be reached.
    """
    study = ref.study_instance_uid
    if not await standing_holds(objects, tenant, study, now_us=now_us):
        return Locked()
    packs = await catalogue.packs(tenant, study, ref.series_instance_uid)
    if all(pack.pack_id != ref.pack_id for pack in packs):
        return Locked()
    key = PackKey(tenant, study, ref.series_instance_uid, ref.pack_id)
    return await _lock_late(objects, tenant, study, (key.pack, key.index), now_us)


async def lock_again(objects: ObjectStore, *, now_us: int) -> LockedAgain:
    """Have the store lock what the holds of any study want locked, and is not.

    A hold whose command died, or was refused, has left that. What is locked and should not
    be stays: it may be somebody else's.

    Args:
        objects: the store, of all tenants.
        now_us: microseconds since 1970 UTC.

    Raises:
        Unavailable: the store cannot be reached.
    """
    done = LockedAgain()
    async for names in studies_with_holds(objects, None):
        try:
            differing = await differences_of(objects, *names, now_us=now_us)
            missing = [one.key for one in differing if one.is_missing]
            locked = await _lock_late(objects, *names, missing, now_us)
        except Corrupt:
            log.error("hold_unreadable", extra={"tenant": names[0], "study": hashed(names[1])})
            done = replace(done, unreadable=done.unreadable + 1)
            continue
        done = replace(
            done,
            objects=done.objects + locked.objects,
            refused=done.refused + len(locked.refused),
        )
    return done


async def _lock_late(
    objects: ObjectStore, tenant: str, study_instance_uid: str, keys: Iterable[str], now_us: int
) -> Locked:
    names, keys = (tenant, study_instance_uid), tuple(keys)
    wanted = wanted_by(await standing_holds(objects, *names, now_us=now_us))
    done = Locked()
    if not wanted:
        return done
    for key in keys:
        done = await lock_object(objects, key, wanted, done)
    if done.objects and wanted.is_held:
        still = wanted_by(await standing_holds(objects, *names, now_us=now_us))
        for key in () if still.is_held else keys:
            await _let_go(objects, key)
    return done


async def _let_go(objects: ObjectStore, key: str) -> None:
    try:
        await objects.set_legal_hold(key, on=False)
    except NotFound:
        return  # it was removed meanwhile
