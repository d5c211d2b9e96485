"""What a worker does over and over so that studies are hot when they are read."""

import logging
from collections import Counter
from dataclasses import asdict

from pacs_cloud.bootstrap.pinning import bring_back_pinned
from pacs_cloud.bootstrap.prefetching import prefetch_by_worklist
from pacs_cloud.bootstrap.services import Stores
from pacs_cloud.dimse.requestor import Peer
from pacs_cloud.objectstore.turns import Turn
from pacs_cloud.settings import Destination, Settings
from pacs_cloud.tiering.bringing_back import Brought

log = logging.getLogger(__name__)

_PINS_EVERY_S = 120.0
"""What has come back stays readable for days: this is soon enough to copy it up."""
_LOCAL_PINS_EVERY_S = 5.0


async def tend_pins(settings: Settings, stores: Stores) -> float:
    """Bring pinned studies back, where that was asked; return how long to rest, in seconds."""
    done = await bring_back_pinned(settings, stores)
    if done != Brought(waiting=done.waiting):
        log.info("pins_tended", extra=asdict(done))
    return _LOCAL_PINS_EVERY_S if settings.is_embedded else _PINS_EVERY_S


async def ask_worklist(settings: Settings, stores: Stores, whom: Destination, _turn: Turn) -> None:
    """Recall the priors of scheduled patients."""
    peer = Peer(whom.aet, whom.host, whom.port)
    fates: Counter[str] = Counter()
    days = settings.worklist_days
    async for one in prefetch_by_worklist(settings, stores, peer, days=days):
        fates["patients"] += 1
        fates.update(prior.fate.name.lower() for prior in one.priors)
    log.info("worklist_asked", extra=dict(fates))
