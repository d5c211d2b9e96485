"""Tier policies on the archive that the settings name."""

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pacs_cloud.bootstrap.services import Stores, now_us
from pacs_cloud.bootstrap.thumbnails import thumbnails_of
from pacs_cloud.catalogue.records import StudyRecord
from pacs_cloud.errors import Corrupt
from pacs_cloud.objectstore.storage_classes import SMALL_BYTES
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.access.log import last_reads
from pacs_cloud.tiering.access.month import Damaged
from pacs_cloud.tiering.mover import Moved, move_due
from pacs_cloud.tiering.pins import pins
from pacs_cloud.tiering.planning import LastRead, Move, expired_by, moves
from pacs_cloud.tiering.policy import Clock, Policy

log = logging.getLogger(__name__)

DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Expired:
    """A study that need not be kept any longer.

    Attributes:
        study: which.
        policy: that says so.
        is_pinned: whether it is kept all the same, as it is pinned.
    """

    study: StudyRecord
    policy: Policy
    is_pinned: bool


async def due(
    settings: Settings,
    stores: Stores,
    policies: Sequence[Policy],
    *,
    in_days: int = 0,
    within_days: int = 0,
    damaged: Damaged | None = None,
    matched: Callable[[str], None] = lambda _: None,
) -> AsyncGenerator[Move]:
    """Yield what is due to move, or will be in so many days; and what a pin keeps from it.

    Args:
        settings: of the archive.
        stores: its stores.
        policies: those that can be carried out.
        in_days: how many days from now it is looked at.
        within_days: and what becomes due in so many days from then.
        damaged: is told of every part of the access log that cannot be read, and is passed over.
        matched: is told of the policy of each study, "" where it has none.
    """
    then_us = now_us() + in_days * DAY_US
    pinned = pins(stores.objects, settings.tenant, now_us=then_us)
    found = moves(
        stores.catalogue,
        policies,
        now_us=then_us,
        last_read_us=await _last_read(settings, stores, policies, damaged),
        tenant=settings.tenant,
        least_bytes=_least_bytes(settings),
        pinned={(pin.tenant, pin.study_instance_uid) async for pin in pinned},
        within_days=within_days,
        matched=matched,
    )
    async for move in found:
        yield move


async def moved(
    settings: Settings,
    stores: Stores,
    policies: Sequence[Policy],
    *,
    damaged: Damaged | None = None,
) -> AsyncGenerator[Moved]:
    """Move what is due; yield what became of each pack. `damaged` as for `due`."""
    last_read_us = await _last_read(settings, stores, policies, damaged)
    with thumbnails_of(settings, stores) as keep:
        done = move_due(
            stores.objects,
            stores.catalogue,
            policies,
            now_us=now_us(),
            last_read_us=last_read_us,
            tenant=settings.tenant,
            least_bytes=_least_bytes(settings),
            keep=keep,
        )
        async for one in done:
            yield one


async def expired(
    settings: Settings, stores: Stores, policies: Sequence[Policy]
) -> AsyncGenerator[Expired]:
    """Yield the studies that need not be kept any longer.

    Raises:
        Corrupt: a pin cannot be read: nobody may take that for none.
    """
    found = pins(stores.objects, settings.tenant, now_us=now_us())
    pinned = {pin.study_instance_uid async for pin in found}
    async for state in stores.catalogue.export(settings.tenant):
        by = expired_by(state.study, policies, now_us=now_us())
        if by is not None:
            yield Expired(state.study, by, state.study.study_instance_uid in pinned)


def _least_bytes(settings: Settings) -> int:
    """Return what a pack has at least to be moved: files have no smallest billed size."""
    return 0 if settings.objects_url.scheme == "file" else SMALL_BYTES


async def _last_read(
    settings: Settings, stores: Stores, policies: Sequence[Policy], damaged: Damaged | None
) -> LastRead:
    """Return when studies were read; the access log is only read where a policy asks."""
    asked = [
        step.after_days
        for policy in policies
        for step in policy.steps
        if step.clock is Clock.UNREAD
    ]
    if not asked:
        return lambda _: None
    # What was read before that is as good as never read.
    days = timedelta(min(max(asked) + 1, 36_500))
    since = datetime.fromtimestamp(now_us() / 1e6, UTC).date() - days

    def tell(error: Corrupt) -> None:
        log.error("access_damaged", extra={"reason": error})
        if damaged is not None:
            damaged(error)

    known = await last_reads(stores.objects, settings.tenant, since=since, damaged=tell)
    return lambda study: known.get(study.study_instance_uid)
