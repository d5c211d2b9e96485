"""Holds set and released.

A hold against a purge, in the order of their steps:

    the hold    1. its object is written
                2. marks of purges of the study are waited for, until there is none
                3. it returns
    the purge   1. its mark is written
                2. holds are looked for: with one, it begins again, and purges nothing
                3. its ledger entry is written
                4. holds are looked for: with one, it takes its entry back
                5. the catalogue is changed, and packs are removed
                6. its mark is removed

Each writes before it looks, and a store shows what it has taken. So of the two at least
one sees the other: either the purge finds the hold at its step 2 and never decides, or
the hold finds the mark at its step 2 and does not return before that purge is over. A
hold that has returned before a purge began its ledger entry therefore wins, whatever
crashes in between. A purge that died leaves its mark; the hold then stands and says that
it is not sure of that one purge. Whoever tends the trash takes that back for as long as
its study is held, where the catalogue had not followed yet.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.custody.holds import HOLD_ENTRIES, HoldEntry, HoldKind, standing_holds
from pacs_cloud.custody.trash.marks import Action, marks
from pacs_cloud.errors import Held, NotFound
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.telemetry import hashed

log = logging.getLogger(__name__)

WAIT_S: Final = 10.0
"""How long a hold waits for a purge that had begun before it."""
_FIRST_PAUSE_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class HoldSet:
    """What came of setting a hold.

    Attributes:
        entry: what stands now.
        is_sure: whether no purge that began before it is still to come.
        packs: how many packs the study has.
    """

    entry: HoldEntry
    is_sure: bool
    packs: int


async def set_hold(
    objects: ObjectStore,
    catalogue: Catalogue,
    tenant: str,
    study_instance_uid: str,
    *,
    reason: str,
    who: str,
    now_us: int,
    until_us: int = 0,
    wait_s: float = WAIT_S,
) -> HoldSet:
    """Set the legal hold of a study, or with `until_us` its retention date.

    A retention date is never made shorter: that takes a release.

    Args:
        objects: the store.
        catalogue: the catalogue.
        tenant: whose.
        study_instance_uid: which study.
        reason: why.
        who: who does it.
        now_us: microseconds since 1970 UTC.
        until_us: when the retention ends; 0 for a legal hold.
        wait_s: how long to wait for a purge that began before.

    Raises:
        NotFound: there is no such study.
        Held: its retention date is later than `until_us`.
        Corrupt: an entry cannot be read.
        Unavailable: a store cannot be reached.
    """
    if not await catalogue.packs(tenant, study_instance_uid):
        raise NotFound("There is no such study.")
    kind = HoldKind.RETENTION if until_us else HoldKind.LEGAL
    names = tenant, study_instance_uid
    if until_us:
        await _refuse_shorter(objects, *names, until_us, now_us)
    entry = await _enter(
        objects, *names, kind, is_set=True, until_us=until_us, reason=reason, who=who, now_us=now_us
    )
    is_sure = await _no_purge_is_left(objects, *names, wait_s)
    return HoldSet(entry, is_sure, len(await catalogue.packs(*names)))


async def _refuse_shorter(
    objects: ObjectStore, tenant: str, study_instance_uid: str, until_us: int, now_us: int
) -> None:
    for one in await standing_holds(objects, tenant, study_instance_uid, now_us=now_us):
        if one.kind is HoldKind.RETENTION and not 0 < one.until_us <= until_us:
            raise Held(
                "The study's retention date is later than that (`pacs-cloud hold list`), and is not"
                " made shorter: `pacs-cloud hold release STUDY --retention` first."
            )


async def release_hold(
    objects: ObjectStore,
    tenant: str,
    study_instance_uid: str,
    kind: HoldKind,
    *,
    reason: str,
    who: str,
    now_us: int,
) -> HoldEntry:
    """Release a hold of a study; arguments as `set_hold`.

    Raises:
        NotFound: it has none of this kind.
        Corrupt: an entry cannot be read.
    """
    names = tenant, study_instance_uid
    standing = await standing_holds(objects, *names, now_us=now_us)
    if all(entry.kind is not kind for entry in standing):
        what = "legal hold" if kind is HoldKind.LEGAL else "retention date"
        raise NotFound(f"The study has no {what}.")
    return await _enter(
        objects, *names, kind, is_set=False, until_us=0, reason=reason, who=who, now_us=now_us
    )


async def _enter(
    objects: ObjectStore,
    tenant: str,
    study_instance_uid: str,
    kind: HoldKind,
    *,
    is_set: bool,
    until_us: int,
    reason: str,
    who: str,
    now_us: int,
) -> HoldEntry:
    def entry_at(entered_us: int) -> HoldEntry:
        return HoldEntry(
            tenant, study_instance_uid, kind, is_set, until_us, reason, who, entered_us
        )

    names = tenant, study_instance_uid
    entry = await HOLD_ENTRIES.enter(objects, *names, entry_at, now_us=now_us)
    what = "hold_set" if is_set else "hold_released"
    log.info(what, extra={"kind": kind, "study": hashed(study_instance_uid)})
    return entry


async def _no_purge_is_left(
    objects: ObjectStore, tenant: str, study_instance_uid: str, wait_s: float
) -> bool:
    """Wait until no purge of a study is under way; return whether that came."""
    loop = asyncio.get_running_loop()
    end, pause_s = loop.time() + wait_s, _FIRST_PAUSE_S
    while await _has_purge(objects, tenant, study_instance_uid):
        if loop.time() >= end:
            return False
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, 1.0)
    return True


async def _has_purge(objects: ObjectStore, tenant: str, study_instance_uid: str) -> bool:
    async for mark in marks(objects, tenant):
        if mark.action is Action.TEND and mark.scope.study_instance_uid == study_instance_uid:
            return True
    return False
