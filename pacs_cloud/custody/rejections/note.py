"""A rejection note: a Key Object Selection that says which instances are not to be used.

Its title says why (PS3.16 CID 7010), its evidence which (PS3.3 C.17.6.2.1). IHE RAD TF-3 4.66.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.key_selection import evidence_of, titles_of
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import InvalidUid

LATER_US: Final = 86_400_000_000
"""What comes in so long after a note about the end of its retention is kept anew."""

Named = Mapping[str, Mapping[str, tuple[str, ...]]]
"""SOP Instance UIDs, by study and series, each in order."""


class Why(StrEnum):
    """Why instances are rejected: the code of a note's title (PS3.16 CID 7010)."""

    QUALITY = "113001"
    SAFETY = "113037"
    WORKLIST = "113038"
    RETENTION = "113039"

    @property
    def meaning(self) -> str:
        """Its Code Meaning."""
        return _MEANINGS[self]


_MEANINGS: Final = {
    Why.QUALITY: "Rejected for Quality Reasons",
    Why.SAFETY: "Rejected for Patient Safety Reasons",
    Why.WORKLIST: "Incorrect Modality Worklist Entry",
    Why.RETENTION: "Data Retention Policy Expired",
}


@dataclass(frozen=True, slots=True)
class Note:
    """One rejection note.

    Attributes:
        tenant: whose.
        study_instance_uid: where the note itself lies.
        series_instance_uid: likewise.
        sop_instance_uid: its own.
        digest: of its data set; another content under its UID is another note.
        received_us: when it came in, microseconds since 1970 UTC.
        why: its title.
        named: what it rejects, in any study.
    """

    tenant: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    digest: str
    received_us: int
    why: Why
    named: Named

    @property
    def studies(self) -> frozenset[str]:
        """Every study that it touches, its own too."""
        return frozenset({self.study_instance_uid, *self.named})

    @property
    def hides_itself(self) -> bool:
        """Whether it is hidden with what it names: nothing shall be left of what has expired."""
        return self.why is Why.RETENTION

    @property
    def until_us(self) -> int | None:
        """What is received later it does not reject; None: whenever it is received.

        IHE RAD TF-3 4.66.4.4.3 leaves it open what comes in again after its retention was
        over; what was unsafe or of another patient must not (4.66.4.2.3, 4.66.4.3.3).
        """
        return self.received_us + LATER_US if self.why is Why.RETENTION else None

    def places(self, study_instance_uid: str) -> set[tuple[str, str]]:
        """Return what it hides of a study, as series and SOP Instance UID."""
        found = {
            (series, uid)
            for series, uids in self.named.get(study_instance_uid, {}).items()
            for uid in uids
        }
        if self.hides_itself and study_instance_uid == self.study_instance_uid:
            found.add((self.series_instance_uid, self.sop_instance_uid))
        return found

    def names(self, other: "Note") -> bool:
        """Return whether it rejects another note."""
        series = self.named.get(other.study_instance_uid, {})
        return other.sop_instance_uid in series.get(other.series_instance_uid, ())


def title_of(header: Elements) -> Why | None:
    """Return why a Key Object Selection rejects; None where it does not.

    Args:
        header: its data set in DICOM JSON.
    """
    return next((Why(code) for code in titles_of(header) if code in set(Why)), None)


def named_by(header: Elements) -> Named:
    """Return which instances a Key Object Selection has as its evidence.

    A reference whose UIDs are none is none. Nothing is told twice.
    """
    named: dict[str, dict[str, set[str]]] = {}
    for where, one in evidence_of(header):
        try:
            study, series, uid = map(
                parse_uid, (where, one.series_instance_uid, one.sop_instance_uid)
            )
        except InvalidUid:
            continue
        named.setdefault(study, {}).setdefault(series, set()).add(uid)
    return {
        study: {series: tuple(sorted(uids)) for series, uids in sorted(some.items())}
        for study, some in sorted(named.items())
    }
