"""The work queue in Amazon SQS, or a server that speaks as it does."""

import json
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Self

from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError

from pacs_cloud.aws import new_session
from pacs_cloud.errors import InvalidRequest, NotFound, Unavailable
from pacs_cloud.workqueue.bounds import WAIT_MAX_S, check_delay, check_hold, check_lease
from pacs_cloud.workqueue.jobs import Job, decode, encode
from pacs_cloud.workqueue.port import DeadJob, Depth, Lease
from pacs_cloud.workqueue.sqs_dead import look, send_again
from pacs_cloud.workqueue.sqs_errors import LOST, code_of, queue_errors

ANSWER_S = 10
"""How much later than a long poll's end an answer may come."""
ON_THE_WAY_US = 500_000
"""By how much a lease is called shorter than it is."""


@dataclass(frozen=True, slots=True)
class SqsConfig:
    """Which queue, where, and as whom.

    Attributes:
        queue: its name. Its redrive policy names the dead-letter queue and says
            after how many leases a job is dead.
        endpoint: `http(s)://host:port` of a server that speaks SQS; "" for AWS.
        region: "" for the one in AWS's environment or profile, else us-east-1.
        access_key_id, secret_access_key: "" for AWS's own chain.
        session_token: with temporary keys.
        connect_timeout_s: of one connection.
        retries: after a first failure.
    """

    queue: str
    endpoint: str = ""
    region: str = ""
    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    connect_timeout_s: float = 3.0
    retries: int = 3

    def __post_init__(self) -> None:
        if bool(self.access_key_id) != bool(self.secret_access_key):
            raise InvalidRequest("an access key and its secret go together")


class SqsWorkQueue:
    """Jobs in one SQS queue; `async with` opens it, in the event loop that uses it."""

    def __init__(self, config: SqsConfig) -> None:
        self._config = config
        self._stack = AsyncExitStack()
        self._held: Any = None
        self._urls: dict[str, str] = {}
        self._dead_name: str | None = None
        self._most = 0

    async def __aenter__(self) -> Self:
        config = self._config
        session = new_session()
        if config.access_key_id:
            session.set_credentials(
                config.access_key_id, config.secret_access_key, config.session_token or None
            )
        self._held = await self._stack.enter_async_context(
            session.create_client(
                "sqs",
                region_name=config.region or session.get_config_variable("region") or "us-east-1",
                endpoint_url=config.endpoint or None,
                config=AioConfig(
                    connect_timeout=config.connect_timeout_s,
                    read_timeout=WAIT_MAX_S + ANSWER_S,
                    retries={"mode": "standard", "total_max_attempts": config.retries + 1},
                ),
            )
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        self._held = None
        await self._stack.aclose()

    async def send(self, job: Job, *, delay_s: float = 0) -> None:
        """Store `job`; see the port."""
        check_delay(delay_s)
        body = encode(job)
        with self._errors():
            await self._client.send_message(
                QueueUrl=await self._url(), MessageBody=body, DelaySeconds=math.ceil(delay_s)
            )

    async def lease(
        self, limit: int = 10, *, wait_s: float = 0, hold_s: float = 120
    ) -> list[Lease]:
        """Return jobs; see the port."""
        check_lease(limit, wait_s, hold_s)
        hold = math.ceil(hold_s)
        with self._errors():
            url = await self._url()
            answer = await self._client.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=limit,
                WaitTimeSeconds=math.ceil(wait_s),
                VisibilityTimeout=hold,
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
            )
        # SQS counts from before the answer was on its way.
        until_us = time.time_ns() // 1000 + hold * 1_000_000 - ON_THE_WAY_US
        leases: list[Lease] = []
        for message in answer.get("Messages", ()):
            job = decode(message["Body"])
            if job is None:
                await self._bury(message)
                continue
            attempt = int(message["Attributes"]["ApproximateReceiveCount"])
            leases.append(Lease(job, message["ReceiptHandle"], attempt, until_us))
        return leases

    async def ack(self, lease: Lease) -> None:
        """Forget a job; see the port."""
        await self._delete(lease.receipt)

    async def extend(self, lease: Lease, hold_s: float) -> Lease:
        """Keep a job; see the port."""
        check_hold(hold_s)
        hold = math.ceil(hold_s)
        until_us = time.time_ns() // 1000 + hold * 1_000_000
        if not await self._set_visible(lease.receipt, hold):
            raise NotFound(f"the lease of job {lease.job.job_id} was lost")
        return Lease(lease.job, lease.receipt, lease.attempt, until_us)

    async def release(self, lease: Lease, *, delay_s: float = 0) -> None:
        """Give a job back; see the port."""
        check_delay(delay_s)
        await self._set_visible(lease.receipt, math.ceil(delay_s))

    async def depth(self) -> Depth:
        """Return how much waits; see the port."""
        with self._errors():
            waiting, hidden, delayed = await self._counts(await self._url())
            dead = sum(await self._counts(await self._dead_url()))
        return Depth(ready=waiting + delayed, leased=hidden, dead=dead)

    async def dead(
        self, limit: int = 100, wanted: Callable[[Job], bool] | None = None
    ) -> list[DeadJob]:
        """Return dead jobs, oldest of those seen first; see the port."""
        with self._errors():
            dead_url = await self._dead_url()
            return await look(self._client, dead_url, limit, self._most, wanted)

    async def redrive(self, wanted: Callable[[Job], bool] | None = None) -> int:
        """Make dead jobs ready; see the port."""
        with self._errors():
            dead_url, url = await self._dead_url(), await self._url()
            return await send_again(self._client, dead_url, url, wanted)

    async def _bury(self, message: dict[str, Any]) -> None:
        """Move a message that is no job to the dead-letter queue."""
        with self._errors():
            await self._client.send_message(
                QueueUrl=await self._dead_url(), MessageBody=message["Body"]
            )
        await self._delete(message["ReceiptHandle"])

    async def _delete(self, receipt: str) -> None:
        with self._errors():
            try:
                await self._client.delete_message(QueueUrl=await self._url(), ReceiptHandle=receipt)
            except ClientError as error:
                if code_of(error) not in LOST:
                    raise

    async def _set_visible(self, receipt: str, in_s: int) -> bool:
        """Return False when the receipt is no longer good."""
        with self._errors():
            try:
                await self._client.change_message_visibility(
                    QueueUrl=await self._url(), ReceiptHandle=receipt, VisibilityTimeout=in_s
                )
            except ClientError as error:
                if code_of(error) not in LOST:
                    raise
                return False
        return True

    async def _counts(self, url: str) -> tuple[int, int, int]:
        names = ("Messages", "MessagesNotVisible", "MessagesDelayed")
        answer = await self._client.get_queue_attributes(
            QueueUrl=url, AttributeNames=[f"ApproximateNumberOf{name}" for name in names]
        )
        waiting, hidden, delayed = (
            int(answer["Attributes"][f"ApproximateNumberOf{name}"]) for name in names
        )
        return waiting, hidden, delayed

    async def _url(self, name: str = "") -> str:
        name = name or self._config.queue
        if name not in self._urls:
            answer = await self._client.get_queue_url(QueueName=name)
            self._urls[name] = answer["QueueUrl"]
        return self._urls[name]

    async def _dead_url(self) -> str:
        """Return the dead-letter queue that the queue's redrive policy names."""
        if self._dead_name is None:
            answer = await self._client.get_queue_attributes(
                QueueUrl=await self._url(), AttributeNames=["RedrivePolicy"]
            )
            policy = json.loads(answer.get("Attributes", {}).get("RedrivePolicy") or "{}")
            if "deadLetterTargetArn" not in policy:
                raise Unavailable(f"queue {self._config.queue} has no dead-letter queue")
            self._dead_name = str(policy["deadLetterTargetArn"]).rsplit(":", 1)[-1]
            self._most = int(policy.get("maxReceiveCount", 0))
        return await self._url(self._dead_name)

    def _errors(self) -> AbstractContextManager[None]:
        return queue_errors(self._config.queue)

    @property
    def _client(self) -> Any:
        if self._held is None:
            raise RuntimeError("an SqsWorkQueue is used inside `async with`")
        return self._held
