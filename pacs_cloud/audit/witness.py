"""The trail as services see it: one door's."""

from collections.abc import Awaitable, Callable

from pacs_cloud.audit.trail import Trail
from pacs_cloud.security.audit_event import AuditEvent, EventKey, Kind, Outcome
from pacs_cloud.security.caller import Caller


class DoorWitness:
    """Puts on record what comes through one door; a `security.witness.Witness`."""

    def __init__(self, trail: Trail, door: str, now_us: Callable[[], int]) -> None:
        """Record into `trail` as of `door`, by the clock, microseconds since 1970 UTC."""
        self._trail = trail
        self._door = door
        self._now_us = now_us

    def saw(
        self,
        caller: Caller,
        kind: Kind,
        *,
        action: str = "",
        studies: tuple[str, ...] = (),
        query: str = "",
        instances: int = 0,
        outcome: Outcome = Outcome.SUCCESS,
        details: tuple[tuple[str, str], ...] = (),
    ) -> Awaitable[None] | None:
        """Put on record what somebody did, or count it with the like; see the protocol."""
        key = EventKey(
            kind,
            caller.tenant,
            caller.subject,
            caller.address,
            self._door,
            action,
            outcome,
            studies,
            query,
            details,
        )
        if self._trail.is_counted(key, instances):
            return None
        return self._trail.record(
            AuditEvent(
                kind,
                caller.tenant,
                caller.subject,
                self._door,
                self._now_us(),
                caller.address,
                action,
                outcome,
                studies,
                query=query,
                instances=instances,
                details=details,
            )
        )
