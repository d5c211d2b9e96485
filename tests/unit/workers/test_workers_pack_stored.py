"""A pack is looked at again right after its commit."""

import pytest

from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.errors import Corrupt, InvalidRequest
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.workers.pack_stored import KIND, PackStored
from pacs_cloud.workqueue.jobs import Job
from unit.workers.workers_packs import stored


async def test_a_stored_pack_is_found_where_it_should_be(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    packs = await stored(objects, catalogue, 2)
    handler = PackStored(objects, catalogue)
    jobs = {
        event.body["pack_id"]: Job(
            job_id=event.event_id, kind=event.kind, tenant=event.tenant, body=dict(event.body)
        )
        for event in await catalogue.events()
    }
    for pack in packs:
        await handler(jobs[pack.key.pack_id])
    lost, cut = packs
    await objects.delete(lost.key.pack)
    with pytest.raises(Corrupt, match="not there"):
        await handler(jobs[lost.key.pack_id])
    await objects.delete(cut.key.index)
    await objects.put_new(cut.key.index, cut.index[:-1])
    with pytest.raises(Corrupt, match="bytes"):
        await handler(jobs[cut.key.pack_id])


async def test_a_pack_that_is_gone_from_the_catalogue_is_no_failure(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    await stored(objects, catalogue, 1)
    (event,) = await catalogue.events()
    await catalogue.wipe()
    body = dict(event.body)
    await PackStored(objects, catalogue)(Job(job_id="1", kind=KIND, tenant="default", body=body))
    with pytest.raises(InvalidRequest):
        await PackStored(objects, catalogue)(Job(job_id="1", kind=KIND, tenant="default"))
