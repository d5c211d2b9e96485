"""Orphans adopted by a worker, tenant by tenant, part by part."""

import asyncio
import logging
from typing import Final

from pacs_cloud.bootstrap.services import Stores, now_us, policy_of
from pacs_cloud.custody.orphans import GRACE_US, adopt_orphans
from pacs_cloud.identity.shares_record import COPIES
from pacs_cloud.objectstore.turns import Turn
from pacs_cloud.settings import Settings

log = logging.getLogger(__name__)

_STUDIES: Final = 10_000
_REST_S: Final = 5.0
"""Between two parts of one sweep: it is never in a hurry."""


class Sweep:
    """Adopts a tenant's orphans, part by part."""

    def __init__(self, settings: Settings, stores: Stores) -> None:
        """Adopt them as `settings` say of conflicts."""
        self._settings = settings
        self._stores = stores
        self._swept: set[str] = set()

    async def __call__(self, tenant: str, turn: Turn) -> None:
        """Do it, from the place that the turn has reached."""
        if tenant.startswith(COPIES):
            return  # a link opens no copies but those that were committed; others are removed
        # What an embedded archive's crash has left is waited for now; elsewhere other
        # receivers may be in the middle of their commits.
        is_first = self._settings.is_embedded and tenant not in self._swept
        after = turn.place
        while True:
            swept = await adopt_orphans(
                self._stores.objects,
                self._stores.catalogue,
                policy=policy_of(self._settings),
                now_us=now_us(),
                grace_us=0 if is_first else GRACE_US,
                after=after,
                limit=_STUDIES,
                tenant=tenant,
            )
            for problem in swept.problems:
                log.error("orphan_unusable", extra={"kind": problem.kind, "pack": problem.pack_id})
            after = swept.after
            if not after:
                break
            await turn.reach(after)
            await asyncio.sleep(_REST_S)
        self._swept.add(tenant)
