"""The stores as a command has them: what it does with them is on record before it begins.

A record says that something was begun; where it fails another one says so, with an outcome
other than success. So nothing is done unrecorded, however the command ends.
"""

import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace

from pacs_cloud.audit.trail import Trail
from pacs_cloud.bootstrap import services
from pacs_cloud.bootstrap.auditing import AuditStores, open_trail
from pacs_cloud.bootstrap.services import Stores, now_us
from pacs_cloud.cli.deeds import deed_under_way
from pacs_cloud.errors import PacsError, Unavailable
from pacs_cloud.security.audit_event import Outcome
from pacs_cloud.settings import Settings

log = logging.getLogger(__name__)

_trail: ContextVar[Trail | None] = ContextVar("trail", default=None)


@asynccontextmanager
async def open_stores(
    settings: Settings, *, create: bool = False, alone: bool = False, looks: bool = False
) -> AsyncGenerator[Stores]:
    """Open the stores the settings name, as `bootstrap.services`, for what is on record then.

    Args:
        settings: which.
        create: make an embedded archive where there is none.
        alone: let no other process use the data directory meanwhile.
        looks: whether it is only looked what would be done, which is on record as reading.

    Raises:
        NotFound, Conflict: as there.
        Unavailable: a store cannot be used, or nothing be put on record.
    """
    async with (
        services.open_stores(settings, create=create, alone=alone) as stores,
        recorded(settings, stores, looks=looks),
    ):
        yield stores


@asynccontextmanager
async def recorded(
    settings: Settings, stores: AuditStores, *, looks: bool = False
) -> AsyncGenerator[None]:
    """Put on record what the command that runs does, before the block begins.

    Raises:
        Unavailable: it cannot be put on record, and must not be done.
    """
    deed = deed_under_way()
    if deed is None:
        yield
        return
    async with AsyncExitStack() as stack:
        try:
            trail = await stack.enter_async_context(open_trail(settings, stores, brief=True))
        except Unavailable as error:
            if settings.audit_required:
                raise
            log.error("audit_not_recorded", extra={"error": type(error).__name__})
            yield
            return
        if not deed.is_on_record:
            await trail.record(deed.event(settings.tenant, now_us(), looks=looks))
            deed.is_on_record = not looks
        before = _trail.set(trail)
        try:
            yield
        except BaseException as error:
            outcome = Outcome.MINOR if isinstance(error, PacsError) else Outcome.MAJOR
            # What was begun is on record; why it failed is worth more than that this is not.
            with suppress(Unavailable):
                await trail.record(deed.event(settings.tenant, now_us(), outcome, looks=looks))
            raise
        finally:
            _trail.reset(before)


async def concerns(
    tenant: str, studies: Iterable[str], instances: int = 0, *, looks: bool = False
) -> None:
    """Put on record with which studies the command does it, where what was typed does not say.

    Raises:
        Unavailable: that cannot be put on record.
    """
    deed, trail = deed_under_way(), _trail.get()
    named = tuple(sorted(studies))
    if deed is None or trail is None or not named:
        return
    event = deed.event(tenant, now_us(), looks=looks)
    await trail.record(replace(event, studies=named, patients=(), instances=instances))
