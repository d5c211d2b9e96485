"""Bodies of hundreds of megabytes and more: the web process takes them at constant memory."""

import contextlib
import http.client
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from struct import pack
from typing import Any
from urllib.parse import urlsplit

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from crash.archive import Archive, running
from dicomweb_samples import make_instance

MIB = 1 << 20
LIMIT_MIB = 400
GROWTH_MIB = 150
SIDE = 1024
FRAME_BYTES = SIDE * SIDE * 2
ENCAPSULATED_UNCOMPRESSED = UID("1.2.840.10008.1.2.1.98")
NATIVE = UID("1.2.840.10008.1.2.1")
BOUNDARY = b"a-long-boundary"
SOP = "1.2.3.9.1"
INSTANCE = f"studies/1.2.3.1/series/1.2.3.1.1/instances/{SOP}"
BLOCK = bytes(range(256)) * (FRAME_BYTES // 256)

Body = Callable[[int], tuple[str, Iterator[bytes]]]


def frame(number: int) -> bytes:
    """Return frame `number`, from 1, which no other is equal to."""
    return pack("<Q", number) + BLOCK[8:]


def headers(frames: int) -> Dataset:
    file = pydicom.dcmread(io.BytesIO(make_instance(SOP)), stop_before_pixels=True)
    file.NumberOfFrames = frames
    file.Rows = file.Columns = SIDE
    return file


def part10(frames: int, syntax: UID) -> Iterator[bytes]:
    """Yield a multi-frame Part 10 file: native, or a fragment a frame without an offset table."""
    dataset = headers(frames)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = NATIVE
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    # The same data set in both syntaxes: only the name has to be another, of another length.
    yield buffer.getvalue().replace(
        pack("<HH2sH", 2, 16, b"UI", 20) + NATIVE.encode() + b"\0",
        pack("<HH2sH", 2, 16, b"UI", len(syntax) + len(syntax) % 2)
        + syntax.encode()
        + bytes(len(syntax) % 2),
    )
    is_native = syntax == NATIVE
    length = frames * FRAME_BYTES if is_native else 0xFFFFFFFF
    yield pack("<HH2sHL", 0x7FE0, 0x0010, b"OW" if is_native else b"OB", 0, length)
    if not is_native:
        yield pack("<HHL", 0xFFFE, 0xE000, 0)
    for number in range(1, frames + 1):
        if not is_native:
            yield pack("<HHL", 0xFFFE, 0xE000, FRAME_BYTES)
        yield frame(number)
    if not is_native:
        yield pack("<HHL", 0xFFFE, 0xE0DD, 0)


def as_part10(syntax: UID) -> Body:
    def body(frames: int) -> tuple[str, Iterator[bytes]]:
        def parts() -> Iterator[bytes]:
            yield b"--" + BOUNDARY + b"\r\nContent-Type: application/dicom\r\n\r\n"
            yield from part10(frames, syntax)
            yield b"\r\n--" + BOUNDARY + b"--"

        return "application/dicom", parts()

    return body


def as_metadata(syntax: UID) -> Body:
    def body(frames: int) -> tuple[str, Iterator[bytes]]:
        elements = headers(frames).to_json_dict()
        elements["7FE00010"] = {"vr": "OW", "BulkDataURI": "frames"}
        begin = (
            b"\r\n--" + BOUNDARY + b"\r\nContent-Location: frames\r\nContent-Type: "
            b"application/octet-stream; transfer-syntax=" + syntax.encode() + b"\r\n\r\n"
        )

        def parts() -> Iterator[bytes]:
            yield b"--" + BOUNDARY + b"\r\nContent-Type: application/dicom+json\r\n\r\n"
            yield json.dumps([elements]).encode()
            for number in range(1, frames + 1):
                if number == 1 or syntax != NATIVE:
                    yield begin
                yield frame(number)
            yield b"\r\n--" + BOUNDARY + b"--"

        return "application/dicom+json", parts()

    return body


class Web:
    """The DICOMweb of a running archive."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._address = urlsplit(archive.http)

    def post(self, kind: str, parts: Iterator[bytes]) -> dict[str, Any]:
        """Send a chunked body; return the store response, which must be 200's."""
        with contextlib.closing(self._connection()) as connection:
            connection.request(
                "POST",
                "/dicom-web/studies",
                body=parts,
                headers={
                    "Content-Type": f'multipart/related; type="{kind}"; boundary='
                    + BOUNDARY.decode(),
                    "Transfer-Encoding": "chunked",
                },
                encode_chunked=True,
            )
            response = connection.getresponse()
            body = response.read()
            assert response.status == 200, body
            return json.loads(body)

    def frame(self, number: int) -> bytes:
        """Return a frame as it is stored."""
        with contextlib.closing(self._connection()) as connection:
            accept = "application/octet-stream; transfer-syntax=*"
            path = f"/dicom-web/{INSTANCE}/frames/{number}"
            connection.request("GET", path, headers={"Accept": accept})
            response = connection.getresponse()
            body = response.read()
            assert response.status == 200, body[:1000]
            return body

    def peak_mib(self) -> float:
        """Return the most memory that any process of the archive has had resident."""
        return max(map(_peak_mib, self._archive.pids))

    def _connection(self) -> http.client.HTTPConnection:
        assert self._address.hostname is not None
        return http.client.HTTPConnection(
            self._address.hostname, self._address.port or 80, timeout=1800
        )


def _peak_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it has ended
        return 0.0
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def store_and_read(tmp_path: Path, body: Body, frames: int) -> tuple[float, float]:
    """Store that many frames and read some; return the peaks before and after, in MiB."""
    with running(tmp_path / "data", log=tmp_path / "log") as archive:
        web = Web(archive)
        small = make_instance("1.2.3.8.1", series="1.2.3.1.8")
        head = b"--" + BOUNDARY + b"\r\n\r\n"
        web.post("application/dicom", iter([head, small, b"\r\n--" + BOUNDARY + b"--"]))
        before = web.peak_mib()
        stored = web.post(*body(frames))
        (one,) = stored["00081199"]["Value"]
        assert one["00081155"]["Value"] == [SOP]
        for number in (1, frames // 2, frames):
            assert web.frame(number) == frame(number)
        return before, web.peak_mib()


BODIES = {
    "part10-native": as_part10(NATIVE),
    "part10-encapsulated": as_part10(ENCAPSULATED_UNCOMPRESSED),
    "metadata-native": as_metadata(NATIVE),
    "metadata-encapsulated": as_metadata(ENCAPSULATED_UNCOMPRESSED),
}


@pytest.mark.parametrize("form", ["part10-native", "metadata-encapsulated"])
def test_six_hundred_megabytes_take_no_memory(tmp_path: Path, form: str) -> None:
    before, after = store_and_read(tmp_path, BODIES[form], 600 * MIB // FRAME_BYTES)
    assert after - before < GROWTH_MIB
    assert after < LIMIT_MIB


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("form", ["part10-encapsulated", "metadata-encapsulated"])
def test_five_gibibytes_are_stored_and_read_by_frame(
    tmp_path: Path, form: str, record_property: Callable[[str, object], None]
) -> None:
    before, after = store_and_read(tmp_path, BODIES[form], 5 * 1024 * MIB // FRAME_BYTES)
    record_property("peak_mib_before", before)
    record_property("peak_mib_after", after)
    print(f"{form}: peak {before:.0f} MiB before, {after:.0f} MiB after")
    assert after < LIMIT_MIB
