"""Which handler does which kind of job."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from pacs_cloud.errors import InvalidRequest, PacsError
from pacs_cloud.workqueue.jobs import Job

Handler: TypeAlias = Callable[[Job], Awaitable[None]]
"""Does one job; must bear seeing it twice. An error gives the job back."""


def in_turn(*handlers: Handler) -> Handler:
    """Return a handler that has each of `handlers` do the job, whatever becomes of the others.

    Where one fails the job has failed, and all are asked again: each must bear that anyway.
    One that never can, of a note that is damaged, say, keeps no hold from being a lock.
    """

    async def handle(job: Job) -> None:
        failures: list[PacsError] = []
        for handler in handlers:
            try:
                await handler(job)
            except PacsError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    return handle


class Handlers:
    """The handlers of a worker, by the kind of job."""

    def __init__(self, by_kind: Mapping[str, Handler]) -> None:
        self._by_kind = dict(by_kind)

    def __contains__(self, kind: str) -> bool:
        return kind in self._by_kind

    async def handle(self, job: Job) -> None:
        """Do `job`.

        Raises:
            InvalidRequest: nobody here handles its kind.
        """
        handler = self._by_kind.get(job.kind)
        if handler is None:
            raise InvalidRequest(f"no handler for jobs of kind {job.kind}")
        await handler(job)
