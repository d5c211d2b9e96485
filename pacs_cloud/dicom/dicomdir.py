"""A DICOMDIR: the directory of a file-set, as one Part 10 file (PS3.3 F, PS3.10 8)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import orjson
from blake3 import blake3

from pacs_cloud.dicom import uid
from pacs_cloud.dicom.dicomdir_records import (
    ALWAYS,
    INSTANCE_NUMBER,
    WHERE_THERE,
    keys_of,
    record_type,
)
from pacs_cloud.dicom.dicomjson import encode_dataset, tag_of, to_dataset, vr_of
from pacs_cloud.dicom.element_values import text
from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.dicom.part10 import encode_file_meta
from pacs_cloud.errors import InvalidRequest

_STORAGE_CLASS: Final = "1.2.840.10008.1.3.10"
"""Media Storage Directory Storage (PS3.4 I.4)."""
_STUDY_UID: Final = tag_of("StudyInstanceUID")
_SERIES_UID: Final = tag_of("SeriesInstanceUID")
_SERIES_NUMBER: Final = tag_of("SeriesNumber")
_STUDY_ID: Final = tag_of("StudyID")
_PATIENT_ID: Final = tag_of("PatientID")
_ISSUER: Final = tag_of("IssuerOfPatientID")
_UTF8: Final = ("ISO_IR 192",)
_IN_USE: Final = 0xFFFF
_VRS: Final = {
    tag: vr_of(tag) for table in (ALWAYS, WHERE_THERE) for tags in table.values() for tag in tags
}
_LEAF: Final = {
    name: tag_of(name)
    for name in (
        "ReferencedFileID",
        "ReferencedSOPClassUIDInFile",
        "ReferencedSOPInstanceUIDInFile",
        "ReferencedTransferSyntaxUIDInFile",
    )
}
_RECORD_TYPE: Final = tag_of("DirectoryRecordType")

_Key: TypeAlias = tuple[str, ...]

_ITEM: Final = struct.Struct("<HHL")
_UL: Final = struct.Struct("<HH2sHL")
_US: Final = struct.Struct("<HH2sHH")
_SEQUENCE: Final = struct.Struct("<HH2sHL")
# Next record, in use, lower level: what every record begins with, at fixed places.
_LINKS: Final = struct.Struct("<HH2sHL HH2sHH HH2sHL")


@dataclass(frozen=True, slots=True)
class FiledInstance:
    """One instance of a file-set.

    Attributes:
        file_id: its path, up to 8 components of up to 8 characters A-Z, 0-9, _ (PS3.10 8.2).
        sop_class_uid: its class.
        sop_instance_uid: its UID.
        transfer_syntax_uid: of its file.
    """

    file_id: tuple[str, ...]
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


@dataclass(slots=True)
class _Record:
    """One directory record: its keys, encoded, and the records below it."""

    content: bytes
    below: dict[_Key, "_Record"] = field(default_factory=dict[_Key, "_Record"])

    @property
    def length_bytes(self) -> int:
        """Of the whole item."""
        return _ITEM.size + _LINKS.size + len(self.content)


class Dicomdir:
    """Gathers the records of a file-set; its memory is that of the file it makes."""

    def __init__(self) -> None:
        """Begin with an empty file-set."""
        self._patients: dict[_Key, _Record] = {}

    def add(self, filed: FiledInstance, header: Elements) -> None:
        """Take one instance in.

        Numbers that a record must have and an instance lacks (Series Number, Instance
        Number, Study ID) are counted; a Patient ID or a date is never made up, it is
        left empty.

        Args:
            filed: the instance and its file.
            header: its header as DICOM JSON.
        """
        patient_id = text(header, _PATIENT_ID)
        patient = self._under(
            self._patients, (patient_id, text(header, _ISSUER)), "PATIENT", header
        )
        study = self._under(patient.below, (text(header, _STUDY_UID),), "STUDY", header)
        series = self._under(study.below, (text(header, _SERIES_UID),), "SERIES", header)
        kind = record_type(filed.sop_class_uid)
        keys = keys_of(kind, header, _VRS)
        if INSTANCE_NUMBER in keys and not keys[INSTANCE_NUMBER].get("Value"):
            keys[INSTANCE_NUMBER] = {"vr": "IS", "Value": [len(series.below) + 1]}
        keys[_LEAF["ReferencedFileID"]] = {"vr": "CS", "Value": list(filed.file_id)}
        for name, value in (
            ("ReferencedSOPClassUIDInFile", filed.sop_class_uid),
            ("ReferencedSOPInstanceUIDInFile", filed.sop_instance_uid),
            ("ReferencedTransferSyntaxUIDInFile", filed.transfer_syntax_uid),
        ):
            keys[_LEAF[name]] = {"vr": "UI", "Value": [value]}
        series.below[(filed.sop_instance_uid, *filed.file_id)] = _Record(_encoded(kind, keys))

    def file(self) -> bytes:
        """Return the DICOMDIR; equal records give equal bytes."""
        contents = blake3()
        for record in _each(self._patients):
            contents.update(record.content)
        meta = encode_file_meta(
            sop_class_uid=_STORAGE_CLASS,
            # A UUID's UID (PS3.5 B.2), made from what is in the file.
            sop_instance_uid=f"2.25.{int.from_bytes(contents.digest(length=16))}",
            transfer_syntax_uid=uid.EXPLICIT_LE,
        )
        file_set_id = struct.pack("<HH2sH", 0x0004, 0x1130, b"CS", 0)
        first = len(meta) + len(file_set_id) + 2 * _UL.size + _US.size + _SEQUENCE.size
        items, last, total = _placed(self._patients, first)
        return b"".join(
            (
                meta,
                file_set_id,
                _UL.pack(0x0004, 0x1200, b"UL", 4, first if items else 0),
                _UL.pack(0x0004, 0x1202, b"UL", 4, last),
                _US.pack(0x0004, 0x1212, b"US", 2, 0),
                _SEQUENCE.pack(0x0004, 0x1220, b"SQ", 0, total),
                *items,
            )
        )

    def _under(
        self,
        siblings: dict[_Key, _Record],
        key: _Key,
        kind: str,
        of: Elements,
    ) -> _Record:
        record = siblings.get(key)
        if record is None:
            keys = keys_of(kind, of, _VRS)
            for tag, vr in ((_SERIES_NUMBER, "IS"), (_STUDY_ID, "SH")):
                if tag in keys and not keys[tag].get("Value"):
                    keys[tag] = {"vr": vr, "Value": [str(len(siblings) + 1)]}
            record = siblings[key] = _Record(_encoded(kind, keys))
        return record


def _each(records: dict[_Key, _Record]) -> Iterator[_Record]:
    """Yield records in the file's order: each before those below it."""
    for record in records.values():
        yield record
        yield from _each(record.below)


def _placed(records: dict[_Key, _Record], first: int) -> tuple[list[bytes], int, int]:
    """Return the items, linked by their offsets in the file from `first` on.

    Returns:
        The items, where the last record of the root begins, and their length in all.
    """
    items: list[bytes] = []
    at, last = first, 0
    siblings = list(records.values())
    for place, record in enumerate(siblings):
        below = at + record.length_bytes
        lower, _, lower_bytes = _placed(record.below, below)
        last, end = at, below + lower_bytes
        links = _LINKS.pack(
            *(0x0004, 0x1400, b"UL", 4, end if place + 1 < len(siblings) else 0),
            *(0x0004, 0x1410, b"US", 2, _IN_USE),
            *(0x0004, 0x1420, b"UL", 4, below if lower else 0),
        )
        item = _ITEM.pack(0xFFFE, 0xE000, len(links) + len(record.content))
        items.append(item + links + record.content)
        items.extend(lower)
        at = end
    return items, last, at - first


def _encoded(kind: str, keys: Elements) -> bytes:
    """Return a record's elements but its links, in Explicit VR Little Endian."""
    keys = {_RECORD_TYPE: {"vr": "CS", "Value": [kind]}, **keys}
    try:
        return _bytes_of(keys)
    except InvalidRequest:
        # A real header may hold what no VR allows: that key stays empty.
        return _bytes_of(
            {tag: one if _is_sound(tag, one) else {"vr": one["vr"]} for tag, one in keys.items()}
        )


def _is_sound(tag: str, element: Element) -> bool:
    try:
        _bytes_of({tag: element})
    except InvalidRequest:
        return False
    return True


def _bytes_of(keys: Elements) -> bytes:
    charset = () if orjson.dumps(keys).isascii() else _UTF8
    return encode_dataset(to_dataset(keys, charset), uid.EXPLICIT_LE)
