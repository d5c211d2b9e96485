"""What is kept of broken glass: who sees which studies for how long, and why."""

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from pacs_cloud.catalogue.port import ByAccession, ByPatient
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import InvalidInstance, InvalidRequest

SHORTEST_REASON: Final = 3
LONGEST_REASON: Final = 200
_LONGEST_ID: Final = 64
"""Of a Patient ID, its issuer and an accession number (PS3.5 6.2, VR LO; SH has 16)."""

Wanted: TypeAlias = ByPatient | ByAccession | str
"""A patient, an accession number, or a Study Instance UID."""


@dataclass(frozen=True, slots=True)
class Override:
    """One time that somebody broke the glass; DICOM calls it an emergency override.

    Attributes:
        override_id: which.
        studies: what it opens, by Study Instance UIDs, and nothing besides.
        reason: why, in the words of whoever did it.
        begun_us: when, microseconds since 1970 UTC.
        until_us: when it ends by itself.
        ended_us: when it was ended, or its end was put on record; 0: it was not yet.
        ended_by: by whom; "" by itself.
    """

    override_id: str
    studies: tuple[str, ...]
    reason: str = field(repr=False)
    begun_us: int
    until_us: int
    ended_us: int = 0
    ended_by: str = ""

    def is_open(self, now_us: int) -> bool:
        """Return whether it opens anything."""
        return not self.ended_us and now_us < self.until_us


@dataclass(frozen=True, slots=True)
class Overrides:
    """What is kept of one subject.

    Attributes:
        subject: whose.
        overrides: the latest of theirs, oldest first.
        tries_us: when they asked within the last hour, granted or not.
    """

    subject: str
    overrides: tuple[Override, ...] = ()
    tries_us: tuple[int, ...] = ()

    def opens(self, now_us: int) -> frozenset[str]:
        """Return the studies that they see by it now."""
        found = (one.studies for one in self.overrides if one.is_open(now_us))
        return frozenset[str]().union(*found)


@dataclass(frozen=True, slots=True)
class GlassWish:
    """What somebody wants to see, letter by letter: nothing is found by a part of it.

    Attributes:
        reason: why.
        wanted: whose studies.
    """

    reason: str
    wanted: Wanted


def glass_wish(
    reason: str, *, patient_id: str = "", issuer: str = "", accession: str = "", study: str = ""
) -> GlassWish:
    """Return what somebody typed.

    Raises:
        InvalidRequest: there is no reason, or not one of the three is said.
    """
    reason = " ".join(reason.split())
    if not SHORTEST_REASON <= len(reason) <= LONGEST_REASON or not reason.isprintable():
        raise InvalidRequest(f"say why, in {SHORTEST_REASON} to {LONGEST_REASON} characters")
    said = [one for one in (patient_id, accession, study) if one]
    if len(said) != 1 or (issuer and not patient_id):
        raise InvalidRequest("say whose studies: a patient ID, an accession number or a UID")
    if study:
        try:
            return GlassWish(reason, parse_uid(study))
        except InvalidInstance as error:
            raise InvalidRequest("this is no Study Instance UID") from error
    if any(len(one) > _LONGEST_ID or not one.isprintable() for one in (*said, issuer)):
        raise InvalidRequest(f"an ID has up to {_LONGEST_ID} printable characters")
    if accession:
        return GlassWish(reason, ByAccession(accession))
    return GlassWish(reason, ByPatient(patient_id, issuer or None))
