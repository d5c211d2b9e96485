"""The work queue's port: send, lease, acknowledge; at least once, in no promised order."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pacs_cloud.workqueue.jobs import Job, decode, malformed


@dataclass(frozen=True, slots=True)
class Lease:
    """A job in one worker's hands until `until_us`.

    Attributes:
        job: what to do.
        receipt: opaque; what `ack`, `extend` and `release` take.
        attempt: 1 the first time.
        until_us: when another worker may take it, microseconds since 1970 UTC.
    """

    job: Job
    receipt: str
    attempt: int
    until_us: int


@dataclass(frozen=True, slots=True)
class Depth:
    """How many jobs wait, are leased, and have failed for good (approximate on SQS)."""

    ready: int
    leased: int
    dead: int


@dataclass(frozen=True, slots=True)
class DeadJob:
    """A job that failed for good.

    Attributes:
        job: which.
        attempts: how often it was leased; 0 for a message that is no job.
        at_us: about when it was tried last, or on SQS when it was sent; microseconds since
            1970 UTC.
    """

    job: Job
    attempts: int
    at_us: int

    @staticmethod
    def said_by(text: str, name: str, attempts: int, at_us: int) -> "DeadJob":
        """Return what `text` says; of what is no job, what stands for it under a `name`."""
        job = decode(text)
        if job is None:
            return DeadJob(malformed(name, text), 0, at_us)
        return DeadJob(job, attempts, at_us)


class WorkQueue(Protocol):
    """Jobs that must happen at least once.

    A job that was leased `max_attempts` times (an adapter's setting, default 5)
    without an `ack` is dead: kept, counted, and not leased until re-driven.
    A message that is no job (another program's, or another version's) is dead at
    once; `dead` shows it as kind "malformed" without its words, and `redrive`
    leaves it. Every verb raises `Unavailable` when the queue cannot be reached or
    does not exist, `Denied` when it refuses the caller, and `InvalidRequest` for
    a number out of its bounds.
    """

    async def send(self, job: Job, *, delay_s: float = 0) -> None:
        """Store `job` durably; it may be leased `delay_s` (0 to 900) seconds from now.

        Raises:
            InvalidRequest: it is over 256 KiB as JSON, or not JSON.
        """
        ...

    async def lease(
        self, limit: int = 10, *, wait_s: float = 0, hold_s: float = 120
    ) -> list[Lease]:
        """Return up to `limit` (1 to 10) jobs, waiting up to `wait_s` (0 to 20) for the first.

        Each is this caller's for `hold_s` (more than 0, up to 43,200) seconds. SQS
        counts whole seconds: fractions are rounded up.
        """
        ...

    async def ack(self, lease: Lease) -> None:
        """Forget a job that is done; no error when it is gone already."""
        ...

    async def extend(self, lease: Lease, hold_s: float) -> Lease:
        """Keep a job for `hold_s` more seconds from now; raises NotFound when it was lost."""
        ...

    async def release(self, lease: Lease, *, delay_s: float = 0) -> None:
        """Give a job back, to be leased again after `delay_s`."""
        ...

    async def depth(self) -> Depth:
        """Return how much waits."""
        ...

    async def dead(
        self, limit: int = 100, wanted: Callable[[Job], bool] | None = None
    ) -> list[DeadJob]:
        """Return up to `limit` dead jobs, oldest first where the queue knows.

        Args:
            limit: of those that are wanted. Of a queue with thousands of others some thousands
                are looked at.
            wanted: as of `redrive`.
        """
        ...

    async def redrive(self, wanted: Callable[[Job], bool] | None = None) -> int:
        """Make dead jobs ready again with their attempts forgotten; return how many.

        Args:
            wanted: says of each whether it is meant; None: all are. It may be called on
                another thread.
        """
        ...
