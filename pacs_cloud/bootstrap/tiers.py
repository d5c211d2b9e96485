"""Tier policies on the archive that the settings name."""

from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta

from pacs_cloud.bootstrap.services import Stores, now_us
from pacs_cloud.catalogue.records import StudyRecord
from pacs_cloud.objectstore.storage_classes import SMALL_BYTES
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.access.log import last_reads
from pacs_cloud.tiering.mover import Moved, move_due
from pacs_cloud.tiering.planning import LastRead, Move, expired_by, moves
from pacs_cloud.tiering.policy import Clock, Policy

DAY_US = 86_400_000_000


async def due(
    settings: Settings, stores: Stores, policies: Sequence[Policy], *, in_days: int = 0
) -> AsyncGenerator[Move]:
    """Yield what is due to move, or will be in so many days."""
    found = moves(
        stores.catalogue,
        policies,
        now_us=now_us() + in_days * DAY_US,
        last_read_us=await _last_read(settings, stores, policies),
        tenant=settings.tenant,
        least_bytes=_least_bytes(settings),
    )
    async for move in found:
        yield move


async def moved(
    settings: Settings, stores: Stores, policies: Sequence[Policy]
) -> AsyncGenerator[Moved]:
    """Move what is due; yield what became of each pack."""
    done = move_due(
        stores.objects,
        stores.catalogue,
        policies,
        now_us=now_us(),
        last_read_us=await _last_read(settings, stores, policies),
        tenant=settings.tenant,
        least_bytes=_least_bytes(settings),
    )
    async for one in done:
        yield one


async def expired(
    settings: Settings, stores: Stores, policies: Sequence[Policy]
) -> AsyncGenerator[tuple[StudyRecord, Policy]]:
    """Yield the studies that need not be kept any longer, and the policy that says so."""
    async for state in stores.catalogue.export(settings.tenant):
        by = expired_by(state.study, policies, now_us=now_us())
        if by is not None:
            yield state.study, by


def _least_bytes(settings: Settings) -> int:
    """Return what a pack has at least to be moved: files have no smallest billed size."""
    return 0 if settings.objects_url.scheme == "file" else SMALL_BYTES


async def _last_read(settings: Settings, stores: Stores, policies: Sequence[Policy]) -> LastRead:
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
    known = await last_reads(stores.objects, settings.tenant, since=since)
    return lambda study: known.get(study.study_instance_uid)
