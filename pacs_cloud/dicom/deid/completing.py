"""What a data set says afterwards: whose it is now, and what was done (PS3.15 E.1, E.3)."""

from typing import Final

from pacs_cloud.dicom.deid.burned_in import BURNED_IN_ANNOTATION, PixelVerdict
from pacs_cloud.dicom.deid.dummies import coded
from pacs_cloud.dicom.deid.option import BASIC, CODES, Option
from pacs_cloud.dicom.deid.tables import EDITION
from pacs_cloud.dicom.deid.tree import DataSet

PATIENT_NAME, PATIENT_ID = 0x00100010, 0x00100020
_ISSUER, _BIRTH_DATE, _STUDY = 0x00100021, 0x00100030, 0x0020000D
_REQUIRED: Final = {
    0x00080020: "DA",
    0x00080030: "TM",
    0x00080050: "SH",
    0x00080090: "PN",
    0x00100030: "DA",
    0x00100040: "CS",
    0x00200010: "SH",
}
"""Type 2 in the Patient and General Study Modules (PS3.3 C.7.1.1, C.7.2.1)."""
_IDENTITY_REMOVED, _METHOD, _METHOD_CODES = 0x00120062, 0x00120063, 0x00120064
_TEMPORAL: Final = 0x00280303


def patient_of(data_set: DataSet) -> str:
    """Return who the patient of a data set is, as `Project` takes it.

    By Patient ID and its issuer; where there is none by name and birth date; else each study
    is of somebody else.
    """
    patient_id = data_set.text(PATIENT_ID).strip()
    if patient_id:
        return f"id\0{patient_id}\0{data_set.text(_ISSUER).strip()}"
    name = data_set.text(PATIENT_NAME).strip(" ^=").casefold()
    if name:
        return f"name\0{name}\0{data_set.text(_BIRTH_DATE).strip()}"
    return f"study\0{data_set.text(_STUDY).strip()}"


def complete(
    data_set: DataSet, subject: str, options: frozenset[Option], verdict: PixelVerdict
) -> None:
    """Have a cleaned data set say what was done to it.

    Args:
        data_set: whose elements are clean.
        subject: the patient's pseudonym.
        options: of the profile; what was done to pixels is claimed where they are known.
        verdict: what is known of its pixels.
    """
    for tag, vr in _REQUIRED.items():
        if tag not in data_set.elements:
            data_set.put(tag, vr, b"")
    data_set.put_text(PATIENT_NAME, "PN", subject)
    data_set.put_text(PATIENT_ID, "LO", subject)
    claimed = options if verdict.is_clean else options - {Option.CLEAN_PIXELS}
    if verdict.is_clean:
        data_set.put_text(BURNED_IN_ANNOTATION, "CS", "NO")
    codes = [BASIC, *sorted(CODES[option] for option in claimed)]
    data_set.put_text(_IDENTITY_REMOVED, "CS", "YES")
    data_set.put_text(_METHOD, "LO", f"PS3.15 {EDITION} Table E.1-1\\pacs-cloud")
    items = [coded(code, "DCM", meaning, data_set.charset) for code, meaning in codes]
    data_set.put(_METHOD_CODES, "SQ", items)
    data_set.put_text(_TEMPORAL, "CS", temporal_information(options))


def temporal_information(options: frozenset[Option]) -> str:
    """Return Longitudinal Temporal Information Modified (PS3.3 C.7.2.1)."""
    if Option.FULL_DATES in options:
        return "UNMODIFIED"
    return "MODIFIED" if Option.MODIFIED_DATES in options else "REMOVED"
