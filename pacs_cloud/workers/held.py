"""The job "pack-stored", as holds go: what comes into a held study is locked as it comes."""

import logging
from collections.abc import Callable

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.custody.holds_late import lock_pack
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.workers.pack_stored import pack_of
from pacs_cloud.workqueue.jobs import Job

log = logging.getLogger(__name__)


class LockHeld:
    """Locks a pack that came into a held study, in a store that locks objects."""

    def __init__(
        self, objects: ObjectStore, catalogue: Catalogue, now_us: Callable[[], int]
    ) -> None:
        """Work on an archive.

        Args:
            objects: its store, which was told to lock.
            catalogue: its catalogue.
            now_us: the clock, microseconds since 1970 UTC.
        """
        self._objects = objects
        self._catalogue = catalogue
        self._now_us = now_us

    async def __call__(self, job: Job) -> None:
        """Lock the pack that `job` names; done where it is no longer committed.

        Raises:
            InvalidRequest: the job names no pack.
            Corrupt: a hold of its study cannot be read.
            Unavailable: the store or the catalogue cannot be reached.
        """
        named = pack_of(job)
        names = job.tenant, named
        done = await lock_pack(self._objects, self._catalogue, *names, now_us=self._now_us())
        if done.refused:
            # The next day's look tries again, and what else the pack needs waits for no lock.
            log.error("lock_refused", extra={"tenant": job.tenant, "pack": named.pack_id})
