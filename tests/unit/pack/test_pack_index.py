"""The index: two frames, each readable alone, nothing but what was written."""

import orjson
import pytest
import zstandard

from pacs_cloud.dicom.frames import NativeFrames, PixelData
from pacs_cloud.dicom.header import BulkValue
from pacs_cloud.errors import Corrupt
from pacs_cloud.pack.build import Entry, build_index
from pacs_cloud.pack.index import (
    Door,
    PackIndex,
    Source,
    decode_headers,
    decode_table,
    encode_index,
    split_index,
)

CT1 = Source(Door.DIMSE, "PACS", "CT1", "127.0.0.1")
CT2 = Source(Door.DIMSE, "PACS", "CT2", "127.0.0.2")


def entry(number: int, *, source: Source = CT1, **attributes: str) -> Entry:
    return Entry(
        sop_instance_uid=f"1.2.{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        offset=100 + 1000 * number,
        length_bytes=900,
        dataset_offset=344,
        digest="00" * 32,
        received_us=1_700_000_000_000_000 + number,
        source=source,
        header=orjson.dumps({"00200013": {"vr": "IS", "Value": [number]}}),
        attributes={tag: {"vr": "LO", "Value": [value]} for tag, value in attributes.items()},
    )


def built(entries: list[Entry]) -> PackIndex:
    return build_index(
        entries,
        pack_id="0190",
        tenant="default",
        study_instance_uid="1.2",
        series_instance_uid="1.2.0",
    )


def encoded(entries: list[Entry]) -> bytes:
    return encode_index(built(entries), [e.header for e in entries])


def test_it_comes_back_as_it_was() -> None:
    entries = [
        entry(1, A="same", B="one", C="lone"),
        entry(2, A="same", B="two")._replace(
            flags=("uid-not-conforming",),
            inflated_bytes=7,
            bulk=(BulkValue("00081140/0/00081150", "OB", 12, 2000),),
            pixels=PixelData("7FE00010", 2, 3, 1, 16, 1, False, 100, 12, NativeFrames(100, 96, 1)),
        ),
    ]
    blob = encoded(entries)
    table, headers = split_index(blob)
    assert decode_table(table) == decode_table(blob) == built(entries)
    lines = decode_headers(headers)
    for source, instance in zip(entries, decode_table(table).instances, strict=True):
        end = instance.header_offset + instance.header_length
        assert lines[instance.header_offset : end] == source.header
        assert lines[end : end + 1] == b"\n"


def test_what_all_share_stands_once() -> None:
    entries = [entry(1, A="same", B="one"), entry(2, A="same", B="two"), entry(3, A="same")]
    index = built(entries)
    assert set(index.common) == {"A"}
    assert [set(instance.attributes) for instance in index.instances] == [{"B"}, {"B"}, set()]
    for source, instance in zip(entries, index.instances, strict=True):
        assert index.attributes_of(instance) == source.attributes


def test_every_instance_keeps_its_own_attributes() -> None:
    entries = [
        entry(1, A="same", B="one", C="lone"),
        entry(2, A="same", B="two", D="lone"),  # as many as the first, but others
        entry(3, A="same", B="three", D="lone"),
        entry(4, A="same", B="four", C="lone", D="lone"),
        entry(5, A="same"),
    ]
    index = built(entries)
    assert set(index.common) == {"A"}
    assert [index.attributes_of(one) for one in index.instances] == [e.attributes for e in entries]


def test_sources_stand_once() -> None:
    index = built([entry(1), entry(2, source=CT2), entry(3)])
    assert index.sources == (CT1, CT2)
    assert [instance.source for instance in index.instances] == [0, 1, 0]


def test_pixel_data_of_equal_shape_stand_once() -> None:
    slices = [
        entry(n)._replace(
            pixels=PixelData("7FE00010", 2, 3, 1, 16, 1, False, at, 12, NativeFrames(at, 96, 1)),
        )
        for n, at in enumerate((100, 100, 102))
    ]
    assert len(fields_of(slices)["pixels"]) == 2
    assert decode_table(encoded(slices)) == built(slices)


def test_zstd_prints_both_frames_as_lines() -> None:
    blob = encoded([entry(1), entry(2)])
    with zstandard.ZstdDecompressor().stream_reader(blob, read_across_frames=True) as stream:
        lines = stream.read().splitlines()
    assert [orjson.loads(line) for line in lines[1:]] == [
        {"00200013": {"vr": "IS", "Value": [1]}},
        {"00200013": {"vr": "IS", "Value": [2]}},
    ]


def test_a_long_index_splits_where_its_frames_meet() -> None:
    entries = [
        entry(n, A=str(n))._replace(header=bytes(f'"{n * 7919:0900d}"' * 40, "ascii"))
        for n in range(200)
    ]
    table, headers = split_index(encoded(entries))
    assert len(decode_table(table).instances) == 200
    assert len(decode_headers(headers)) == sum(len(e.header) + 1 for e in entries)


@pytest.mark.parametrize("cut", [0, 1, 4, 10, -1])
def test_a_cut_index_is_corrupt(cut: int) -> None:
    blob = encoded([entry(1)])
    with pytest.raises(Corrupt):
        split_index(blob[:cut])


def test_bytes_behind_the_frames_are_corrupt() -> None:
    blob = encoded([entry(1)])
    with pytest.raises(Corrupt):
        split_index(blob + b"\x00")


def test_every_changed_byte_is_noticed() -> None:
    table, _ = split_index(encoded([entry(1), entry(2)]))
    expected = decode_table(table)
    for at in range(len(table)):
        changed = bytearray(table)
        changed[at] ^= 0x10
        try:
            assert decode_table(bytes(changed)) == expected  # e.g. a reserved bit
        except Corrupt:
            continue


def frame_of(fields: object) -> bytes:
    return zstandard.ZstdCompressor().compress(orjson.dumps(fields))


def fields_of(entries: list[Entry]) -> dict:
    table, _ = split_index(encoded(entries))
    return orjson.loads(zstandard.ZstdDecompressor().decompress(table))


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"version": None},
        {"pack_id": 1},
        {"sources": []},
        {"sources": [{"door": "window", "called": "", "calling": "", "address": ""}]},
        {"common": []},
        {"instances": {}},
        {"instances": [{}]},
        {"instances": ["1.2.3"]},
        {"instances": None},
        {"replaces": "1.2"},
        {"pixels": [{}]},
    ],
)
def test_odd_fields_are_corrupt(change: dict) -> None:
    fields = fields_of([entry(1)])
    assert decode_table(frame_of(fields)) == built([entry(1)])
    if change == {"instances": {}}:
        assert decode_table(frame_of(fields | change)).instances == ()
        return
    with pytest.raises(Corrupt):
        decode_table(frame_of(fields | change))


@pytest.mark.parametrize(
    "change",
    [
        {"offset": -1},
        {"offset": 1.5},
        {"length_bytes": True},
        {"sop_instance_uid": None},
        {"source": 1},
        {"flags": "x"},
        {"inflated_bytes": "1"},
        {"attributes": []},
        {"bulk": [1]},
        {"pixels": 3},
        {"pixels": -1},
        {"pixels": "0"},
    ],
)
def test_odd_instances_are_corrupt(change: dict) -> None:
    fields = fields_of([entry(1)])
    fields["instances"][0] |= change
    with pytest.raises(Corrupt):
        decode_table(frame_of(fields))


@pytest.mark.parametrize("fields", [None, [], 1, "x", {}, {"version": 1}])
def test_other_json_is_corrupt(fields: object) -> None:
    with pytest.raises(Corrupt):
        decode_table(frame_of(fields))


def test_a_bomb_is_not_unpacked() -> None:
    """A frame's header may claim any size: no more is allocated than its bytes could hold."""
    small = zstandard.ZstdCompressor(write_content_size=True).compress(b"x" * 300)
    assert decode_headers(small) == b"x" * 300
    params = zstandard.get_frame_parameters(small)
    assert params.content_size == 300
    # RFC 8878 3.1.1.1: magic, a descriptor that says 8 bytes of content size, no window
    forged = b"\x28\xb5\x2f\xfd" + b"\xe0" + (1 << 29).to_bytes(8, "little") + b"\x01\x00\x00"
    with pytest.raises(Corrupt, match="claims"):
        decode_headers(forged)
    unknown = zstandard.ZstdCompressor(write_content_size=False).compress(b"x" * 300)
    with pytest.raises(Corrupt):
        decode_headers(unknown)
