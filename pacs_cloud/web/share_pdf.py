"""A report that came as PDF becomes an instance of its study (Encapsulated PDF, PS3.3 A.45.1)."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from pacs_cloud.dicom.composing import Bulk, Piece, compose
from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.dicom.uid import EXPLICIT_LE, new_uid
from pacs_cloud.errors import InvalidInstance, Refusal

ENCAPSULATED_PDF: Final = "1.2.840.10008.5.1.4.1.1.104.1"
PDF: Final = b"%PDF-"
"""What a PDF begins with (ISO 32000-1 7.5.2)."""
_OF_THE_STUDY: Final = {
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
"""As the study has it; empty where that has nothing (type 2)."""
_WHERE_KNOWN: Final = ("00081030", "00100021")
"""Likewise, where it is there: Study Description, Issuer of Patient ID."""
_TITLE: Final = "Second opinion"
_SERIES_NUMBER: Final = 9000
"""Behind all that machines make."""


def encapsulated(
    pdf: bytes, study_instance_uid: str, study: Elements, *, now_us: int
) -> Iterator[bytes]:
    """Yield a Part 10 file of a PDF, in a series of its own, piece by piece.

    Args:
        pdf: the document.
        study_instance_uid: where it belongs.
        study: attributes of that, DICOM JSON: patient and study are taken from there.
        now_us: when, microseconds since 1970 UTC.

    Raises:
        InvalidInstance: what the study says cannot be written.
    """
    now = datetime.fromtimestamp(now_us / 1e6, UTC)
    elements: dict[str, Element] = {
        **{tag: study.get(tag, {"vr": vr}) for tag, vr in _OF_THE_STUDY.items()},
        **{tag: study[tag] for tag in _WHERE_KNOWN if tag in study},
        "00080016": _element("UI", ENCAPSULATED_PDF),
        "00080018": _element("UI", new_uid()),
        "00080023": _element("DA", now.strftime("%Y%m%d")),  # Content Date
        "0008002A": {"vr": "DT"},  # Acquisition DateTime
        "00080033": _element("TM", now.strftime("%H%M%S")),  # Content Time
        "00080060": _element("CS", "DOC"),
        "00080064": _element("CS", "WSD"),  # Conversion Type
        "00080070": _element("LO", "pacs_cloud"),
        "00080201": _element("SH", "+0000"),  # Timezone Offset From UTC
        "0008103E": _element("LO", _TITLE),
        "0020000D": _element("UI", study_instance_uid),
        "0020000E": _element("UI", new_uid()),
        "00200011": _element("IS", _SERIES_NUMBER),
        "00200013": _element("IS", 1),
        "00280301": _element("CS", "YES"),  # Burned In Annotation
        "0040A043": {"vr": "SQ"},  # Concept Name Code Sequence
        "00420010": _element("ST", _TITLE),  # Document Title
        "00420011": {"vr": "OB", "InlineBinary": base64.b64encode(pdf).decode()},
        "00420012": _element("LO", "application/pdf"),
        "00420015": _element("UL", len(pdf)),  # Encapsulated Document Length
    }
    for piece in compose(elements, EXPLICIT_LE, _no_bulk):
        yield _bytes(piece)


def _bytes(piece: Piece) -> bytes:
    assert isinstance(piece, bytes), "nothing here is bulk data"
    return piece


def _element(vr: str, value: Any) -> Element:
    return {"vr": vr, "Value": [value]}


def _no_bulk(uri: str, tag: str, depth: int) -> Bulk:
    del uri, depth
    raise InvalidInstance(f"{tag} of the study is bulk data.", Refusal.UNREADABLE)
