"""Whatever bytes arrive: a header or a refusal, never another exception."""

import zlib
from contextlib import suppress
from pathlib import Path
from struct import pack

import orjson
import pydicom.data
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pacs_cloud.dicom.coding.transcode import transcoded_parts
from pacs_cloud.dicom.dicomjson import read_elements
from pacs_cloud.dicom.frames import FrameTable
from pacs_cloud.dicom.header import Header, HeaderReader
from pacs_cloud.dicom.part10 import read_file_meta
from pacs_cloud.dicom.uid import (
    DEFLATED_LE,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    JPEG_BASELINE,
)
from pacs_cloud.errors import InvalidInstance

SYNTAXES = [IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE, JPEG_BASELINE, DEFLATED_LE, "1.2.3"]
FOLDER = Path(pydicom.data.__file__).parent
NAMES = [
    "test_files/MR_small.dcm",
    "test_files/MR_small_implicit.dcm",
    "test_files/MR_small_bigendian.dcm",
    "test_files/MR_small_RLE.dcm",
    "test_files/SC_rgb_rle_2frame.dcm",
    "test_files/JPEG2000.dcm",
    "test_files/rtplan.dcm",
    "test_files/test-SR.dcm",
    "test_files/UN_sequence.dcm",
    "test_files/nested_priv_SQ.dcm",
    "test_files/image_dfl.dcm",
    "test_files/badVR.dcm",
    "test_files/waveform_ecg.dcm",
    "charset_files/chrSQEncoding.dcm",
    "charset_files/chrKoreanMulti.dcm",
]
SLOW = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _data_set(name: str) -> tuple[bytes, str]:
    data = (FOLDER / name).read_bytes()
    meta = read_file_meta(data)
    return data[meta.dataset_offset :], meta.transfer_syntax_uid


SEEDS = [_data_set(name) for name in NAMES]
READER = HeaderReader(max_inflated_bytes=4_000_000)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[bytes, str]:
    data, syntax = draw(st.sampled_from(SEEDS))
    buffer = bytearray(data[: draw(st.integers(0, 9_000))] if draw(st.booleans()) else data)
    for _ in range(draw(st.integers(0, 6))):
        if not buffer:
            break
        at = draw(st.integers(0, min(len(buffer) - 1, 6_000)))
        kind = draw(st.integers(0, 4))
        if kind == 0:
            buffer[at] = draw(st.integers(0, 255))
        elif kind == 1:
            buffer[at : at + 4] = draw(
                st.sampled_from([b"\xff" * 4, b"\0" * 4, pack("<L", len(buffer))])
            )
        elif kind == 2:
            del buffer[at : at + draw(st.integers(1, 40))]
        elif kind == 3:
            buffer[at:at] = draw(st.binary(max_size=24))
        else:
            stop = at + draw(st.integers(1, 200))
            buffer[at:at] = buffer[at:stop]
    return bytes(buffer), draw(st.sampled_from([syntax, syntax, syntax, *SYNTAXES]))


def check(header: Header, data: bytes) -> None:
    parsed = orjson.loads(header.json)
    assert list(parsed) == sorted(parsed)
    size = header.inflated_length if header.inflated_length is not None else len(data)
    for bulk in header.bulk:
        assert 0 <= bulk.offset <= bulk.offset + bulk.length <= size
    if header.pixels is not None and header.pixels.frames is not None:
        table = header.pixels.frames
        for n in (0, len(table) - 1) if len(table) else ():
            assert all(0 <= start <= stop <= size for start, stop in table.ranges(n))
        assert FrameTable.from_json(orjson.loads(orjson.dumps(table.to_json()))) == table


@SLOW
@given(mutated())
def test_a_mutated_data_set(seed: tuple[bytes, str]) -> None:
    data, syntax = seed
    try:
        header = READER.read(data, syntax)
    except InvalidInstance:
        with pytest.raises(InvalidInstance):  # and not otherwise from another kind of buffer
            HeaderReader(max_inflated_bytes=4_000_000).read(bytearray(data), syntax)
    else:
        check(header, data)
        fresh = HeaderReader(max_inflated_bytes=4_000_000).read(bytearray(data), syntax)
        assert fresh == header  # what was remembered is what would be found anew


@SLOW
@given(st.binary(max_size=400), st.sampled_from(SYNTAXES))
def test_any_bytes(data: bytes, syntax: str) -> None:
    with suppress(InvalidInstance):
        check(READER.read(data, syntax), data)
    with suppress(InvalidInstance):
        read_elements(data, EXPLICIT_LE if syntax == DEFLATED_LE else syntax)


@SLOW
@given(st.binary(max_size=300))
def test_any_file(data: bytes) -> None:
    for start in (
        b"",
        bytes(128) + b"DICM",
        bytes(128) + b"DICM" + pack("<HH2sHL", 2, 0, b"UL", 4, 9),
    ):
        try:
            meta = read_file_meta(start + data)
        except InvalidInstance:
            continue
        assert 132 <= meta.dataset_offset <= len(start + data)


@settings(max_examples=60, deadline=None)
@given(mutated(), st.sampled_from([EXPLICIT_LE, IMPLICIT_LE]))
def test_a_mutated_data_set_transcoded(seed: tuple[bytes, str], target: str) -> None:
    data, syntax = seed
    try:
        out = b"".join(transcoded_parts(data, syntax, target))
    except InvalidInstance:
        return
    if target != syntax:
        read_elements(out, target)


def test_a_deflate_bomb_is_cheap() -> None:
    deflater = zlib.compressobj(wbits=-15)
    stream = b"".join(deflater.compress(bytes(1 << 20)) for _ in range(64)) + deflater.flush()
    with pytest.raises(InvalidInstance):
        READER.read(stream, DEFLATED_LE)
