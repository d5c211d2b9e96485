"""What every work queue does, on SQLite and on each SQS server of this machine."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from pacs_cloud.errors import InvalidRequest, NotFound
from pacs_cloud.workqueue.jobs import BODY_LIMIT_BYTES, Job
from pacs_cloud.workqueue.port import Depth, WorkQueue
from pacs_cloud.workqueue.sqlite import SqliteWorkQueue
from pacs_cloud.workqueue.sqs import SqsConfig, SqsWorkQueue
from patience import PATIENCE_S
from servers.fixtures import Place

SendText: TypeAlias = Callable[[str], Awaitable[None]]


def job(name: str, **body: object) -> Job:
    return Job(job_id=name, kind="pack-stored", tenant="default", body=body)


async def drained(queue: WorkQueue) -> list[str]:
    """Lease and acknowledge until nothing is left."""
    names = []
    while leases := await queue.lease(wait_s=0):
        for lease in leases:
            names.append(lease.job.job_id)
            await queue.ack(lease)
    return names


async def exhaust(queue: WorkQueue, attempts: int = 5) -> None:
    """Lease and give back until nothing can be leased; each job must come `attempts` times."""
    for attempt in range(1, attempts + 1):
        leases = await queue.lease(wait_s=20)
        assert leases
        for lease in leases:
            assert lease.attempt == attempt
            await queue.release(lease)
    assert await queue.lease(wait_s=0) == []


class WorkQueueContract:
    repeats = False
    """Whether a job may be given twice, though nobody let go of it."""

    async def test_a_job_is_sent_leased_and_acknowledged(self, queue: WorkQueue) -> None:
        sent = job("1", key="packs/a.zip", n=7, nested={"a": [1, None, True, "ä\u0001\uffff"]})
        await queue.send(sent)
        (lease,) = await queue.lease(wait_s=20)
        assert lease.job == sent
        assert lease.attempt == 1
        await queue.ack(lease)
        assert await queue.lease() == []
        assert await queue.depth() == Depth(ready=0, leased=0, dead=0)

    async def test_a_leased_job_is_nobody_elses(self, queue: WorkQueue) -> None:
        await queue.send(job("1"))
        (lease,) = await queue.lease(hold_s=60)
        assert await queue.lease(wait_s=1) == []
        assert await queue.depth() == Depth(ready=0, leased=1, dead=0)
        await queue.ack(lease)

    async def test_at_most_the_limit_is_leased(self, queue: WorkQueue) -> None:
        for n in range(5):
            await queue.send(job(str(n)))
        assert await queue.depth() == Depth(ready=5, leased=0, dead=0)
        assert len(await queue.lease(3)) == 3
        assert await queue.depth() == Depth(ready=2, leased=3, dead=0)

    async def test_every_job_goes_to_one_of_many_workers(self, queue: WorkQueue) -> None:
        names = {f"job-{n}" for n in range(40)}
        await asyncio.gather(*(queue.send(job(name)) for name in names))
        drains = await asyncio.gather(*(drained(queue) for _ in range(4)))
        given = [name for drain in drains for name in drain]
        assert set(given) == names
        # SQS gives each job at least once (and moto may, to two who ask in one moment).
        assert self.repeats or len(given) == len(names)

    async def test_a_lease_that_ends_is_anothers(self, queue: WorkQueue) -> None:
        await queue.send(job("1"))
        (first,) = await queue.lease(hold_s=1)
        (second,) = await queue.lease(wait_s=20)
        assert (second.job, second.attempt) == (first.job, 2)
        await queue.ack(second)
        assert await drained(queue) == []

    async def test_an_extended_lease_does_not_end(self, queue: WorkQueue) -> None:
        await queue.send(job("1"))
        (lease,) = await queue.lease(hold_s=1)
        longer = await queue.extend(lease, 60)
        assert longer.until_us > lease.until_us + 50_000_000
        assert longer.job == lease.job
        assert await queue.lease(wait_s=2) == []
        await queue.ack(longer)
        assert await queue.depth() == Depth(ready=0, leased=0, dead=0)

    async def test_a_lost_lease_is_not_extended(self, queue: WorkQueue) -> None:
        await queue.send(job("1"))
        (lease,) = await queue.lease()
        await queue.ack(lease)
        with pytest.raises(NotFound):
            await queue.extend(lease, 60)
        await queue.ack(lease)
        await queue.release(lease)
        assert await drained(queue) == []

    async def test_a_released_job_comes_back(self, queue: WorkQueue) -> None:
        await queue.send(job("1"))
        (lease,) = await queue.lease()
        await queue.release(lease)
        (again,) = await queue.lease(wait_s=20)
        assert again.attempt == 2
        await queue.release(again, delay_s=600)
        assert await queue.lease(wait_s=1) == []

    async def test_a_delayed_job_waits(self, queue: WorkQueue) -> None:
        await queue.send(job("never"), delay_s=900)
        await queue.send(job("late"), delay_s=1)
        assert await queue.lease() == []
        assert (await queue.depth()).ready == 2
        (lease,) = await queue.lease(wait_s=20)
        assert lease.job.job_id == "late"

    async def test_a_waiting_lease_sees_a_new_job(self, queue: WorkQueue) -> None:
        waiting = asyncio.create_task(queue.lease(wait_s=20))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        await queue.send(job("1"))
        async with asyncio.timeout(PATIENCE_S):
            (lease,) = await waiting
        assert lease.job.job_id == "1"

    async def test_after_five_leases_a_job_is_dead(self, queue: WorkQueue) -> None:
        await queue.send(job("1", key="a"))
        await exhaust(queue)
        assert await queue.depth() == Depth(ready=0, leased=0, dead=1)
        (dead,) = await queue.dead()
        assert (dead.job, dead.attempts) == (job("1", key="a"), 5)
        assert abs(dead.at_us / 1e6 - time.time()) < 3600
        # Looking does not take.
        assert [dead.job for dead in await queue.dead()] == [job("1", key="a")]
        assert await queue.lease() == []

    async def test_a_redriven_job_starts_anew(self, queue: WorkQueue) -> None:
        for name in ("1", "2"):
            await queue.send(job(name))
        await exhaust(queue)
        assert {dead.job.job_id for dead in await queue.dead()} == {"1", "2"}
        assert len(await queue.dead(1)) == 1
        assert await queue.redrive() == 2
        assert await queue.redrive() == 0
        assert await queue.depth() == Depth(ready=2, leased=0, dead=0)
        leases = await queue.lease(wait_s=20)
        leases += await queue.lease()
        assert sorted((lease.job.job_id, lease.attempt) for lease in leases) == [("1", 1), ("2", 1)]

    async def test_one_dead_job_is_redriven(self, queue: WorkQueue) -> None:
        for name in ("1", "2", "3"):
            await queue.send(job(name))
        await exhaust(queue)
        assert await queue.redrive(lambda one: one.job_id == "2") == 1
        assert await queue.redrive(lambda one: one.job_id == "2") == 0
        assert {dead.job.job_id for dead in await queue.dead()} == {"1", "3"}
        assert await drained(queue) == ["2"]

    async def test_those_that_are_wanted_are_found_behind_others(
        self, queue: WorkQueue, dead_text: SendText
    ) -> None:
        for number in range(25):
            tenant = "south" if number % 12 else "north"
            await dead_text(
                job(f"{number}").model_copy(update={"tenant": tenant}).model_dump_json()
            )
        found = await queue.dead(3, lambda one: one.tenant == "north")
        assert {dead.job.job_id for dead in found} == {"0", "12", "24"}
        assert len(await queue.dead(2, lambda one: one.tenant == "south")) == 2
        # All were shown again.
        assert await queue.redrive() == 25

    async def test_many_dead_jobs_are_redriven(self, queue: WorkQueue, dead_text: SendText) -> None:
        names = {f"job-{n}" for n in range(25)}
        for name in names:
            await dead_text(job(name, pad="x" * 60_000).model_dump_json())
        assert len(await queue.dead(12)) == 12
        assert await queue.redrive() == 25
        assert set(await drained(queue)) == names

    async def test_what_is_no_job_is_dead_at_once(
        self, queue: WorkQueue, send_text: SendText
    ) -> None:
        texts = ["not JSON: DOE^JANE", "{}", json.dumps({**job("1").model_dump(), "new": 1})]
        for text in texts:
            await send_text(text)
        await queue.send(job("good"))
        assert await drained(queue) == ["good"]
        assert await queue.depth() == Depth(ready=0, leased=0, dead=3)
        dead = await queue.dead()
        assert {(dead.job.kind, dead.attempts) for dead in dead} == {("malformed", 0)}
        lengths = sorted(dead.job.body["length"] for dead in dead)
        assert lengths == sorted(len(text) for text in texts)
        assert "JANE" not in repr(dead)
        assert await queue.redrive() == 0
        assert (await queue.depth()).dead == 3

    async def test_a_body_of_the_largest_size(self, queue: WorkQueue) -> None:
        empty = len(json.dumps(job("1", pad="").model_dump(), separators=(",", ":")))
        largest = job("1", pad="x" * (BODY_LIMIT_BYTES - empty))
        await queue.send(largest)
        (lease,) = await queue.lease(wait_s=20)
        assert lease.job == largest
        for body in ({"pad": largest.body["pad"] + "x"}, {"pad": "ä" * 50_000}):
            with pytest.raises(InvalidRequest):
                await queue.send(job("1", **body))

    @pytest.mark.parametrize("body", [{"n": float("nan")}, {"n": object()}])
    async def test_a_body_that_is_not_json_is_refused(
        self, queue: WorkQueue, body: dict[str, object]
    ) -> None:
        with pytest.raises(InvalidRequest):
            await queue.send(job("1", **body))

    async def test_numbers_out_of_bounds_are_refused(self, queue: WorkQueue) -> None:
        await queue.send(job("1"))
        for limit, wait_s, hold_s in [(0, 0, 1), (11, 0, 1), (1, -1, 1), (1, 21, 1), (1, 0, 0),
                                      (1, 0, 43_201)]:  # fmt: skip
            with pytest.raises(InvalidRequest):
                await queue.lease(limit, wait_s=wait_s, hold_s=hold_s)
        (lease,) = await queue.lease()
        for attempt in (queue.send(job("2"), delay_s=901), queue.send(job("2"), delay_s=-1),
                        queue.extend(lease, 0), queue.release(lease, delay_s=901)):  # fmt: skip
            with pytest.raises(InvalidRequest):
                await attempt


class TestSqlite(WorkQueueContract):
    @pytest.fixture
    async def queue(self, tmp_path: Path) -> AsyncIterator[SqliteWorkQueue]:
        async with SqliteWorkQueue(tmp_path / "queue.sqlite") as queue:
            yield queue

    @pytest.fixture
    def send_text(self, queue: SqliteWorkQueue) -> SendText:
        async def send(text: str) -> None:
            await queue._writing.run(
                lambda c: c.execute("INSERT INTO jobs (body, visible_us) VALUES (?, 0)", (text,))
            )

        return send

    @pytest.fixture
    def dead_text(self, queue: SqliteWorkQueue) -> SendText:
        async def send(text: str) -> None:
            await queue._writing.run(
                lambda c: c.execute(
                    "INSERT INTO jobs (body, visible_us, dead) VALUES (?, 0, 1)", (text,)
                )
            )

        return send

    async def test_hundreds_of_others_hide_none(self, queue: SqliteWorkQueue) -> None:
        bodies = [
            job(f"{n}").model_copy(update={"tenant": tenant}).model_dump_json()
            for tenant, count in (("south", 1100), ("north", 2))
            for n in range(count)
        ]
        await queue._writing.run(
            lambda c: (
                c.executemany(
                    "INSERT INTO jobs (body, visible_us, dead) VALUES (?, 0, 1)",
                    [(body,) for body in bodies],
                ).rowcount
            )
        )
        assert len(await queue.dead(1, lambda one: one.tenant == "north")) == 1
        found = await queue.dead(500, lambda one: one.tenant == "north")
        assert [dead.job.job_id for dead in found] == ["0", "1"]


class TestSqs(WorkQueueContract):
    repeats = True

    @pytest.fixture
    async def queue(self, sqs_queue: Place) -> AsyncIterator[SqsWorkQueue]:
        config = SqsConfig(
            sqs_queue.name,
            endpoint=sqs_queue.endpoint.url,
            region=sqs_queue.endpoint.region,
            access_key_id=sqs_queue.endpoint.access_key,
            secret_access_key=sqs_queue.endpoint.secret_key,
        )
        async with SqsWorkQueue(config) as queue:
            yield queue

    @pytest.fixture
    def send_text(self, queue: SqsWorkQueue) -> SendText:
        async def send(text: str) -> None:
            await queue._client.send_message(QueueUrl=await queue._url(), MessageBody=text)

        return send

    @pytest.fixture
    def dead_text(self, queue: SqsWorkQueue) -> SendText:
        async def send(text: str) -> None:
            await queue._client.send_message(QueueUrl=await queue._dead_url(), MessageBody=text)

        return send
