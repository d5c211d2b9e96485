"""The query/retrieve information models and their SOP classes (PS3.4 C.6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pacs_cloud.dicom.uid import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE
from pacs_cloud.query.request import Level

IDENTIFIER_SYNTAXES: Final = frozenset((IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE))
"""What identifiers may be encoded in."""

PATIENT_ID: Final = "00100020"
STUDY_INSTANCE_UID: Final = "0020000D"
SERIES_INSTANCE_UID: Final = "0020000E"
SOP_INSTANCE_UID: Final = "00080018"

UNIQUE_KEYS: Final[Mapping[Level, str]] = {
    Level.PATIENT: PATIENT_ID,
    Level.STUDY: STUDY_INSTANCE_UID,
    Level.SERIES: SERIES_INSTANCE_UID,
    Level.IMAGE: SOP_INSTANCE_UID,
}
"""What names one thing of each level."""


@dataclass(frozen=True, slots=True)
class Model:
    """One information model.

    Attributes:
        find: its C-FIND SOP class.
        move: its C-MOVE SOP class.
        get: its C-GET SOP class.
        levels: its levels, from the whole to its parts.
    """

    find: str
    move: str
    get: str
    levels: tuple[Level, ...]

    def above(self, level: Level) -> tuple[Level, ...]:
        """Return the model's levels above `level`."""
        return tuple(one for one in self.levels if one < level)


PATIENT_ROOT: Final = Model(
    "1.2.840.10008.5.1.4.1.2.1.1",
    "1.2.840.10008.5.1.4.1.2.1.2",
    "1.2.840.10008.5.1.4.1.2.1.3",
    (Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE),
)
"""C.6.1."""
STUDY_ROOT: Final = Model(
    "1.2.840.10008.5.1.4.1.2.2.1",
    "1.2.840.10008.5.1.4.1.2.2.2",
    "1.2.840.10008.5.1.4.1.2.2.3",
    (Level.STUDY, Level.SERIES, Level.IMAGE),
)
"""C.6.2; a study's attributes hold its patient's."""
PATIENT_STUDY_ONLY: Final = Model(
    "1.2.840.10008.5.1.4.1.2.3.1",
    "1.2.840.10008.5.1.4.1.2.3.2",
    "1.2.840.10008.5.1.4.1.2.3.3",
    (Level.PATIENT, Level.STUDY),
)
"""Retired in 2004; old workstations still ask in it."""

MODELS: Final = (PATIENT_ROOT, STUDY_ROOT, PATIENT_STUDY_ONLY)
