"""What an instance that is made here takes over from the study it belongs to (pure)."""

from datetime import datetime
from typing import Final

from pacs_cloud.dicom.date_times import TIMEZONE_OFFSET
from pacs_cloud.dicom.element_values import text
from pacs_cloud.dicom.elements import Element, Elements, element
from pacs_cloud.dicom.moments import is_offset, zone_of

_TYPE_2: Final = {
    "00080020": "DA",  # Study Date
    "00080030": "TM",  # Study Time
    "00080050": "SH",  # Accession Number
    "00080090": "PN",  # Referring Physician's Name
    "00100010": "PN",  # Patient's Name
    "00100020": "LO",  # Patient ID
    "00100030": "DA",  # Patient's Birth Date
    "00100040": "CS",  # Patient's Sex
    "00200010": "SH",  # Study ID
}
"""Empty where the study has nothing (PS3.5 7.4.3)."""
_TYPE_3: Final = ("00081030", "00100021")
"""Study Description, Issuer of Patient ID: left out where the study has none."""


def of_study(study: Elements) -> dict[str, Element]:
    """Return patient and general study (PS3.3 C.7.1.1, C.7.2.1) but for the UID, DICOM JSON.

    With them the offset from UTC that the study's dates and times have, if it names one.

    Args:
        study: the header of one of its instances, or of the study as searches know it.
    """
    offset = _offset(study)
    return {
        **{tag: study.get(tag, {"vr": vr}) for tag, vr in _TYPE_2.items()},
        **{tag: study[tag] for tag in _TYPE_3 if tag in study},
        **({TIMEZONE_OFFSET: element("SH", offset)} if offset else {}),
    }


def moment_in(study: Elements, at_us: int) -> tuple[Element, Element]:
    """Return a moment as date and time of an instance of `study`.

    One offset is that of all dates and times of an instance (PS3.3 C.12.1.1.8), so also of
    those that `of_study` copies: a study that names none has local times, and so has this.

    Args:
        study: as for `of_study`.
        at_us: microseconds since 1970 UTC.
    """
    offset = _offset(study)
    moment = datetime.fromtimestamp(at_us / 1e6, zone_of(offset) if offset else None)
    return element("DA", moment.strftime("%Y%m%d")), element("TM", moment.strftime("%H%M%S"))


def _offset(study: Elements) -> str:
    said = text(study, TIMEZONE_OFFSET)
    return said if is_offset(said) else ""
