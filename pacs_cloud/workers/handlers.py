"""Which handler does which kind of job."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.workqueue.jobs import Job

Handler: TypeAlias = Callable[[Job], Awaitable[None]]
"""Does one job; must bear seeing it twice. An error gives the job back."""


class Handlers:
    """The handlers of a worker, by the kind of job."""

    def __init__(self, by_kind: Mapping[str, Handler]) -> None:
        self._by_kind = dict(by_kind)

    async def handle(self, job: Job) -> None:
        """Do `job`.

        Raises:
            InvalidRequest: nobody here handles its kind.
        """
        handler = self._by_kind.get(job.kind)
        if handler is None:
            raise InvalidRequest(f"no handler for jobs of kind {job.kind}")
        await handler(job)
