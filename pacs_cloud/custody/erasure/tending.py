"""Erasures that are not over, or that something has come in against, looked after."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.custody.erasure.entries import (
    SETTLES_US,
    ErasureEntry,
    erasure_steps,
    erasures_of,
    is_proven,
    is_settled,
    tombstones,
)
from pacs_cloud.custody.erasure.removing import Recall
from pacs_cloud.custody.erasure.run import Erasing, StudyErasure
from pacs_cloud.custody.repack.due import UNFINISHED_US
from pacs_cloud.custody.repack.unfinished import remove_unfinished
from pacs_cloud.errors import Corrupt, Denied, Held, NotFound, Offline
from pacs_cloud.objectstore.port import ObjectStore


async def tend_erasures(
    objects: ObjectStore,
    catalogue: Catalogue,
    *,
    folder: Path,
    recall: Recall,
    now_us: Callable[[], int],
    tenant: str | None = None,
) -> AsyncGenerator[Erasing, None]:
    """Go on with every erasure that has something to do; yield how far each is then.

    One that cannot go on, whatever the reason, keeps no other waiting.

    Args:
        objects: the store.
        catalogue: the catalogue.
        folder: where packs are written that are made anew.
        recall: asks for packs that are cold.
        now_us: the clock, microseconds since 1970 UTC.
        tenant: whose; None for all.

    Raises:
        Unavailable: the store or the catalogue cannot be reached.
    """
    await asyncio.to_thread(remove_unfinished, folder, now_us() - UNFINISHED_US)
    async for steps in erasure_steps(objects, tenant):
        names = steps[0].tenant, steps[0].study_instance_uid
        erasure = StudyErasure(objects, catalogue, folder, recall, now_us, *names)
        try:
            if await _is_due(objects, catalogue, steps, now_us()):
                yield await erasure.run()
        except (Corrupt, NotFound, Offline, Denied, Held) as error:
            yield Erasing(*names, waiting=(str(error),))


async def _is_due(
    objects: ObjectStore, catalogue: Catalogue, steps: Sequence[ErasureEntry], now_us: int
) -> bool:
    """Return whether there is something to do about a study; for most a look at its record tells.

    Args:
        objects: the store.
        catalogue: the catalogue.
        steps: all that were entered about the study, as far as their keys tell.
        now_us: microseconds since 1970 UTC.
    """
    last_us = max(one.entered_us for one in steps)
    if not is_proven(steps) or (not is_settled(steps) and now_us >= last_us + SETTLES_US):
        return True
    names = steps[0].tenant, steps[0].study_instance_uid
    state = await catalogue.study(*names)
    if state is None or not state.study.erased:  # forgotten, or all is lifted
        return bool(tombstones(await erasures_of(objects, *names)))
    return any(not state.study.erased.isdisjoint(pack.hidden) for pack in state.packs)
