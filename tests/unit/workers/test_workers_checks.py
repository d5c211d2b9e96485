"""Checks that somebody began from a page: one at a time, told of as they go, stopped, and kept."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.checks.record import (
    MOST_FINDINGS,
    SILENT_US,
    Check,
    CheckKind,
    CheckState,
    begin_check,
    read_checks,
    stop_check,
    tell,
)
from pacs_cloud.custody.findings import Finding, FindingKind, Severity
from pacs_cloud.custody.fsck import check as fsck
from pacs_cloud.errors import Conflict, InvalidRequest, Unavailable
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.workers.checks import CheckArchive
from pacs_cloud.workqueue.jobs import Job
from pacs_cloud.workqueue.sqlite import SqliteWorkQueue
from patience import PATIENCE_S
from unit.workers.workers_packs import stored

NOW_US = 1_790_000_000_000_000
HOUR_US = 3_600_000_000


class Site:
    """An archive, a queue, and a clock."""

    def __init__(
        self, objects: LocalObjectStore, catalogue: SqliteCatalogue, queue: SqliteWorkQueue
    ) -> None:
        self.objects, self.catalogue, self.queue = objects, catalogue, queue
        self.now_us = NOW_US

    async def begin(self, kind: CheckKind = CheckKind.ARCHIVE) -> Check:
        return await begin_check(
            self.objects, self.queue, "default", kind, by="user:anna", now_us=self.now_us
        )

    async def last(self, kind: CheckKind = CheckKind.ARCHIVE) -> Check:
        last = (await read_checks(self.objects, "default", kind)).last
        assert last is not None
        return last

    def handler(self, **more: Any) -> CheckArchive:
        return CheckArchive(
            self.objects, self.catalogue, self.queue, None, lambda: self.now_us, **more
        )

    async def work(self, **more: Any) -> None:
        """Do what waits in the queue."""
        handler = self.handler(**more)
        for lease in await self.queue.lease():
            await handler(lease.job)
            await self.queue.ack(lease)


@pytest.fixture
def site(objects: LocalObjectStore, catalogue: SqliteCatalogue, queue: SqliteWorkQueue) -> Site:
    return Site(objects, catalogue, queue)


async def test_a_check_of_a_clean_archive_says_so(site: Site) -> None:
    await stored(site.objects, site.catalogue, 3)
    begun = await site.begin()
    assert begun.state(site.now_us) is CheckState.WAITING
    await site.work()
    last = await site.last()
    assert last.state(site.now_us) is CheckState.DONE
    assert (last.check_id, last.asked_by) == (begun.check_id, "user:anna")
    assert (last.looked, last.faults, last.findings) == (1, 0, ())
    known = await read_checks(site.objects, "default", CheckKind.ARCHIVE)
    assert known.ended == last
    assert [one async for one in fsck(site.objects, site.catalogue)] == []


async def test_what_is_lost_is_found_and_kept(site: Site) -> None:
    lost, *_ = await stored(site.objects, site.catalogue, 2)
    await site.objects.delete(lost.key.pack)
    site.now_us += 2 * HOUR_US
    await site.begin()
    await site.work()
    last = await site.last()
    assert last.faults == 1
    assert "dangling" in last.findings[0].detail
    assert last.findings[0].place == lost.key.study_instance_uid
    assert last.findings[0].repair


async def test_of_other_tenants_nothing_is_told(site: Site) -> None:
    lost, *_ = await stored(site.objects, site.catalogue, 1)
    await site.objects.delete(lost.key.pack)
    site.now_us += 2 * HOUR_US
    await begin_check(
        *(site.objects, site.queue, "other", CheckKind.ARCHIVE), by="user:eve", now_us=site.now_us
    )
    await site.work()
    last = (await read_checks(site.objects, "other", CheckKind.ARCHIVE)).last
    assert last is not None
    assert (last.looked, last.faults) == (0, 0)


async def test_a_second_one_waits_for_the_first(site: Site) -> None:
    await site.begin()
    with pytest.raises(Conflict, match="under way"):
        await site.begin()
    await site.begin(CheckKind.TRAIL)
    site.now_us += SILENT_US + 1
    assert (await site.last()).state(site.now_us) is CheckState.SILENT
    again = await site.begin()
    assert (await site.last()).check_id == again.check_id


async def test_what_was_stopped_does_not_begin(site: Site) -> None:
    await site.begin()
    await stop_check(site.objects, "default", CheckKind.ARCHIVE, now_us=site.now_us)
    await site.work()
    last = await site.last()
    assert last.state(site.now_us) is CheckState.STOPPED
    assert last.begun_us == 0
    assert (await read_checks(site.objects, "default", CheckKind.ARCHIVE)).ended is None
    with pytest.raises(Conflict):
        await stop_check(site.objects, "default", CheckKind.ARCHIVE, now_us=site.now_us)


async def test_a_stop_ends_one_under_way(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    reached = asyncio.Event()

    async def endless(*_: object, **__: object) -> AsyncIterator[tuple[Any, list[Any]]]:
        while True:
            reached.set()
            yield ("default", "1.2"), []
            await asyncio.sleep(0.001)

    monkeypatch.setattr("pacs_cloud.workers.checks.check_studies", endless)
    await site.begin()
    working = asyncio.create_task(site.work(tell_every_s=0.01))
    await reached.wait()
    while not (await site.last()).looked:
        await asyncio.sleep(0.01)
    assert (await site.last()).state(site.now_us) is CheckState.UNDER_WAY
    await stop_check(site.objects, "default", CheckKind.ARCHIVE, now_us=site.now_us)
    async with asyncio.timeout(PATIENCE_S):
        await working
    assert (await site.last()).state(site.now_us) is CheckState.STOPPED


async def test_a_worker_does_one_and_lets_the_others_wait(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = asyncio.Event()

    async def endless(*_: object, **__: object) -> AsyncIterator[tuple[Any, list[Any]]]:
        while True:
            reached.set()
            yield ("default", "1.2"), []
            await asyncio.sleep(0.001)

    monkeypatch.setattr("pacs_cloud.workers.checks.check_studies", endless)
    handler = site.handler(tell_every_s=0.01, again_s=0)
    await site.begin(CheckKind.BYTES)
    (first,) = await site.queue.lease()
    working = asyncio.create_task(handler(first.job))
    await reached.wait()
    await site.begin(CheckKind.TRAIL)
    (second,) = await site.queue.lease()
    for _ in range(3):
        site.now_us += SILENT_US - 1
        async with asyncio.timeout(PATIENCE_S):
            await handler(second.job)
        await site.queue.ack(second)
        # It is no worker's for a moment, and nobody takes it for dead.
        assert (await site.last(CheckKind.TRAIL)).state(site.now_us) is CheckState.WAITING
        (second,) = await site.queue.lease()
    await stop_check(site.objects, "default", CheckKind.BYTES, now_us=site.now_us)
    await working
    await handler(second.job)
    assert (await site.last(CheckKind.TRAIL)).state(site.now_us) is CheckState.DONE


async def test_the_trail_is_verified(site: Site) -> None:
    key = "audit/default/20260102/0123456789abcdef/00000000-0123456789abcdef.jsonl"
    await site.objects.put_new(key, b"no line of a trail\n")
    await site.begin(CheckKind.TRAIL)
    await site.work()
    last = await site.last(CheckKind.TRAIL)
    assert last.looked == 1
    assert last.faults == len(last.findings) > 0
    assert last.findings[0].place.startswith(key)


async def test_what_no_worker_will_hear_of_does_not_wait(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise Unavailable("the queue is away")

    with monkeypatch.context() as broken:
        broken.setattr(site.queue, "send", away)
        with pytest.raises(Unavailable):
            await site.begin()
    assert (await site.last()).state(site.now_us) is CheckState.STOPPED
    await site.begin()


async def test_a_job_that_names_no_check_is_refused(site: Site) -> None:
    handler = site.handler()
    with pytest.raises(InvalidRequest):
        await handler(Job(job_id="x", kind="check", tenant="default", body={"kind": "all"}))


async def test_much_that_is_wrong_is_counted_and_the_first_kept(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = [
        Finding(FindingKind.DANGLING, Severity.ERROR, f"{n}", "", key="k")
        for n in range(MOST_FINDINGS + 10)
    ]

    async def many(*_: object, **__: object) -> AsyncIterator[tuple[Any, list[Any]]]:
        yield None, lost

    monkeypatch.setattr("pacs_cloud.workers.checks.check_studies", many)
    begun = await site.begin()
    await site.work()
    last = await site.last()
    assert last.faults == MOST_FINDINGS + 10
    assert [one.detail for one in last.findings] == [f"dangling: {n}" for n in range(MOST_FINDINGS)]
    # What has ended is told of no more.
    tail = begun.check_id, lambda check: check
    assert await tell(site.objects, "default", CheckKind.ARCHIVE, *tail) is None
