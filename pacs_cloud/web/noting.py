"""What pages put on record: who has signed in, or could not, and what they changed of theirs."""

from typing import Final

from starlette.requests import Request

from pacs_cloud.security.audit_event import AuditEvent, Kind, Outcome
from pacs_cloud.web.services import WebServices
from pacs_cloud.web.visits import Visit, address_of

_DOOR: Final = "page"


class Noting:
    """Puts events of this door on record."""

    def __init__(self, services: WebServices) -> None:
        """Record by `services.record`."""
        self._services = services

    async def login(self, request: Request, action: str, subject: str, outcome: Outcome) -> None:
        """Note that somebody has proved who they are, or could not."""
        services = self._services
        event = AuditEvent(
            Kind.LOGIN,
            services.tenant,
            subject,
            _DOOR,
            services.now_us(),
            address=address_of(request),
            action=action,
            outcome=outcome,
        )
        await services.record(event)

    async def note(
        self,
        request: Request,
        visit: Visit,
        kind: Kind,
        action: str,
        *,
        outcome: Outcome = Outcome.SUCCESS,
        details: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Note what somebody who is signed in has done."""
        event = AuditEvent(
            kind,
            visit.who.tenant,
            visit.who.subject,
            _DOOR,
            self._services.now_us(),
            address=address_of(request),
            action=action,
            outcome=outcome,
            details=details,
        )
        await self._services.record(event)
