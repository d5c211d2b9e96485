"""Pinned studies of the archive that the settings name, brought back where that was asked."""

import logging
from dataclasses import asdict

from pacs_cloud.bootstrap.services import Stores, now_us, recalls_of, wish_of
from pacs_cloud.errors import Corrupt
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.bringing_back import Brought, bring_back
from pacs_cloud.tiering.lifecycle import by_age
from pacs_cloud.tiering.pins import Pin, pins
from pacs_cloud.tiering.policy_file import read_policies

log = logging.getLogger(__name__)

_EVERY_S = 120.0
"""What has come back stays readable for days: this is soon enough to copy it up."""
_LOCAL_EVERY_S = 5.0
_BY_AGE = (
    "A rule of the bucket that goes by the age of objects moves the study all the same: S3 asks"
    " nobody. `tier lifecycle` makes such rules, to classes that are read at once, of policies"
    " that are for a whole tenant and count by stored_days alone."
)


async def brought_back(settings: Settings, stores: Stores, pin: Pin) -> Brought:
    """Bring a pinned study back to STANDARD, as far as that goes now."""
    return await bring_back(
        stores.objects,
        stores.catalogue,
        recalls_of(settings, stores),
        wish_of(settings),
        pin.tenant,
        pin.study_instance_uid,
        now_us=now_us(),
    )


async def tend_pins(settings: Settings, stores: Stores) -> float:
    """Bring pinned studies back, where that was asked; return how long to rest, in seconds."""
    total = Brought()

    def damaged(error: Corrupt) -> None:
        log.error("pin_unreadable", extra={"reason": error})

    for tenant in settings.tenants:
        async for pin in pins(stores.objects, tenant, now_us=now_us(), damaged=damaged):
            if pin.brings_back:
                total += await brought_back(settings, stores, pin)
    if total != Brought(waiting=total.waiting):
        log.info("pins_tended", extra=asdict(total))
    return _LOCAL_EVERY_S if settings.is_embedded else _EVERY_S


def moved_all_the_same(settings: Settings) -> str:
    """Return what a pin cannot keep from moving a study, in words; "" where it can.

    Raises:
        InvalidRequest: the policies cannot be read.
    """
    if settings.is_embedded:
        return ""
    file = settings.tier_policies
    if file is not None and not {settings.tenant, ""} & by_age(read_policies(file)).keys():
        return ""
    return _BY_AGE
