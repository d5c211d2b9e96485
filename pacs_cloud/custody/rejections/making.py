"""A rejection note of our own: a Key Object Selection Document (PS3.3 A.35.4, PS3.16 TID 2010)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final

from pacs_cloud.custody.rejections.note import (
    EVIDENCE,
    KEY_OBJECT_SELECTION,
    REFERENCED_INSTANCE,
    REFERENCED_SERIES,
    REFERENCED_SOPS,
    SCHEME,
    SERIES,
    STUDY,
    TITLE,
    Why,
    text_of,
)
from pacs_cloud.dicom.composing import Bulk, compose
from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.dicom.uid import EXPLICIT_LE, new_uid
from pacs_cloud.errors import InvalidInstance, Refusal

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
"""What a note has as its study has it; empty where that has nothing (type 2)."""
_ZONE: Final = "00080201"
_WHERE_KNOWN: Final = (_ZONE, "00081030", "00100021")
"""Likewise, where it is there: time zone, Study Description, Issuer of Patient ID."""

_WAVEFORMS: Final = "1.2.840.10008.5.1.4.1.1.9."
_MODIFIER: Final = ("113011", "Document Title Modifier")
_DESCRIPTION: Final = ("113012", "Key Object Description")
_UNSPECIFIED: Final = ("111220", "Other failure")
"""PS3.16 CID 7011: a note about quality must say what is wrong (TID 2010, row 3)."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One instance that a note names.

    Attributes:
        series_instance_uid: its series.
        sop_class_uid: its class.
        sop_instance_uid: which.
        has_pixels: whether it is an image.
    """

    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    has_pixels: bool


@dataclass(frozen=True, slots=True)
class MadeNote:
    """A note that nobody has stored yet.

    Attributes:
        sop_instance_uid: its own.
        file: Part 10.
    """

    sop_instance_uid: str
    file: bytes


def make_note(
    study_instance_uid: str,
    header: Elements,
    evidence: Sequence[Evidence],
    why: Why,
    *,
    words: str,
    now_us: int,
) -> MadeNote:
    """Return a note that rejects `evidence`, in a series of its own.

    Args:
        study_instance_uid: of all of `evidence`, and of the note.
        header: of one of its instances, DICOM JSON: patient and study are taken from there.
        evidence: what it names, at least one.
        why: its title.
        words: what else there is to say; "" for nothing.
        now_us: when, microseconds since 1970 UTC.
    """
    sop_instance_uid, series_instance_uid = new_uid(), new_uid()
    now = datetime.fromtimestamp(now_us / 1e6, _zone_of(header))
    elements: dict[str, Element] = {
        **{tag: header.get(tag, {"vr": vr}) for tag, vr in _OF_THE_STUDY.items()},
        **{tag: header[tag] for tag in _WHERE_KNOWN if tag in header},
        "00080016": _element("UI", KEY_OBJECT_SELECTION),
        "00080018": _element("UI", sop_instance_uid),
        "00080023": _element("DA", now.strftime("%Y%m%d")),
        "00080033": _element("TM", now.strftime("%H%M%S")),
        "00080060": _element("CS", "KO"),
        "00080070": _element("LO", "pacs_cloud"),
        "0008103E": _element("LO", why.meaning),
        "00081111": {"vr": "SQ"},  # Referenced Performed Procedure Step
        STUDY: _element("UI", study_instance_uid),
        SERIES: _element("UI", series_instance_uid),
        "00200011": _element("IS", 1),
        "00200013": _element("IS", 1),
        "0040A040": _element("CS", "CONTAINER"),
        TITLE: _code(why, why.meaning),
        "0040A050": _element("CS", "SEPARATE"),
        EVIDENCE: _element("SQ", _evidence(study_instance_uid, evidence)),
        "0040A504": _element(
            "SQ", {"00080105": _element("CS", "DCMR"), "0040DB00": _element("CS", "2010")}
        ),
        "0040A730": {"vr": "SQ", "Value": _content(evidence, why, words)},
    }
    file = b"".join(bytes(piece) for piece in compose(elements, EXPLICIT_LE, _no_bulk))
    return MadeNote(sop_instance_uid, file)


def _zone_of(header: Elements) -> tzinfo | None:
    """Return the zone of the study's times; None where it says none: then it is ours."""
    try:
        return datetime.strptime(text_of(header, _ZONE), "%z").tzinfo
    except ValueError:
        return None


def _evidence(study_instance_uid: str, evidence: Sequence[Evidence]) -> Elements:
    by_series: dict[str, list[Elements]] = {}
    for one in evidence:
        by_series.setdefault(one.series_instance_uid, []).append(_reference(one))
    return {
        REFERENCED_SERIES: {
            "vr": "SQ",
            "Value": [
                {REFERENCED_SOPS: {"vr": "SQ", "Value": some}, SERIES: _element("UI", series)}
                for series, some in by_series.items()
            ],
        },
        STUDY: _element("UI", study_instance_uid),
    }


def _content(evidence: Sequence[Evidence], why: Why, words: str) -> list[Elements]:
    content: list[Elements] = []
    if why is Why.QUALITY:
        content.append(
            {
                "0040A010": _element("CS", "HAS CONCEPT MOD"),
                "0040A040": _element("CS", "CODE"),
                TITLE: _code(*_MODIFIER),
                "0040A168": _code(*_UNSPECIFIED),
            }
        )
    if words:
        content.append(
            {
                "0040A010": _element("CS", "CONTAINS"),
                "0040A040": _element("CS", "TEXT"),
                TITLE: _code(*_DESCRIPTION),
                "0040A160": _element("UT", words),
            }
        )
    content += [
        {
            REFERENCED_SOPS: _element("SQ", _reference(one)),
            "0040A010": _element("CS", "CONTAINS"),
            "0040A040": _element("CS", _kind(one)),
        }
        for one in evidence
    ]
    return content


def _kind(one: Evidence) -> str:
    if one.has_pixels:
        return "IMAGE"
    return "WAVEFORM" if one.sop_class_uid.startswith(_WAVEFORMS) else "COMPOSITE"


def _reference(one: Evidence) -> Elements:
    return {
        "00081150": _element("UI", one.sop_class_uid),
        REFERENCED_INSTANCE: _element("UI", one.sop_instance_uid),
    }


def _code(value: str, meaning: str) -> Element:
    return _element(
        "SQ",
        {
            "00080100": _element("SH", value),
            "00080102": _element("SH", SCHEME),
            "00080104": _element("LO", meaning),
        },
    )


def _element(vr: str, value: str | int | Mapping[str, Any]) -> Element:
    return {"vr": vr, "Value": [value]}


def _no_bulk(uri: str, tag: str, depth: int) -> Bulk:
    del uri, depth
    raise InvalidInstance(f"{tag} of the study is bulk data.", Refusal.UNREADABLE)
