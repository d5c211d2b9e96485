"""What every file that is wrapped has in common: whose it is, when it came, how it is written."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, TypeAlias

from pacs_cloud.dicom.coding.encapsulating import Span
from pacs_cloud.dicom.composing import Bulk, BulkForm, compose, no_bulk
from pacs_cloud.dicom.elements import Element, Elements, element
from pacs_cloud.dicom.of_study import moment_in, of_study
from pacs_cloud.errors import InvalidInstance, Refusal

Read: TypeAlias = Callable[[int, int], bytes]
"""Returns bytes by their offset and length, fewer at the end; may block."""

_BULK: Final = "file"
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Belonging:
    """Where what is wrapped belongs.

    Attributes:
        study_instance_uid: to this study.
        study: attributes of that, DICOM JSON: patient and study are taken from there.
        upload: what tells one upload from all others. What is tried again in one, by the same
            number, has the same UIDs, and so is stored once.
        at_us: when that began, microseconds since 1970 UTC.
        number: of the instance, within its series.
        title: of a document, and of its series; "": in general words.
    """

    study_instance_uid: str
    study: Elements
    upload: str
    at_us: int
    number: int = 1
    title: str = ""


@dataclass(frozen=True, slots=True)
class Wrapped:
    """An instance that can be written.

    Attributes:
        elements: its data set as DICOM JSON; `bulk_element` is its bulk data.
        transfer_syntax_uid: of it.
        bulk: where its pixel data, or its document, lies in `read`.
        read: what that is read by.
    """

    elements: Elements
    transfer_syntax_uid: str
    bulk: Bulk
    read: Read

    def chunks(self) -> Iterator[bytes]:
        """Yield its Part 10 file in chunks of some MiB at most.

        Raises:
            InvalidInstance: what is said of the patient or the study cannot be written.
        """
        waiting = bytearray()
        for piece in compose(self.elements, self.transfer_syntax_uid, self._bulk_of):
            if isinstance(piece, bytes):
                waiting += piece
                continue
            if waiting:
                yield bytes(waiting)
                waiting.clear()
            end = piece.offset + piece.length
            for start in range(piece.offset, end, _CHUNK_BYTES):
                yield self.read(start, min(_CHUNK_BYTES, end - start))
        if waiting:
            yield bytes(waiting)

    def _bulk_of(self, uri: str, tag: str, depth: int) -> Bulk:
        return self.bulk if uri == _BULK else no_bulk(uri, tag, depth)


@dataclass(frozen=True, slots=True)
class Wrapping:
    """A kind of wrapping.

    Attributes:
        sop_class_uid: of what it makes.
        modality: (0008,0060).
        series: describes its series.
        series_number: behind all that machines make.
    """

    sop_class_uid: str
    modality: str
    series: str
    series_number: int

    def elements(self, where: Belonging, digest: bytes, more: Mapping[str, Element]) -> Elements:
        """Return patient, study, series, equipment and SOP common, and `more` of the kind's own.

        Args:
            where: it belongs.
            digest: of the file as it came.
            more: takes the place of what is said here.
        """
        day, hour = moment_in(where.study, where.at_us)
        seed = where.upload, where.study_instance_uid, self.sop_class_uid
        return {
            **of_study(where.study),
            "00080016": element("UI", self.sop_class_uid),
            "00080018": element("UI", named_uid(*seed, str(where.number), digest.hex())),
            "00080023": day,  # Content Date
            "00080033": hour,  # Content Time
            "00080060": element("CS", self.modality),
            "00080070": element("LO", "pacs_cloud"),  # Manufacturer
            "0008103E": element("LO", (where.title or self.series)[:64]),
            "0020000D": element("UI", where.study_instance_uid),
            "0020000E": element("UI", named_uid(*seed, where.title)),
            "00200011": element("IS", self.series_number),
            "00200013": element("IS", where.number),
            **more,
        }


def bulk_element(vr: str) -> Element:
    """Return the element that holds the file."""
    return {"vr": vr, "BulkDataURI": _BULK}


PICTURE: Final = {
    "00080008": element("CS", "ORIGINAL", "PRIMARY"),  # Image Type
    "00200020": element("CS"),  # Patient Orientation
    "00400555": element("SQ"),  # Acquisition Context Sequence
    "7FE00010": bulk_element("OB"),
}
"""What photographs and videos have alike."""


def in_memory(data: bytes) -> Read:
    """Return what reads bytes that are at hand."""
    return lambda offset, length: data[offset : offset + length]


def one_frame(data: bytes) -> tuple[Bulk, Read]:
    """Return compressed pixel data of one frame."""
    return Bulk((Span(0, len(data)),), BulkForm.FRAMES), in_memory(data)


def plain(data: bytes) -> tuple[Bulk, Read]:
    """Return a value that is written as it is."""
    return Bulk((Span(0, len(data)),)), in_memory(data)


def digest_of(read: Read, length: int) -> bytes:
    """Return a digest of a file."""
    digest = sha256()
    for start in range(0, length, _CHUNK_BYTES):
        digest.update(read(start, min(_CHUNK_BYTES, length - start)))
    return digest.digest()


def named_uid(*names: str) -> str:
    """Return the UID that these names always give (PS3.5 B.2, RFC 9562 5.8)."""
    value = int.from_bytes(sha256("\0".join(names).encode()).digest()[:16], "big")
    return f"2.25.{uuid.UUID(int=value, version=4).int}"


def refused(why: str, refusal: Refusal = Refusal.UNREADABLE) -> InvalidInstance:
    """Return why a file cannot be wrapped."""
    return InvalidInstance(why, refusal)
