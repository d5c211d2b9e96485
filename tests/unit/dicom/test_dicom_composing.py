"""Part 10 files composed of DICOM JSON and bulk data: what is read from them is what went in."""

import base64
from collections.abc import Mapping
from io import BytesIO
from struct import pack, unpack_from
from typing import Any

import orjson
import pydicom
import pydicom.encaps
import pytest
from dicom_making import bundled_files, dataset_of, readable, real_files
from hypothesis import given
from hypothesis import strategies as st

from dicom_differences import differences
from pacs_cloud.dicom import uid
from pacs_cloud.dicom.byte_order import swap_words
from pacs_cloud.dicom.coding.encapsulating import Span, offset_tables
from pacs_cloud.dicom.composing import Bulk, BulkForm, bulk_uri, compose
from pacs_cloud.dicom.deflate import inflate
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.header import Header, HeaderReader
from pacs_cloud.dicom.part10 import read_file_meta
from pacs_cloud.errors import InvalidInstance, InvalidRequest, InvalidUid, Refusal

UIDS: Elements = {
    "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.7"]},
    "00080018": {"vr": "UI", "Value": ["1.2.3.4"]},
    "0020000D": {"vr": "UI", "Value": ["1.2.3"]},
    "0020000E": {"vr": "UI", "Value": ["1.2.3.5"]},
}


class Bulks:
    """Bulk values by URI, in one buffer."""

    def __init__(self) -> None:
        self.data = bytearray(b"something before")
        self.known: dict[str, Bulk] = {}

    def add(self, uri: str, *values: bytes, form: BulkForm = BulkForm.PLAIN) -> None:
        spans = []
        for value in values:
            spans.append(Span(len(self.data), len(value)))
            self.data += value
        self.known[uri] = Bulk(tuple(spans), form)

    def find(self, uri: str, tag: str, depth: int) -> Bulk:
        del tag, depth
        if uri not in self.known:
            raise InvalidInstance("missing")
        return self.known[uri]

    def file(self, elements: Elements, syntax: str = uid.EXPLICIT_LE) -> bytes:
        return b"".join(
            piece if isinstance(piece, bytes) else self.data[piece.offset : sum(piece)]
            for piece in compose(elements, syntax, self.find)
        )


def made(*more: Mapping[str, Any], syntax: str = uid.EXPLICIT_LE) -> bytes:
    elements = dict(UIDS)
    for some in more:
        elements.update(some)
    return Bulks().file(elements, syntax)


def header_of(file: bytes) -> tuple[Header, Elements]:
    meta = read_file_meta(file)
    header = HeaderReader().read(file[meta.dataset_offset :], meta.transfer_syntax_uid)
    return header, orjson.loads(header.json)


def recomposed(dataset: bytes, syntax: str) -> tuple[Elements, bytes]:
    """Return the metadata of a data set, and the file composed of that and its bulk data."""
    header = HeaderReader().read(dataset, syntax)
    elements = orjson.loads(header.json)
    if uid.is_deflated(syntax):
        dataset = inflate(dataset)
    bulks = Bulks()
    pixels = header.pixels
    for value in header.bulk:
        uri = f"instances/{header.sop_instance_uid}/bulkdata/{value.path}"
        raw = dataset[value.offset : value.offset + value.length]
        if pixels is not None and pixels.encapsulated and value.path == pixels.tag:
            if pixels.frames is None:
                bulks.add(uri, raw, form=BulkForm.ITEMS)
                continue
            frames = [
                b"".join(dataset[start:end] for start, end in ranges)
                for ranges in map(pixels.frames.ranges, range(len(pixels.frames)))
            ]
            bulks.add(uri, *frames, form=BulkForm.FRAMES)
        elif value.path.endswith("7FE00010") and raw.startswith(b"\xfe\xff\x00\xe0"):
            bulks.add(uri, raw, form=BulkForm.ITEMS)
        else:
            bulks.add(uri, swap_words(raw, value.vr) if syntax == uid.EXPLICIT_BE else raw)
    is_native = pixels is None or not pixels.encapsulated
    return elements, bulks.file(elements, uid.EXPLICIT_LE if is_native else syntax)


def test_every_header_survives() -> None:
    files = [*readable(bundled_files()), *readable(real_files())]
    compared = 0
    for path in files:
        dataset, syntax = dataset_of(path)
        try:
            elements, file = recomposed(dataset, syntax)
        except InvalidInstance:  # as received it cannot be read, or lacks a UID
            continue
        _, found = header_of(file)
        assert differences(elements, found) == [], path.name
        # Once more: what was composed is as it will ever be.
        again, same = recomposed(*_dataset_in(file))
        assert differences(found, again) == [], path.name
        assert same == file, path.name
        compared += 1
    assert compared > 80


def _dataset_in(file: bytes) -> tuple[bytes, str]:
    meta = read_file_meta(file)
    return file[meta.dataset_offset :], meta.transfer_syntax_uid


NAME = {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}


@pytest.mark.parametrize(
    ("tag", "element"),
    [
        ("00100010", {"vr": "PN", "Value": [NAME, {"Alphabetic": "é"}]}),
        ("00100020", {"vr": "LO", "Value": ["ünï", "", "c"]}),
        ("00100020", {"vr": "LO"}),
        ("00104000", {"vr": "LT", "Value": ["one\\two\r\nthree"]}),
        ("00080008", {"vr": "CS", "Value": ["ORIGINAL", "PRIMARY"]}),
        ("00281052", {"vr": "DS", "Value": [-1024.5, 0.1, 1e-7, 100000.0]}),
        ("00200013", {"vr": "IS", "Value": [-7]}),
        ("00281101", {"vr": "US", "Value": [256, 0, 16]}),
        ("00189219", {"vr": "SS", "Value": [-2]}),
        ("00209057", {"vr": "UL", "Value": [4_294_967_295]}),
        ("00186020", {"vr": "SL", "Value": [-2_147_483_648]}),
        ("7FE00003", {"vr": "UV", "Value": [2**64 - 1]}),
        ("00090101", {"vr": "SV", "Value": [-(2**63)]}),
        ("00189087", {"vr": "FD", "Value": [0.1, "NaN", "inf", "-inf"]}),
        ("00185100", {"vr": "FL", "Value": [0.5]}),
        ("00280009", {"vr": "AT", "Value": ["00181063", "00181065"]}),
        ("00081190", {"vr": "UR", "Value": ["http://example.org/a?b=c"]}),
        ("00189074", {"vr": "DT", "Value": ["20240102101500.000000+0100"]}),
        ("00091001", {"vr": "UN", "InlineBinary": "AAEC/w=="}),
        ("00091002", {"vr": "OB"}),
        ("00091003", {"vr": "OW", "InlineBinary": "AAEC/w=="}),
        ("00091004", {"vr": "OV", "InlineBinary": "AAECAwQFBgc="}),
        ("00400260", {"vr": "SQ", "Value": []}),
        ("00400260", {"vr": "SQ", "Value": [{}, {"00080100": {"vr": "SH", "Value": ["ä"]}}]}),
        (
            "00091005",
            {
                "vr": "SQ",
                "Value": [{"00091006": {"vr": "SQ", "Value": [{"00091007": {"vr": "AE"}}]}}],
            },
        ),
    ],
)
def test_a_value_survives(tag: str, element: dict[str, Any]) -> None:
    creator = {"00090010": {"vr": "LO", "Value": ["ACME"]}}
    _, found = header_of(made(creator, {tag: element}))
    assert found[tag] == element


def test_pydicom_reads_it() -> None:
    file = made(
        {
            "00100010": {"vr": "PN", "Value": [NAME]},
            "00080005": {"vr": "CS", "Value": ["ISO_IR 100"]},
        }
    )
    dataset = pydicom.dcmread(BytesIO(file))
    assert dataset.file_meta.TransferSyntaxUID == uid.EXPLICIT_LE
    assert dataset.file_meta.MediaStorageSOPInstanceUID == "1.2.3.4"
    assert dataset.SpecificCharacterSet == "ISO_IR 192"
    assert dataset.PatientName.ideographic == "山田^太郎"


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ([1 / 3], b"0.33333333333333"),
        ([-1.23456789012345e-100], b"-1.2345678901e-100"[:16]),
        (["1.500", " 2"], b"1.500\\ 2"),
        (["12 mm"], b"12 mm"),
        ([None, 3], b"\\3"),
        ([12345678901234567890.0], b"12345678901234567"[:16]),
    ],
)
def test_decimals_have_at_most_sixteen_characters(given: list[Any], written: bytes) -> None:
    file = made({"00281052": {"vr": "DS", "Value": given}})
    raw = file[file.index(b"\x28\x00\x52\x10DS") + 8 :]
    assert raw.startswith(written) or float(raw.rstrip()) == pytest.approx(given[0], rel=1e-9)
    (length,) = unpack_from("<H", file, file.index(b"\x28\x00\x52\x10DS") + 6)
    assert length == len(raw) <= 16


def test_items_with_a_character_set_name_the_one_they_are_in() -> None:
    item = {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 144"]},
        "00080104": {"vr": "LO", "Value": ["Ж"]},
    }
    _, found = header_of(made({"00400260": {"vr": "SQ", "Value": [item]}}))
    (read,) = found["00400260"]["Value"]
    assert read["00080005"]["Value"] == ["ISO_IR 192"]
    assert read["00080104"]["Value"] == ["Ж"]


def test_file_meta_and_group_lengths_are_not_of_the_data_set() -> None:
    _, found = header_of(
        made(
            {
                "00020010": {"vr": "UI", "Value": ["1.2.840.10008.1.2"]},
                "00000002": {"vr": "UI", "Value": ["1.2"]},
                "00100000": {"vr": "UL", "Value": [10]},
            }
        )
    )
    assert found.keys() == {*UIDS, "00080005"}


@pytest.mark.parametrize(
    ("tag", "element"),
    [
        ("PatientName", {"vr": "PN"}),
        ("0010", {"vr": "PN"}),
        ("0010002g", {"vr": "LO"}),
        ("FFFEE000", {"vr": "OB"}),
        ("00100020", None),
        ("00100020", []),
        ("00100020", {}),
        ("00100020", {"vr": "ZZ"}),
        ("00100020", {"vr": ["LO"]}),
        ("00100020", {"vr": {}}),
        ("00100020", {"vr": "LO", "Value": "a"}),
        ("00100020", {"vr": "LO", "value": ["a"]}),
        ("00100020", {"vr": "LO", "DataFragment": []}),
        ("00100010", {"vr": "PN", "Value": [{"alphabetic": "Doe^Jane"}]}),
        ("00100010", {"vr": "PN", "Value": [5]}),
        ("00100020", {"vr": "LO", "InlineBinary": "AAA="}),
        ("00280010", {"vr": "US", "Value": ["x"]}),
        ("00280010", {"vr": "US", "Value": [-1]}),
        ("00280010", {"vr": "US", "Value": [65536]}),
        ("00280010", {"vr": "US", "Value": [1.5]}),
        ("00280010", {"vr": "US", "Value": [{}]}),
        ("00189087", {"vr": "FD", "Value": [[]]}),
        ("00281052", {"vr": "DS", "Value": [{}]}),
        ("00281052", {"vr": "DS", "Value": ["١"]}),
        ("00200013", {"vr": "IS", "Value": [True]}),
        ("00280009", {"vr": "AT", "Value": ["xyz"]}),
        ("00080008", {"vr": "CS", "Value": ["山"]}),
        ("00091001", {"vr": "OB", "Value": [1]}),
        ("00091001", {"vr": "OB", "InlineBinary": 5}),
        ("00091001", {"vr": "OB", "InlineBinary": "A"}),
        ("00091001", {"vr": "OB", "InlineBinary": "====€"}),
        ("00091001", {"vr": "OB", "BulkDataURI": 5}),
        ("00091001", {"vr": "OB", "BulkDataURI": "nowhere"}),
        ("00091001", {"vr": "OB", "BulkDataURI": "here", "InlineBinary": ""}),
        ("00400260", {"vr": "SQ", "BulkDataURI": "here"}),
        ("00400260", {"vr": "SQ", "Value": {}}),
        ("00400260", {"vr": "SQ", "Value": ["x"]}),
        ("00400260", {"vr": "SQ", "Value": [{"00100020": {"vr": "!!"}}]}),
    ],
)
def test_what_is_no_dicom_json_is_refused(tag: str, element: Any) -> None:
    bulks = Bulks()
    bulks.add("here", b"1234")
    with pytest.raises(InvalidInstance) as refused:
        bulks.file({**UIDS, tag: element})
    assert refused.value.refusal is Refusal.UNREADABLE


def test_one_tag_in_two_cases_is_refused() -> None:
    with pytest.raises(InvalidInstance):
        made({"0010001A": {"vr": "LO"}, "0010001a": {"vr": "LO"}})


@pytest.mark.parametrize("tag", ["00080016", "00080018"])
def test_uids_have_to_be_there_and_safe(tag: str) -> None:
    with pytest.raises(InvalidInstance) as refused:
        made({tag: {"vr": "UI"}})
    assert refused.value.refusal is Refusal.MISSING_UID
    for evil in ("../../etc/passwd", "1.2/3", "1..2", "1" * 65):
        with pytest.raises(InvalidUid):
            made({tag: {"vr": "UI", "Value": [evil]}})


def test_depth_is_bounded() -> None:
    element: dict[str, Any] = {"vr": "LO"}
    for _ in range(100):
        element = {"vr": "SQ", "Value": [{"00400260": element}]}
    with pytest.raises(InvalidInstance, match="deep"):
        made({"00400260": element})


def test_bulk_values_stand_where_they_belong_in_any_order() -> None:
    bulks = Bulks()
    bulks.add("pixels", b"\1\2", b"\3")
    bulks.add("data", bytes(2000))
    bulks.add("text", b"long text")
    inner = {
        "00091001": {"vr": "OB", "BulkDataURI": "data"},
        "00090010": {"vr": "LO", "Value": ["A"]},
    }
    file = bulks.file(
        {
            **UIDS,
            "7FE00010": {"vr": "OW", "BulkDataURI": ["pixels"]},
            "00400260": {"vr": "SQ", "Value": [inner, inner]},
            "00104000": {"vr": "LT", "BulkDataURI": "text"},
        }
    )
    dataset = pydicom.dcmread(BytesIO(file))
    assert dataset.PixelData == b"\1\2\3\0"
    assert dataset.PatientComments == "long text"
    assert [item[0x00091001].value for item in dataset[0x00400260].value] == [bytes(2000)] * 2


def test_a_long_value_of_a_short_vr_is_written_as_un() -> None:
    bulks = Bulks()
    bulks.add("numbers", bytes(70_000))
    file = bulks.file({**UIDS, "00281201": {"vr": "US", "BulkDataURI": "numbers"}})
    assert pydicom.dcmread(BytesIO(file))[0x00281201].value == bytes(70_000)


def frames_file(*frames: bytes, syntax: str = uid.JPEG_BASELINE, **more: Any) -> bytes:
    bulks = Bulks()
    bulks.add("frames", *frames, form=more.pop("form", BulkForm.FRAMES))
    shape = {"00280008": {"vr": "IS", "Value": [len(frames)]}}
    pixels = {"7FE00010": {"vr": "OB", "BulkDataURI": "frames"}}
    return bulks.file({**UIDS, **shape, **pixels, **more}, syntax)


def test_frames_become_fragments_with_a_basic_offset_table() -> None:
    file = frames_file(b"one", b"twelve bytes")
    header, _ = header_of(file)
    assert header.pixels is not None
    assert header.pixels.frames is not None
    assert len(header.pixels.frames) == 2
    fragments = pydicom.encaps.generate_fragments(
        pydicom.dcmread(BytesIO(file))["PixelData"].value[8 + 8 :]
    )
    assert list(fragments) == [b"one\0", b"twelve bytes"]
    table = file[file.index(pack("<HHL", 0xFFFE, 0xE000, 8)) + 8 :][:8]
    assert unpack_from("<2L", table) == (0, 12)


def test_a_given_extended_offset_table_is_made_anew() -> None:
    stale = {"vr": "OV", "InlineBinary": base64.b64encode(bytes(8)).decode()}
    file = frames_file(b"one", b"two", **{"7FE00001": stale, "7FE00002": stale})
    dataset = pydicom.dcmread(BytesIO(file))
    assert unpack_from("<2Q", dataset.ExtendedOffsetTable) == (0, 12)
    assert unpack_from("<2Q", dataset.ExtendedOffsetTableLengths) == (4, 4)
    assert pack("<HHL", 0xFFFE, 0xE000, 0) in file


def test_over_four_gibibytes_there_is_an_extended_offset_table() -> None:
    frames = [Span(0, (1 << 31) - 1)] * 4
    tables = offset_tables(frames)
    assert tables.basic == b""
    step = (1 << 31) + 8
    assert unpack_from("<4Q", tables.offsets) == (0, step, 2 * step, 3 * step)
    assert unpack_from("<4Q", tables.lengths) == (1 << 31,) * 4
    assert offset_tables(frames[:2]).offsets == b""


def test_native_pixels_over_four_gibibytes_are_refused() -> None:
    known = Bulk((Span(0, 1 << 32),))
    pixels = {"7FE00010": {"vr": "OW", "BulkDataURI": "x"}}
    with pytest.raises(InvalidInstance) as refused:
        list(compose({**UIDS, **pixels}, uid.EXPLICIT_LE, lambda *_: known))
    assert refused.value.refusal is Refusal.TOO_LARGE


def test_a_video_is_cut_into_fragments() -> None:
    known = Bulk((Span(0, (5 << 30) + 1),), BulkForm.VIDEO)
    pixels = {"7FE00010": {"vr": "OB", "BulkDataURI": "x"}}
    pieces = list(compose({**UIDS, **pixels}, "1.2.840.10008.1.2.4.102", lambda *_: known))
    spans = [piece for piece in pieces if isinstance(piece, Span)]
    assert sum(span.length for span in spans) == (5 << 30) + 1
    assert max(span.length for span in spans) <= 0xFFFFFFFE
    assert [span.offset for span in spans] == [number << 30 for number in range(6)]


def test_items_go_in_as_they_are() -> None:
    items = b"".join(pack("<HHL", 0xFFFE, 0xE000, n) + bytes(n) for n in (0, 4, 6))
    header, _ = header_of(frames_file(items, form=BulkForm.ITEMS, syntax=uid.RLE_LOSSLESS))
    assert header.pixels is not None
    assert header.pixels.length == len(items)


TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\\^="), max_size=20
).map(str.strip)


@given(st.lists(TEXTS, min_size=1, max_size=4), TEXTS, TEXTS)
def test_any_text_survives(values: list[str], family: str, ideographic: str) -> None:
    name = {
        key: value for key, value in (("Alphabetic", family), ("Ideographic", ideographic)) if value
    }
    more: dict[str, Any] = {"00081030": {"vr": "UC", "Value": values}}
    if name:
        more["00100010"] = {"vr": "PN", "Value": [name]}
    dataset = pydicom.dcmread(BytesIO(made(more)))
    read = dataset[0x00081030].value
    expected = [value.rstrip() for value in values]
    assert ([read] if isinstance(read, str) else list(read or [""])) == expected
    if name:
        assert dataset.PatientName.alphabetic == family
        assert dataset.PatientName.ideographic == ideographic


@pytest.mark.parametrize("element", [True, 1, "x", [1], {"BulkDataURI": 7}])
def test_an_element_that_is_no_object_has_no_uri(element: Any) -> None:
    with pytest.raises(InvalidRequest):
        bulk_uri(element)
