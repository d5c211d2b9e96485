"""The job "send-recalled": instances are sent, once they are back where they lay in a cold class.

A C-MOVE leaves one for what it could not wait for; a page has one for all that it sends, and
tells by `routing.sends` what became of it.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pacs_cloud.errors import InvalidRequest, NotFound, PacsError
from pacs_cloud.pack.pack_id import new_pack_id
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.routing.sends import SendEntry, What, enter
from pacs_cloud.security.caller import system
from pacs_cloud.tiering.recall.demand import BeingRecalled
from pacs_cloud.workers.backoff import Backoff
from pacs_cloud.workqueue.jobs import Job
from pacs_cloud.workqueue.port import WorkQueue

log = logging.getLogger(__name__)

KIND: Final = "send-recalled"
_INSTANCES: Final = 2000
"""Of one job: their UIDs take up to 64 characters each, and a job has 256 KiB."""
_AGAIN_S: Final = 900.0
"""The longest that a job can rest in a queue: then it looks again."""
_GIVEN_UP_US: Final = 7 * 86_400_000_000
_PAUSES: Final = Backoff(30.0, 900.0)
_TRIES: Final = 12
"""Of what a page has sent, for two hours: a workstation may be off for lunch. Then the queue's own
tries are left, and whoever operates has it go round again."""

Send: TypeAlias = Callable[[str, Sequence[Located]], Awaitable[None]]
"""Sends instances to one of our destinations by its AE title; raises Unavailable."""


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    destination: str = Field(min_length=1, max_length=16)
    asked_us: int
    study_instance_uid: str = Field(min_length=1, max_length=64)
    instances: Mapping[str, Sequence[str]]
    """SOP Instance UIDs by Series Instance UID."""
    send_id: str = Field("", max_length=64)
    """Of the sending that it belongs to; "": nobody is told."""
    part: int = 0
    """Of that."""
    tries: int = 0
    """How often it failed."""


def jobs_for(
    destination: str, located: Sequence[Located], now_us: int, send_id: str = ""
) -> Iterator[Job]:
    """Yield the jobs that send `located` to the destination of this AE title.

    Args:
        destination: its AE title.
        located: what to send.
        now_us: microseconds since 1970 UTC.
        send_id: of the sending that is told what became of it; then all are of one study.
    """
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
                send_id=send_id,
                part=first // _INSTANCES,
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
            Unavailable: a store or the destination cannot be reached; where a page is told so,
                after several tries.
        """
        try:
            body = _Body.model_validate(job.body)
        except ValidationError as error:
            raise InvalidRequest(f"job {job.job_id} names nothing to send") from error
        try:
            found = await self._found(job.tenant, body)
            await self._archive.require(found)
            if found:
                await self._send(body.destination, found)
        except BeingRecalled as error:
            await self._look_again(job, body, error.retry_after_s)
        except PacsError as error:
            await self._tell(job, body, What.FAILED, reason=str(error))
            if not body.send_id or body.tries >= _TRIES:
                raise
            tries = body.tries + 1
            tried = job.model_copy(
                update={
                    "job_id": new_pack_id(self._now_us()),
                    "body": {**body.model_dump(), "tries": tries},
                }
            )
            await self._queue.send(tried, delay_s=_PAUSES.after(tries))
        else:
            if found:
                count = sum(map(len, body.instances.values()))
                gone = max(0, count - len(found))
                await self._tell(job, body, What.SENT, instances=count, gone=gone)
            else:
                await self._tell(job, body, What.GIVEN_UP, reason="it was deleted")

    async def _found(self, tenant: str, body: _Body) -> list[Located]:
        """Return what is there of a job's instances."""
        wanted = {uid for uids in body.instances.values() for uid in uids}
        try:
            located = await self._archive.instances.locate(system(tenant), body.study_instance_uid)
        except NotFound:
            return []
        return [
            one
            for one in located
            if one.pack.series_instance_uid in body.instances
            and one.instance.sop_instance_uid in wanted
        ]

    async def _look_again(self, job: Job, body: _Body, after_s: float) -> None:
        """Leave a job for when what it waits for may have come; after a week give it up."""
        now_us = self._now_us()
        if now_us - body.asked_us > _GIVEN_UP_US:
            log.error("recalled_study_not_sent", extra={"destination": body.destination})
            await self._tell(job, body, What.GIVEN_UP, reason="it was never recalled")
            return
        later = job.model_copy(update={"job_id": new_pack_id(now_us)})
        await self._queue.send(later, delay_s=min(after_s, _AGAIN_S))

    async def _tell(
        self,
        job: Job,
        body: _Body,
        what: What,
        *,
        instances: int = 0,
        gone: int = 0,
        reason: str = "",
    ) -> None:
        if not body.send_id:
            return
        entry = SendEntry(
            job.tenant,
            body.study_instance_uid,
            body.send_id,
            what,
            body.destination,
            instances,
            body.part,
            reason=reason,
            gone=gone,
        )
        await enter(self._archive.objects, entry, now_us=self._now_us())
