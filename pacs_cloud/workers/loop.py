"""The worker loop: lease, handle, acknowledge."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pacs_cloud import metrics, tracing
from pacs_cloud.errors import Denied, NotFound, PacsError, Unavailable
from pacs_cloud.workers.backoff import Backoff
from pacs_cloud.workers.handlers import Handlers
from pacs_cloud.workqueue.port import Lease, WorkQueue

log = logging.getLogger(__name__)
T = TypeVar("T")

LEASE_LIMIT = 10
"""The most jobs one `lease` gives (SQS ReceiveMessage)."""


@dataclass(frozen=True, slots=True)
class LoopPolicy:
    """How a worker works.

    Attributes:
        parallel: how many jobs at once.
        hold_s: how long a job is leased for; extended while its handler runs.
        wait_s: how long one lease waits for a job, 0 to 20 s.
        grace_s: how long a stop waits for jobs in hand; later they are given back.
        backoff: how long a failed job rests.
        outage: how long the loop rests when the queue cannot be reached.
    """

    parallel: int = 8
    hold_s: float = 120.0
    wait_s: float = 10.0
    grace_s: float = 20.0
    backoff: Backoff = field(default_factory=Backoff)
    outage: Backoff = field(default_factory=lambda: Backoff(0.5, 30.0))

    def __post_init__(self) -> None:
        if self.parallel < 1:
            raise ValueError(f"a worker with {self.parallel} jobs at once would do nothing")


class WorkerLoop:
    """Takes jobs from a queue and gives them to their handlers until it is told to stop.

    A job is acknowledged once its handler has returned, and given back with a
    back-off when it raised; the queue itself counts the attempts and keeps a job
    that used them up as dead. A kind that nobody handles fails like any other
    job: a newer worker beside this one may know it.
    """

    def __init__(
        self, queue: WorkQueue, handlers: Handlers, policy: LoopPolicy | None = None
    ) -> None:
        self._queue = queue
        self._handlers = handlers
        self._policy = policy or LoopPolicy()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; return once no job is in hand any more."""
        in_hand: set[asyncio.Task[None]] = set()
        failures = 0
        try:
            while not stop.is_set():
                room = self._policy.parallel - len(in_hand)
                if room == 0:
                    await _first_of(stop, *in_hand)
                else:
                    try:
                        leases = await self._lease(room, stop)
                        failures = 0
                    except (Unavailable, Denied) as error:
                        failures += 1
                        rest_s = self._policy.outage.after(failures)
                        log.warning("queue_unavailable", extra={"reason": error})
                        await _until(stop, rest_s)
                        continue
                    in_hand |= {asyncio.create_task(self._work(lease)) for lease in leases}
                in_hand = {task for task in in_hand if not task.done()}
        finally:
            await self._wind_down(in_hand)

    async def _lease(self, room: int, stop: asyncio.Event) -> list[Lease]:
        """Lease up to `room` jobs; a stop ends the wait."""
        asking = asyncio.create_task(
            self._queue.lease(
                min(room, LEASE_LIMIT), wait_s=self._policy.wait_s, hold_s=self._policy.hold_s
            )
        )
        try:
            await _first_of(stop, asking)
        finally:
            if not asking.done():
                # A job that was leased in this very moment comes back when its hold ends.
                asking.cancel()
                await asyncio.wait({asking})
        return [] if asking.cancelled() else asking.result()

    async def _wind_down(self, in_hand: set[asyncio.Task[None]]) -> None:
        if in_hand:
            _, late = await asyncio.wait(in_hand, timeout=self._policy.grace_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    async def _work(self, lease: Lease) -> None:
        """Handle one job to its end: acknowledged, given back, or lost to another worker."""
        job = lease.job
        fields: dict[str, object] = {
            "job_kind": job.kind,
            "job_id": job.job_id,
            "attempt": lease.attempt,
        }
        began_s, outcome = time.perf_counter(), "failed"
        handling = asyncio.create_task(self._handle(lease))
        try:
            lease = await self._hold(lease, handling)
            await handling
        except asyncio.CancelledError:
            outcome = "given-back"
            await _end(handling)
            await self._settle(self._queue.release(lease), fields)
            raise
        except _Lost:
            outcome = "lost"
            log.warning("job_lost", extra=fields)
        except Exception as error:
            # The outermost edge of a job: whatever a handler (or the queue) raises, the
            # job is given back, and dies after its attempts.
            await _end(handling)
            ours = isinstance(error, PacsError)
            log.error(
                "job_failed",
                # A traceback of an error that we raise on purpose says nothing more.
                exc_info=None if ours else error,
                # Nor its message, which may name keys, and so UIDs.
                extra={**fields, "error": type(error).__name__},
            )
            delay_s = self._policy.backoff.after(lease.attempt)
            await self._settle(self._queue.release(lease, delay_s=delay_s), fields)
        else:
            outcome = "done"
            await self._settle(self._queue.ack(lease), fields)
        finally:
            kind = job.kind if job.kind in self._handlers else metrics.OTHER
            metrics.JOBS.labels(kind, outcome).inc()
            metrics.JOB_SECONDS.labels(kind).observe(time.perf_counter() - began_s)

    async def _handle(self, lease: Lease) -> None:
        job = lease.job
        step = f"job {job.kind}"
        with tracing.pack_step(step, job.body.get("pack_id"), attempt=lease.attempt):
            await self._handlers.handle(job)

    async def _hold(self, lease: Lease, handling: asyncio.Task[None]) -> Lease:
        """Return the newest lease once `handling` is done; extend it meanwhile.

        Raises:
            _Lost: another worker may have the job; `handling` was ended.
        """
        while True:
            done, _ = await asyncio.wait({handling}, timeout=self._policy.hold_s / 3)
            if done:
                return lease
            try:
                lease = await self._queue.extend(lease, self._policy.hold_s)
            except NotFound as error:
                await _end(handling)
                raise _Lost from error
            except Unavailable as error:
                # Two more tries fit into the hold; past it another worker repeats the job.
                log.warning(
                    "lease_not_extended", extra={"job_id": lease.job.job_id, "reason": error}
                )

    async def _settle(self, verb: Coroutine[Any, Any, None], fields: dict[str, object]) -> None:
        """Acknowledge or release; where the queue is away, the lease's end gives the job back."""
        try:
            await verb
        except (Unavailable, Denied) as error:
            log.warning("job_not_settled", extra={**fields, "reason": error})


class _Lost(Exception):
    """A lease that is no longer ours."""


async def _end(handling: asyncio.Task[None]) -> None:
    handling.cancel()
    await asyncio.wait({handling})


async def _until(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


async def _first_of(stop: asyncio.Event, *tasks: asyncio.Task[T]) -> None:
    """Return when `stop` is set or one of `tasks` is done; none is cancelled."""
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
