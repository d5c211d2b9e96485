"""Data sets made byte by byte, and the real ones, for the tests of this folder."""

import os
from collections.abc import Iterator
from pathlib import Path
from struct import pack

import pydicom.data

from pacs_cloud.dicom.coding.transcode import transcoded_parts
from pacs_cloud.dicom.part10 import read_file_meta
from pacs_cloud.dicom.uid import EXPLICIT_LE
from pacs_cloud.errors import InvalidInstance

LONG_VRS = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}
UNDEFINED = 0xFFFFFFFF


def explicit(
    tag: int, vr: str, value: bytes, *, length: int | None = None, order: str = "<"
) -> bytes:
    length = len(value) if length is None else length
    code = vr.encode()
    if vr in LONG_VRS:
        return pack(f"{order}HH2sHL", tag >> 16, tag & 0xFFFF, code, 0, length) + value
    return pack(f"{order}HH2sH", tag >> 16, tag & 0xFFFF, code, length) + value


def implicit(tag: int, value: bytes, *, length: int | None = None) -> bytes:
    return pack("<HHL", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def item(content: bytes, *, delimited: bool = False) -> bytes:
    if delimited:
        return implicit(0xFFFEE000, content, length=UNDEFINED) + implicit(0xFFFEE00D, b"")
    return implicit(0xFFFEE000, content)


def encapsulated(*fragments: bytes, table: bytes = b"") -> bytes:
    items = b"".join(item(fragment) for fragment in (table, *fragments))
    return explicit(0x7FE00010, "OB", items, length=UNDEFINED) + implicit(0xFFFEE0DD, b"")


def transcoded(dataset: bytes | bytearray, syntax: str, target: str = EXPLICIT_LE) -> bytes:
    """The data set in another transfer syntax, in one piece."""
    return b"".join(transcoded_parts(dataset, syntax, target))


def uids(order: str = "<") -> dict[int, bytes]:
    values = {
        0x00080016: b"1.2.840.10008.5.1.4.1.1.7\0",
        0x00080018: b"1.2.3.4\0",
        0x0020000D: b"1.2.3\0",
        0x0020000E: b"1.2.3.5\0",
    }
    return {tag: explicit(tag, "UI", value, order=order) for tag, value in values.items()}


def instance(*elements: bytes, order: str = "<", without: int = 0) -> bytes:
    """A data set with the four UIDs and `elements`, which are sorted in by tag."""

    def key(element: bytes) -> int:
        group = int.from_bytes(element[:2], "little" if order == "<" else "big")
        return group << 16 | int.from_bytes(element[2:4], "little" if order == "<" else "big")

    own = [element for tag, element in uids(order).items() if tag != without]
    return b"".join(sorted([*own, *elements], key=key))


def image(*elements: bytes, rows: int = 2, columns: int = 2, bits: int = 8, **shape: int) -> bytes:
    module = [
        explicit(0x00280002, "US", pack("<H", shape.get("samples", 1))),
        explicit(0x00280010, "US", pack("<H", rows)),
        explicit(0x00280011, "US", pack("<H", columns)),
        explicit(0x00280100, "US", pack("<H", bits)),
        explicit(0x00280101, "US", pack("<H", bits)),
        explicit(0x00280103, "US", pack("<H", 0)),
    ]
    if "frames" in shape:
        text = str(shape["frames"]).encode()
        module.append(explicit(0x00280008, "IS", text + b" " * (len(text) % 2)))
    return instance(*module, *elements)


def bundled_files() -> list[Path]:
    """pydicom's own test files, those in its package."""
    root = Path(pydicom.data.__file__).parent
    return sorted(path for path in root.rglob("*") if path.is_file() and _is_part10(path))


def real_folder() -> Path:
    named = os.environ.get("PACS_TEST_REAL_DATA")
    return Path(named) if named else Path(__file__).parents[4] / "shared" / "data" / "real"


def real_files() -> list[Path]:
    return sorted(path for path in real_folder().rglob("*") if path.is_file() and _is_part10(path))


def dataset_of(path: Path) -> tuple[bytes, str]:
    """The data set of a Part 10 file, and its transfer syntax."""
    data = path.read_bytes()
    meta = read_file_meta(data)
    return data[meta.dataset_offset :], meta.transfer_syntax_uid


def readable(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        try:
            dataset_of(path)
        except InvalidInstance:
            continue
        yield path


def _is_part10(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"
