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

from pacs_cloud.bootstrap.services import Stores, now_us, policy_of, repack_folder
from pacs_cloud.bootstrap.tiers import moved
from pacs_cloud.custody.fixity.reading import Reread
from pacs_cloud.custody.fixity.rolling import tend_fixity
from pacs_cloud.custody.fixity.round import TURN_US
from pacs_cloud.custody.orphans import GRACE_US, adopt_orphans
from pacs_cloud.custody.repack.due import repack_due
from pacs_cloud.custody.repack.plan import RepackTerms
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.custody.trash.purging import GRACE_US as TRASH_GRACE_US
from pacs_cloud.custody.trash.purging import Purged, tend_trash
from pacs_cloud.errors import InvalidRequest, PacsError
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.access.folding import Folded, fold_access
from pacs_cloud.tiering.advice import advise, is_feasible
from pacs_cloud.tiering.mover import Fate
from pacs_cloud.tiering.policy_file import read_policies
from pacs_cloud.tiering.recall.tending import Tended, tend_recalls
from pacs_cloud.workers.backoff import Backoff

log = logging.getLogger(__name__)

HOUR_S = 3600.0
DAY_US = 86_400_000_000
SWEEP_STUDIES = 10_000
SWEEP_REST_S = 5.0
"""Between two parts of one sweep: it is never in a hurry."""
TEND_RECALLS_EVERY_S = 60.0
TEND_LOCAL_RECALLS_EVERY_S = 5.0
MOVE_EVERY_S = 6 * HOUR_S
REPACK_EVERY_S = 24 * HOUR_S
FIXITY_EVERY_S = TURN_US / 1e6
STALLED = Backoff(60.0, 900.0)
"""How long a chore rests that could not be done: people may wait for what it looks after."""

Chore: TypeAlias = Callable[[], Coroutine[None, None, float]]
"""Does its work once, and returns how many seconds it then rests."""


def chores_of(settings: Settings, stores: Stores) -> dict[str, Chore]:
    """Return all that the settings ask for, by name."""
    chores: dict[str, Chore] = {
        "sweep": _Sweep(settings, stores),
        "trash": _Trash(settings, stores),
        "recalls": partial(_recalls, settings, stores),
        "access": partial(_access, stores),
    }
    if settings.reread_days:
        chores["fixity"] = partial(_fixity, settings, stores)
    if settings.repack_quiet_days:
        chores["repack"] = partial(_repack, settings, stores)
    if settings.tier_policies is not None:
        chores["tiers"] = partial(_tiers, settings, stores, settings.tier_policies)
    return chores


async def over_and_over(name: str, chore: Chore, stop: asyncio.Event) -> None:
    """Do a chore, rest, and so on until `stop` is set, which ends the chore where it is.

    An expected error is logged by its name, and the chore tried again in a while (`STALLED`):
    each goes on where it was stopped.
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
        if working.cancelled():
            return
        try:
            rest_s, failures = working.result(), 0
        except PacsError as error:
            log.warning(
                "chore_stalled",
                extra={"chore": name, "error": type(error).__name__, "reason": error},
            )
            failures += 1
            rest_s = STALLED.after(failures)
        with suppress(TimeoutError):
            async with asyncio.timeout(rest_s):
                await stop.wait()


class _Sweep:
    """Adopts orphans, part by part."""

    def __init__(self, settings: Settings, stores: Stores) -> None:
        self._settings = settings
        self._stores = stores
        self._after = ""
        # What an embedded archive's crash has left is waited for now; elsewhere other
        # receivers may be in the middle of their commits.
        self._grace_us = 0 if settings.is_embedded else GRACE_US

    async def __call__(self) -> float:
        swept = await adopt_orphans(
            self._stores.objects,
            self._stores.catalogue,
            policy=policy_of(self._settings),
            now_us=now_us(),
            grace_us=self._grace_us,
            after=self._after,
            limit=SWEEP_STUDIES,
        )
        for problem in swept.problems:
            log.error("orphan_unusable", extra={"kind": problem.kind, "pack": problem.pack_id})
        self._after = swept.after
        if swept.after:
            return SWEEP_REST_S
        self._grace_us = GRACE_US
        return HOUR_S


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
    tended = await tend_recalls(stores.objects, stores.catalogue, now_us=now_us())
    if tended != Tended(waiting=tended.waiting):
        log.info("recalls_tended", extra=asdict(tended))
    return TEND_LOCAL_RECALLS_EVERY_S if settings.is_embedded else TEND_RECALLS_EVERY_S


async def _access(stores: Stores) -> float:
    """Fold the access log."""
    folded = await fold_access(stores.objects, now_us=now_us())
    if folded != Folded():
        log.info("access_folded", extra=asdict(folded))
    return HOUR_S


async def _fixity(settings: Settings, stores: Stores) -> float:
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
    return FIXITY_EVERY_S


async def _repack(settings: Settings, stores: Stores) -> float:
    """Merge the small packs of quiet series."""
    terms = RepackTerms(
        quiet_days=settings.repack_quiet_days,
        max_bytes=settings.pack_bytes,
        max_instances=settings.pack_instances,
    )
    due = repack_due(
        stores.objects,
        stores.catalogue,
        terms=terms,
        folder=repack_folder(settings),
        now_us=now_us,
    )
    replaced = made = problems = 0
    async for one in due:
        replaced, made = replaced + one.replaced, made + one.made
        problems += len(one.problems)
    if replaced or problems:
        log.info("repacked", extra={"replaced": replaced, "made": made, "problems": problems})
    return REPACK_EVERY_S


async def _tiers(settings: Settings, stores: Stores, file: Path) -> float:
    """Move what is due."""
    policies = await asyncio.to_thread(read_policies, file)
    if not is_feasible(advise(policies)):
        raise InvalidRequest(f"{file} cannot be carried out: `pacs-cloud tier validate` says why")
    fates = Counter([one.fate async for one in moved(settings, stores, policies)])
    if fates:
        log.info("tiers_tended", extra={fate.value: fates[fate] for fate in Fate})
    return MOVE_EVERY_S
