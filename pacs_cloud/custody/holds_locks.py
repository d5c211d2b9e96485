"""Holds as locks of the store: what keeps everybody from removing a held study's objects.

A hold keeps this archive from deleting. Where the store can lock objects and was told to
(S3 Object Lock), a held study's packs and index objects are locked as well: a legal hold
by the store's legal hold, a retention date by its retention. What comes in later is locked
as it comes, and what was missed once a day (`holds_late`). Releasing a legal hold clears
the store's; the store's retention ends with its date, whoever releases the hold before.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pacs_cloud.custody.findings import Finding, FindingKind, Severity
from pacs_cloud.custody.holds import (
    HOLD_ENTRIES,
    HoldEntry,
    HoldKind,
    hold_entries,
    standing,
    standing_holds,
)
from pacs_cloud.custody.walk import INDEX, PACKS
from pacs_cloud.errors import Corrupt, Denied, NotFound
from pacs_cloud.objectstore.keys import study_path
from pacs_cloud.objectstore.port import ObjectLock, ObjectStore

_SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Locked:
    """What was locked, or let go.

    Attributes:
        objects: how many are as the study's holds want them.
        can_lock: whether the store locks at all; None where there is no object to tell by.
        refused: keys of those that the store does not let us lock or let go.
    """

    objects: int = 0
    can_lock: bool | None = None
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LockDifference:
    """An object that the store does not lock as its study's holds want it.

    Attributes:
        tenant: whose.
        study_instance_uid: of which study.
        key: of the object.
        wanted: what the holds want.
        found: what the store has.
    """

    tenant: str
    study_instance_uid: str
    key: str
    wanted: ObjectLock
    found: ObjectLock

    @property
    def is_missing(self) -> bool:
        """Whether it is locked less than it should be, rather than more."""
        return (self.wanted.is_held and not self.found.is_held) or (
            self.found.until_us < self.wanted.until_us
        )


def wanted_by(holds: Sequence[HoldEntry]) -> ObjectLock:
    """Return what the holds want that a study has now."""
    return ObjectLock(
        is_held=any(one.kind is HoldKind.LEGAL for one in holds),
        until_us=max((one.until_us for one in holds if one.until_us), default=0),
    )


async def lock_study(
    objects: ObjectStore,
    tenant: str,
    study_instance_uid: str,
    *,
    now_us: int,
    clears: bool = False,
) -> Locked:
    """Have the store lock a study's packs and index objects as its holds want it.

    Repeatable. What is locked for longer already stays so.

    Args:
        objects: the store.
        tenant: whose.
        study_instance_uid: which study.
        now_us: microseconds since 1970 UTC.
        clears: whether legal holds of the store are cleared where the study has none: its
            own was released. Else they are somebody else's affair.

    Raises:
        Corrupt: a hold cannot be read.
        Unavailable: the store cannot be reached.
    """
    names = tenant, study_instance_uid
    wanted = wanted_by(await standing_holds(objects, *names, now_us=now_us))
    done = Locked()
    async for key in _keys_of(objects, *names):
        done = await lock_object(objects, key, wanted, done, clears=clears)
        if done.can_lock is False:
            break
    return done


async def lock_object(
    objects: ObjectStore, key: str, wanted: ObjectLock, done: Locked, *, clears: bool = False
) -> Locked:
    """Have the store lock an object as it is `wanted`; return `done` with that added."""
    try:
        can_lock = await objects.retain(key, wanted.until_us)
        if can_lock and (wanted.is_held or clears):
            await objects.set_legal_hold(key, on=wanted.is_held)
    except NotFound:
        return done  # it was removed meanwhile
    except Denied:
        return replace(done, can_lock=True, refused=(*done.refused, key))
    return replace(done, can_lock=can_lock, objects=done.objects + can_lock)


async def lock_differences(
    objects: ObjectStore, tenant: str, *, now_us: int
) -> AsyncIterator[LockDifference]:
    """Yield where locks and holds disagree, of every study of a tenant that ever had a hold.

    A retention that outlasts a hold which was released before is none: nobody can end it.
    Of a store that was not told to lock, only what others have locked is yielded.

    Args:
        objects: the store.
        tenant: whose.
        now_us: microseconds since 1970 UTC.

    Raises:
        Corrupt: a hold cannot be read.
        Unavailable: the store cannot be reached.
    """
    async for names in studies_with_holds(objects, tenant):
        for one in await differences_of(objects, *names, now_us=now_us):
            yield one


async def lock_findings(objects: ObjectStore, *, now_us: int) -> AsyncGenerator[Finding, None]:
    """Yield the same of all tenants, as a check tells it, and holds that cannot be read."""
    async for names in studies_with_holds(objects, None):
        try:
            differing = await differences_of(objects, *names, now_us=now_us)
        except Corrupt as error:
            yield Finding(
                FindingKind.LEDGER,
                Severity.ERROR,
                str(error),
                "restore the study's holds from an earlier version or a backup",
                tenant=names[0],
                study_instance_uid=names[1],
            )
        else:
            for one in differing:
                yield _finding(one)


async def differences_of(
    objects: ObjectStore, tenant: str, study_instance_uid: str, *, now_us: int
) -> list[LockDifference]:
    """Return the same of one study; raises Corrupt."""
    names = tenant, study_instance_uid
    entries = await hold_entries(objects, *names)
    wanted = wanted_by(standing(entries, now_us))
    was_retained_us = max((one.until_us for one in entries), default=0)
    found = {key: lock async for key, lock in _locks_of(objects, *names)}
    can_lock = await _can_lock(objects, found)
    differing: list[LockDifference] = []
    for key, lock in found.items():
        one = LockDifference(*names, key, wanted, lock)
        is_more = (lock.is_held and not wanted.is_held) or (
            lock.until_us >= max(wanted.until_us, was_retained_us) + _SECOND_US
        )
        if is_more or (can_lock and one.is_missing):
            differing.append(one)
    return differing


def _finding(one: LockDifference) -> Finding:
    detail, repair = (
        (
            "an object of a held study that the store does not lock as long as it is held",
            "the worker locks it within a day; `pacs-cloud hold set` does so now",
        )
        if one.is_missing
        else (
            "an object that the store locks, and no hold of its study",
            "nothing has to be done, unless it is to be removed: `pacs-cloud hold list`",
        )
    )
    return Finding(
        FindingKind.LOCK,
        Severity.WARNING if one.is_missing else Severity.NOTE,
        detail,
        repair,
        tenant=one.tenant,
        key=one.key,
        study_instance_uid=one.study_instance_uid,
    )


async def _locks_of(
    objects: ObjectStore, tenant: str, study_instance_uid: str
) -> AsyncIterator[tuple[str, ObjectLock]]:
    async for key in _keys_of(objects, tenant, study_instance_uid):
        try:
            yield key, await objects.lock_of(key)
        except NotFound:
            continue  # it was removed meanwhile


async def _can_lock(objects: ObjectStore, keys: Iterable[str]) -> bool:
    """Return whether the store locks objects and was told to: it says so when asked for nothing."""
    for key in keys:
        try:
            return await objects.retain(key, 0)
        except NotFound:
            continue  # it was removed meanwhile
    return False


async def _keys_of(
    objects: ObjectStore, tenant: str, study_instance_uid: str
) -> AsyncIterator[str]:
    for tree in (PACKS, INDEX):
        async for info in objects.list(tree + study_path(tenant, study_instance_uid)):
            yield info.key


async def studies_with_holds(
    objects: ObjectStore, tenant: str | None
) -> AsyncIterator[tuple[str, str]]:
    """Yield tenant and UID of each study that ever had a hold, in the order of the keys."""
    async for names, _ in HOLD_ENTRIES.by_study(objects, tenant):
        yield names
