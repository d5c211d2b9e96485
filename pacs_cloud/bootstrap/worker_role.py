"""The worker process: events passed on, jobs done, and what is done over and over."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from pacs_cloud.bootstrap.chores import chores_of, over_and_over
from pacs_cloud.bootstrap.correcting import follow_merges
from pacs_cloud.bootstrap.dimse_doors import Destinations, known_devices
from pacs_cloud.bootstrap.dimse_role import limits_of
from pacs_cloud.bootstrap.erasing import take_out_erased
from pacs_cloud.bootstrap.locking import locking
from pacs_cloud.bootstrap.prefetching import prefetch_on_arrival
from pacs_cloud.bootstrap.services import Reading, Stores, now_us, open_reading
from pacs_cloud.bootstrap.stalls import Stalls, said
from pacs_cloud.catalogue.changing import PATIENT_SHOWN
from pacs_cloud.custody.checks.record import JOB as CHECK
from pacs_cloud.dimse.transfer import Dispatch, transfer
from pacs_cloud.errors import NotFound, Unavailable
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.settings import Settings
from pacs_cloud.workers.checks import CheckArchive
from pacs_cloud.workers.handlers import Handlers, in_turn
from pacs_cloud.workers.loop import LoopPolicy, WorkerLoop
from pacs_cloud.workers.pack_stored import KIND as PACK_STORED
from pacs_cloud.workers.pack_stored import PackStored
from pacs_cloud.workers.rejections import FollowRejections
from pacs_cloud.workers.relay import Relay
from pacs_cloud.workers.send_recalled import KIND as SEND_RECALLED
from pacs_cloud.workers.send_recalled import Send, SendRecalled


@asynccontextmanager
async def serve_worker(settings: Settings, stores: Stores) -> AsyncGenerator[None]:
    """Work while entered."""
    stop = asyncio.Event()
    async with open_reading(settings, stores) as reading, asyncio.TaskGroup() as tasks:
        following = follow_merges(stores)
        handlers = Handlers(
            {
                PATIENT_SHOWN: following,
                PACK_STORED: in_turn(
                    FollowRejections(
                        stores.objects, stores.catalogue, reading.archive.tables.table, now_us
                    ),
                    take_out_erased(settings, stores),
                    *locking(settings, stores),
                    PackStored(stores.objects, stores.catalogue),
                    following,
                    *prefetch_on_arrival(settings, stores),
                ),
                SEND_RECALLED: SendRecalled(
                    reading.archive, stores.queue, _sending(settings, stores, reading), now_us
                ),
                CHECK: CheckArchive(
                    *(stores.objects, stores.catalogue, stores.queue),
                    settings.audit_journals,
                    now_us,
                ),
            }
        )
        loop = WorkerLoop(stores.queue, handlers, LoopPolicy(grace_s=settings.stop_grace_s))
        tasks.create_task(Relay(stores.catalogue, stores.queue).run(stop))
        tasks.create_task(loop.run(stop))
        stalls, chores = Stalls(stores.objects, now_us), chores_of(settings, stores)
        tasks.create_task(said(stalls.only(chores)))
        for name, chore in chores.items():
            tasks.create_task(over_and_over(name, chore, stop, stalls))
        try:
            yield
        finally:
            stop.set()


def _sending(settings: Settings, stores: Stores, reading: Reading) -> Send:
    """Return what sends instances to our destinations."""
    destinations = Destinations(settings, known_devices(settings, stores))

    async def send(destination: str, instances: Sequence[Located]) -> None:
        tenant = instances[0].pack.tenant if instances else settings.tenant
        peer = await destinations.find(tenant, destination)
        if peer is None:
            raise NotFound(f"{destination} is not one of our destinations")
        tally = await transfer(
            peer, settings.aet, instances, Dispatch(reading.archive), limits=limits_of(settings)
        )
        if tally.failed:
            reason = tally.failures[0].reason if tally.failures else "no answer"
            counted = f"{tally.failed} of {tally.total} instances were not stored"
            raise Unavailable(f"{counted}: {reason}")

    return send
