"""What locks held studies where the store was told to lock: as packs come, and once a day."""

import logging
from dataclasses import asdict

from pacs_cloud.bootstrap.services import Stores, now_us
from pacs_cloud.custody.holds_late import LockedAgain, lock_again
from pacs_cloud.objectstore.turns import Turn
from pacs_cloud.settings import Settings
from pacs_cloud.workers.handlers import Handler
from pacs_cloud.workers.held import LockHeld

log = logging.getLogger(__name__)


def is_locking(settings: Settings) -> bool:
    """Return whether the store was told to lock what is held."""
    return bool(settings.objects_url.options.get("lock"))


def locking(settings: Settings, stores: Stores) -> list[Handler]:
    """Return what locks packs of held studies as they come."""
    if not is_locking(settings):
        return []
    return [LockHeld(stores.objects, stores.catalogue, now_us)]


async def lock_missing(stores: Stores, _turn: Turn) -> None:
    """Lock what is held and not locked: the command that set a hold may have died."""
    locked = await lock_again(stores.objects, now_us=now_us())
    if locked != LockedAgain():
        log.warning("locked_again", extra=asdict(locked))
