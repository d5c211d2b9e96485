"""The job "send-recalled": what a C-MOVE wanted is sent once it is back from a cold class."""

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pacs_cloud.errors import InvalidRequest, NotFound
from pacs_cloud.pack.pack_id import new_pack_id
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.security.caller import system
from pacs_cloud.tiering.recall.demand import BeingRecalled
from pacs_cloud.workqueue.jobs import Job
from pacs_cloud.workqueue.port import WorkQueue

log = logging.getLogger(__name__)

KIND: Final = "send-recalled"
_INSTANCES: Final = 2000
"""Of one job: their UIDs take up to 64 characters each, and a job has 256 KiB."""
_AGAIN_S: Final = 900.0
"""The longest that a job can rest in a queue: then it looks again."""
_GIVEN_UP_US: Final = 7 * 86_400_000_000

Send: TypeAlias = Callable[[str, Sequence[Located]], Awaitable[None]]
"""Sends instances to one of our destinations by its AE title; raises Unavailable."""


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    destination: str = Field(min_length=1, max_length=16)
    asked_us: int
    study_instance_uid: str = Field(min_length=1, max_length=64)
    instances: Mapping[str, Sequence[str]]
    """SOP Instance UIDs by Series Instance UID."""


def jobs_for(destination: str, located: Sequence[Located], now_us: int) -> Iterator[Job]:
    """Yield the jobs that send `located` to the destination of this AE title."""
    by_study: dict[tuple[str, str], list[Located]] = {}
    for one in located:
        key = one.pack.tenant, one.pack.study_instance_uid
        by_study.setdefault(key, []).append(one)
    for (tenant, study), every in by_study.items():
        for first in range(0, len(every), _INSTANCES):
            instances: dict[str, list[str]] = {}
            for one in every[first : first + _INSTANCES]:
                of_series = instances.setdefault(one.pack.series_instance_uid, [])
                of_series.append(one.instance.sop_instance_uid)
            body = _Body(
                destination=destination,
                asked_us=now_us,
                study_instance_uid=study,
                instances=instances,
            )
            yield Job(job_id=new_pack_id(now_us), kind=KIND, tenant=tenant, body=body.model_dump())


class SendRecalled:
    """Sends what can be read, and leaves the job for later where it cannot yet."""

    def __init__(
        self, archive: Archive, queue: WorkQueue, send: Send, now_us: Callable[[], int]
    ) -> None:
        self._archive = archive
        self._queue = queue
        self._send = send
        self._now_us = now_us

    async def __call__(self, job: Job) -> None:
        """Send what `job` names, or have it look again; done where that is deleted.

        Raises:
            InvalidRequest: the job names nothing.
            Unavailable: a store or the destination cannot be reached.
        """
        try:
            body = _Body.model_validate(job.body)
        except ValidationError as error:
            raise InvalidRequest(f"job {job.job_id} names nothing to send") from error
        wanted = {uid for uids in body.instances.values() for uid in uids}
        try:
            located = await self._archive.instances.locate(
                system(job.tenant), body.study_instance_uid
            )
        except NotFound:
            return
        found = [
            one
            for one in located
            if one.pack.series_instance_uid in body.instances
            and one.instance.sop_instance_uid in wanted
        ]
        try:
            await self._archive.require(found)
        except BeingRecalled as error:
            now_us = self._now_us()
            if now_us - body.asked_us > _GIVEN_UP_US:
                log.error("recalled_study_not_sent", extra={"destination": body.destination})
                return
            later = job.model_copy(update={"job_id": new_pack_id(now_us)})
            await self._queue.send(later, delay_s=min(error.retry_after_s, _AGAIN_S))
            return
        if found:
            await self._send(body.destination, found)
