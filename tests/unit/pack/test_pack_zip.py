"""A pack is a plain ZIP: other programs open it, whatever its sizes."""

import io
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from isal.isal_zlib import crc32

from pacs_cloud.pack.index import Door, Source
from pacs_cloud.pack.provenance import Provenance
from pacs_cloud.pack.reader import NeedSuffix, read_directory, read_index
from pacs_cloud.pack.recover import recover
from pacs_cloud.pack.writer import PackWriter
from pacs_cloud.pack.zipformat import local_header, parse_local_header

ORIGIN = Provenance(
    "default", Source(Door.DIMSE, "PACS", "CT1", "127.0.0.1"), 1_700_000_000_000_000
)


@pytest.fixture
def pack(tmp_path: Path):
    fd = os.open(tmp_path / "pack.zip", os.O_RDWR | os.O_CREAT | os.O_EXCL)
    yield tmp_path / "pack.zip", fd
    os.close(fd)


def unzip_test(path: Path) -> str:
    program = shutil.which("unzip")
    if program is None:
        pytest.skip("unzip is not installed")
    done = subprocess.run([program, "-t", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_zipfile_and_unzip_open_it(pack) -> None:
    path, fd = pack
    writer = PackWriter(fd)
    writer.append("1.2.3", [b"meta", b"data set"], ORIGIN)
    streamed = writer.stream()
    for _ in range(3):
        streamed.write(b"0123456789")
    streamed.close("1.2.4", ORIGIN)
    writer.append("1.2.5", [], ORIGIN)
    assert writer.finish(b"index") == path.stat().st_size

    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["1.2.3.dcm", "1.2.4.dcm", "1.2.5.dcm", "index.zst"]
        assert archive.read("1.2.3.dcm") == b"metadata set"
        assert archive.read("1.2.4.dcm") == b"0123456789" * 3
        assert archive.read("1.2.5.dcm") == b""
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {info.date_time[0] for info in archive.infolist()} == {1980}
        assert archive.infolist()[0].extract_version < 45
    assert "No errors detected" in unzip_test(path)


def test_member_offsets_point_at_the_content(pack) -> None:
    path, fd = pack
    writer = PackWriter(fd)
    first = writer.append("1.2.3", [b"abc"], ORIGIN)
    streamed = writer.stream()
    streamed.write(b"defg")
    second = streamed.close("1.2.4", ORIGIN)
    data = path.read_bytes()
    assert data[first.offset : first.end] == b"abc"
    assert data[second.offset : second.end] == b"defg"
    assert second.offset % 4096 == first.end % 4096


def test_the_same_appends_give_the_same_bytes(tmp_path: Path) -> None:
    def written(name: str) -> bytes:
        fd = os.open(tmp_path / name, os.O_RDWR | os.O_CREAT)
        writer = PackWriter(fd)
        writer.append("1.2.3", [b"abc"], ORIGIN)
        writer.finish(b"index")
        os.close(fd)
        return (tmp_path / name).read_bytes()

    assert written("a") == written("b")


def test_a_member_over_4_gib_is_zip64(pack) -> None:
    """The content is a hole, so this costs no disk; its CRC is put together from pieces."""
    path, fd = pack
    writer = PackWriter(fd)
    writer.append("1.2.3", [b"before"], ORIGIN)
    streamed = writer.stream()
    hole = 5 << 30
    streamed.write(b"start")
    os.ftruncate(fd, streamed.offset + hole)
    zeros, crc = bytes(64 << 20), crc32(b"start")
    rest = hole - 5
    while rest:
        crc = crc32(zeros[:rest] if rest < len(zeros) else zeros, crc)
        rest -= min(rest, len(zeros))
    streamed.length_bytes, streamed._crc = hole, crc
    streamed.close("1.2.4", ORIGIN)
    writer.append("1.2.5", [b"behind"], ORIGIN)
    total = writer.finish(b"index")

    with zipfile.ZipFile(path) as archive:
        big, small = archive.getinfo("1.2.4.dcm"), archive.getinfo("1.2.5.dcm")
        assert (big.file_size, big.CRC) == (hole, crc)
        assert small.header_offset > 1 << 32
        assert archive.read("1.2.5.dcm") == b"behind"
    assert os.pread(fd, 6, 0) == b"PK\x03\x04\x0a\x00"
    tail = os.pread(fd, 4096, total - 4096)
    assert read_index(tail, total) == b"index"
    members = read_directory(tail, total)
    assert not isinstance(members, NeedSuffix)
    assert members[1].length_bytes == hole


def test_more_than_65535_members(pack) -> None:
    path, fd = pack
    writer = PackWriter(fd)
    count = 65_600
    for number in range(count):
        writer.append(f"1.{number}", [], ORIGIN)
    total = writer.finish(b"index")
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == count + 1
    members = read_directory(path.read_bytes(), total)
    assert not isinstance(members, NeedSuffix)
    assert len(members) == count + 1
    assert read_directory(os.pread(fd, 30, total - 30), total) == NeedSuffix(22 + 20 + 56)


def test_a_failed_write_leaves_the_pack_as_it_was(pack) -> None:
    path, fd = pack
    writer = PackWriter(fd)
    writer.append("1.2.3", [b"abc"], ORIGIN)
    before = path.read_bytes()
    reader = PackWriter(
        os.open(path, os.O_RDONLY), members=writer.members, length_bytes=writer.length_bytes
    )
    with pytest.raises(OSError):
        reader.append("1.2.4", [b"abc"], ORIGIN)
    assert path.read_bytes() == before
    assert len(reader.members) == 1
    os.close(reader._fd)


def test_what_the_system_did_not_write_at_once_is_written_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.pwritev

    def some(fd: int, buffers: list[bytes], offset: int) -> int:
        return whole(fd, [b"".join(buffers)[:7]], offset)

    content = [b"", b"meta in", memoryview(b"formation"), b"", b"data set", b""]
    paths = tmp_path / "at once", tmp_path / "in pieces"
    for path, write in zip(paths, (whole, some), strict=True):
        monkeypatch.setattr(os, "pwritev", write)
        with path.open("wb") as file:
            PackWriter(file.fileno()).append("1.2.3", content, ORIGIN)
    assert paths[1].read_bytes() == paths[0].read_bytes()
    assert paths[0].read_bytes().endswith(b"meta information" + b"data set")


def test_writing_goes_on_after_a_recovery(pack) -> None:
    path, fd = pack
    writer = PackWriter(fd)
    writer.append("1.2.3", [b"abc"], ORIGIN)
    whole = path.read_bytes()
    os.pwrite(fd, b"garbage" * 100, writer.length_bytes)
    found = recover(lambda at, n: os.pread(fd, n, at), path.stat().st_size)
    assert found.good_bytes == len(whole)
    os.ftruncate(fd, found.good_bytes)
    again = PackWriter(fd, members=[m.member for m in found.members], length_bytes=found.good_bytes)
    again.append("1.2.4", [b"def"], ORIGIN)
    again.finish(b"index")
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["1.2.3.dcm", "1.2.4.dcm", "index.zst"]


def test_a_local_header_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="local header"):
        local_header("1.dcm", 1, 0, b"x" * 5000, total_bytes=4096)


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, b"X"), (6, b"\x08"), (8, b"\x08"), (10, b"\x01"), (18, b"\x09"), (30, b"\xff")],
)
def test_headers_of_other_programs_are_not_ours(at: int, value: bytes) -> None:
    header = bytearray(local_header("1.dcm", 1, 0, b"{}"))
    assert parse_local_header(bytes(header)) is not None
    header[at : at + 1] = value
    assert parse_local_header(bytes(header)) is None


def test_zipfile_reads_it_from_memory_too(pack) -> None:
    path, fd = pack
    writer = PackWriter(fd)
    writer.append("1.2.3", [b"abc"], ORIGIN)
    writer.finish(b"index")
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        assert archive.read("index.zst") == b"index"
