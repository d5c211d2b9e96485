"""Which events somebody asks for, and who has done what with one patient's data."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from pacs_cloud.catalogue.port import ByPatient, Catalogue
from pacs_cloud.security.audit_event import AuditEvent, AuditPatient, Kind, Outcome

_PAGE = 1000
_MOST_ADDRESSES = 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an event must be; what is not said fits all.

    Attributes:
        who: a subject, with what it begins with (`user:anna`) or without (`anna`).
        kind: what was done.
        outcome: how it ended.
        study: with this study.
        patient_id: with a patient of this ID, or with
        patient_studies: one of these studies, which show that patient now.
        issuer: of that ID; None: whoever's.
    """

    who: str = ""
    kind: Kind | None = None
    outcome: Outcome | None = None
    study: str = ""
    patient_id: str = ""
    issuer: str | None = None
    patient_studies: frozenset[str] = frozenset()

    def fits(self, event: AuditEvent) -> bool:
        """Return whether an event is one of those meant."""
        return (
            (not self.who or self.who in {event.subject, event.subject.partition(":")[2]})
            and self.kind in {None, event.kind}
            and self.outcome in {None, event.outcome}
            and (not self.study or self.study in event.studies)
            and (not self.patient_id or self._is_theirs(event))
        )

    def studies_of(self, event: AuditEvent) -> set[str]:
        """Return which of an event's studies are meant: those that were the patient's, or are."""
        studies = set(event.studies)
        if not self.patient_studies or (event.patients and all(map(self._names, event.patients))):
            return studies
        return studies & self.patient_studies

    def _is_theirs(self, event: AuditEvent) -> bool:
        is_shown = not self.patient_studies.isdisjoint(event.studies)
        return is_shown or any(map(self._names, event.patients))

    def _names(self, patient: AuditPatient) -> bool:
        return patient.patient_id == self.patient_id and self.issuer in {None, patient.issuer}


async def studies_showing(
    catalogue: Catalogue, tenant: str, patient_id: str, issuer: str | None
) -> frozenset[str]:
    """Return the studies that show a patient now: merges and corrections count.

    Raises:
        Unavailable, Denied: as the catalogue.
    """
    found: set[str] = set()
    cursor: str | None = None
    while True:
        page = await catalogue.studies(
            tenant, ByPatient(patient_id, issuer), after=cursor, limit=_PAGE
        )
        found |= {
            study.study_instance_uid
            for study in page.studies
            if any(
                one.patient_id == patient_id and issuer in {None, one.issuer}
                for one in study.patients
            )
        }
        cursor = page.cursor
        if cursor is None:
            return frozenset(found)


@dataclass(slots=True)
class Deeds:
    """What one caller has done of one kind.

    Attributes:
        first_us: the first time, microseconds since 1970 UTC.
        last_us: the last time.
        count: how often: requests, not instances.
        studies: with which studies.
        addresses: from where, of many the first ones.
    """

    first_us: int
    last_us: int
    count: int = 0
    studies: set[str] = field(default_factory=set[str])
    addresses: set[str] = field(default_factory=set[str])

    def add(self, event: AuditEvent, studies: set[str]) -> None:
        """Add an event; of its studies those that are meant."""
        self.first_us = min(self.first_us, event.when_us)
        self.last_us = max(self.last_us, event.when_us, event.last_us)
        self.count += event.count
        self.studies |= studies
        if event.address and len(self.addresses) < _MOST_ADDRESSES:
            self.addresses.add(event.address)


async def who_did(
    events: AsyncIterator[AuditEvent], wanted: Wanted
) -> dict[tuple[str, Kind, Outcome], Deeds]:
    """Return who has done what of what is wanted: by subject, kind and outcome."""
    done: dict[tuple[str, Kind, Outcome], Deeds] = {}
    async for event in events:
        if wanted.fits(event):
            key = event.subject, event.kind, event.outcome
            deeds = done.setdefault(key, Deeds(event.when_us, event.when_us))
            deeds.add(event, wanted.studies_of(event))
    return done
