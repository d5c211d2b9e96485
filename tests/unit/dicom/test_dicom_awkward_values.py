"""Where pydicom raises, or answers what JSON cannot hold: what we say instead."""

import math
from struct import pack

import orjson
import pytest
from dicom_making import bundled_files, dataset_of, explicit, implicit, instance, item
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.tag import BaseTag

from pacs_cloud.dicom.element_json import UndecodableError, value_element
from pacs_cloud.dicom.header import HeaderReader
from pacs_cloud.dicom.plain_values import plain_reader
from pacs_cloud.dicom.quiet import quiet_pydicom
from pacs_cloud.dicom.uid import EXPLICIT_LE, IMPLICIT_LE

IMPLICIT_UIDS = b"".join(
    implicit(tag, b"1.2\0") for tag in (0x00080016, 0x00080018, 0x0020000D, 0x0020000E)
)


def json_of(element: bytes) -> object:
    tag = f"{int.from_bytes(element[:2], 'little'):04X}{int.from_bytes(element[2:4], 'little'):04X}"
    return orjson.loads(HeaderReader().read(instance(element), EXPLICIT_LE).json)[tag]


@pytest.mark.parametrize(
    ("vr", "raw", "values"),
    [
        ("IS", b"1A", ["1A"]),
        ("IS", b"1\\\\3 ", [1, None, 3]),
        ("IS", b"99999999999999999999999999", [1e26]),
        ("DS", b"abc ", ["abc"]),
        ("DS", b"1.5\\x\\\\2 ", [1.5, "x", None, 2.0]),
        ("DS", b"nan ", ["nan"]),
        ("DS", b"1e999 ", ["1e999"]),
        ("FL", pack("<f", math.nan), ["NaN"]),
        ("FD", pack("<dd", math.inf, -math.inf), ["inf", "-inf"]),
        ("FD", pack("<dd", 1.5, math.nan), [1.5, "NaN"]),
    ],
)
def test_numbers_that_are_none(vr: str, raw: bytes, values: list[object]) -> None:
    assert json_of(explicit(0x00180001, vr, raw)) == {"vr": vr, "Value": values}


@pytest.mark.parametrize("vr", ["US", "SS", "UL", "SL", "FL", "FD", "AT", "SV", "UV"])
def test_a_number_of_wrong_length_keeps_its_bytes_as_un(vr: str) -> None:
    assert json_of(explicit(0x00180001, vr, b"abc")) == {"vr": "UN", "InlineBinary": "YWJj"}


def test_a_vr_of_the_future_keeps_its_bytes_as_un() -> None:
    assert json_of(explicit(0x00180001, "ZZ", b"ab")) == {"vr": "UN", "InlineBinary": "YWI="}


def test_a_long_value_that_does_not_fit_its_vr_is_bulk() -> None:
    assert "BulkDataURI" in json_of(explicit(0x00180001, "US", b"a" * 1025))


def test_the_file_pydicom_cannot_convert() -> None:
    path = next(path for path in bundled_files() if path.name == "badVR.dcm")
    header = HeaderReader().read(*dataset_of(path))
    values = [e.get("Value") for e in orjson.loads(header.json).values() if e["vr"] == "IS"]
    assert ["1A"] in values


def test_ambiguous_without_a_pixel_representation_beside_pixels_is_unsigned() -> None:
    data = IMPLICIT_UIDS + implicit(0x00280120, b"\xff\xff") + implicit(0x7FE00010, b"\0\0")
    padding = orjson.loads(HeaderReader().read(data, IMPLICIT_LE).json)["00280120"]
    assert padding == {"vr": "US", "Value": [65535]}


def test_lut_data_without_a_descriptor_is_words() -> None:
    data = IMPLICIT_UIDS + implicit(0x00283006, b"\1\2")
    assert orjson.loads(HeaderReader().read(data, IMPLICIT_LE).json)["00283006"]["vr"] == "OW"


@pytest.mark.parametrize("tag", [0x00143050, 0x50003000, 0x00281200, 0x00281111])
def test_what_pydicom_leaves_ambiguous_has_one_vr(tag: int) -> None:
    data = b"".join(sorted([IMPLICIT_UIDS, implicit(tag, b"\1\2\3\4\5\6")], key=lambda e: e[:2]))
    vr = orjson.loads(HeaderReader().read(data, IMPLICIT_LE).json)[f"{tag:08X}"]["vr"]
    assert len(vr) == 2


def test_pixel_representation_reaches_items_of_sequences_without_length() -> None:
    nested = implicit(
        0x00283010,
        item(implicit(0x00283002, b"\1\0\xff\xff\x10\0"), delimited=True)
        + implicit(0xFFFEE0DD, b""),
        length=0xFFFFFFFF,
    )
    data = IMPLICIT_UIDS + implicit(0x00280103, b"\1\0") + nested
    descriptor = orjson.loads(HeaderReader().read(data, IMPLICIT_LE).json)["00283010"]["Value"][0]
    assert descriptor["00283002"] == {"vr": "SS", "Value": [1, -1, 16]}


@pytest.mark.parametrize("term", [b"utf-16", b"idna", b"zlib", b"unicode_escape", b"nonsense"])
def test_a_codec_that_is_no_character_set_is_not_used(term: bytes) -> None:
    charset = explicit(0x00080005, "CS", term + b" " * (len(term) % 2))
    name = explicit(0x00100010, "PN", b"M\xfcller")
    header = HeaderReader().read(instance(charset, name), EXPLICIT_LE)
    assert header.attributes["00100010"]["Value"] == [{"Alphabetic": "Müller"}]


@pytest.mark.parametrize("term", [b"UTF-8 ", b"utf8"])
def test_a_codec_that_writers_mean_is_used(term: bytes) -> None:
    header = HeaderReader().read(
        instance(
            explicit(0x00080005, "CS", term), explicit(0x00100010, "PN", "Ümit".encode() + b" ")
        ),
        EXPLICIT_LE,
    )
    assert header.attributes["00100010"]["Value"] == [{"Alphabetic": "Ümit"}]


def test_chinese_in_iso_2022_ir_58_has_no_escapes() -> None:
    header = HeaderReader().read(
        instance(
            explicit(0x00080005, "CS", b"\\ISO 2022 IR 58"),
            explicit(0x00100010, "PN", b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab "),
        ),
        EXPLICIT_LE,
    )
    (name,) = header.attributes["00100010"]["Value"]
    assert name == {"Alphabetic": "Zhang^XiaoDong", "Ideographic": "张^小东"}


TEXT = st.text("AZaz09 .+-eE^=\\~\0*,;_/()'", max_size=24)
RAW = st.one_of(TEXT.map(lambda t: t.encode("ascii")), st.binary(max_size=24))
NUMERIC = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "UV": 8, "SV": 8, "FL": 4, "FD": 8}


@given(
    st.sampled_from(
        [
            "AE",
            "AS",
            "CS",
            "DA",
            "DS",
            "DT",
            "IS",
            "LO",
            "LT",
            "PN",
            "SH",
            "ST",
            "TM",
            "UC",
            "UI",
            "UT",
            *NUMERIC,
        ]
    ),
    RAW,
    st.booleans(),
)
def test_a_plain_value_is_what_pydicom_says(vr: str, raw: bytes, little: bool) -> None:
    if not raw or len(raw) % NUMERIC.get(vr, 1):
        return
    read = plain_reader(vr, little=little)
    plain = None if read is None else read(raw)
    if plain is None:
        return
    with quiet_pydicom():
        record = RawDataElement(BaseTag(0x00090001), vr, len(raw), raw, 0, False, little)
        element = convert_raw_data_element(record, encoding=["iso8859"])
        expected = orjson.loads(orjson.dumps(element.to_json_dict(None, 0)))
    assert plain == expected.get("Value", [])
    assert [type(v) for v in plain] == [type(v) for v in expected.get("Value", [])]


@given(
    st.sampled_from(["AE", "CS", "DA", "DS", "IS", "LO", "PN", "UI", "UR", "AT", "FD", "US"]), RAW
)
def test_any_value_becomes_json(vr: str, raw: bytes) -> None:
    try:
        element = value_element(0x00090001, vr, raw, little=True, encodings=["iso8859"])
    except UndecodableError:
        return
    assert element["vr"] == vr
    assert orjson.loads(orjson.dumps(element)) == element
