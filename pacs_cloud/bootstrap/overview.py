"""What an operator asks an archive first: how much lies where, what waits, what is wrong."""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from pacs_cloud.audit.directory import unsealed_us
from pacs_cloud.bootstrap.services import Stores, now_us
from pacs_cloud.bootstrap.stalls import read_stalls
from pacs_cloud.bootstrap.tier_checks import policies_in_force, unmoved_words
from pacs_cloud.custody.corrections.book import correction_marks
from pacs_cloud.custody.erasure.entries import erasures_of, is_proven, studies_with_erasures
from pacs_cloud.custody.fixity.findings import OpenFindings
from pacs_cloud.custody.holds import all_holds
from pacs_cloud.custody.state import ArchiveState, Stall
from pacs_cloud.custody.trash.marks import Action, marks
from pacs_cloud.errors import PacsError, Unavailable
from pacs_cloud.ingest.contents import spool_contents
from pacs_cloud.objectstore.tier_folders import TierFolders
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.recall.listing import RecallState, list_recalls

CONFLICTS_SHOWN: Final = 1000
_DAY_US: Final = 86_400_000_000
_One = TypeVar("_One")
Listed: TypeAlias = tuple[dict[str, int | str], str | None]
"""What `counts_of` and `policies_state` return."""


async def state_of(
    settings: Settings,
    stores: Stores,
    *,
    listed: Callable[[], Awaitable[Listed]] | None = None,
) -> ArchiveState:
    """Return what `status` tells of an archive at once; what does not answer is said so.

    Args:
        settings: which archive.
        stores: its stores.
        listed: returns what `listed_of` has found lately; None: it is found anew.
    """
    spool = await asyncio.to_thread(spool_contents, settings.spool)
    ready, leased, dead = await _jobs(stores)
    stalled = await stalls_of(stores)
    counts, tier_policies = await (listed() if listed else listed_of(settings, stores))
    return ArchiveState(
        objects=await _answers(stores.objects.ready()),
        catalogue=await _answers(stores.catalogue.ready()),
        unmounted_tiers=tuple(await asyncio.to_thread(unmounted_tiers, settings)),
        spool_packs=spool.packs,
        spool_bytes=spool.length_bytes,
        spool_oldest_us=spool.oldest_us,
        quarantined_files=spool.quarantined,
        jobs_ready=ready,
        jobs_leased=leased,
        jobs_dead=dead,
        counts=counts,
        tier_policies=tier_policies,
        stalled=stalled if isinstance(stalled, str) else tuple(stalled),
        unsealed_us=await asyncio.to_thread(_unsealed_us, settings),
        seal_s=settings.audit_seal_s,
        disk_used=await asyncio.to_thread(_disk_used, settings),
        disk_limit=settings.spool_high_water,
    )


async def listed_of(settings: Settings, stores: Stores) -> Listed:
    """Return of the state what takes listings: nobody pays for them every few seconds."""
    return await counts_of(settings, stores), await policies_state(settings, stores)


async def counts_of(settings: Settings, stores: Stores) -> dict[str, int | str]:
    """Return how much of what waits, by its name; "?: " and why where that cannot be told."""
    objects, catalogue, tenant = stores.objects, stores.catalogue, settings.tenant
    until_us = now_us() - round(settings.trash_days * _DAY_US)
    counted: dict[str, Callable[[], Awaitable[int]]] = {
        "conflicts": lambda: _conflicts(stores, tenant),
        "recalls_under_way": lambda: _number(
            list_recalls(objects, catalogue, tenant, now_us()),
            lambda one: one.state is RecallState.RESTORING,
        ),
        "fixity_findings": lambda: _found(stores, tenant),
        "trash": lambda: _number(marks(objects, tenant), lambda one: one.action is Action.DELETE),
        "trash_due": lambda: _number(
            marks(objects, tenant),
            lambda one: one.action is Action.DELETE and one.marked_us <= until_us,
        ),
        "corrections_unfinished": lambda: _number(correction_marks(objects, tenant)),
        "erasures_unfinished": lambda: _erasures(stores, tenant),
    }
    # Together: where a store is silent nobody waits for it seven times.
    found = await asyncio.gather(*map(_or_why, counted.values()))
    return dict(zip(counted, found, strict=True))


async def slow_counts_of(
    settings: Settings, stores: Stores, *, looked: Callable[[], None] = lambda: None
) -> tuple[dict[str, dict[str, int]] | str, int | str]:
    """Return packs and bytes by storage class, and the studies on hold.

    The catalogue is read from its beginning to its end for the one, every hold for the
    other. `looked` is called for each study.
    """
    try:
        packs, length_bytes = await held_by_class(stores, settings.tenant, looked=looked)
    except PacsError as error:
        classes: dict[str, dict[str, int]] | str = _why(error)
    else:
        classes = {one: {"packs": packs[one], "bytes": length_bytes[one]} for one in sorted(packs)}
    return classes, await _or_why(lambda: _held(stores, settings.tenant))


async def held_by_class(
    stores: Stores, tenant: str | None, *, looked: Callable[[], None] = lambda: None
) -> tuple[Counter[str], Counter[str]]:
    """Return packs and bytes by storage class, of a tenant or, None, of all: a walk through all.

    `looked` is called for each study.
    """
    packs, length_bytes = Counter[str](), Counter[str]()
    async for state in stores.catalogue.export(tenant):
        looked()
        for pack in state.packs:
            packs[pack.storage_class] += 1
            length_bytes[pack.storage_class] += pack.length_bytes
    return packs, length_bytes


async def stalls_of(stores: Stores) -> list[Stall] | str:
    """Return the chores that could not be done when they were tried last, or why not."""
    try:
        return await read_stalls(stores.objects)
    except PacsError as error:
        return _why(error)


async def policies_state(settings: Settings, stores: Stores) -> str | None:
    """Return "yes" where the tier policies are carried out, else "no: " and why; None: none."""
    if settings.tier_policies is None:
        return None
    try:
        policies = await asyncio.to_thread(policies_in_force, settings, settings.tier_policies)
        hindered, _ = await unmoved_words(stores, policies)
    except PacsError as error:
        return f"no: {error}"
    return f"no: {'; '.join(hindered)}" if hindered else "yes"


def unmounted_tiers(settings: Settings) -> list[str]:
    """Return the storage classes of a file store whose directory is not there, and where."""
    if settings.objects_url.scheme != "file":
        return []
    folders = TierFolders(Path(settings.objects_url.name), {})
    found: list[str] = []
    for storage_class in sorted(folders.in_use()):
        try:
            folders.check(storage_class)
        except Unavailable as error:
            found.append(str(error))
    return found


def _unsealed_us(settings: Settings) -> int:
    try:
        return unsealed_us(settings.audit_journals)
    except OSError:  # another user's, for a command: whoever serves tells
        return 0


def _disk_used(settings: Settings) -> float:
    try:
        disk = shutil.disk_usage(settings.data)
    except OSError:  # nothing was ever written there
        return 0.0
    # As the intake counts: blocks that only the superuser may take are in use.
    return 1 - disk.free / disk.total if disk.total else 0.0


async def _jobs(stores: Stores) -> tuple[int, int, int] | tuple[str, str, str]:
    try:
        depth = await stores.queue.depth()
    except PacsError as error:
        why = _why(error)
        return why, why, why
    return depth.ready, depth.leased, depth.dead


async def _answers(asked: Awaitable[None]) -> str:
    try:
        await asked
    except PacsError as error:
        return f"no: {error}"
    return "yes"


async def _conflicts(stores: Stores, tenant: str) -> int:
    return len(await stores.catalogue.conflicts(tenant, limit=CONFLICTS_SHOWN))


async def _found(stores: Stores, tenant: str) -> int:
    """Return how many packs of a tenant have something that is not mended."""
    kept = OpenFindings(stores.objects)
    await kept.load()
    return sum(key.tenant == tenant for key in kept.packs)


async def _erasures(stores: Stores, tenant: str) -> int:
    unfinished = 0
    async for names in studies_with_erasures(stores.objects, tenant):
        unfinished += not is_proven(await erasures_of(stores.objects, *names))
    return unfinished


async def _held(stores: Stores, tenant: str) -> int:
    held = all_holds(stores.objects, tenant, now_us=now_us())
    return len({one.study_instance_uid async for one in held})


async def _number(
    some: AsyncIterator[_One], wanted: Callable[[_One], bool] = lambda _: True
) -> int:
    return sum([wanted(one) async for one in some])


async def _or_why(count: Callable[[], Awaitable[int]]) -> int | str:
    # One that cannot be told keeps no other from being told.
    try:
        return await count()
    except PacsError as error:
        return _why(error)


def _why(error: PacsError) -> str:
    return f"?: {error}"
