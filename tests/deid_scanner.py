"""A reader of de-identified output that shares no code with what made it.

It takes from the original whatever names somebody, and looks for that in the output's bytes, in
many encodings, and in its elements, decoded by pydicom.
"""

import re
import unicodedata
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO

import pydicom
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

_ID_KEYWORDS = {
    *("PatientID", "OtherPatientIDs", "AccessionNumber", "AdmissionID", "StudyID"),
    *("RequestedProcedureID", "ScheduledProcedureStepID", "PerformedProcedureStepID"),
    *("FillerOrderNumberImagingServiceRequest", "PlacerOrderNumberImagingServiceRequest"),
    *("MedicalRecordLocator", "InsurancePlanIdentification", "ServiceEpisodeID"),
    *("PatientTelephoneNumbers", "ReferringPhysicianTelephoneNumbers", "DeviceSerialNumber"),
    *("ClinicalTrialSubjectID", "IssuerOfPatientID"),
}
_PLACE_KEYWORDS = {
    *("InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "StationName"),
    *("PatientAddress", "ReferringPhysicianAddress", "CurrentPatientLocation"),
    *("CountryOfResidence", "RegionOfResidence", "PerformedStationName", "PerformedLocation"),
}
_BIRTH_KEYWORDS = {"PatientBirthDate"}
_UID_KEYWORDS = {
    *("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"),
    *("ReferencedSOPInstanceUID", "MediaStorageSOPInstanceUID", "IrradiationEventUID"),
    *("ReferencedFrameOfReferenceUID", "DeviceUID", "TransactionUID", "UID"),
    *("SynchronizationFrameOfReferenceUID", "ConcatenationUID", "DimensionOrganizationUID"),
}
_NOBODY = {"unknown", "none", "null", "n/a", "removed", "text", "name"}
"""What stands for a name in files that are nobody's: "Last Name^First Name"."""
_ENCODINGS = (
    *("latin-1", "utf-8", "gb18030", "shift_jis", "euc_jp", "euc_kr", "big5", "iso8859-5"),
    *("iso8859-7", "iso8859-2", "cp1251"),
)
_OURS = re.compile(
    r"(basic application confidentiality profile|clean (pixel data|graphics|structured content|"
    r"descriptors) option|retain (longitudinal temporal information (full|modified) dates|patient "
    r"characteristics|device identity|uids|safe private|institution identity) option)"
)


@dataclass
class Person:
    """What names somebody in an original."""

    names: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    places: set[str] = field(default_factory=set)
    births: set[str] = field(default_factory=set)
    uids: set[str] = field(default_factory=set)


def plain(text: str) -> str:
    """Return text without case and accents; Hangul stays whole."""
    if text.isascii():
        return text.lower()
    return "".join(map(_plain_character, text))


@cache
def _plain_character(character: str) -> str:
    if "가" <= character <= "힣":
        return character
    parts = unicodedata.normalize("NFKD", character)
    return "".join(one for one in parts if not unicodedata.combining(one)).casefold()


def _elements(dataset: Dataset) -> Iterator[DataElement]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _elements(item)
        else:
            yield element


def read(data: bytes) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(BytesIO(data), force=True)


def person_in(original: bytes) -> Person:
    """Return what names somebody in a Part 10 file."""
    person = Person()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = read(original)
        for element in _elements(dataset):
            _take(person, element)
        for element in getattr(dataset, "file_meta", ()):
            _take(person, element)
    return person


def _take(person: Person, element: DataElement) -> None:
    values = [str(one) for one in _values(element)]
    if element.VR == "PN" or (element.keyword and dictionary_VR(element.tag) == "PN"):
        for group in "=".join(values).split("="):
            family, given, *_ = [*(one.strip() for one in group.split("^")), "", ""]
            if family and given:
                person.names |= {f"{family} {given}", f"{given} {family}"}
        for word in re.split(r"[\^=\s,.;/()_\\-]+", "=".join(values)):
            if len(word) >= (3 if word.isascii() else 2) and re.search(r"[^\W\d_]", word):
                person.names.add(word)
                if any(one in "äöüÄÖÜ" for one in word):
                    person.names.add(
                        word.lower().replace("ä", "ae").replace("ö", "oe").replace("ü", "ue")
                    )
    elif element.keyword in _ID_KEYWORDS:
        person.ids |= {one.strip() for one in values if len(one.strip()) >= 4}
    elif element.keyword in _PLACE_KEYWORDS:
        person.places |= {one.strip() for one in values if len(one.strip()) >= 4}
    elif element.keyword in _BIRTH_KEYWORDS:
        person.births |= {one.strip() for one in values if len(one.strip()) == 8}
    elif element.keyword in _UID_KEYWORDS:
        uids = {one.strip() for one in values}
        person.uids |= {
            one for one in uids if len(one) >= 6 and not one.startswith("1.2.840.10008.")
        }
    for group in (person.names, person.ids, person.places):
        group -= {one for one in group if one.casefold() in _NOBODY}


def _values(element: DataElement) -> list:
    value = element.value
    if value is None or value == "":
        return []
    if isinstance(value, (list, pydicom.multival.MultiValue)):
        return list(value)
    return [value]


def leaks(person: Person, output: bytes, *, with_uids: bool = True) -> list[str]:
    """Return what of `person` is found in `output`, and where; empty where nothing is."""
    dataset = read(output)
    header, pixels = _without_pixels(output, dataset)
    texts = [("element", plain(_joined(dataset)))]
    texts += [(f"bytes as {name}", text) for name, text in _decoded(header)]
    inflated = _inflated(output, dataset)
    texts += [(f"inflated as {name}", text) for name, text in _decoded(inflated)]
    found = []
    for where, text in texts:
        rest = _OURS.sub(" ", text)
        found += [f"{one!r} in {where}" for one in _found(person, rest, with_uids=with_uids)]
    lowered = pixels.lower()
    for word in (*person.names, *person.ids, *person.places):
        if len(word) >= 6 and word.isascii() and word.lower().encode() in lowered:
            found.append(f"{word!r} in pixel data")
    for word in (*person.names, *person.places):
        for encoding in () if word.isascii() else _ENCODINGS[1:]:
            try:
                encoded = word.encode(encoding)
            except UnicodeEncodeError:
                continue
            if len(encoded) >= 4 and encoded in header:
                found.append(f"{word!r} in bytes, in {encoding}")
    return found


def _found(person: Person, text: str, *, with_uids: bool) -> Iterator[str]:
    squeezed = " ".join(re.split(r"[\s^=,]+", text))
    for word in (*person.names, *person.places):
        needle = " ".join(re.split(r"[\s^=,]+", plain(word)))
        if len(needle) >= 4 or not needle.isascii():
            if needle in squeezed:
                yield word
        elif re.search(rf"(?<![^\W_]){re.escape(needle)}(?![^\W_])", squeezed):
            yield word
    for word in person.ids:
        needle = plain(word)
        around = r"(?<!\d){}(?!\d)" if needle.isdigit() else "{}"
        # Short numbers are anywhere among numbers.
        if needle.isdigit() and len(needle) < 6:
            continue
        if re.search(around.format(re.escape(needle)), text):
            yield word
    for day in person.births:
        year, month, date = day[:4], day[4:6], day[6:]
        for form in (
            day,
            f"{year}-{month}-{date}",
            f"{date}.{month}.{year}",
            f"{month}/{date}/{year}",
        ):
            if re.search(rf"(?<!\d){re.escape(form)}(?!\d)", text):
                yield form
    for uid in person.uids if with_uids else ():
        if re.search(rf"(?<![\d.]){re.escape(uid)}(?!\.?\d)", text):
            yield uid


def _joined(dataset: Dataset) -> str:
    pieces = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for element in _elements(dataset):
            if element.keyword in {"PixelData", "FloatPixelData", "DoubleFloatPixelData"}:
                continue
            if isinstance(element.value, bytes):
                pieces.append(element.value.decode("latin-1"))
            elif element.VR not in {"DS", "IS", "FL", "FD", "US", "SS", "UL", "SL", "AT"}:
                pieces += [str(one) for one in _values(element)]
    return "\n".join(pieces)


def _decoded(data: bytes) -> Iterator[tuple[str, str]]:
    if not data:
        return
    for encoding in _ENCODINGS:
        yield encoding, plain(data.decode(encoding, "ignore"))
    for encoding in ("utf-16-le", "utf-16-be"):
        for offset in (0, 1):
            yield encoding, plain(data[offset:].decode(encoding, "ignore"))


def _without_pixels(output: bytes, dataset: Dataset) -> tuple[bytes, bytes]:
    for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"):
        if keyword in dataset and dataset[keyword].value:
            value = bytes(dataset[keyword].value)
            start = output.find(value)
            assert start > 0, "the pixel data is not in the file as it stands"
            return output[:start] + b"\n" + output[start + len(value) :], value
    return output, b""


def _inflated(output: bytes, dataset: Dataset) -> bytes:
    meta = getattr(dataset, "file_meta", None)
    if meta is None or str(meta.get("TransferSyntaxUID", "")) != "1.2.840.10008.1.2.1.99":
        return b""
    start = output.index(b"DICM") + 4
    for offset in range(start, min(len(output), start + 4096)):
        try:
            return zlib.decompress(output[offset:], -zlib.MAX_WBITS)
        except zlib.error:
            continue
    return b""
