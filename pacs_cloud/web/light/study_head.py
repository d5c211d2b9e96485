"""What the viewer says of a study: whose it is, its series, and which of them is seen first."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pacs_cloud.catalogue.elements import first_text
from pacs_cloud.catalogue.ordering import usable_date
from pacs_cloud.web.share_contents import SharedSeries, SharedStudy
from pacs_cloud.web.studies.rows import StudyRow

KEY_OBJECTS: Final = "KO"
_NOT_SEEN: Final = frozenset({KEY_OBJECTS, "PR"})
"""Modalities whose series say something of others; they are no tile of their own."""
_WRITTEN: Final[Mapping[str, str]] = {
    "DOC": "Document",
    "SR": "Report",
    "RTSTRUCT": "Contours",
    "RTPLAN": "Plan",
}
_FILMED: Final = frozenset({"ES", "GM", "US", "XA", "XC"})
"""Modalities that make videos, where there are no pictures."""
_LAST: Final = frozenset({"SEG", "REG", "RTDOSE", "OT", "ECG", "HD", *_WRITTEN})
"""Modalities of series that nobody looks at first."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A series in the strip.

    Attributes:
        uid: its Series Instance UID.
        name: what it is called.
        modality: of it.
        count: how many instances it has.
        word: what it is where there is no picture of it; "": there is one.
        is_current: whether it is the one that is seen.
    """

    uid: str
    name: str
    modality: str
    count: str
    word: str
    is_current: bool


class Made(StrEnum):
    """When another study of the same patient was made, in words; in the order of the strip."""

    BEFORE = "Prior study"
    AFTER = "Later study"
    NOBODY_KNOWS = "Other study"


@dataclass(frozen=True, slots=True)
class Prior:
    """An earlier or later study of the same patient, in the strip.

    Attributes:
        uid: its Study Instance UID.
        series: the one of its series that is seen first.
        about: what it is.
        date: when it was made.
        made: whether that was before the study that is looked at.
    """

    uid: str
    series: str
    about: str
    date: str
    made: Made

    @property
    def is_before(self) -> bool:
        """Whether it may be taken for how things were before."""
        return self.made is Made.BEFORE


def made_when(other: StudyRow, here: StudyRow) -> Made:
    """Return whether a study was made before another one, or after it.

    Of one day the hour tells. What says no day, or of one day no hour or the same one, is
    neither before nor after.
    """
    there, now = (usable_date(one.date.replace("-", "")) for one in (other, here))
    if there and there == now:
        there, now = other.time, here.time
    if there == now or not (there and now):
        return Made.NOBODY_KNOWS
    return Made.AFTER if there > now else Made.BEFORE


def current_series(study: SharedStudy, wanted: str) -> SharedSeries | None:
    """Return the series that is asked for, else the one to begin with; None without any."""
    seen = seen_series(study)
    named = next((one for one in study.series if one.uid == wanted), None)
    first = next((one for one in seen if one.modality not in _LAST), None)
    return named or first or next(iter(seen), None)


def seen_series(study: SharedStudy) -> list[SharedSeries]:
    """Return the series that have a tile."""
    return [one for one in study.series if one.modality not in _NOT_SEEN]


def tiles(
    series: Sequence[SharedSeries], current: str, pictured: Collection[str] | None
) -> list[Tile]:
    """Return the strip; `pictured` are the series of which there is a picture, None: any."""
    return [
        Tile(
            one.uid,
            one.description or (f"Series {one.number}" if one.number else one.modality),
            one.modality,
            one.instances,
            _word(one, pictured),
            is_current=one.uid == current,
        )
        for one in series
    ]


def _word(series: SharedSeries, pictured: Collection[str] | None) -> str:
    named = _WRITTEN.get(series.modality, "")
    if named or pictured is None or series.uid in pictured:
        return named
    return "Video" if series.modality in _FILMED else "No picture"


def facts(study: SharedStudy) -> str:
    """Return the line below the name: ID, birth date, sex, and what the study is."""
    sex = {"M": "male", "F": "female", "O": "other"}.get(first_text(study.elements, "00100040"), "")
    born = f"born {study.birth_date}" if study.birth_date else ""
    return " · ".join(
        part for part in (study.patient_id, born, sex, study.description, study.date) if part
    )
