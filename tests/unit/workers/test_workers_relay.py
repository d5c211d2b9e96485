"""Outbox events become jobs, at least once."""

import asyncio

import pytest

from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.errors import Unavailable
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.workers.pack_stored import KIND
from pacs_cloud.workers.relay import Relay, RelayPolicy
from pacs_cloud.workqueue.port import Depth
from pacs_cloud.workqueue.sqlite import SqliteWorkQueue
from patience import PATIENCE_S
from unit.workers.workers_packs import stored


async def test_events_become_jobs_once_in_calm_times(
    objects: LocalObjectStore, catalogue: SqliteCatalogue, queue: SqliteWorkQueue
) -> None:
    packs = await stored(objects, catalogue, 3)
    relay = Relay(catalogue, queue)
    assert await relay.pass_on() == 3
    assert await relay.pass_on() == 0
    jobs = [lease.job for lease in await queue.lease()]
    assert {job.body["pack_id"] for job in jobs} == {pack.key.pack_id for pack in packs}
    assert {(job.kind, job.tenant) for job in jobs} == {(KIND, "default")}


async def test_an_event_stays_until_its_job_is_stored(
    objects: LocalObjectStore, catalogue: SqliteCatalogue, queue: SqliteWorkQueue
) -> None:
    await stored(objects, catalogue, 1)
    (event,) = await catalogue.events()
    await queue.aclose()
    with pytest.raises(Unavailable):
        await Relay(catalogue, queue).pass_on()
    assert await catalogue.events() == [event]


async def test_it_runs_until_it_is_stopped(
    objects: LocalObjectStore, catalogue: SqliteCatalogue, queue: SqliteWorkQueue
) -> None:
    stop = asyncio.Event()
    relay = Relay(catalogue, queue, RelayPolicy(batch=2, idle_s=0.01))
    running = asyncio.create_task(relay.run(stop))
    await stored(objects, catalogue, 5)
    async with asyncio.timeout(PATIENCE_S):
        while await queue.depth() != Depth(5, 0, 0):
            await asyncio.sleep(0.01)
        stop.set()
        await running
    assert await catalogue.events() == []
