"""What links put on record: who made and ended them, who came by them, or could not."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from pacs_cloud.identity.shares_record import GUEST, Share
from pacs_cloud.security.audit_event import AuditEvent, Kind, Outcome, event_of
from pacs_cloud.security.caller import Caller

Record: TypeAlias = Callable[[AuditEvent], Awaitable[None]]
"""Puts an event on record; raises Unavailable where that cannot be."""

_DOOR: Final = "share"


class ShareNoting:
    """Puts events of one tenant's links on record."""

    def __init__(self, tenant: str, now_us: Callable[[], int], record: Record) -> None:
        """Record by `record`, with the time that `now_us` tells."""
        self._tenant = tenant
        self._now_us = now_us
        self._record = record

    async def login(self, share: Share | None, address: str, action: str, outcome: Outcome) -> None:
        """Note that somebody has come by a link, or could not; None: it is no link."""
        guest = share.guest if share else None
        event = AuditEvent(
            Kind.LOGIN,
            self._tenant,
            share.subject if share else f"{GUEST}?",
            _DOOR,
            self._now_us(),
            address=address,
            action=action,
            outcome=outcome,
            studies=share.studies if share else (),
            details=(("guest", guest.name),) if guest else (),
        )
        await self._record(event)

    async def change(self, caller: Caller, share: Share, action: str, door: str) -> None:
        """Note that somebody has made a link, or ended it."""
        guest = share.guest
        details = [
            ("share", share.share_id),
            ("may", " ".join(sorted(share.grants[0].actions or ()))),
            *([("series", " ".join(share.series))] if share.series else []),
            *([("without", "identity")] if share.deidentify else []),
            *([("project", share.project)] if share.project else []),
            *([("withheld", str(share.withheld))] if share.withheld else []),
            ("reason", share.reason),
            *([("guest", f"{guest.name} {guest.email}".strip())] if guest else []),
        ]
        event = event_of(
            caller,
            Kind.SHARE,
            door,
            self._now_us(),
            action=action,
            studies=share.studies,
            details=tuple(details),
        )
        await self._record(event)
