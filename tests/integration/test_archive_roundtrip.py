"""Every readable real file into the whole running archive, and out again, on both back ends."""

import io
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from dicomweb_client import DICOMwebClient
from pydicom import uid
from pydicom.data import get_testdata_files
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import dcmread
from pynetdicom import AE

from crash.archive import Archive, running
from patience import PATIENCE_S
from real_files import REAL_DATA
from servers.endpoint import Endpoint
from servers.fixtures import Place, queue_at

# pydicom warns about what real devices write; that is not what these tests look at.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

STORESCU_FLAGS = {
    uid.ImplicitVRLittleEndian: "-xi",
    uid.ExplicitVRLittleEndian: "-xe",
    uid.ExplicitVRBigEndian: "-xb",
    uid.DeflatedExplicitVRLittleEndian: "-xd",
    uid.RLELossless: "-xr",
    uid.JPEGBaseline8Bit: "-xy",
    uid.JPEGExtended12Bit: "-xx",
    uid.JPEGLosslessSV1: "-xs",
    uid.JPEGLSLossless: "-xt",
    uid.JPEGLSNearLossless: "-xu",
    uid.JPEG2000Lossless: "-xv",
    uid.JPEG2000: "-xw",
    uid.MPEG2MPML: "-xm",
}
TRAILING_PADDING = 0xFFFCFFFC
UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")


@pytest.fixture(params=["embedded", "cloud"])
def archive(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Archive]:
    if request.param == "cloud":
        for name, value in request.getfixturevalue("cloud_settings").items():
            monkeypatch.setenv(name, value)
    with running(tmp_path / "data", log=tmp_path / "log") as started:
        yield started


@pytest.fixture
def cloud_settings(
    best_bucket: Place, best_table: Place, moto_endpoint: Endpoint
) -> Iterator[dict[str, str]]:
    """The settings of an archive on a bucket, a table and a queue."""
    s3 = best_bucket.endpoint
    with queue_at(moto_endpoint) as queue:
        yield {
            "AWS_ACCESS_KEY_ID": s3.access_key,
            "AWS_SECRET_ACCESS_KEY": s3.secret_key,
            "AWS_REGION": s3.region,
            "PACS_OBJECTS": f"s3://{best_bucket.name}?endpoint={s3.url}",
            "PACS_CATALOGUE": f"dynamodb://{best_table.name}?endpoint={best_table.endpoint.url}",
            "PACS_QUEUE": f"sqs://{queue.name}?endpoint={queue.endpoint.url}",
            "PACS_PACK_LINGER_S": "0.2",
            "PACS_PACK_LINGER_MAX_S": "0.2",
        }


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """Files that pydicom reads and that name an instance, one of each SOP Instance UID.

    Real ones where there are any (else other tests say so, and skip), and pydicom's own.
    """
    real = sorted([*REAL_DATA.glob("single/*"), *REAL_DATA.glob("series_*/*")])
    candidates = [*real, *sorted(map(Path, get_testdata_files("*.dcm")))]
    chosen: dict[str, Path] = {}
    for path in candidates:
        ds = _readable(path)
        if ds is not None:
            chosen.setdefault(ds.SOPInstanceUID, path)
    assert chosen
    return list(chosen.values())


def _readable(path: Path) -> Dataset | None:
    try:
        ds = dcmread(path)
        complete = all(ds.get(name) for name in UIDS) and ds.file_meta.TransferSyntaxUID
    except (InvalidDicomError, OSError, AttributeError, EOFError, ValueError, NotImplementedError):
        return None
    return ds if complete and ds.SOPClassUID.startswith("1.2.840.10008.5.1.4.1.1.") else None


def _is_writable(path: Path) -> bool:
    """Whether pydicom, and so a client built on it, can write again what it has read."""
    try:
        dcmread(path).save_as(io.BytesIO())
    except (TypeError, ValueError, AttributeError):
        return False
    return True


def test_stow_raw_comes_back_byte_for_byte(archive: Archive, files: list[Path]) -> None:
    web = f"{archive.http}/dicom-web"
    with httpx.Client(timeout=PATIENCE_S) as http:
        for path in files:
            answer = _stow(http, web, path.read_bytes())
            assert answer.status_code == 200, (path.name, answer.text[:500])
        for path in files:
            assert _wado(http, web, dcmread(path, stop_before_pixels=True)) == path.read_bytes(), (
                path.name
            )


def test_stow_by_dicomweb_client_comes_back_equal(archive: Archive, files: list[Path]) -> None:
    client = DICOMwebClient(f"{archive.http}/dicom-web")
    for path in filter(_is_writable, files):
        sent = dcmread(path)
        client.store_instances([sent])
        got = client.retrieve_instance(
            sent.StudyInstanceUID,
            sent.SeriesInstanceUID,
            sent.SOPInstanceUID,
            media_types=(("application/dicom", "*"),),
        )
        _assert_equal(sent, got, path)


def test_c_store_comes_back_equal(
    archive: Archive, files: list[Path], dcmtk: Callable[[str], str]
) -> None:
    program = dcmtk("storescu")
    files = [path for path in files if _is_writable(path)]
    for path in files:
        # DCMTK 3.6.7 neither proposes every syntax nor reads every file that pydicom reads.
        if not _storescu(program, archive, path):
            _pynetdicom(archive, path)
    web = f"{archive.http}/dicom-web"
    with httpx.Client(timeout=PATIENCE_S) as http:
        _await_instances(http, web, files)
        for path in files:
            sent = dcmread(path)
            got = dcmread(io.BytesIO(_wado(http, web, sent)))
            assert got.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID, path.name
            _assert_equal(sent, got, path)


def test_malformed_files_are_refused_and_nothing_is_lost_beside_them(
    archive: Archive, files: list[Path], real_data: Path
) -> None:
    web = f"{archive.http}/dicom-web"
    good = files[0].read_bytes()
    with httpx.Client(timeout=PATIENCE_S) as http:
        for path in sorted((real_data / "malformed").iterdir()):
            content = path.read_bytes()
            answer = _stow(http, web, content, good)
            # The good one is stored whatever stands beside it.
            assert answer.status_code in {200, 202}, (path.name, answer.text[:500])
            told = answer.json()
            stored = [
                item["00081155"]["Value"][0] for item in told.get("00081199", {}).get("Value", [])
            ]
            assert dcmread(files[0]).SOPInstanceUID in stored
            if answer.status_code == 200:
                # Accepted, so it must be kept.
                (other,) = [one for one in told["00081199"]["Value"] if "00081190" in one][:1]
                url = other["00081190"]["Value"][0]
                kept = http.get(url, headers={"Accept": "application/dicom; transfer-syntax=*"})
                assert kept.status_code == 200
        assert _wado(http, web, dcmread(files[0])) == good
        assert http.get(f"{archive.http}/readyz").status_code == 200


def _stow(http: httpx.Client, web: str, *contents: bytes) -> httpx.Response:
    boundary = uuid.uuid4().hex
    parts = [
        f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode() + content + b"\r\n"
        for content in contents
    ]
    return http.post(
        f"{web}/studies",
        content=b"".join(parts) + f"--{boundary}--\r\n".encode(),
        headers={
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Accept": "application/dicom+json",
        },
    )


def _wado(http: httpx.Client, web: str, ds: Dataset) -> bytes:
    answer = http.get(
        f"{web}/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}"
        f"/instances/{ds.SOPInstanceUID}",
        headers={"Accept": "application/dicom; transfer-syntax=*"},
    )
    assert answer.status_code == 200, answer.text[:500]
    return answer.content


def _storescu(program: str, archive: Archive, path: Path) -> bool:
    flag = STORESCU_FLAGS.get(dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID)
    if flag is None:
        return False
    done = subprocess.run(
        [program, flag, "-R", "-aec", archive.aet, archive.host, str(archive.port), path],
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
        env={**os.environ, "TCP_NODELAY": "1"},
    )
    return done.returncode == 0


def _pynetdicom(archive: Archive, path: Path) -> None:
    ds = dcmread(path)
    entity = AE()
    entity.add_requested_context(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID)
    association = entity.associate(archive.host, archive.port, ae_title=archive.aet)
    assert association.is_established
    status = association.send_c_store(ds)
    association.release()
    assert status.Status == 0, path.name


def _await_instances(http: httpx.Client, web: str, files: list[Path]) -> None:
    """Return once the last association's packs are committed (cloud: after their linger)."""
    end = time.monotonic() + PATIENCE_S
    for path in files:
        ds = dcmread(path, stop_before_pixels=True)
        url = (
            f"{web}/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}"
            f"/instances?SOPInstanceUID={ds.SOPInstanceUID}"
        )
        while http.get(url, headers={"Accept": "application/dicom+json"}).status_code != 200:
            assert time.monotonic() < end, f"{path.name} never appeared"
            time.sleep(0.1)


def _assert_equal(sent: Dataset, got: Dataset, path: Path) -> None:
    """Assert equal elements and identical pixel bytes."""
    for ds in (sent, got):
        ds.walk(_as_dcmtk_sends)
    assert got.get("PixelData") == sent.get("PixelData"), path.name
    assert got == sent, path.name


def _as_dcmtk_sends(ds: Dataset, element: DataElement) -> None:
    """Do to an element what DCMTK does before it sends it."""
    if element.tag.element == 0 or element.tag == TRAILING_PADDING:
        del ds[element.tag]
    elif isinstance(element.value, bytes):
        element.value += b"\0" * (len(element.value) % 2)
        if element.keyword == "PixelData" and element.is_undefined_length:
            element.VR = "OB"
