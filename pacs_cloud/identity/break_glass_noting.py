"""What broken glass puts on record: who saw what for which reason, until when, or was refused."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from pacs_cloud.catalogue.port import ByAccession, ByPatient
from pacs_cloud.errors import Denied, PacsError, TooManyRequests
from pacs_cloud.identity.break_glass_record import GlassWish, Override
from pacs_cloud.security.audit_codes import OVERRIDE_STARTED, OVERRIDE_STOPPED
from pacs_cloud.security.audit_event import AuditEvent, AuditPatient, Kind, Outcome, event_of
from pacs_cloud.security.caller import Action, Caller

Record: TypeAlias = Callable[[AuditEvent], Awaitable[None]]
"""Puts an event on record; raises Unavailable where that cannot be."""


class GlassNoting:
    """Puts events of one tenant's broken glass on record."""

    def __init__(self, tenant: str, now_us: Callable[[], int], record: Record) -> None:
        """Record by `record`, with the time that `now_us` tells."""
        self._tenant = tenant
        self._now_us = now_us
        self._record = record

    async def started(self, caller: Caller, override: Override, door: str) -> None:
        """Note that somebody breaks the glass."""
        minutes = round((override.until_us - override.begun_us) / 60_000_000)
        await self._note(caller, OVERRIDE_STARTED, override, door, ("minutes", str(minutes)))

    async def stopped(self, caller: Caller, subject: str, override: Override, door: str) -> None:
        """Note that it is over, by somebody's wish or by itself."""
        await self._note(caller, OVERRIDE_STOPPED, override, door, ("user", subject))

    async def refused(self, caller: Caller, wish: GlassWish, why: PacsError, door: str) -> None:
        """Note that somebody has asked for it, and was refused.

        Each with what was asked for, but of who may not at all, or too often, only how often.
        """
        is_counted = isinstance(why, Denied | TooManyRequests)
        wanted = wish.wanted
        patients: tuple[AuditPatient, ...] = ()
        if isinstance(wanted, ByPatient):
            patients = (AuditPatient(wanted.patient_id, wanted.issuer or ""),)
        accession = wanted.accession_number if isinstance(wanted, ByAccession) else ""
        event = event_of(
            caller,
            Kind.REFUSAL if is_counted else Kind.BREAK_GLASS,
            door,
            self._now_us(),
            action=Action.BREAK_GLASS.value if is_counted else OVERRIDE_STARTED,
            outcome=Outcome.MINOR,
            studies=(wanted,) if isinstance(wanted, str) else (),
            patients=patients,
            details=(
                ("reason", wish.reason),
                ("refused", str(why)),
                *([("accession", accession)] if accession else []),
            ),
        )
        await self._record(event)

    async def _note(
        self, caller: Caller, action: str, override: Override, door: str, more: tuple[str, str]
    ) -> None:
        details = (("reason", override.reason), ("override", override.override_id), more)
        event = event_of(
            caller,
            Kind.BREAK_GLASS,
            door,
            self._now_us(),
            action=action,
            studies=override.studies,
            details=details,
        )
        await self._record(event)
