"""Headers of several series, mutated and interleaved: a warm reader answers as a fresh one."""

from pathlib import Path

import pydicom.data
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pacs_cloud.dicom.header import Header, HeaderReader
from pacs_cloud.dicom.part10 import read_file_meta
from pacs_cloud.errors import InvalidInstance

FOLDER = Path(pydicom.data.__file__).parent
NAMES = [
    "test_files/MR_small.dcm",
    "test_files/MR_small_implicit.dcm",
    "test_files/MR_small_RLE.dcm",
    "test_files/UN_sequence.dcm",
    "test_files/nested_priv_SQ.dcm",
    "test_files/rtplan.dcm",
    "charset_files/chrKoreanMulti.dcm",
]
CALM = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
READER = HeaderReader()


def _data_set(name: str) -> tuple[bytes, str]:
    data = (FOLDER / name).read_bytes()
    meta = read_file_meta(data)
    return data[meta.dataset_offset :][:20_000], meta.transfer_syntax_uid


SEEDS = [_data_set(name) for name in NAMES]


def _answer(reader: HeaderReader, data: bytes, syntax: str) -> Header | tuple[str, ...]:
    try:
        return reader.read(data, syntax)
    except InvalidInstance as refused:
        return (str(refused), refused.refusal, refused.sop_class_uid, refused.sop_instance_uid)


@st.composite
def streams(draw: st.DrawFn) -> list[tuple[bytes, str]]:
    """Some series, each with a few places where its headers differ, in any order."""
    series = draw(st.lists(st.sampled_from(SEEDS), min_size=1, max_size=3))
    places = [
        draw(st.lists(st.integers(0, min(len(data), 3_000) - 1), max_size=3)) for data, _ in series
    ]
    stream: list[tuple[bytes, str]] = []
    for _ in range(draw(st.integers(3, 10))):
        number = draw(st.integers(0, len(series) - 1))
        data, syntax = series[number]
        buffer = bytearray(data)
        for at in places[number]:
            if draw(st.booleans()):
                buffer[at] = draw(st.sampled_from([buffer[at], buffer[at] ^ 1, 0x31, 0x41, 0xFF]))
        if draw(st.integers(0, 5)) == 0:
            at = draw(st.integers(0, min(len(data), 3_000) - 1))
            buffer[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
        stream.append((bytes(buffer), syntax))
    return stream


@CALM
@given(streams())
def test_a_stream_of_headers(stream: list[tuple[bytes, str]]) -> None:
    for data, syntax in stream:
        assert _answer(READER, data, syntax) == _answer(HeaderReader(), data, syntax)
