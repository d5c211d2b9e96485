"""Our JSON of every real file is pydicom's, value for value."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import orjson
import pydicom.data
import pytest
from dicom_making import (
    bundled_files,
    dataset_of,
    explicit,
    implicit,
    instance,
    real_files,
    real_folder,
)
from pydicom import Dataset, dcmread
from pydicom.filereader import read_dataset

from pacs_cloud.dicom.byte_order import swap_words
from pacs_cloud.dicom.dataset_json import Conversion
from pacs_cloud.dicom.deflate import inflate
from pacs_cloud.dicom.header import HeaderReader
from pacs_cloud.dicom.memo import Memo
from pacs_cloud.dicom.quiet import quiet_pydicom
from pacs_cloud.dicom.span_memo import SpanMemo
from pacs_cloud.dicom.uid import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, is_deflated
from pacs_cloud.dicom.walk import Walk
from pacs_cloud.errors import InvalidInstance

REFUSED = {
    "MR_truncated.dcm",
    "rtplan_truncated.dcm",
    "emri_small_jpeg_2k_lossless_too_short.dcm",
    "meta_missing_tsyntax.dcm",
    "DICOMDIR-nooffset",  # its items do not fit its sequence
}
PYDICOM_RAISES = {"badVR.dcm"}
ALWAYS_BULK = {"7FE00008", "7FE00009", "7FE00010"}

# One memory for all files: what one file teaches must not be wrong in another.
MEMO, SPANS = Memo(64 << 20), SpanMemo()


def ours(dataset: bytes, transfer_syntax_uid: str) -> Any:
    if is_deflated(transfer_syntax_uid):
        dataset = inflate(dataset)
    walk = Walk(dataset, transfer_syntax_uid, SPANS)
    json_bytes = Conversion(walk, MEMO).convert(walk.top()).json
    return json.loads(json_bytes.replace(b"\0", b"SOP"))


def theirs(dataset: Dataset, path: str = "", *, big: bool = False) -> Any:
    """pydicom's JSON, with our rule of what is bulk data."""
    out: dict[str, Any] = {}
    for tag in dataset.keys():  # noqa: SIM118 - iterating a Dataset gives elements
        name = f"{tag:08X}"
        element = dataset[tag]
        if element.VR == "SQ":
            items = [theirs(i, f"{path}{name}/{n}/", big=big) for n, i in enumerate(element.value)]
            out[name] = {"vr": "SQ", "Value": items}
            continue
        converted = element.to_json_dict(lambda _: "bulk", 0)
        if "BulkDataURI" in converted:
            if len(element.value) > 1024 or name in ALWAYS_BULK:
                converted["BulkDataURI"] = f"instances/SOP/bulkdata/{path}{name}"
            else:
                value = swap_words(element.value, str(element.VR)) if big else element.value
                del converted["BulkDataURI"]
                converted["InlineBinary"] = base64.b64encode(value).decode()
        out[name] = converted
    return out


def assert_same(left: Any, right: Any, where: str = "") -> None:
    assert type(left) is type(right), (where, left, right)
    if isinstance(left, dict):
        assert left.keys() == right.keys(), where
        for key in left:
            assert_same(left[key], right[key], f"{where}/{key}")
    elif isinstance(left, list):
        assert len(left) == len(right), where
        for number, pair in enumerate(zip(left, right, strict=True)):
            assert_same(*pair, f"{where}/{number}")
    else:
        assert left == right, where


def check(path: Path) -> None:
    dataset, syntax = dataset_of(path)
    with quiet_pydicom():
        expected = orjson.loads(
            orjson.dumps(theirs(dcmread(path, force=True), big=syntax == EXPLICIT_BE))
        )
    for _ in range(2):  # anew, then from memory
        assert_same(ours(dataset, syntax), expected)


@pytest.mark.parametrize("path", bundled_files(), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_bundled_file(path: Path) -> None:
    if path.name in REFUSED:
        with pytest.raises(InvalidInstance):
            ours(*dataset_of(path))
    elif path.name not in PYDICOM_RAISES:
        check(path)


@pytest.mark.parametrize(
    ("name", "syntax"),
    [
        ("ExplVR_LitEndNoMeta.dcm", EXPLICIT_LE),
        ("ExplVR_BigEndNoMeta.dcm", EXPLICIT_BE),
        ("rtstruct.dcm", IMPLICIT_LE),
    ],
)
def test_bundled_data_set_without_file_meta(name: str, syntax: str) -> None:
    data = (Path(pydicom.data.__file__).parent / "test_files" / name).read_bytes()
    assert_same(ours(data, syntax), as_pydicom_reads(data, syntax))


def test_bundled_files_are_there() -> None:
    assert len(bundled_files()) > 150


def test_real_files() -> None:
    files = real_files()
    if not files:
        pytest.skip(f"no real data in {real_folder()} (PACS_TEST_REAL_DATA names another folder)")
    for path in files:
        if path.name in REFUSED:
            with pytest.raises(InvalidInstance):
                ours(*dataset_of(path))
        else:
            check(path)


def test_every_slice_of_a_series_with_one_reader() -> None:
    files = [path for path in real_files() if "series_" in path.parent.name]
    if not files:
        pytest.skip(f"no real data in {real_folder()} (PACS_TEST_REAL_DATA names another folder)")
    reader = HeaderReader()
    for path in files:
        header = reader.read(*dataset_of(path))
        with quiet_pydicom():
            expected = orjson.loads(orjson.dumps(theirs(dcmread(path))))
        text = header.json.replace(header.sop_instance_uid.encode() + b"/bulkdata", b"SOP/bulkdata")
        assert_same(json.loads(text), expected)
        assert header.attributes["00080018"] == expected["00080018"]


def as_pydicom_reads(data: bytes, syntax: str) -> Any:
    with quiet_pydicom():
        dataset = read_dataset(io.BytesIO(data), syntax == IMPLICIT_LE, syntax != EXPLICIT_BE)
        return orjson.loads(orjson.dumps(theirs(dataset, big=syntax == EXPLICIT_BE)))


ODDITIES = {
    "explicit data in an implicit syntax": (instance(), IMPLICIT_LE),
    "implicit data in an explicit syntax": (
        implicit(0x00080060, b"CT") + implicit(0x00100020, b"12"),
        EXPLICIT_LE,
    ),
    "an implicit element among explicit ones": (
        explicit(0x00080060, "CS", b"CT") + implicit(0x00100020, b"\x31 " * 9),
        EXPLICIT_LE,
    ),
    "UN of a known attribute": (explicit(0x00280010, "UN", b"\x02\x01"), EXPLICIT_LE),
    "UN of a known sequence": (
        explicit(0x00400275, "UN", implicit(0xFFFEE000, implicit(0x00400009, b"SPS1"))),
        EXPLICIT_LE,
    ),
    "UN of a private attribute in the dictionary": (
        explicit(0x00090010, "LO", b"GEMS_IDEN_01") + explicit(0x00091001, "UN", b"CT01"),
        EXPLICIT_LE,
    ),
    "UN of a private attribute under an unknown creator": (
        explicit(0x00090010, "LO", b"NOBODY") + explicit(0x00091001, "UN", b"CT01"),
        EXPLICIT_LE,
    ),
    "implicit private attribute in the dictionary": (
        implicit(0x00090010, b"GEMS_IDEN_01") + implicit(0x00091001, b"CT01"),
        IMPLICIT_LE,
    ),
    "the same bytes under another creator": (
        implicit(0x00090010, b"NOBODY") + implicit(0x00091001, b"CT01"),
        IMPLICIT_LE,
    ),
    "private without creator": (implicit(0x00091001, b"CT01"), IMPLICIT_LE),
    "disordered": (
        explicit(0x00100020, "LO", b"12") + explicit(0x00080060, "CS", b"CT"),
        EXPLICIT_LE,
    ),
    "one tag twice": (
        explicit(0x00100020, "LO", b"12") + explicit(0x00100020, "LO", b"34"),
        EXPLICIT_LE,
    ),
    "signed pixel padding": (
        implicit(0x00280103, b"\1\0") + implicit(0x00280120, b"\xff\xff"),
        IMPLICIT_LE,
    ),
    "unsigned pixel padding": (
        implicit(0x00280103, b"\0\0") + implicit(0x00280120, b"\xff\xff"),
        IMPLICIT_LE,
    ),
    "LUT data of one entry": (
        implicit(0x00283002, b"\1\0\0\0\x10\0") + implicit(0x00283006, b"\2\0"),
        IMPLICIT_LE,
    ),
    "LUT data of two entries": (
        implicit(0x00283002, b"\2\0\0\0\x10\0") + implicit(0x00283006, b"\2\0\3\0"),
        IMPLICIT_LE,
    ),
    "an unknown attribute": (implicit(0x00089999, b"AB"), IMPLICIT_LE),
    "group lengths": (
        implicit(0x00080000, b"\2\0\0\0") + implicit(0x00090000, b"\2\0\0\0"),
        IMPLICIT_LE,
    ),
    "a misspelt character set": (
        explicit(0x00080005, "CS", b"ISO-IR 100") + explicit(0x00100010, "PN", b"M\xfcller"),
        EXPLICIT_LE,
    ),
    "an item with a character set of its own": (
        explicit(0x00080005, "CS", b"ISO_IR 100")
        + explicit(
            0x00101002,
            "SQ",
            implicit(
                0xFFFEE000,
                explicit(0x00080005, "CS", b"ISO_IR 192")
                + explicit(0x00100020, "LO", "Ü1".encode()),
            )
            + implicit(0xFFFEE000, explicit(0x00100020, "LO", b"\xdc1")),
        ),
        EXPLICIT_LE,
    ),
}


@pytest.mark.parametrize("name", ODDITIES)
def test_oddity(name: str) -> None:
    data, syntax = ODDITIES[name]
    assert_same(ours(data, syntax), as_pydicom_reads(data, syntax))
