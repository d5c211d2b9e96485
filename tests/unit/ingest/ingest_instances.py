"""Small instances, made byte by byte, for the tests of this folder."""

import struct

from pacs_cloud.dicom.part10 import encode_file_meta
from pacs_cloud.dicom.uid import EXPLICIT_LE
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.ingest.reception import Receipt, Reception
from pacs_cloud.ingest.session import Session
from pacs_cloud.pack.index import Door, Source
from pacs_cloud.security.caller import system

CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY = "1.2.826.0.1.1"
SERIES = "1.2.826.0.1.1.1"
SCANNER = Source(Door.DIMSE, "PACS", "CT1", "127.0.0.1")
UPLOAD = Source(Door.STOW, "", "anna", "127.0.0.1")


def element(tag: int, vr: str, value: bytes) -> bytes:
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    value += b"\0" * (len(value) % 2) if vr in {"UI", "OB", "OW"} else b" " * (len(value) % 2)
    long = vr in {"OB", "OW", "SQ", "UN", "UT"}
    return (
        head
        + struct.pack("<HL" if long else "<H", *([0, len(value)] if long else [len(value)]))
        + value
    )


def ct_dataset(
    number: int,
    *,
    study: str = STUDY,
    series: str = SERIES,
    sop: str = "",
    sop_class: str = CT,
    name: str = "DOE^JANE",
    pixels: bytes = b"",
) -> bytes:
    """Return an explicit little endian data set of a CT slice; no pixel data when `pixels` is empty."""
    sop = sop or f"{series}.{number}"
    parts = [
        element(0x00080016, "UI", sop_class.encode()),
        element(0x00080018, "UI", sop.encode()),
        element(0x00080060, "CS", b"CT"),
        element(0x00100010, "PN", name.encode()),
        element(0x00100020, "LO", b"4711"),
        element(0x0020000D, "UI", study.encode()),
        element(0x0020000E, "UI", series.encode()),
        element(0x00200013, "IS", str(number).encode()),
    ]
    if pixels:
        parts += [
            element(0x00280002, "US", struct.pack("<H", 1)),
            element(0x00280010, "US", struct.pack("<H", 1)),
            element(0x00280011, "US", struct.pack("<H", len(pixels) // 2 % 65536)),
            element(0x00280100, "US", struct.pack("<H", 16)),
            element(0x7FE00010, "OW", pixels),
        ]
    return b"".join(parts)


def ct_file(number: int, *, meta_sop: str = "", **names: str) -> bytes:
    """Return the same as a Part 10 file."""
    series = names.get("series", SERIES)
    meta = encode_file_meta(
        sop_class_uid=names.get("sop_class", CT),
        sop_instance_uid=meta_sop or names.get("sop") or f"{series}.{number}",
        transfer_syntax_uid=EXPLICIT_LE,
    )
    return meta + ct_dataset(number, **names)


def receive(reception: Reception, data: bytes, piece_bytes: int = 1000) -> Reception:
    """Write `data` in pieces, as they come from a socket."""
    view = memoryview(data)
    for start in range(0, len(view), piece_bytes):
        reception.write(view[start : start + piece_bytes])
    return reception


async def store(session: Session, number: int, *, piece_bytes: int = 1000, **names) -> Receipt:
    """Store a CT slice as C-STORE does."""
    series = names.get("series", SERIES)
    reception = session.begin_dataset(
        sop_class_uid=CT,
        sop_instance_uid=names.get("sop") or f"{series}.{number}",
        transfer_syntax_uid=EXPLICIT_LE,
    )
    return await receive(reception, ct_dataset(number, **names), piece_bytes).finish()


async def upload(session: Session, data: bytes, study: str | None = None) -> Receipt:
    """Store a Part 10 file as STOW-RS does."""
    return await receive(session.begin_file(study_instance_uid=study), data).finish()


def scanner(intake: Intake) -> Session:
    return intake.session(system("default"), SCANNER)
