"""A study as pages show it, made of what a search returns."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Final

from pacs_cloud.catalogue.elements import first_text
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.query import computed
from pacs_cloud.web.studies.names import PATIENT_NAME, NameText, name_text

STUDY, PATIENT_ID, ISSUER = "0020000D", "00100020", "00100021"
_BIRTH_DATE, _SEX, _AGE = "00100030", "00100040", "00101010"
_DATE, _TIME, _DESCRIPTION, _ACCESSION = "00080020", "00080030", "00081030", "00080050"
_INSTITUTION, _REFERRING = "00080080", "00080090"

RETURNS: Final = frozenset(
    {
        *(STUDY, PATIENT_NAME, PATIENT_ID, ISSUER, _BIRTH_DATE, _SEX, _AGE),
        *(_DATE, _TIME, _DESCRIPTION, _ACCESSION, _INSTITUTION, _REFERRING),
        *(computed.MODALITIES_IN_STUDY, computed.STUDY_SERIES, computed.STUDY_INSTANCES),
        computed.INSTANCE_AVAILABILITY,
    }
)
"""What a search has to return for it."""

WITHOUT_PICTURE: Final = frozenset(
    {"AU", "DOC", "KO", "PLAN", "PR", "REG", "RTPLAN", "RTRECORD", "RTSTRUCT", "RWV", "SR"}
)
"""Modalities (PS3.3 C.7.3.1.1.1) of which no picture is made."""

_TIME_TEXT: Final = re.compile(r"([01]\d|2[0-3])([0-5]\d)")
_AGE_TEXT: Final = re.compile(r"(\d{3})([DWMY])")
_UNITS: Final = {"D": "d", "W": "wk", "M": "mo", "Y": "y"}
_SEXES: Final = {"M": "male", "F": "female", "O": "other"}
_MONTHS_SAID_UNTIL: Final = 24
_DAYS_SAID_UNTIL: Final = 60


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A study, in words; "" is what is not known.

    Attributes:
        uid: its Study Instance UID.
        name: of its patient.
        patient_id: Patient ID.
        issuer: of that.
        birth_date: `1970-01-31`.
        sex: the code, such as `F`.
        sex_word: what that means.
        age: at the study, `45 y`.
        date: when it was made, `2026-01-31`.
        time: `14:02`.
        modalities: in it, in order.
        description: what it is of.
        accession: Accession Number.
        institution: where it was made.
        referrer: who asked for it.
        series: how many.
        instances: how many.
        is_cold: whether some of it has to be recalled before it is read.
        has_picture: whether a picture may stand for it.
        labels: that it has, in order.
    """

    uid: str
    name: NameText
    patient_id: str
    issuer: str
    birth_date: str
    sex: str
    sex_word: str
    age: str
    date: str
    time: str
    modalities: tuple[str, ...]
    description: str
    accession: str
    institution: str
    referrer: str
    series: str
    instances: str
    is_cold: bool
    has_picture: bool
    labels: tuple[str, ...]


def row_of(elements: Elements, labels: Collection[str] = ()) -> StudyRow:
    """Return a study as a search returned it, with RETURNS."""
    found = elements.get(computed.MODALITIES_IN_STUDY, {}).get("Value") or ()
    modalities = tuple(one for one in found if isinstance(one, str) and one)
    sex = first_text(elements, _SEX)
    return StudyRow(
        uid=first_text(elements, STUDY),
        name=name_text(elements),
        patient_id=first_text(elements, PATIENT_ID),
        issuer=first_text(elements, ISSUER),
        birth_date=day_text(first_text(elements, _BIRTH_DATE)),
        sex=sex,
        sex_word=_SEXES.get(sex, sex),
        age=_age(elements),
        date=day_text(first_text(elements, _DATE)),
        time=time_text(first_text(elements, _TIME)),
        modalities=modalities,
        description=first_text(elements, _DESCRIPTION),
        accession=first_text(elements, _ACCESSION),
        institution=first_text(elements, _INSTITUTION),
        referrer=name_text(elements, _REFERRING).main,
        series=first_text(elements, computed.STUDY_SERIES),
        instances=first_text(elements, computed.STUDY_INSTANCES),
        is_cold=is_cold(elements),
        has_picture=not modalities or not WITHOUT_PICTURE.issuperset(modalities),
        labels=tuple(sorted(labels)),
    )


def is_cold(elements: Elements) -> bool:
    """Return whether something of a row has to be recalled before it is read."""
    return first_text(elements, computed.INSTANCE_AVAILABILITY) not in {"", "ONLINE"}


def day_text(text: str) -> str:
    """Return a DA as people write it, `2026-01-31`; what is none as it is."""
    day = _day(text)
    return day.isoformat() if day else text


def time_text(text: str) -> str:
    """Return a TM to the minute, `14:02`, "" for what is none."""
    matched = _TIME_TEXT.match(text)
    return f"{matched[1]}:{matched[2]}" if matched else ""


def _age(elements: Elements) -> str:
    """Return how old the patient was: by their dates, else as the study says (PS3.5, AS)."""
    born, made = (_day(first_text(elements, tag)) for tag in (_BIRTH_DATE, _DATE))
    if born and made and born <= made:
        return _age_between(born, made)
    matched = _AGE_TEXT.fullmatch(first_text(elements, _AGE))
    return f"{int(matched[1])} {_UNITS[matched[2]]}" if matched else ""


def _age_between(born: date, made: date) -> str:
    days = (made - born).days
    months = (made.year - born.year) * 12 + made.month - born.month - (made.day < born.day)
    if days < _DAYS_SAID_UNTIL:
        return f"{days} d"
    return f"{months} mo" if months < _MONTHS_SAID_UNTIL else f"{months // 12} y"


def _day(text: str) -> date | None:
    if not (len(text) == 8 and text.isascii() and text.isdecimal()):
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None
