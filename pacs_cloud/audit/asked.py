"""What somebody asks of the trail, as they type it: in options, or in a page's fields."""

import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, TypeVar

from pacs_cloud.audit.asking import Wanted, studies_showing
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.security.audit_event import Kind, Outcome

_MOMENT: Final = re.compile(r"([0-9]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2})([T ].+)?")
"""A day, and a time or none: of all that ISO 8601 has what nobody can take for something else."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ONE_US: Final = timedelta(microseconds=1)

Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody typed; "" says nothing.

    Attributes:
        since: a day or a time, UTC: from then on.
        until: a day or a time, UTC: before that; of a day to its end.
        who: a subject, with what it begins with or without.
        study: a Study Instance UID.
        patient: a Patient ID.
        kind: what was done.
        outcome: how it ended.
        issuer: of the Patient ID; None: whoever's.
    """

    since: str = ""
    until: str = ""
    who: str = ""
    study: str = ""
    patient: str = ""
    kind: str = ""
    outcome: str = ""
    issuer: str | None = None

    def span(self) -> tuple[int, int | None]:
        """Return since when, and before when, microseconds since 1970 UTC; None: to the end.

        Raises:
            InvalidRequest: a moment is none.
        """
        since_us = moment_of(self.since, "since") if self.since else 0
        return since_us, moment_of(self.until, "until", is_end=True) if self.until else None

    async def wanted(self, catalogue: Catalogue, tenant: str) -> Wanted:
        """Return what is meant; a patient's studies are looked up.

        Raises:
            InvalidRequest: there is no such kind or outcome.
            Unavailable, Denied: as the catalogue.
        """
        patient = self.patient.strip()
        return Wanted(
            who=self.who.strip(),
            kind=_choice(Kind, self.kind, "kind"),
            outcome=_choice(Outcome, self.outcome, "outcome"),
            study=self.study.strip(),
            patient_id=patient,
            issuer=self.issuer,
            patient_studies=await studies_showing(catalogue, tenant, patient, self.issuer)
            if patient
            else frozenset(),
        )

    def words(self) -> tuple[tuple[str, str], ...]:
        """Return what was asked for, for the record of it."""
        return tuple((name, value) for name, value in asdict(self).items() if value)


def moment_of(text: str, name: str, *, is_end: bool = False) -> int:
    """Return a moment, microseconds since 1970 UTC; with `is_end` of a day its end."""
    moment, is_day = _parsed(text, name)
    try:
        end = moment + timedelta(days=1)
    except OverflowError as error:
        raise InvalidRequest(f"{name} is further off than time goes") from error
    return ((end if is_end and is_day else moment) - _EPOCH) // _ONE_US


def parsed_moment(text: str, name: str) -> datetime:
    """Return a day or a time, in UTC; raises InvalidRequest, which says what `name` must be."""
    return _parsed(text, name)[0]


def _parsed(text: str, name: str) -> tuple[datetime, bool]:
    """Return a moment, and whether it is a day without a time."""
    wrong = InvalidRequest(f"{name} is a day or a time: YYYY-MM-DD or YYYY-MM-DDThh:mm")
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise wrong
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise wrong from error
    return moment, match[2] is None


def _choice(kind: type[Choice], text: str, name: str) -> Choice | None:
    if not text:
        return None
    try:
        return kind(text)
    except ValueError as error:
        raise InvalidRequest(f"{name} is one of {', '.join(kind)}") from error
