"""Packs under Hypothesis: any instances, any cut, any garbage."""

import os
import tempfile
import zipfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pacs_cloud.errors import Corrupt
from pacs_cloud.pack.index import Door, Source, decode_headers, decode_table, split_index
from pacs_cloud.pack.provenance import (
    Provenance,
    clipped,
    decode_provenance,
    encode_provenance,
)
from pacs_cloud.pack.reader import NeedSuffix, read_directory, read_index
from pacs_cloud.pack.recover import Recovered, recover
from pacs_cloud.pack.writer import STREAMED_HEADER_BYTES, PackWriter

texts = st.text(max_size=80)
provenances = st.builds(
    Provenance,
    tenant=st.text(max_size=64).filter(lambda text: text.isprintable()),
    source=st.builds(
        Source, door=st.sampled_from(Door), called=texts, calling=texts, address=texts
    ),
    received_us=st.integers(0, 1 << 52),
)
instances = st.lists(
    st.tuples(st.lists(st.binary(max_size=200), max_size=3), st.booleans(), provenances), max_size=6
)


def write(path: Path, wanted: list, index: bytes | None = None) -> PackWriter:
    """Write a pack, some of its members streamed; `index` finishes it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        writer = PackWriter(fd)
        for number, (content, streamed, provenance) in enumerate(wanted):
            if streamed:
                member = writer.stream()
                for part in content:
                    member.write(part)
                member.close(f"1.2.{number}", provenance)
            else:
                writer.append(f"1.2.{number}", content, provenance)
        if index is not None:
            writer.finish(index)
    finally:
        os.close(fd)
    return writer


def recovered(data: bytes) -> Recovered:
    return recover(lambda at, length: data[at : at + length], len(data))


@given(instances, st.binary(max_size=300))
def test_any_instances_come_back_byte_for_byte(wanted: list, index: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pack.zip")
        writer = write(path, wanted, index)
        data = path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            for number, (content, _, _) in enumerate(wanted):
                assert archive.read(f"1.2.{number}.dcm") == b"".join(content)
            assert archive.read("index.zst") == index
    assert len(data) == writer.length_bytes
    assert read_index(data, len(data)) == index
    found = recovered(data)
    assert found.index == index
    assert not found.damaged
    for (content, _, provenance), member in zip(wanted, found.members, strict=True):
        assert data[member.member.offset : member.member.end] == b"".join(content)
        assert member.provenance.tenant == provenance.tenant
        assert member.provenance.source == clipped(provenance.source)
        assert member.provenance.received_us == provenance.received_us
    assert [m.member for m in found.members] == writer.members[:-1]


@given(instances, st.data())
def test_a_cut_file_gives_every_complete_member(wanted: list, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pack.zip")
        writer = write(path, wanted, b"index" if data.draw(st.booleans()) else None)
        whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    tail = data.draw(st.one_of(st.just(b""), st.binary(max_size=100), st.just(bytes(500))))
    found = recovered(whole[:cut] + tail)
    complete = [m for m in writer.members if m.end <= cut and m.name != "index.zst"]
    assert [m.member for m in found.members][: len(complete)] == complete
    # A tail may happen to be just what was cut off; nothing else makes a member whole.
    assert [m.member for m in found.members] == writer.members[: len(found.members)]
    assert found.good_bytes == (found.members[-1].member.end if found.members else 0)


@given(instances.filter(len), st.data())
def test_a_changed_byte_costs_at_most_its_own_member(wanted: list, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pack.zip")
        writer = write(path, wanted)
        whole = bytearray(path.read_bytes())
    victim = data.draw(st.sampled_from(writer.members))
    if not victim.length_bytes:
        return
    whole[data.draw(st.integers(victim.offset, victim.end - 1))] ^= 1
    found = recovered(bytes(whole))
    assert [m.member for m in found.members] == [m for m in writer.members if m != victim]
    assert found.damaged == (victim,)
    assert not found.finished


@given(instances.filter(len))
def test_an_unfinished_streamed_member_is_no_instance(wanted: list) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pack.zip")
        writer = write(path, wanted)
        with path.open("r+b") as file:
            again = PackWriter(
                file.fileno(), members=writer.members, length_bytes=writer.length_bytes
            )
            again.stream().write(b"x" * 5000)
        data = path.read_bytes()
    assert len(data) == writer.length_bytes + STREAMED_HEADER_BYTES + 5000
    assert [m.member for m in recovered(data).members] == writer.members


@given(st.binary(max_size=400), st.integers(0, 1 << 40))
def test_garbage_is_nothing_or_corrupt(data: bytes, total: int) -> None:
    assert recovered(data).members == ()
    for read in (read_directory, read_index):
        try:
            assert isinstance(read(data, max(total, len(data))), NeedSuffix)
        except Corrupt:
            continue


@settings(max_examples=300)
@given(instances.filter(len), st.binary(max_size=50), st.data())
def test_a_changed_end_never_gives_another_index(
    wanted: list, index: bytes, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pack.zip")
        writer = write(path, wanted, index)
        whole = bytearray(path.read_bytes())
    at = data.draw(st.integers(writer.members[-1].header_offset, len(whole) - 1))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        answer = read_index(bytes(whole), len(whole))
        assert isinstance(answer, NeedSuffix) or answer == index
    except Corrupt:
        pass


@given(instances, st.binary(max_size=2000), st.data())
def test_a_short_suffix_asks_for_what_it_needs(
    wanted: list, index: bytes, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pack.zip")
        write(path, wanted, index)
        whole = path.read_bytes()
    have = data.draw(st.integers(0, len(whole)))
    for _ in range(4):
        answer = read_index(whole[len(whole) - have :], len(whole))
        if not isinstance(answer, NeedSuffix):
            break
        assert have < answer.length_bytes <= len(whole)
        have = answer.length_bytes
    assert answer == index


@given(st.binary(max_size=300))
def test_index_bytes_are_an_index_or_corrupt(data: bytes) -> None:
    for read in (split_index, decode_table, decode_headers):
        try:
            read(data)
        except Corrupt:
            continue
        assert data.startswith(b"\x28\xb5\x2f\xfd")


@given(provenances)
def test_provenance_comes_back(provenance: Provenance) -> None:
    data = encode_provenance(provenance)
    assert decode_provenance(data + b"   ").received_us == provenance.received_us


@given(st.binary(max_size=100))
def test_odd_provenance_is_corrupt(data: bytes) -> None:
    try:
        decode_provenance(data)
    except Corrupt:
        return
    raise AssertionError
