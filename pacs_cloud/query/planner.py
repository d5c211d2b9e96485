"""Where a search starts: the narrowest set of studies that holds every match."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from pacs_cloud.catalogue.port import Anchor, ByAccession, ByDate, ByName, ByPatient, NamePart
from pacs_cloud.dicom.name_words import sound_of, words_of
from pacs_cloud.dicom.person_name import normalise
from pacs_cloud.query.request import SearchRequest

STUDY_UID: Final = "0020000D"
SERIES_UID: Final = "0020000E"
INSTANCE_UID: Final = "00080018"
PATIENT_ID: Final = "00100020"
PATIENT_ID_ISSUER: Final = "00100021"
PATIENT_NAME: Final = "00100010"
ACCESSION: Final = "00080050"
STUDY_DATE: Final = "00080020"
MODALITY: Final = "00080060"
MODALITIES: Final = "00080061"

_WILD: Final = re.compile(r"[*?]")
_DATE_RANGE: Final = re.compile(r"(\d{8})?(?:(-)(\d{8})?)?")
_INFIX_CHARACTERS: Final = 3


@dataclass(frozen=True, slots=True)
class FromStudies:
    """The studies with these UIDs."""

    study_instance_uids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FromUids:
    """The studies that hold these series, or these instances.

    Attributes:
        uids: of the series or instances.
        are_instances: which of the two.
    """

    uids: tuple[str, ...]
    are_instances: bool


@dataclass(frozen=True, slots=True)
class FromAnchor:
    """The studies of this anchor."""

    anchor: Anchor


Plan: TypeAlias = FromStudies | FromUids | FromAnchor


def plan(request: SearchRequest) -> Plan:
    """Return the best start for `request`.

    In this order: UIDs, patient ID, accession number, patient's name, study date,
    and everything from the newest study on, for which the service has a budget.
    """
    texts = _texts(request)
    if uids := uids_of(texts, STUDY_UID):
        return FromStudies(uids)
    if uids := uids_of(texts, INSTANCE_UID):
        return FromUids(uids, are_instances=True)
    if uids := uids_of(texts, SERIES_UID):
        return FromUids(uids, are_instances=False)
    if patient_id := _exact(texts, PATIENT_ID):
        return FromAnchor(ByPatient(patient_id, _exact(texts, PATIENT_ID_ISSUER) or None))
    if accession := _exact(texts, ACCESSION):
        return FromAnchor(ByAccession(accession))
    by_name = _by_name(texts.get(PATIENT_NAME, ""), fuzzy=request.fuzzy)
    return FromAnchor(by_name or _by_date(texts, has_zone=bool(request.rules.zone)))


def is_bounded(request: SearchRequest) -> bool:
    """Tell whether UIDs bound `request` to studies, series or instances."""
    return not isinstance(plan(request), FromAnchor)


def _texts(request: SearchRequest) -> Mapping[str, str]:
    """Return the keys that a start can be found by."""
    nothing = '""' if request.rules.empty_values else None
    return {
        key.path[0]: key.text
        for key in request.keys
        if len(key.path) == 1 and key.text.strip() != nothing
    }


def uids_of(texts: Mapping[str, str], tag: str) -> tuple[str, ...]:
    """Return the UIDs that the key `tag` lists; empty where it lists none or has a wildcard."""
    text = texts.get(tag, "")
    if _WILD.search(text):
        return ()
    return tuple(dict.fromkeys(uid for part in text.split("\\") if (uid := part.strip(" \0"))))


def _exact(texts: Mapping[str, str], tag: str) -> str:
    text = texts.get(tag, "").strip()
    return "" if _WILD.search(text) or "\\" in text else text


def _by_date(texts: Mapping[str, str], *, has_zone: bool) -> ByDate:
    modality = _exact(texts, MODALITY) or _exact(texts, MODALITIES)
    matched = _DATE_RANGE.fullmatch(texts.get(STUDY_DATE, "").strip())
    if matched is None or not matched.group():
        return ByDate(modality=modality)
    first, dash, last = (group or "" for group in matched.groups())
    last = last if dash else first
    if has_zone:
        # In another zone it was the day before, or after.
        first, last = _days_off(first, -1), _days_off(last, 1)
    return ByDate(first, last, modality=modality)


def _days_off(date: str, days: int) -> str:
    """Return the date so many days later, "" (no bound) for one not in the calendar."""
    try:
        later = datetime.strptime(date, "%Y%m%d") + timedelta(days)  # noqa: DTZ007 - a day
    except (ValueError, OverflowError):
        return ""
    return later.strftime("%Y%m%d").rjust(8, "0")


def _by_name(text: str, *, fuzzy: bool) -> ByName | None:
    """Return where studies with the patient's name `text` can be found, None for a name of `*`.

    `*^ANNA*` asks for a component behind the family name, by which names are indexed.
    """
    if "\\" in text:
        return None
    if fuzzy:
        sound = max(map(sound_of, words_of(text)), key=len, default="")
        return ByName(NamePart.SOUND, sound) if sound else None
    # Of several groups all must match: any one that says something will do.
    text = next((group for group in text.split("=") if group.strip("*?^ ")), "")
    if beginning := _literal_beginning(text):
        return ByName(NamePart.NAME, beginning)
    family, _, rest = text.partition("^")
    if family == "*" and (given := _literal_beginning(rest.partition("^")[0])):
        return ByName(NamePart.GIVEN, given)
    return _infix(tuple(normalise(run).strip("^ ") for run in _WILD.split(text)))


def _literal_beginning(text: str) -> str:
    """Return what comes before the first wildcard, normalised, without what names may lack."""
    return normalise(_WILD.split(text, maxsplit=1)[0]).rstrip("^ ")


def _infix(runs: tuple[str, ...]) -> ByName | None:
    longest = max(runs, key=len, default="")
    return ByName(NamePart.INFIX, longest) if len(longest) >= _INFIX_CHARACTERS else None
