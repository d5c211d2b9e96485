"""The worker process: events passed on, jobs done, orphans adopted, the trash emptied."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from functools import partial

from pacs_cloud.bootstrap.services import Stores, now_us, policy_of
from pacs_cloud.custody.orphans import GRACE_US, adopt_orphans
from pacs_cloud.custody.purging import GRACE_US as TRASH_GRACE_US
from pacs_cloud.custody.purging import Purged, tend_trash
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.errors import PacsError
from pacs_cloud.settings import Settings
from pacs_cloud.workers.handlers import Handlers
from pacs_cloud.workers.loop import LoopPolicy, WorkerLoop
from pacs_cloud.workers.pack_stored import KIND as PACK_STORED
from pacs_cloud.workers.pack_stored import PackStored
from pacs_cloud.workers.relay import Relay

log = logging.getLogger(__name__)

SWEEP_STUDIES = 10_000
SWEEP_REST_S = 5.0
"""Between two parts of one sweep: it is never in a hurry."""
SWEEP_EVERY_S = 3600.0
TEND_EVERY_S = 3600.0
DAY_US = 86_400_000_000


@asynccontextmanager
async def serve_worker(settings: Settings, stores: Stores) -> AsyncGenerator[None]:
    """Work while entered."""
    handlers = Handlers({PACK_STORED: PackStored(stores.objects, stores.catalogue)})
    loop = WorkerLoop(stores.queue, handlers, LoopPolicy(grace_s=settings.stop_grace_s))
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(Relay(stores.catalogue, stores.queue).run(stop))
        tasks.create_task(loop.run(stop))
        tasks.create_task(_sweep(settings, stores, stop))
        tasks.create_task(_tend(settings, stores, stop))
        try:
            yield
        finally:
            stop.set()


async def _sweep(settings: Settings, stores: Stores, stop: asyncio.Event) -> None:
    """Adopt orphans, part by part, over and over until `stop` is set."""
    after = ""
    # What an embedded archive's crash has left is waited for now; elsewhere other
    # receivers may be in the middle of their commits.
    grace_us = 0 if settings.is_embedded else GRACE_US
    while not stop.is_set():
        try:
            swept = await adopt_orphans(
                stores.objects,
                stores.catalogue,
                policy=policy_of(settings),
                now_us=now_us(),
                grace_us=grace_us,
                after=after,
                limit=SWEEP_STUDIES,
            )
        except PacsError as error:
            log.warning("sweep_stalled", extra={"error": type(error).__name__, "reason": error})
            rest_s = SWEEP_EVERY_S
        else:
            for problem in swept.problems:
                log.error("orphan_unusable", extra={"kind": problem.kind, "pack": problem.pack_id})
            after = swept.after
            if not after:
                grace_us = GRACE_US
            rest_s = SWEEP_REST_S if after else SWEEP_EVERY_S
        with suppress(TimeoutError):
            async with asyncio.timeout(rest_s):
                await stop.wait()


async def _tend(settings: Settings, stores: Stores, stop: asyncio.Event) -> None:
    """Purge what has been in the trash for long enough, over and over until `stop` is set."""
    unseen_us = 0
    while not stop.is_set():
        began_us = now_us()
        try:
            tended = await tend_trash(
                stores.objects,
                stores.catalogue,
                load_table=partial(load_table, stores.objects, stores.catalogue),
                now_us=began_us,
                retention_us=round(settings.trash_days * DAY_US),
                unseen_us=unseen_us,
            )
        except PacsError as error:
            log.warning("trash_stalled", extra={"error": type(error).__name__, "reason": error})
        else:
            unseen_us = began_us - TRASH_GRACE_US
            if tended != Purged():
                log.info("trash_tended", extra=asdict(tended))
        with suppress(TimeoutError):
            async with asyncio.timeout(TEND_EVERY_S):
                await stop.wait()
