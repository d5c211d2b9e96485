"""The relay: outbox events become jobs, at least once."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field

from pydantic import ValidationError

from pacs_cloud import tracing
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import OutboxEvent
from pacs_cloud.errors import Corrupt, Denied, Unavailable
from pacs_cloud.workers.backoff import Backoff
from pacs_cloud.workqueue.jobs import Job
from pacs_cloud.workqueue.port import WorkQueue

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RelayPolicy:
    """How the relay works.

    Attributes:
        batch: how many events one pass takes.
        idle_s: how long it rests when the outbox is empty.
        outage: how long it rests when the catalogue or the queue cannot be reached.
    """

    batch: int = 100
    idle_s: float = 1.0
    outage: Backoff = field(default_factory=lambda: Backoff(0.5, 30.0))


class Relay:
    """Passes a catalogue's outbox on to a queue.

    An event is forgotten only after the queue has stored its job durably: a crash
    between the two sends it again, under the same job id.
    """

    def __init__(
        self, catalogue: Catalogue, queue: WorkQueue, policy: RelayPolicy | None = None
    ) -> None:
        self._catalogue = catalogue
        self._queue = queue
        self._policy = policy or RelayPolicy()

    async def run(self, stop: asyncio.Event) -> None:
        """Pass events on until `stop` is set."""
        failures = 0
        while not stop.is_set():
            try:
                passed = await self.pass_on()
                failures = 0
                rest_s = 0.0 if passed == self._policy.batch else self._policy.idle_s
            except (Unavailable, Denied, Corrupt) as error:
                failures += 1
                rest_s = self._policy.outage.after(failures)
                log.warning(
                    "outbox_stalled", extra={"error": type(error).__name__, "reason": error}
                )
            if rest_s:
                with suppress(TimeoutError):
                    async with asyncio.timeout(rest_s):
                        await stop.wait()

    async def pass_on(self) -> int:
        """Pass the oldest events on; return how many.

        Raises:
            Unavailable: the catalogue or the queue cannot be reached. Events that
                were sent before are forgotten all the same.
            Corrupt: an event makes no job; the others were passed on.
        """
        events = await self._catalogue.events(self._policy.batch)
        results = await asyncio.gather(
            *(self._send(event) for event in events), return_exceptions=True
        )
        sent = [
            event.event_id
            for event, result in zip(events, results, strict=True)
            if not isinstance(result, BaseException)
        ]
        if sent:
            await self._catalogue.forget_events(sent)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return len(sent)

    async def _send(self, event: OutboxEvent) -> None:
        try:
            job = Job(
                job_id=event.event_id, kind=event.kind, tenant=event.tenant, body=dict(event.body)
            )
        except ValidationError as error:
            raise Corrupt(f"outbox event {event.event_id} makes no job") from error
        with tracing.pack_step("outbox", event.body.get("pack_id"), kind=event.kind):
            await self._queue.send(job)
