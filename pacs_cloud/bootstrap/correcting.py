"""What a worker does about corrections: ends what has stopped, has late studies follow merges."""

import logging
from dataclasses import asdict
from functools import partial

from pacs_cloud.bootstrap.services import Stores, now_us
from pacs_cloud.custody.corrections.applying import Corrector
from pacs_cloud.custody.corrections.merges import StandingMerges
from pacs_cloud.custody.corrections.tending import Tended, tend_corrections
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.settings import Settings
from pacs_cloud.workers.merges import FollowMerges

log = logging.getLogger(__name__)

_EVERY_S = 60.0
_LOCAL_EVERY_S = 5.0
"""What is looked for is nearly never there: one listing."""


def corrector_of(stores: Stores) -> Corrector:
    """Return what makes corrections, and takes them back."""
    load = partial(load_table, stores.objects, stores.catalogue)
    return Corrector(stores.objects, stores.catalogue, load, now_us)


def follow_merges(stores: Stores) -> FollowMerges:
    """Return what has studies that come later follow the patient merges that stand."""
    merges = StandingMerges(stores.objects, now_us)
    return FollowMerges(stores.catalogue, merges, corrector_of(stores))


async def end_corrections(settings: Settings, stores: Stores) -> float:
    """End corrections that were not seen to end; return how long to rest, in seconds."""
    tended = await tend_corrections(stores.objects, corrector_of(stores), now_us=now_us())
    if tended != Tended():
        log.info("corrections_tended", extra=asdict(tended))
    return _LOCAL_EVERY_S if settings.is_embedded else _EVERY_S
