"""The job "pack-stored", as erasures go: what is erased and came again is taken out."""

from collections.abc import Awaitable, Callable

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import HiddenReason
from pacs_cloud.errors import Held
from pacs_cloud.workers.pack_stored import pack_of
from pacs_cloud.workqueue.jobs import Job


class TakeOutErased:
    """Has a study's erasures go on where a pack has brought something of them."""

    def __init__(self, catalogue: Catalogue, erase: Callable[[str, str], Awaitable[None]]) -> None:
        """Work on an archive.

        Args:
            catalogue: its catalogue.
            erase: goes on with the erasures of a tenant's study.
        """
        self._catalogue = catalogue
        self._erase = erase

    async def __call__(self, job: Job) -> None:
        """Look at the pack that `job` names; done where it is no longer committed.

        Raises:
            InvalidRequest: the job names no pack.
            Corrupt: an entry, a decision or an index cannot be read.
            Unavailable: the store or the catalogue cannot be reached.
        """
        named = pack_of(job)
        study, series = named.study_instance_uid, named.series_instance_uid
        packs = await self._catalogue.packs(job.tenant, study, series)
        purged = {
            uid
            for pack in packs
            if pack.pack_id == named.pack_id
            for uid, why in pack.hidden.items()
            if why is HiddenReason.PURGED
        }
        # Nearly no pack comes with anything purged: one look at its own record.
        if not purged:
            return
        state = await self._catalogue.study(job.tenant, study)
        erased = state.study.erased if state else frozenset[str]()
        if erased.isdisjoint(purged):
            return
        try:
            await self._erase(job.tenant, study)
        except Held:
            return  # the worker goes on once it is released
