"""What an operator asks an archive first: how much lies where, what waits, what is wrong."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

from pacs_cloud.bootstrap.services import Stores, now_us
from pacs_cloud.bootstrap.stalls import Stall, read_stalls
from pacs_cloud.bootstrap.tier_checks import policies_in_force, unmoved_words
from pacs_cloud.custody.corrections.book import correction_marks
from pacs_cloud.custody.erasure.entries import erasures_of, is_proven, studies_with_erasures
from pacs_cloud.custody.fixity.findings import OpenFindings
from pacs_cloud.custody.holds import all_holds
from pacs_cloud.custody.trash.marks import Action, marks
from pacs_cloud.errors import PacsError, Unavailable
from pacs_cloud.objectstore.tier_folders import TierFolders
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.recall.listing import RecallState, list_recalls

CONFLICTS_SHOWN: Final = 1000
_DAY_US: Final = 86_400_000_000
_One = TypeVar("_One")


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
        "fixity_findings": lambda: _found(stores),
        "trash": lambda: _number(marks(objects, tenant), lambda one: one.action is Action.DELETE),
        "trash_due": lambda: _number(
            marks(objects, tenant),
            lambda one: one.action is Action.DELETE and one.marked_us <= until_us,
        ),
        "corrections_unfinished": lambda: _number(correction_marks(objects, tenant)),
        "erasures_unfinished": lambda: _erasures(stores, tenant),
    }
    return {name: await _or_why(count) for name, count in counted.items()}


async def slow_counts_of(
    settings: Settings, stores: Stores, *, looked: Callable[[], None] = lambda: None
) -> tuple[dict[str, dict[str, int]] | str, int | str]:
    """Return packs and bytes by storage class, and the studies on hold.

    The catalogue is read from its beginning to its end for the one, every hold for the
    other. `looked` is called for each study.
    """
    packs, length_bytes = Counter[str](), Counter[str]()
    try:
        async for state in stores.catalogue.export(settings.tenant):
            looked()
            for pack in state.packs:
                packs[pack.storage_class] += 1
                length_bytes[pack.storage_class] += pack.length_bytes
    except PacsError as error:
        classes: dict[str, dict[str, int]] | str = _why(error)
    else:
        classes = {one: {"packs": packs[one], "bytes": length_bytes[one]} for one in sorted(packs)}
    return classes, await _or_why(lambda: _held(stores, settings.tenant))


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


async def _conflicts(stores: Stores, tenant: str) -> int:
    return len(await stores.catalogue.conflicts(tenant, limit=CONFLICTS_SHOWN))


async def _found(stores: Stores) -> int:
    """Return how many packs have something that is not mended."""
    kept = OpenFindings(stores.objects)
    await kept.load()
    return len(kept.packs)


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
