"""Settings become broken glass, and what notes that it is over."""

import logging

from pacs_cloud.bootstrap.accounts import keep_s
from pacs_cloud.bootstrap.auditing import AuditStores, open_trail
from pacs_cloud.bootstrap.services import Stores, now_us
from pacs_cloud.identity.break_glass import BreakGlass
from pacs_cloud.identity.break_glass_noting import Record
from pacs_cloud.objectstore.turns import Turn
from pacs_cloud.security.audit_event import AuditEvent
from pacs_cloud.settings import Settings

log = logging.getLogger(__name__)

NOTED_EVERY_S = 300.0
"""What is over opens nothing from that moment on; so much later it is on record at most."""


def break_glass_of(settings: Settings, stores: AuditStores, record: Record) -> BreakGlass:
    """Return the broken glass of `tenant`; `record` puts events on record."""
    return BreakGlass(
        stores.objects,
        stores.catalogue,
        settings.tenant,
        now_us,
        record,
        keep_s=keep_s(settings),
        lasts_s=settings.break_glass_minutes * 60,
        sensitive=settings.sensitive_labels,
    )


class GlassOver:
    """Puts on record which overrides of a tenant have ended by themselves."""

    def __init__(self, settings: Settings, stores: Stores) -> None:
        """Look at what lies in `stores`."""
        self._settings = settings
        self._stores = stores
        # Kept: of whoever has ever broken the glass is read again only what has changed.
        self._glass: dict[str, BreakGlass] = {}

    async def __call__(self, tenant: str, _turn: Turn) -> None:
        """Do it."""
        if tenant not in self._glass:
            theirs = self._settings.model_copy(update={"tenant": tenant})
            self._glass[tenant] = break_glass_of(theirs, self._stores, self._record)
        noted = await self._glass[tenant].end_over(door="worker")
        if noted:
            log.info("glass_over", extra={"overrides": noted})

    async def _record(self, event: AuditEvent) -> None:
        async with open_trail(self._settings, self._stores, brief=True) as trail:
            await trail.record(event)
