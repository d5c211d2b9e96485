"""Names of attributes, and DICOM JSON to and from data sets (PS3.18 F)."""

import base64
import re
from collections.abc import Sequence
from typing import Any, Final

import orjson
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element, write_dataset
from pydicom.tag import BaseTag
from pydicom.valuerep import format_number_as_ds

from pacs_cloud.dicom.charset import UTF_8
from pacs_cloud.dicom.dataset_json import Conversion
from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.dicom.memo import Memo
from pacs_cloud.dicom.person_name import PersonName
from pacs_cloud.dicom.quiet import quiet_pydicom
from pacs_cloud.dicom.uid import EXPLICIT_BE, is_implicit
from pacs_cloud.dicom.walk import Walk
from pacs_cloud.errors import InvalidRequest

_TAG: Final = re.compile(
    r"(?P<open>\()?(?P<group>[0-9A-Fa-f]{4}),?(?P<element>[0-9A-Fa-f]{4})(?(open)\))"
)
_BINARY: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_DS_CHARACTERS: Final = 16
_EXACT_INTEGERS: Final = 1 << 53
_SETTLED: Final = {
    "OB or OW": "OW",
    "OB_OW": "OW",
    "US or OW": "OW",
    "US or SS": "US",
    "US or SS or OW": "OW",
}


def tag_of(name: str) -> str:
    """Return the tag of `name` as eight upper-case hex digits.

    Args:
        name: a keyword (`PatientName`), or `00100010`, `(0010,0010)`, `0010,0010`.

    Raises:
        InvalidRequest: `name` is neither a tag nor a keyword of PS3.6.
    """
    match = _TAG.fullmatch(name)
    if match is not None:
        return (match["group"] + match["element"]).upper()
    tag = tag_for_keyword(name) if name else None
    if tag is None:
        raise InvalidRequest(f"{name[:64]!r} is neither a DICOM keyword nor a tag.")
    return f"{tag:08X}"


def vr_of(tag: str) -> str:
    """Return the VR of `tag` in the dictionary, UN for one it does not know.

    Of an ambiguous VR the most general reading: OW, or US.
    """
    try:
        vr = dictionary_VR(int(tag, 16))
    except KeyError:
        return "UN"
    return _SETTLED.get(vr, vr)


def keyword_of(tag: str) -> str:
    """Return the keyword of `tag`, or `tag` itself where it has none."""
    return keyword_for_tag(int(tag, 16)) or tag


def path_of(name: str) -> tuple[str, ...]:
    """Return the tags of a dotted path (PS3.18 8.3.4.1): sequences, and an attribute at its end.

    Args:
        name: `RequestAttributesSequence.ScheduledProcedureStepID`, or tags.

    Raises:
        InvalidRequest: a part is unknown, or one before the last is no sequence.
    """
    tags = tuple(tag_of(part) for part in name.split("."))
    for tag in tags[:-1]:
        if vr_of(tag) not in {"SQ", "UN"}:
            raise InvalidRequest(f"{keyword_of(tag)} is no sequence, so nothing lies under it.")
    return tags


def read_elements(dataset: bytes, transfer_syntax_uid: str) -> Elements:
    """Return all of a small data set as DICOM JSON: a C-FIND identifier, an N-CREATE's attributes.

    Args:
        dataset: the whole data set, not deflated; unlike an instance it needs no UIDs.
        transfer_syntax_uid: how it is encoded.

    Raises:
        InvalidInstance: UNREADABLE or TOO_LARGE.
    """
    walk = Walk(dataset, transfer_syntax_uid)
    converted = Conversion(walk, Memo(1_048_576)).convert(walk.top())
    elements: Elements = orjson.loads(converted.json.replace(b"\0", b""))
    return elements


def to_dataset(elements: Elements, charset: Sequence[str] = ()) -> Dataset:
    """Return `elements` as a pydicom data set, to be encoded in `charset`.

    Args:
        elements: DICOM JSON; a value given only as BulkDataURI is left empty.
        charset: the values of Specific Character Set that the data set is to
            have, whatever `elements` say; none for the default repertoire.

    Raises:
        InvalidRequest: an element is no DICOM JSON, or its values do not fit its VR.
    """
    with quiet_pydicom():
        dataset = _dataset(elements)
    if charset:
        dataset.SpecificCharacterSet = charset[0] if len(charset) == 1 else list(charset)
    elif "SpecificCharacterSet" in dataset:
        del dataset.SpecificCharacterSet
    return dataset


def to_element(tag: str, element: Element) -> DataElement:
    """Return one element of DICOM JSON as pydicom's, to be used within `quiet_pydicom`.

    Args:
        tag: eight hex digits.
        element: its `vr` and `Value` or `InlineBinary`.

    Raises:
        InvalidRequest: it is no DICOM JSON, or its values do not fit its VR.
    """
    try:
        number, vr = int(tag, 16), str(element["vr"])
        return DataElement(BaseTag(number), vr, _value(vr, element))
    except InvalidRequest:
        raise
    except Exception as problem:
        raise InvalidRequest(f"{str(tag)[:8]} is no DICOM JSON element.") from problem


def encode_element(element: DataElement) -> bytes:
    """Return `element` in Explicit VR Little Endian, its text in UTF-8; within `quiet_pydicom`.

    Raises:
        InvalidRequest: a value does not fit its VR.
    """
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    try:
        write_data_element(buffer, element, [UTF_8])
    except Exception as problem:
        raise InvalidRequest(f"{element.tag} cannot be encoded in its VR.") from problem
    return buffer.getvalue()


def number_text(value: object) -> str:
    """Return one DICOM JSON value of a DS or IS as it is written (PS3.5 6.2).

    Numbers in a text stay as they are; other numbers get the 16 characters that a DS has.
    """
    if isinstance(value, float):
        if value.is_integer() and abs(value) < _EXACT_INTEGERS:
            text = str(value)
            return text if len(text) <= _DS_CHARACTERS else str(int(value))
        text = repr(value)
        return text if len(text) <= _DS_CHARACTERS else str(format_number_as_ds(value))
    return "" if value is None else str(value)


def encode_dataset(dataset: Dataset, transfer_syntax_uid: str) -> bytes:
    """Return the bytes of `dataset` in one of the native transfer syntaxes.

    What its character set cannot hold becomes `?`.

    Raises:
        InvalidRequest: a value does not fit its VR.
    """
    buffer = DicomBytesIO()
    buffer.is_little_endian = transfer_syntax_uid != EXPLICIT_BE
    buffer.is_implicit_VR = is_implicit(transfer_syntax_uid)
    try:
        with quiet_pydicom():
            write_dataset(buffer, dataset)
    except Exception as problem:
        raise InvalidRequest("A value cannot be encoded in its VR.") from problem
    return buffer.getvalue()


def _dataset(elements: Elements) -> Dataset:
    dataset = Dataset()
    for tag in sorted(elements):
        element = to_element(tag, elements[tag])
        dataset[element.tag] = element
    return dataset


def _value(vr: str, element: Element) -> Any:
    if vr == "SQ":
        return [_dataset(item or {}) for item in element.get("Value", ())]
    if vr in _BINARY:
        return base64.b64decode(element.get("InlineBinary", ""), validate=True)
    values = [_one(vr, value) for value in element.get("Value", ())]
    return values[0] if len(values) == 1 else values or None


def _one(vr: str, value: Any) -> Any:
    if vr == "PN":
        return str(PersonName.from_json(value))
    if value is None:
        return ""
    if vr == "AT":
        return int(value, 16)
    if vr in {"FL", "FD"}:
        return float(value)
    return number_text(value) if vr in {"DS", "IS"} else value
