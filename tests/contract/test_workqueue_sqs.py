"""What only SQS does: a queue that is missing, or has no dead-letter queue."""

import asyncio
from dataclasses import replace

import pytest

from pacs_cloud.errors import Denied, Unavailable
from pacs_cloud.workqueue.jobs import Job
from pacs_cloud.workqueue.sqs import SqsConfig, SqsWorkQueue
from patience import PATIENCE_S
from servers.fixtures import Place

JOB = Job(job_id="1", kind="pack-stored", tenant="default")


@pytest.fixture
def config(sqs_queue: Place) -> SqsConfig:
    return SqsConfig(
        sqs_queue.name,
        endpoint=sqs_queue.endpoint.url,
        access_key_id=sqs_queue.endpoint.access_key,
        secret_access_key=sqs_queue.endpoint.secret_key,
    )


async def test_a_missing_queue_is_unavailable(config: SqsConfig) -> None:
    async with SqsWorkQueue(replace(config, queue="no-such-queue")) as queue:
        for attempt in (queue.send(JOB), queue.lease(), queue.depth(), queue.dead()):
            with pytest.raises(Unavailable):
                await attempt


async def test_an_endpoint_that_is_not_there(config: SqsConfig) -> None:
    nowhere = replace(config, endpoint="http://127.0.0.1:9", retries=1)
    async with SqsWorkQueue(nowhere) as queue, asyncio.timeout(PATIENCE_S):
        for attempt in (queue.send(JOB), queue.lease(), queue.depth(), queue.redrive()):
            with pytest.raises(Unavailable):
                await attempt


async def test_a_queue_without_a_dead_letter_queue_says_so(config: SqsConfig) -> None:
    async with SqsWorkQueue(replace(config, queue=f"{config.queue}-dead")) as queue:
        await queue.send(JOB)
        (lease,) = await queue.lease(wait_s=2)
        await queue.ack(lease)
        for attempt in (queue.depth(), queue.dead(), queue.redrive()):
            with pytest.raises(Unavailable, match="no dead-letter queue"):
                await attempt


async def test_nobody_is_anonymous(config: SqsConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    async with SqsWorkQueue(replace(config, access_key_id="", secret_access_key="")) as queue:
        with pytest.raises(Denied):
            await queue.send(JOB)
