"""Whose the files of an upload are: a study that is there, or a new patient's."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from pacs_cloud.dicom.attributes import PATIENT_TAGS
from pacs_cloud.dicom.date_times import TIMEZONE_OFFSET
from pacs_cloud.dicom.elements import Element, Elements, element
from pacs_cloud.dicom.moments import is_offset
from pacs_cloud.dicom.of_study import moment_in
from pacs_cloud.dicom.wrapping.wrapped import Belonging, named_uid
from pacs_cloud.errors import Denied, InvalidRequest, NotFound
from pacs_cloud.query.request import Level, SearchKey, SearchRequest
from pacs_cloud.security import access
from pacs_cloud.security.caller import Action, Caller
from pacs_cloud.web.studies.actions_chosen import chosen_in
from pacs_cloud.web.studies.rows import STUDY
from pacs_cloud.web.study_services import StudyServices

PATIENT: Final = ("family", "given", "patient_id", "birth_date", "sex", "description")
"""The fields of a new patient."""
FIELDS: Final = (*PATIENT, "study", "fresh", "upload", "number", "zone")
"""`study` is one that is there; with `fresh` its patient is meant, in a new study."""
SEXES: Final = {"F": "Female", "M": "Male", "O": "Other"}
_LONGEST: Final = 64
_FORBIDDEN: Final = re.compile(r"[\x00-\x1f\x7f\\]")
_OF_NAMES: Final = re.compile(r"[\^=]")
_EAST: Final = re.compile(r"[\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff]")
"""Kana, ideographs and Hangul, which stand in a name's second group (PS3.5 6.2.1.1)."""
_UTC: Final = "+0000"
_DAY_US: Final = 86_400_000_000
_UUID_7: Final = 7


@dataclass(frozen=True, slots=True)
class Target:
    """Where the files of a form go.

    Attributes:
        where: what is no DICOM belongs to; None: nobody has said.
        study: the only one that DICOM files may be of; None: any.
        series: of that the only ones; None: any.
    """

    where: Belonging | None
    study: str | None
    series: frozenset[str] | None


async def target_of(
    services: StudyServices, caller: Caller, fields: Mapping[str, str], now_us: int
) -> Target:
    """Return where the files of a form go.

    Args:
        services: know the studies.
        caller: who sends it.
        fields: of the form, FIELDS.
        now_us: microseconds since 1970 UTC.

    Raises:
        Denied: they may bring files to some studies only, and named none.
        NotFound: the study is not there, or not for them.
        InvalidRequest: a field cannot be what it says.
    """
    said = {name: " ".join(fields.get(name, "").split()) for name in FIELDS}
    for name, text in said.items():
        if len(text) > _LONGEST or _FORBIDDEN.search(text):
            raise InvalidRequest(f"The field {name} is too long, or has signs that it cannot have.")
    at_us = _begun(said["upload"], now_us)
    number = int(said["number"]) if re.fullmatch(r"\d{1,6}", said["number"]) else 1
    zone = said["zone"] if is_offset(said["zone"]) else _UTC
    bounded = access.is_bounded(caller, Action.STORE)
    if said["study"]:
        (study,) = chosen_in([said["study"]])
        series = await services.archive.instances.admission.admit(caller, Action.STORE, study)
        header = await _header(services, caller, study)
        if said["fresh"] and not bounded:
            fresh = named_uid(said["upload"], study, said["description"])
            patient = {tag: header[tag] for tag in PATIENT_TAGS if tag in header}
            header = {**patient, **_study(said, at_us, zone)}
            return Target(Belonging(fresh, header, said["upload"], at_us, number), None, None)
        where = Belonging(study, header, said["upload"], at_us, number)
        return Target(where, study if bounded else None, series)
    if bounded:
        raise Denied("they may bring files to some studies only")
    if not any(said[name] for name in PATIENT):
        return Target(None, None, None)
    study = named_uid(said["upload"], *(said[name] for name in PATIENT))
    where = Belonging(study, _of_new(said, at_us, zone), said["upload"], at_us, number)
    return Target(where, None, None)


def _begun(upload: str, now_us: int) -> int:
    """Return when the page was opened: its name tells (RFC 9562 5.7)."""
    try:
        name = uuid.UUID(upload)
    except ValueError:
        name = None
    if name is None or name.version != _UUID_7 or str(name) != upload:
        raise InvalidRequest("Open the page afresh, and send the files again.")
    at_us = (name.int >> 80) * 1000
    if not now_us - _DAY_US < at_us < now_us + _DAY_US:
        raise InvalidRequest("The page is a day old. Open it afresh, and send the files again.")
    return at_us


async def _header(services: StudyServices, caller: Caller, study: str) -> Elements:
    keys = (SearchKey((STUDY,), study),)
    found = await services.search.find(caller, SearchRequest(Level.STUDY, keys, limit=1))
    if not found.rows:
        raise NotFound("there is no such study")
    return found.rows[0]


def _of_new(said: Mapping[str, str], at_us: int, zone: str) -> Elements:
    """Return a new patient and study of a form's fields."""
    if not (said["family"] or said["patient_id"]):
        raise InvalidRequest("Say the patient's family name, or their ID.")
    if said["sex"] not in {"", *SEXES}:
        raise InvalidRequest("A patient is female, male or other.")
    return {
        **_study(said, at_us, zone),
        "00100010": _name(said["family"], said["given"]),
        "00100020": element("LO", said["patient_id"]),
        "00100030": element("DA", _day(said["birth_date"], at_us)),
        "00100040": element("CS", said["sex"]),
    }


def _study(said: Mapping[str, str], at_us: int, zone: str) -> Elements:
    """Return a new study, of the moment at which the page was opened."""
    zoned = {TIMEZONE_OFFSET: element("SH", zone)}
    day, hour = moment_in(zoned, at_us)
    return {
        **zoned,
        "00080020": day,
        "00080030": hour,
        "00081030": element("LO", said["description"]),
    }


def _name(family: str, given: str) -> Element:
    if _OF_NAMES.search(family + given):
        raise InvalidRequest("A name has neither ^ nor =.")
    name = f"{family}^{given}".rstrip("^")
    if len(name) > _LONGEST:
        raise InvalidRequest(f"A name has up to {_LONGEST} characters.")
    group = "Ideographic" if _EAST.search(name) else "Alphabetic"
    return element("PN", {group: name}) if name else element("PN")


def _day(text: str, at_us: int) -> str:
    """Return a birth date as a DA; where days begin first it is tomorrow already."""
    if not text:
        return ""
    try:
        born = date.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest("A birth date is a day, such as 1970-01-31.") from error
    if born > datetime.fromtimestamp((at_us + _DAY_US) / 1e6, UTC).date():
        raise InvalidRequest("The birth date is still to come.")
    return born.strftime("%Y%m%d") if born.year > 999 else f"{born.year:04d}{born:%m%d}"
