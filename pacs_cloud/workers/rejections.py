"""The job "pack-stored", as rejection notes go: those that came, and those that were waiting."""

from collections.abc import Callable

from pacs_cloud.catalogue.judging import LoadTable
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.custody.rejections.arrivals import follow_pack
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.workers.pack_stored import pack_of
from pacs_cloud.workqueue.jobs import Job


class FollowRejections:
    """Hides what a stored note names, and what is stored later than its note."""

    def __init__(
        self,
        objects: ObjectStore,
        catalogue: Catalogue,
        load_table: LoadTable,
        now_us: Callable[[], int],
    ) -> None:
        """Work on an archive.

        Args:
            objects: its store.
            catalogue: its catalogue.
            load_table: returns the table of a committed pack.
            now_us: the clock, microseconds since 1970 UTC.
        """
        self._objects = objects
        self._catalogue = catalogue
        self._load_table = load_table
        self._now_us = now_us

    async def __call__(self, job: Job) -> None:
        """Follow the pack that `job` names; done where it is no longer committed.

        Raises:
            InvalidRequest: the job names no pack.
            Corrupt: a note, a decision or an index cannot be read.
            Unavailable: the store or the catalogue cannot be reached.
        """
        await follow_pack(
            self._objects,
            self._catalogue,
            job.tenant,
            pack_of(job),
            load_table=self._load_table,
            now_us=self._now_us(),
        )
