"""Which strings of a header identify somebody: they are looked for in all that is kept.

Names, wherever they stand; identifiers, addresses and places by what their attributes are
called; every date that is not kept, and every UID that is replaced.
"""

import re
from collections.abc import Iterator
from typing import Final

from pydicom.datadict import dictionary_keyword

from pacs_cloud.dicom.deid.needles import Needles
from pacs_cloud.dicom.deid.option import Option
from pacs_cloud.dicom.deid.tables import row_of
from pacs_cloud.dicom.deid.tree import DataSet, Element, text_of
from pacs_cloud.dicom.deid.uids import is_replaced

_IDENTIFYING: Final = re.compile(
    r"(ID|IDs|Identifier|Identifiers|Number|AETitle|AE|UDI|MedicalRecordLocator|"
    r"Name|Names|Address|Addresses|Telephone\w*|Telecom\w*|Organization|Location|Residence|"
    r"Department|Institution\w*|Occupation|Identification|Author|Originator|RequestingService|"
    r"BarcodeValue)(Trial|ImagingServiceRequest)?"
)
_OF_WORDS: Final = re.compile(
    r".*(Name|Names|Address|Addresses|Organization|Location|Residence|Institution\w*)(Trial)?"
)
_HARMLESS: Final = frozenset(
    {
        *("ROIName", "ProtocolName", "StructureSetName", "RTPlanName", "EntityName"),
        *("ClinicalTrialProtocolName", "PositionAcquisitionTemplateName"),
    }
)
"""Names of no person and no place."""
_TEXTS: Final = frozenset({"AE", "LO", "LT", "SH", "ST", "UC", "UT", "UN"})
_COMMON: Final = frozenset(
    {
        *("hospital", "hospitals", "clinic", "clinics", "clinical", "university", "center"),
        *("centre", "medical", "imaging", "radiology", "department", "dept", "institute"),
        *("general", "health", "healthcare", "care", "room", "ward", "unit", "street"),
        *("road", "avenue", "city", "north", "south", "east", "west", "building", "floor"),
        *("diagnostic", "diagnostics", "systems", "system", "station", "name", "hopital"),
        *("klinik", "klinikum", "universitaet", "spital", "ospedale", "ospedali"),
        *("scanner", "console", "unknown", "none", "null", "info"),
    }
)
"""Words in the names of places that name none."""
_PLACEHOLDERS: Final = frozenset({"unknown", "none", "null", "n/a"})
_RETAINING: Final = frozenset(
    {Option.DEVICE_IDENTITY, Option.INSTITUTION_IDENTITY, Option.PATIENT_CHARACTERISTICS}
)
_LEAST_PLACE: Final = 5
_DATE: Final = re.compile(r"(\d{4})[.]?(\d{2})[.]?(\d{2})")
_BIRTH: Final = frozenset({0x00100030, 0x00100033, 0x00100034})
_PATIENT_ID, _OTHER_IDS = 0x00100020, 0x00101000


def needles_of(data_set: DataSet, options: frozenset[Option]) -> Needles:
    """Return what identifies somebody in a data set as it came, items and private ones included."""
    found = Needles()
    for element, around in _all(data_set):
        _gather(found, element, around, options)
    return found


def _all(data_set: DataSet) -> Iterator[tuple[Element, DataSet]]:
    for element in data_set.elements.values():
        if isinstance(element.value, list):
            for item in element.value:
                yield from _all(item)
        else:
            yield element, data_set


def _gather(found: Needles, element: Element, around: DataSet, options: frozenset[Option]) -> None:
    tag, vr = element.tag, element.vr
    if vr == "PN":
        for name in re.split(r"[\\=]", text_of(element, around)):
            _add_name(found, name)
    elif vr in {"DA", "DT"}:
        if Option.FULL_DATES not in options or tag in _BIRTH:
            for value in text_of(element, around).split("\\"):
                match = _DATE.match(value.strip())
                if match is not None and "01" <= match[2] <= "12" and "01" <= match[3] <= "31":
                    found.dates.add("".join(match.groups()))
    elif vr == "UI":
        if Option.UIDS not in options:
            values = text_of(element, around).split("\\")
            found.uids |= {uid.strip() for uid in values if is_replaced(tag, uid.strip())}
    elif vr in _TEXTS and not tag & 0x10000:
        _add_text(found, element, around, options)


def _add_name(found: Needles, name: str) -> None:
    """Take in the components of a name, their words, and short ones together."""
    components = [one.strip() for one in name.split("^")]
    family, given, *_ = *components, "", ""
    if family and given:
        joints = (" ",) if name.isascii() else (" ", "")
        for joint in joints:
            found.add_word(f"{family}{joint}{given}")
            found.add_word(f"{given}{joint}{family}")
    for component in components:
        if component.strip().lower() in _PLACEHOLDERS:
            continue
        found.add_word(component)
        for word in re.split(r"[\s,.;/()\-_]+", component):
            found.add_word(word)


def _add_text(
    found: Needles, element: Element, around: DataSet, options: frozenset[Option]
) -> None:
    tag = element.tag
    row = row_of(tag)
    if row is None or any(row.options.get(option) for option in options & _RETAINING):
        return
    try:
        keyword = dictionary_keyword(tag)
    except KeyError:
        return
    if keyword in _HARMLESS or re.search(rf"{_IDENTIFYING.pattern}$", keyword) is None:
        return
    for value in re.split(r"[\\\r\n]", text_of(element, around)):
        if value.strip().lower() in _PLACEHOLDERS:
            continue
        found.add_number(value)
        if tag in {_PATIENT_ID, _OTHER_IDS} and not value.strip().isdecimal():
            _add_name(found, value)  # where a name was typed in
        if _OF_WORDS.fullmatch(keyword):
            for word in re.split(r"[\s,.;/()\-_^]+", value):
                if len(word) >= _LEAST_PLACE and word.lower() not in _COMMON:
                    found.add_word(word)
