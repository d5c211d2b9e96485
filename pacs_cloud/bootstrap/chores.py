"""What a worker does over and over: from adopting orphans to moving packs between tiers."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TypeAlias

from pacs_cloud import metrics
from pacs_cloud.bootstrap.breaking_glass import NOTED_EVERY_S, GlassOver
from pacs_cloud.bootstrap.correcting import end_corrections
from pacs_cloud.bootstrap.erasing import go_on_erasing
from pacs_cloud.bootstrap.in_turns import InTurns, alone, by_tenant, each
from pacs_cloud.bootstrap.locking import is_locking, lock_missing
from pacs_cloud.bootstrap.pinning import tend_pins
from pacs_cloud.bootstrap.prefetching import ask_worklist
from pacs_cloud.bootstrap.services import (
    Stores,
    home_class,
    now_us,
    reads_cold,
    repack_folder,
)
from pacs_cloud.bootstrap.share_copies import CopiesTending
from pacs_cloud.bootstrap.stalls import Stalls, log_failed, said
from pacs_cloud.bootstrap.sweeping import Sweep
from pacs_cloud.bootstrap.tenants import as_tenant
from pacs_cloud.bootstrap.thumbnails import thumbnails_of
from pacs_cloud.bootstrap.tier_checks import policies_in_force, unmoved_words
from pacs_cloud.bootstrap.tiers import moved
from pacs_cloud.custody.fixity.reading import Reread
from pacs_cloud.custody.fixity.rolling import tend_fixity
from pacs_cloud.custody.fixity.round import TURN_US
from pacs_cloud.custody.rejections.tending import Settled, tend_rejections
from pacs_cloud.custody.repack.due import repack_due
from pacs_cloud.custody.repack.plan import RepackTerms
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.custody.trash.purging import GRACE_US as TRASH_GRACE_US
from pacs_cloud.custody.trash.purging import Purged, tend_trash
from pacs_cloud.custody.walk import ACCESS, GLASS, PACKS
from pacs_cloud.errors import Corrupt
from pacs_cloud.objectstore.turns import Turn, Turns
from pacs_cloud.routing.sends import TREE as SENDS
from pacs_cloud.routing.sends import purge_ended
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.access.folding import Folded, fold_access
from pacs_cloud.tiering.mover import Fate
from pacs_cloud.tiering.recall.tending import Tended, tend_recalls
from pacs_cloud.workers.backoff import Backoff

log = logging.getLogger(__name__)

HOUR_S = 3600.0
DAY_US = 86_400_000_000
COPIES_EVERY_S = 600.0
"""Guests are refused at once; this is for what they were shown."""
TEND_RECALLS_EVERY_S = 60.0
TEND_LOCAL_RECALLS_EVERY_S = 5.0
MOVE_EVERY_S = 6 * HOUR_S
REPACK_EVERY_S = 24 * HOUR_S
REJECTIONS_EVERY_S = 24 * HOUR_S
"""Each note is followed as it comes; this is for what a crash has left."""
LOCKS_EVERY_S = 24 * HOUR_S
"""What comes into a held study is locked as it comes; this is for what a crash has left."""
SENDS_EVERY_S = 24 * HOUR_S
FIXITY_EVERY_S = TURN_US / 1e6
STALLED = Backoff(60.0, 900.0)
"""How long a chore rests that could not be done: people may wait for what it looks after."""

Chore: TypeAlias = Callable[[], Coroutine[None, None, float]]
"""Does its work once, and returns how many seconds it then rests."""


def chores_of(
    settings: Settings, stores: Stores, *, turns: Turns | None = None
) -> dict[str, Chore]:
    """Return all that the settings ask for, by name; `turns` of this worker, if it has any."""
    objects = stores.objects
    turns = turns or Turns(objects, now_us)
    sweeps = by_tenant("sweep", objects, PACKS, Sweep(settings, stores))
    folds = by_tenant("access", objects, ACCESS, partial(_access, stores))
    glass = by_tenant("glass", objects, GLASS, GlassOver(settings, stores))
    sends = by_tenant("sends", objects, SENDS, partial(_sends, stores))
    copies = alone("copies", CopiesTending(settings, stores))
    settles = alone("rejections", partial(_rejections, stores))
    chores: dict[str, Chore] = {
        "sweep": InTurns(turns, sweeps, every_s=HOUR_S, at_once=settings.is_embedded),
        "trash": _Trash(settings, stores),
        "recalls": partial(_recalls, settings, stores),
        "access": InTurns(turns, folds, every_s=HOUR_S),
        "copies": InTurns(turns, copies, every_s=COPIES_EVERY_S),
        "rejections": InTurns(turns, settles, every_s=REJECTIONS_EVERY_S),
        "corrections": partial(end_corrections, settings, stores),
        "erasures": partial(go_on_erasing, settings, stores),
        "pins": partial(tend_pins, settings, stores),
        "sends": InTurns(turns, sends, every_s=SENDS_EVERY_S),
        "glass": InTurns(turns, glass, every_s=NOTED_EVERY_S),
    }
    if is_locking(settings):
        locks = alone("locks", partial(lock_missing, stores))
        chores["locks"] = InTurns(turns, locks, every_s=LOCKS_EVERY_S)
    if settings.reread_days:
        rereads = alone("fixity", partial(_fixity, settings, stores))
        chores["fixity"] = InTurns(turns, rereads, every_s=FIXITY_EVERY_S)
    if settings.repack_quiet_days:
        merges = by_tenant("repack", objects, PACKS, partial(_repack, settings, stores))
        chores["repack"] = InTurns(turns, merges, every_s=REPACK_EVERY_S)
    if settings.worklist is not None and not reads_cold(settings):
        asks = alone(
            f"worklist/{settings.tenant}",
            partial(ask_worklist, settings, stores, settings.worklist),
        )
        chores["worklist"] = InTurns(turns, asks, every_s=settings.worklist_minutes * 60)
    if settings.tier_policies is not None:
        moves = partial(_tiers, settings, stores, settings.tier_policies)
        every = each("tiers", settings.tenants, moves)
        chores["tiers"] = InTurns(turns, every, every_s=MOVE_EVERY_S)
    return chores


async def over_and_over(
    name: str, chore: Chore, stop: asyncio.Event, stalls: Stalls | None = None
) -> None:
    """Do a chore, rest, and so on until `stop` is set, which ends the chore where it is.

    An error is logged, told to `stalls`, and the chore tried again in a while (`STALLED`):
    each goes on where it was stopped. A defect of ours is no other: the chores beside this one
    are not at fault.
    """
    failures = 0
    while not stop.is_set():
        working, stopping = asyncio.create_task(chore()), asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            working.cancel()  # nothing happens where it is done
            await asyncio.wait({working, stopping})
        if working.cancelled() and stop.is_set():
            return
        try:
            rest_s, failures = working.result(), 0
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it is logged
            log_failed(log, "chore_stalled", error, chore=name)
            failures += 1
            metrics.CHORE_FAILURES.labels(name).inc()
            rest_s = STALLED.after(failures)
            if stalls is not None:
                await said(stalls.failed(name, error))
        else:
            metrics.CHORE_SUCCESS.labels(name).set_to_current_time()
            if stalls is not None:
                await said(stalls.done(name))
        with suppress(TimeoutError):
            async with asyncio.timeout(rest_s):
                await stop.wait()


class _Trash:
    """Purges what has been in the trash for long enough."""

    def __init__(self, settings: Settings, stores: Stores) -> None:
        self._settings = settings
        self._stores = stores
        self._unseen_us = 0

    async def __call__(self) -> float:
        began_us = now_us()
        stores = self._stores
        tended = await tend_trash(
            stores.objects,
            stores.catalogue,
            load_table=partial(load_table, stores.objects, stores.catalogue),
            now_us=began_us,
            retention_us=round(self._settings.trash_days * DAY_US),
            unseen_us=self._unseen_us,
        )
        self._unseen_us = began_us - TRASH_GRACE_US
        if tended != Purged():
            log.info("trash_tended", extra=asdict(tended))
        return HOUR_S


async def _recalls(settings: Settings, stores: Stores) -> float:
    """Look after recalls under way."""
    with thumbnails_of(settings, stores) as keep:
        tended = await tend_recalls(stores.objects, stores.catalogue, now_us=now_us(), keep=keep)
    metrics.RECALLS_ARRIVED.inc(tended.arrived)
    if tended != Tended(waiting=tended.waiting):
        log.info("recalls_tended", extra=asdict(tended))
    return TEND_LOCAL_RECALLS_EVERY_S if settings.is_embedded else TEND_RECALLS_EVERY_S


async def _access(stores: Stores, tenant: str, _turn: Turn) -> None:
    """Fold a tenant's access log."""
    folded = await fold_access(stores.objects, now_us=now_us(), tenant=tenant)
    if folded != Folded():
        log.info("access_folded", extra=asdict(folded))


async def _sends(stores: Stores, tenant: str, _turn: Turn) -> None:
    """Remove what tells of a tenant's sendings of long ago."""
    if removed := await purge_ended(stores.objects, tenant, now_us=now_us()):
        log.info("sends_tended", extra={"removed": removed})


async def _rejections(stores: Stores, _turn: Turn) -> None:
    """Settle what rejection notes touch."""
    settled = await tend_rejections(
        stores.objects,
        stores.catalogue,
        load_table=partial(load_table, stores.objects, stores.catalogue),
        now_us=now_us(),
    )
    if settled != Settled(studies=settled.studies):
        log.info("rejections_tended", extra=asdict(settled))


async def _fixity(settings: Settings, stores: Stores, _turn: Turn) -> None:
    """Read packs again."""
    reread = await tend_fixity(
        stores.objects,
        stores.catalogue,
        now_us=now_us(),
        fixity_days=settings.reread_days,
        rate_bytes_s=settings.fixity_rate_bytes_s,
    )
    if reread != Reread():
        log.info(
            "fixity_tended",
            extra={
                "packs": reread.packs,
                "bytes": reread.length_bytes,
                "cold": reread.cold,
                "mended": reread.mended,
                "findings": len(reread.findings),
            },
        )


async def _repack(settings: Settings, stores: Stores, tenant: str, _turn: Turn) -> None:
    """Merge the small packs of a tenant's quiet series."""
    terms = RepackTerms(
        quiet_days=settings.repack_quiet_days,
        max_bytes=settings.pack_bytes,
        max_instances=settings.pack_instances,
        home_class=home_class(settings),
    )
    due = repack_due(
        stores.objects,
        stores.catalogue,
        terms=terms,
        folder=repack_folder(settings),
        now_us=now_us,
        tenant=tenant,
    )
    replaced = made = problems = 0
    async for one in due:
        replaced, made = replaced + one.replaced, made + one.made
        problems += len(one.problems)
    if replaced or problems:
        log.info("repacked", extra={"replaced": replaced, "made": made, "problems": problems})


async def _tiers(settings: Settings, stores: Stores, file: Path, tenant: str, _turn: Turn) -> None:
    """Move what of a tenant's is due."""
    policies = await asyncio.to_thread(policies_in_force, settings, file)
    hindered, unsure = await unmoved_words(stores, policies)
    for words in (*hindered, *unsure):
        log.warning("tiers_hindered", extra={"reason": words})
    if hindered:
        return  # nothing is tagged for rules that are not there
    damaged: list[Corrupt] = []
    moving = moved(as_tenant(settings, tenant), stores, policies, damaged=damaged.append)
    fates = Counter([one.fate async for one in moving])
    if fates or damaged:
        counts = {fate.value: fates[fate] for fate in Fate}
        log.info("tiers_tended", extra={**counts, "damaged": len(damaged)})
