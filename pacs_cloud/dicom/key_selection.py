"""Instances named for a purpose: a Key Object Selection Document (PS3.3 A.35.4)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from pacs_cloud.dicom.composing import compose
from pacs_cloud.dicom.element_values import items, numbers, text, values
from pacs_cloud.dicom.elements import Element, Elements, element
from pacs_cloud.dicom.of_study import moment_in, of_study
from pacs_cloud.dicom.uid import EXPLICIT_LE, new_uid

KEY_OBJECT_SELECTION: Final = "1.2.840.10008.5.1.4.1.1.88.59"

Code: TypeAlias = tuple[str, str]
"""A code of DCM (PS3.16 Annex D), and its meaning."""

_DCM: Final = "DCM"
_CODE, _SCHEME, _MEANING = "00080100", "00080102", "00080104"
_STUDY, _SERIES = "0020000D", "0020000E"
_SERIES_NUMBER: Final = 9100
"""Behind all that machines make."""
_TITLE: Final = "0040A043"
"""Concept Name Code Sequence, of a content item its name."""
_EVIDENCE, _SERIES_SEQUENCE, _SOP_SEQUENCE = "0040A375", "00081115", "00081199"
_SOP_CLASS, _SOP_INSTANCE, _FRAMES = "00081150", "00081155", "00081160"
_CONTENT, _RELATIONSHIP, _VALUE_TYPE = "0040A730", "0040A010", "0040A040"
_VALUES: Final = {"CODE": "0040A168", "TEXT": "0040A160", "PNAME": "0040A123"}
"""Which attribute has the value of a content item, by its type."""
_MODIFIER: Final = ("113011", "Document Title Modifier")
_DESCRIPTION: Final = ("113012", "Key Object Description")
_OBSERVER_TYPE: Final = ("121005", "Observer Type")
_PERSON: Final = ("121006", "Person")
_OBSERVER: Final = ("121008", "Person Observer Name")
_PN_SIGNS: Final = str.maketrans("\\^=", "   ")
"""What parts a name, or two of them (PS3.5 6.2.1)."""
_LONGEST_NAME: Final = 64
_WAVEFORMS: Final = "1.2.840.10008.5.1.4.1.1.9."


@dataclass(frozen=True, slots=True)
class Reference:
    """One instance that is named.

    Attributes:
        series_instance_uid: its series.
        sop_class_uid: its class.
        sop_instance_uid: which.
        frames: those of its frames that are meant; empty: all of it.
        is_image: whether it has pixels.
    """

    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    frames: tuple[int, ...] = ()
    is_image: bool = True


@dataclass(frozen=True, slots=True)
class KeySelection:
    """What a document says (PS3.16 TID 2010).

    Attributes:
        title: what they are named for, of CID 7010.
        references: what is named, in order.
        words: what else there is to say; "" for nothing.
        modifier: says more of the title, of CID 7011 or 7012; None where nothing does.
        observer: how who chose is called, in plain words; "" where nobody is named.
    """

    title: Code
    references: Sequence[Reference]
    words: str = ""
    modifier: Code | None = None
    observer: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A document that nobody has stored yet.

    Attributes:
        sop_instance_uid: its own.
        file: Part 10.
    """

    sop_instance_uid: str
    file: bytes


def document_of(
    selection: KeySelection, study_instance_uid: str, study: Elements, *, at_us: int
) -> Document:
    """Return a selection as a document of its study, in a series of its own.

    Args:
        selection: names one instance at least.
        study_instance_uid: of all that it names, and its own.
        study: attributes of that, DICOM JSON: patient and study are taken from there.
        at_us: when, microseconds since 1970 UTC.

    Raises:
        InvalidInstance: what the study says cannot be written.
    """
    uid = new_uid()
    day, hour = moment_in(study, at_us)
    elements: Elements = {
        **of_study(study),
        "00080016": element("UI", KEY_OBJECT_SELECTION),
        "00080018": element("UI", uid),
        "00080021": day,  # Series Date
        "00080023": day,  # Content Date
        "00080031": hour,  # Series Time
        "00080033": hour,  # Content Time
        "00080060": element("CS", "KO"),
        "00080070": element("LO", "pacs_cloud"),  # Manufacturer
        "0008103E": element("LO", selection.title[1]),  # Series Description
        "00081111": element("SQ"),  # Referenced Performed Procedure Step Sequence
        _STUDY: element("UI", study_instance_uid),
        _SERIES: element("UI", new_uid()),
        "00200011": element("IS", _SERIES_NUMBER),
        "00200013": element("IS", 1),  # Instance Number
        _VALUE_TYPE: element("CS", "CONTAINER"),
        _TITLE: _coded(selection.title),
        "0040A050": element("CS", "SEPARATE"),  # Continuity Of Content
        _EVIDENCE: _evidence(study_instance_uid, selection.references),
        "0040A504": element(  # Content Template Sequence
            "SQ", {"00080105": element("CS", "DCMR"), "0040DB00": element("CS", "2010")}
        ),
        _CONTENT: element("SQ", *_content(selection)),
    }
    pieces = compose(elements, EXPLICIT_LE)
    return Document(uid, b"".join(piece for piece in pieces if isinstance(piece, bytes)))


def selection_in(header: Elements) -> KeySelection:
    """Return what a document says; of what it names, that which its evidence has too."""
    evidence = {one.sop_instance_uid: one for _, one in evidence_of(header)}
    references: list[Reference] = []
    words = observer = ""
    for item in items(header, _CONTENT):
        kind = text(item, _VALUE_TYPE)
        if kind == "TEXT" and _DESCRIPTION[0] in titles_of(item):
            words = text(item, _VALUES[kind])
        elif kind == "PNAME":
            name = next(iter(values(item, _VALUES[kind])), None)
            observer = str(name.get("Alphabetic") or "") if isinstance(name, dict) else ""
        for sop in items(item, _SOP_SEQUENCE):
            named = evidence.get(text(sop, _SOP_INSTANCE))
            if named is not None:
                frames = tuple(int(one) for one in numbers(sop, _FRAMES))
                references.append(replace(named, frames=frames, is_image=kind == "IMAGE"))
    title = next(iter(titles_of(header).items()), ("", ""))
    return KeySelection(title, tuple(references), words, observer=observer)


def titles_of(header: Elements) -> dict[str, str]:
    """Return the codes of DCM that a document, or a content item, is called, with their meaning."""
    return {
        text(item, _CODE): text(item, _MEANING)
        for item in items(header, _TITLE)
        if text(item, _SCHEME) == _DCM
    }


def evidence_of(header: Elements) -> Iterator[tuple[str, Reference]]:
    """Yield the study and the instance of all that a document has as its evidence."""
    for study in items(header, _EVIDENCE):
        for series in items(study, _SERIES_SEQUENCE):
            for sop in items(series, _SOP_SEQUENCE):
                uids = text(series, _SERIES), text(sop, _SOP_CLASS), text(sop, _SOP_INSTANCE)
                yield text(study, _STUDY), Reference(*uids)


def _evidence(study_instance_uid: str, references: Sequence[Reference]) -> Element:
    """Return what is named, each once, below its series and study (PS3.3 C.17.2.3)."""
    of_series: dict[str, dict[str, Elements]] = {}
    for one in references:
        of_series.setdefault(one.series_instance_uid, {})[one.sop_instance_uid] = _sop(one)
    some = [
        {_SOP_SEQUENCE: element("SQ", *sops.values()), _SERIES: element("UI", series)}
        for series, sops in of_series.items()
    ]
    return element(
        "SQ",
        {_SERIES_SEQUENCE: element("SQ", *some), _STUDY: element("UI", study_instance_uid)},
    )


def _content(selection: KeySelection) -> Iterator[Elements]:
    if selection.modifier is not None:
        yield _item("HAS CONCEPT MOD", "CODE", _MODIFIER, _coded(selection.modifier))
    if selection.observer:
        yield _item("HAS OBS CONTEXT", "CODE", _OBSERVER_TYPE, _coded(_PERSON))
        name = selection.observer.translate(_PN_SIGNS)[:_LONGEST_NAME]
        yield _item("HAS OBS CONTEXT", "PNAME", _OBSERVER, element("PN", {"Alphabetic": name}))
    if selection.words:
        yield _item("CONTAINS", "TEXT", _DESCRIPTION, element("UT", selection.words))
    for one in selection.references:
        frames = {_FRAMES: element("IS", *one.frames)} if one.frames else {}
        yield {
            _SOP_SEQUENCE: element("SQ", _sop(one) | frames),
            _RELATIONSHIP: element("CS", "CONTAINS"),
            _VALUE_TYPE: element("CS", _kind(one)),
        }


def _item(relationship: str, kind: str, name: Code, value: Element) -> Elements:
    return {
        _RELATIONSHIP: element("CS", relationship),
        _VALUE_TYPE: element("CS", kind),
        _TITLE: _coded(name),
        _VALUES[kind]: value,
    }


def _kind(one: Reference) -> str:
    if one.is_image:
        return "IMAGE"
    return "WAVEFORM" if one.sop_class_uid.startswith(_WAVEFORMS) else "COMPOSITE"


def _sop(one: Reference) -> Elements:
    return {
        _SOP_CLASS: element("UI", one.sop_class_uid),
        _SOP_INSTANCE: element("UI", one.sop_instance_uid),
    }


def _coded(code: Code) -> Element:
    return element(
        "SQ",
        {
            _CODE: element("SH", code[0]),
            _SCHEME: element("SH", _DCM),
            _MEANING: element("LO", code[1]),
        },
    )
