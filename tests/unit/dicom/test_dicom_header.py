"""What the header reader returns beside JSON, and what it refuses."""

import mmap
import resource
import zlib
from itertools import pairwise
from pathlib import Path
from struct import pack

import orjson
import pytest
from dicom_making import (
    UNDEFINED,
    bundled_files,
    dataset_of,
    encapsulated,
    explicit,
    image,
    implicit,
    instance,
    item,
)

from pacs_cloud.dicom.attributes import SEARCH_TAGS
from pacs_cloud.dicom.header import BulkValue, HeaderReader
from pacs_cloud.dicom.uid import DEFLATED_LE, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, JPEG_BASELINE
from pacs_cloud.errors import InvalidInstance, InvalidUid, Refusal


@pytest.fixture
def reader() -> HeaderReader:
    return HeaderReader()


def value(header_json: bytes, tag: str) -> object:
    return orjson.loads(header_json)[tag]


def test_uids_and_length(reader: HeaderReader) -> None:
    data = instance()
    header = reader.read(data, EXPLICIT_LE)
    assert header.sop_class_uid == "1.2.840.10008.5.1.4.1.1.7"
    assert header.sop_instance_uid == "1.2.3.4"
    assert header.study_instance_uid == "1.2.3"
    assert header.series_instance_uid == "1.2.3.5"
    assert header.transfer_syntax_uid == EXPLICIT_LE
    assert (header.length, header.inflated_length, header.pixels) == (len(data), None, None)


@pytest.mark.parametrize("tag", [0x00080016, 0x00080018, 0x0020000D, 0x0020000E])
def test_a_missing_uid_is_named(reader: HeaderReader, tag: int) -> None:
    with pytest.raises(InvalidInstance, match="UID is missing") as refused:
        reader.read(instance(without=tag), EXPLICIT_LE)
    assert refused.value.refusal is Refusal.MISSING_UID
    assert refused.value.sop_instance_uid == ("" if tag == 0x00080018 else "1.2.3.4")


def test_an_empty_uid_is_missing(reader: HeaderReader) -> None:
    data = instance(explicit(0x0020000D, "UI", b"\0\0"), without=0x0020000D)
    with pytest.raises(InvalidInstance) as refused:
        reader.read(data, EXPLICIT_LE)
    assert refused.value.refusal is Refusal.MISSING_UID


@pytest.mark.parametrize("uid", [b"../../etc", b"1.2..3", b"1." + b"2" * 80, b"1.2\\1.3"])
def test_a_malformed_uid_is_refused(reader: HeaderReader, uid: bytes) -> None:
    data = instance(explicit(0x0020000D, "UI", uid), without=0x0020000D)
    with pytest.raises(InvalidUid) as refused:
        reader.read(data, EXPLICIT_LE)
    assert refused.value.sop_instance_uid == "1.2.3.4"


def test_json_is_compact_ascending_and_without_file_meta(reader: HeaderReader) -> None:
    data = explicit(0x00020010, "UI", b"1.2.840.10008.1.2.1\0") + instance(
        explicit(0x00100020, "LO", b"12")
    )
    header = reader.read(data + explicit(0x00080060, "CS", b"CT"), EXPLICIT_LE)
    tags = list(orjson.loads(header.json))
    assert tags == sorted(tags)
    assert tags[0] == "00080016"
    assert orjson.dumps(orjson.loads(header.json)) == header.json


def test_attributes_are_those_searched_for(reader: HeaderReader) -> None:
    data = instance(
        explicit(0x00080060, "CS", b"CT"),
        explicit(0x00180050, "DS", b"1.5 "),
        explicit(0x00400275, "SQ", item(explicit(0x00400009, "SH", b"SPS1"))),
    )
    header = reader.read(data, EXPLICIT_LE)
    full = orjson.loads(header.json)
    assert header.attributes == {tag: full[tag] for tag in full if tag in SEARCH_TAGS}
    assert "00400275" in header.attributes
    assert "00180050" not in header.attributes


def test_attributes_are_found_again_after_the_same_bytes_in_an_item(reader: HeaderReader) -> None:
    patient_id = explicit(0x00100020, "LO", b"12")
    reader.read(instance(explicit(0x00081140, "SQ", item(patient_id))), EXPLICIT_LE)
    header = reader.read(instance(patient_id), EXPLICIT_LE)
    assert header.attributes["00100020"] == {"vr": "LO", "Value": ["12"]}


def test_bulk_over_1024_bytes_is_pointed_at(reader: HeaderReader) -> None:
    small, large = bytes(1024), b"L" * 1026
    data = instance(
        explicit(0x00282000, "OB", small),
        explicit(0x00420011, "OB", large),
        explicit(0x00880200, "SQ", item(b"") + item(explicit(0x7FE00010, "OW", b"\1\2"))),
    )
    for _ in range(2):
        header = reader.read(data, EXPLICIT_LE)
        assert "InlineBinary" in value(header.json, "00282000")
        assert value(header.json, "00420011") == {
            "vr": "OB",
            "BulkDataURI": "instances/1.2.3.4/bulkdata/00420011",
        }
        nested = value(header.json, "00880200")["Value"][1]["7FE00010"]
        assert nested["BulkDataURI"] == "instances/1.2.3.4/bulkdata/00880200/1/7FE00010"
        assert header.bulk == (
            BulkValue("00420011", "OB", data.index(large), 1026),
            BulkValue("00880200/1/7FE00010", "OW", data.index(b"\1\2", 1200), 2),
        )


def test_the_same_bulk_in_another_instance_has_its_own_uri(reader: HeaderReader) -> None:
    nested = explicit(0x00880200, "SQ", item(explicit(0x7FE00010, "OW", b"\1\2")))
    reader.read(instance(nested), EXPLICIT_LE)
    other = instance(nested, explicit(0x00080018, "UI", b"9.9\0"), without=0x00080018)
    header = reader.read(other, EXPLICIT_LE)
    assert b"instances/9.9/bulkdata/00880200/0/7FE00010" in header.json
    assert header.bulk[0].offset == other.index(b"\1\2", 60)


def test_a_sequence_with_bulk_is_not_taken_for_itself_one_level_deeper(
    reader: HeaderReader,
) -> None:
    icon = explicit(0x00880200, "SQ", item(explicit(0x7FE00010, "OW", b"\1\2")))
    reader.read(instance(icon), EXPLICIT_LE)
    header = reader.read(instance(explicit(0x00081140, "SQ", item(icon))), EXPLICIT_LE)
    assert header.bulk[0].path == "00081140/0/00880200/0/7FE00010"


def test_empty_pixel_data_has_no_bulk(reader: HeaderReader) -> None:
    header = reader.read(image(explicit(0x7FE00010, "OW", b"")), EXPLICIT_LE)
    assert value(header.json, "7FE00010") == {"vr": "OW"}
    assert header.bulk == ()


def test_encapsulated_bulk_spans_its_items(reader: HeaderReader) -> None:
    data = image(encapsulated(b"\xff\xd8\xff\xe0"))
    header = reader.read(data, JPEG_BASELINE)
    (bulk,) = header.bulk
    assert data[bulk.offset : bulk.offset + bulk.length] == item(b"") + item(b"\xff\xd8\xff\xe0")
    assert header.pixels is not None
    assert (header.pixels.offset, header.pixels.length) == (bulk.offset, bulk.length)


def test_every_kind_of_buffer_gives_the_same(reader: HeaderReader, tmp_path: Path) -> None:
    path = next(path for path in bundled_files() if path.name == "MR_small.dcm")
    data, syntax = dataset_of(path)
    expected = reader.read(data, syntax)
    buffer = bytearray(data)
    assert HeaderReader().read(buffer, syntax) == expected
    assert reader.read(memoryview(data), syntax) == expected
    buffer += b"."  # the reader has let go of it
    (tmp_path / "d").write_bytes(data)
    with (tmp_path / "d").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        assert HeaderReader().read(mapped, syntax) == expected
        mapped.close()


def test_a_large_value_in_the_midst_of_a_writable_buffer(reader: HeaderReader) -> None:
    after = explicit(0x00880200, "SQ", item(explicit(0x00080060, "CS", b"CT")))
    data = instance(explicit(0x00420011, "OB", bytes(2_000_000)), after)
    assert HeaderReader().read(bytearray(data), EXPLICIT_LE) == reader.read(data, EXPLICIT_LE)


def test_big_endian(reader: HeaderReader) -> None:
    data = instance(
        explicit(0x00280010, "US", pack(">H", 258), order=">"),
        explicit(0x00282000, "OW", b"\1\2\3\4", order=">"),
        order=">",
    )
    header = reader.read(data, EXPLICIT_BE)
    assert value(header.json, "00280010") == {"vr": "US", "Value": [258]}
    assert value(header.json, "00282000") == {"vr": "OW", "InlineBinary": "AgEEAw=="}


def test_deflated(reader: HeaderReader) -> None:
    data = image(explicit(0x7FE00010, "OB", b"\1\2\3\4"))
    deflater = zlib.compressobj(wbits=-15)
    stream = deflater.compress(data) + deflater.flush() + b"\0"
    header = reader.read(stream, DEFLATED_LE)
    assert (header.length, header.inflated_length) == (len(stream), len(data))
    assert header.pixels is not None
    assert header.pixels.frames is not None
    assert header.pixels.frames.ranges(0) == ((len(data) - 4, len(data)),)


def test_a_deflated_data_set_stops_at_its_limit() -> None:
    deflater = zlib.compressobj(wbits=-15)
    stream = deflater.compress(bytes(10_000_000)) + deflater.flush()
    with pytest.raises(InvalidInstance) as refused:
        HeaderReader(max_inflated_bytes=1_000_000).read(stream, DEFLATED_LE)
    assert refused.value.refusal is Refusal.TOO_LARGE


@pytest.mark.parametrize("stream", [b"", b"\xff\xff\xff", zlib.compress(bytes(999))[2:-9]])
def test_a_broken_deflate_stream_is_unreadable(reader: HeaderReader, stream: bytes) -> None:
    with pytest.raises(InvalidInstance) as refused:
        reader.read(stream, DEFLATED_LE)
    assert refused.value.refusal is Refusal.UNREADABLE


BROKEN = {
    "cut in a header": instance()[:-9],
    "an element past the end": instance(explicit(0x00400009, "SH", b"AB", length=4)),
    "native pixels cut short": image(explicit(0x7FE00010, "OW", b"\0\0", length=4)),
    "encapsulated pixels without end": image(encapsulated(b"\xff\xd8"))[:-8],
    "a fragment past the end": image(encapsulated(b"\xff\xd8"))[:-9],
    "an item past its sequence": instance(
        explicit(0x00081140, "SQ", implicit(0xFFFEE000, b"", length=8))
    ),
    "an element past its item": instance(
        explicit(0x00081140, "SQ", item(explicit(0x00080060, "CS", b"", length=2)) + b"CT")
    ),
    "no item in a sequence": instance(explicit(0x00081140, "SQ", implicit(0x00080060, b"CT"))),
    "a sequence without end": instance(explicit(0x00081140, "SQ", item(b""), length=UNDEFINED)),
    "an item without end": instance(
        explicit(0x00081140, "SQ", implicit(0xFFFEE000, b"", length=UNDEFINED), length=UNDEFINED)
    ),
    "a delimiter beyond its sequence": instance()
    + explicit(
        0x00400275,
        "SQ",
        implicit(0xFFFEE000, implicit(0xFFFEE00D, b"")[:4], length=UNDEFINED),
    )
    + bytes(4),
    "text without length": instance(explicit(0x00081140, "UT", b"", length=UNDEFINED)),
    "a delimiter on its own": instance() + implicit(0xFFFEE00D, b""),
    "nested beyond reason": instance(
        implicit(0xFFFEE000, b"", length=UNDEFINED).join(
            [explicit(0x00081140, "SQ", b"", length=UNDEFINED)] * 500
        )
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_data_sets_are_unreadable(reader: HeaderReader, name: str) -> None:
    with pytest.raises(InvalidInstance) as refused:
        reader.read(BROKEN[name], EXPLICIT_LE)
    assert refused.value.refusal is Refusal.UNREADABLE


def test_the_instance_is_named_when_its_data_set_is_cut(reader: HeaderReader) -> None:
    with pytest.raises(InvalidInstance) as refused:
        reader.read(BROKEN["native pixels cut short"], EXPLICIT_LE)
    assert refused.value.sop_instance_uid == "1.2.3.4"
    assert refused.value.sop_class_uid == "1.2.840.10008.5.1.4.1.1.7"


def test_a_few_nuls_at_the_end_are_padding(reader: HeaderReader) -> None:
    assert (
        reader.read(instance() + b"\0\0", EXPLICIT_LE).json
        == reader.read(instance(), EXPLICIT_LE).json
    )


def test_a_header_over_16_mib_is_too_large(reader: HeaderReader) -> None:
    text = explicit(0x00400280, "UT", b"A" * 17_000_000)
    with pytest.raises(InvalidInstance) as refused:
        reader.read(instance(text), EXPLICIT_LE)
    assert refused.value.refusal is Refusal.TOO_LARGE


def test_many_items_over_16_mib_are_too_large(reader: HeaderReader) -> None:
    name = explicit(0x00100010, "LO", b"A" * 60_000)
    sequence = explicit(0x00081140, "SQ", item(name) * 400)
    with pytest.raises(InvalidInstance) as refused:
        reader.read(instance(sequence), EXPLICIT_LE)
    assert refused.value.refusal is Refusal.TOO_LARGE


def test_more_elements_than_any_header_are_too_large(reader: HeaderReader) -> None:
    empty = explicit(0x00400009, "SH", b"")
    with pytest.raises(InvalidInstance) as refused:
        reader.read(instance() + empty * 1_000_001, EXPLICIT_LE)
    assert refused.value.refusal is Refusal.TOO_LARGE


def test_a_sequence_without_length_seen_again(reader: HeaderReader) -> None:
    content = item(explicit(0x00080060, "CS", b"CT"), delimited=True) + implicit(0xFFFEE0DD, b"")
    sequence = explicit(0x00081140, "SQ", content, length=UNDEFINED)
    first = reader.read(instance(sequence), EXPLICIT_LE)
    again = reader.read(instance(sequence, explicit(0x00400009, "SH", b"12")), EXPLICIT_LE)
    assert value(first.json, "00081140") == value(again.json, "00081140")
    assert value(again.json, "00400009") == {"vr": "SH", "Value": ["12"]}


def test_the_character_set_in_force_is_part_of_the_memory(reader: HeaderReader) -> None:
    name = explicit(0x00100010, "PN", b"M\xc3\xbc")
    texts = [
        reader.read(instance(explicit(0x00080005, "CS", term), name), EXPLICIT_LE).attributes[
            "00100010"
        ]
        for term in (b"ISO_IR 192", b"ISO_IR 100")
    ]
    assert [text["Value"][0]["Alphabetic"] for text in texts] == ["Mü", "MÃ¼"]


def test_the_pixel_representation_is_part_of_the_memory(reader: HeaderReader) -> None:
    padding = implicit(0x00280120, b"\xff\xff")
    uids = [
        implicit(0x00080016, b"1.2\0"),
        implicit(0x00080018, b"1.2\0"),
        implicit(0x0020000D, b"1.2\0"),
        implicit(0x0020000E, b"1.2\0"),
    ]
    found = [
        value(
            reader.read(b"".join([*uids, implicit(0x00280103, signed), padding]), IMPLICIT_LE).json,
            "00280120",
        )
        for signed in (b"\0\0", b"\1\0")
    ]
    assert found == [{"vr": "US", "Value": [65535]}, {"vr": "SS", "Value": [-1]}]


def test_a_small_memory_forgets_and_stays_right() -> None:
    reader = HeaderReader(memo_bytes=2_000)
    files = [path for path in bundled_files() if path.parent.name in {"MR1", "MR2", "CT2"}]
    for path in files * 2:
        assert reader.read(*dataset_of(path)) == HeaderReader().read(*dataset_of(path))


def test_frames_of_a_native_image_lie_side_by_side(reader: HeaderReader) -> None:
    data = image(explicit(0x7FE00010, "OW", bytes(range(12))), frames=3)
    header = reader.read(data, EXPLICIT_LE)
    assert header.pixels is not None
    table = header.pixels.frames
    assert table is not None
    ranges = [table.ranges(n)[0] for n in range(len(table))]
    assert [stop - start for start, stop in ranges] == [4, 4, 4]
    assert all(before[1] == after[0] for before, after in pairwise(ranges))
    assert data[ranges[0][0] : ranges[2][1]] == bytes(range(12))


def test_only_whole_frames_count(reader: HeaderReader) -> None:
    header = reader.read(image(explicit(0x7FE00010, "OW", bytes(10)), frames=3), EXPLICIT_LE)
    assert header.pixels is not None
    assert header.pixels.frame_count == 3
    assert header.pixels.frames is not None
    assert len(header.pixels.frames) == 2


def test_pixels_without_a_shape_have_no_frames(reader: HeaderReader) -> None:
    header = reader.read(instance(explicit(0x7FE00010, "OW", bytes(10))), EXPLICIT_LE)
    assert header.pixels is not None
    assert header.pixels.frames is None


def test_ybr_full_422_takes_two_samples_a_pixel(reader: HeaderReader) -> None:
    data = image(
        explicit(0x00280004, "CS", b"YBR_FULL_422"),
        explicit(0x7FE00010, "OB", bytes(8)),
        samples=3,
    )
    header = reader.read(data, EXPLICIT_LE)
    assert header.pixels is not None
    assert header.pixels.frames is not None
    assert header.pixels.frames.ranges(0) == ((len(data) - 8, len(data)),)


def test_float_pixels(reader: HeaderReader) -> None:
    header = reader.read(image(explicit(0x7FE00009, "OD", bytes(32))), EXPLICIT_LE)
    assert header.pixels is not None
    assert (header.pixels.tag, header.pixels.bits_allocated) == ("7FE00009", 64)
    assert header.pixels.frames is not None
    assert len(header.pixels.frames) == 1


def test_gigabytes_of_pixels_cost_no_memory(tmp_path: Path) -> None:
    """A sparse file stands for a 4 GiB instance: of its pixels, four item headers are read."""
    fragment_bytes = 1 << 30
    head = image(explicit(0x7FE00010, "OB", item(b""), length=UNDEFINED), frames=4)
    with (tmp_path / "large").open("wb") as file:
        file.write(head)
        for _ in range(4):
            file.write(implicit(0xFFFEE000, b"", length=fragment_bytes))
            file.seek(fragment_bytes, 1)
        file.write(implicit(0xFFFEE0DD, b""))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with (
        (tmp_path / "large").open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
    ):
        header = HeaderReader().read(mapped, JPEG_BASELINE)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024  # KiB
    assert header.length > 4 * fragment_bytes
    assert header.pixels is not None
    assert header.pixels.frames is not None
    start, stop = header.pixels.frames.ranges(3)[0]
    assert stop - start == fragment_bytes
