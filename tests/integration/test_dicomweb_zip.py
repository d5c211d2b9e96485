"""Studies as ZIP files over HTTP: read back by Python, unzip, pydicom and DCMTK (PS3.18 8.6.1.3)."""

import asyncio
import re
import shutil
import subprocess
import warnings
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
import pytest_asyncio
from dicomweb_archive import Running, served
from pydicom.data import get_testdata_file
from pydicom.fileset import DIRECTORY_RECORDERS, FileSet

from dicomweb_samples import make_instance
from pacs_cloud.catalogue.judging import ConflictPolicy

pytestmark = pytest.mark.asyncio(loop_scope="module")

STUDY = "1.2.3.1"
SERIES = ("1.2.3.1.1", "1.2.3.1.2")
ZIP = {"accept": "application/zip"}
OLD = make_instance("1.2.3.1.1.2", series=SERIES[0], PatientName="Old^Version")
FILES = {
    f"{STUDY}/{series}/{series}.{number}.dcm": make_instance(
        f"{series}.{number}",
        series=series,
        PatientName="Müller^Jörg",
        SeriesNumber=series[-1],
        StudyID="S7",
    )
    for series in SERIES
    for number in (1, 2, 3)
}
OTHER_TYPES = ("reportsi.dcm", "rtplan.dcm", "rtstruct.dcm", "rtdose.dcm", "waveform_ecg.dcm")
TYPES = {
    "EnhancedSRStorage": "SR DOCUMENT",
    "ComprehensiveSRStorage": "SR DOCUMENT",
    "BasicTextSRStorage": "SR DOCUMENT",
    "RTPlanStorage": "RT PLAN",
    "RTStructureSetStorage": "RT STRUCTURE SET",
    "RTDoseStorage": "RT DOSE",
    "TwelveLeadECGWaveformStorage": "WAVEFORM",
    "GeneralECGWaveformStorage": "WAVEFORM",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def archive(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("archive")
    async with served(folder, policy=ConflictPolicy.REPLACE) as running:
        for files in ([OLD], FILES.values()):
            response = await running.store(*files)
            assert response.status_code in {200, 202}, response.text
        yield running


async def zipped(archive: Running, path: str, **options: object) -> tuple[bytes, zipfile.ZipFile]:
    response = await archive.client.get(path, headers=ZIP, **options)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/zip"
    assert int(response.headers["content-length"]) == len(response.content)
    opened = zipfile.ZipFile(BytesIO(response.content))
    assert opened.testzip() is None
    return response.content, opened


@pytest.mark.parametrize(
    ("path", "within"),
    [
        (f"/studies/{STUDY}", f"{STUDY}/"),
        (f"/studies/{STUDY}/series/{SERIES[1]}", f"{STUDY}/{SERIES[1]}/"),
        (
            f"/studies/{STUDY}/series/{SERIES[0]}/instances/{SERIES[0]}.2",
            f"{STUDY}/{SERIES[0]}/{SERIES[0]}.2",
        ),
    ],
)
async def test_every_visible_instance_as_it_was_received(
    archive: Running, path: str, within: str
) -> None:
    _, opened = await zipped(archive, path)
    expected = {name: file for name, file in FILES.items() if name.startswith(within)}
    assert expected
    assert {name: opened.read(name) for name in opened.namelist()} == expected
    assert {info.compress_type for info in opened.infolist()} == {zipfile.ZIP_STORED}
    assert not any(info.flag_bits & 0x8 for info in opened.infolist())  # no data descriptors


async def test_unzip_finds_no_fault(archive: Running, tmp_path: Path) -> None:
    if shutil.which("unzip") is None:
        pytest.skip("no unzip here")
    content, _ = await zipped(archive, f"/studies/{STUDY}")
    path = tmp_path / "study.zip"
    path.write_bytes(content)
    tested = subprocess.run(["unzip", "-t", path], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout


async def test_equal_bytes_and_an_etag_each_time(archive: Running) -> None:
    path = f"/studies/{STUDY}"
    first, second = [await archive.client.get(path, headers=ZIP) for _ in range(2)]
    assert first.content == second.content
    etag = first.headers["etag"]
    assert etag == second.headers["etag"]
    again = await archive.client.get(path, headers={**ZIP, "if-none-match": etag})
    assert (again.status_code, again.content) == (304, b"")
    filed = await archive.client.get(path, headers=ZIP, params={"dicomdir": "true"})
    parts = await archive.client.get(path, headers={"accept": "multipart/related"})
    assert len({etag, filed.headers["etag"], parts.headers["etag"]}) == 3


async def test_a_broken_download_goes_on(archive: Running) -> None:
    path = f"/studies/{STUDY}"
    whole, _ = await zipped(archive, path)
    etag = (await archive.client.head(path, headers=ZIP)).headers["etag"]
    for start in (1, 100, 700, len(whole) - 50):
        rest = await archive.client.get(
            path, headers={**ZIP, "range": f"bytes={start}-", "if-range": etag}
        )
        assert rest.status_code == 206
        assert rest.headers["content-range"] == f"bytes {start}-{len(whole) - 1}/{len(whole)}"
        assert rest.content == whole[start:]
    other = await archive.client.get(
        path, headers={**ZIP, "range": "bytes=9-", "if-range": '"another"'}
    )
    assert (other.status_code, other.content) == (200, whole)


async def test_head_tells_the_length_and_the_name(archive: Running) -> None:
    path = f"/studies/{STUDY}/series/{SERIES[0]}"
    content, _ = await zipped(archive, path)
    head = await archive.client.head(path, headers=ZIP)
    assert int(head.headers["content-length"]) == len(content)
    assert head.headers["content-disposition"] == f'attachment; filename="{SERIES[0]}.zip"'


@pytest.mark.parametrize(
    ("accept", "query", "status", "kind"),
    [
        ("*/*", {}, 200, "multipart/related"),
        ("application/*", {}, 406, "application/problem+json"),
        ("", {"accept": "application/zip"}, 200, "application/zip"),
        ("application/zip;q=0.5, multipart/related", {}, 200, "multipart/related"),
        ("application/zip, multipart/related;q=0.5", {}, 200, "application/zip"),
        ("application/zip;q=0.5, image/png", {}, 200, "application/zip"),
        ("application/zip; transfer-syntax=*", {}, 200, "application/zip"),
        ("application/zip; transfer-syntax=1.2.840.10008.1.2.1", {}, 200, "application/zip"),
        (
            "application/zip; transfer-syntax=1.2.840.10008.1.2.5",
            {},
            406,
            "application/problem+json",
        ),
        ("application/zip", {"dicomdir": "yes"}, 400, "application/problem+json"),
    ],
)
async def test_negotiation(
    archive: Running, accept: str, query: dict[str, str], status: int, kind: str
) -> None:
    response = await archive.client.get(
        f"/studies/{STUDY}", headers={"accept": accept} if accept else {}, params=query
    )
    assert response.status_code == status, response.text
    assert response.headers["content-type"].partition(";")[0] == kind


async def test_a_study_that_is_not_there(archive: Running) -> None:
    assert (await archive.client.get("/studies/1.9", headers=ZIP)).status_code == 404


async def test_a_dicomdir_that_pydicom_and_dcmtk_read(archive: Running, tmp_path: Path) -> None:
    _, opened = await zipped(archive, f"/studies/{STUDY}", params={"dicomdir": "true"})
    names = opened.namelist()
    assert names[0] == "DICOMDIR"
    opened.extractall(tmp_path)
    with file_set_of(tmp_path / "DICOMDIR") as file_set:
        found = sorted(one.SOPInstanceUID for one in file_set)
        for one in file_set:
            dataset = one.load()
            assert dataset.SOPInstanceUID == one.SOPInstanceUID
            assert str(one.PatientName) == "Müller^Jörg"
            assert one.SeriesInstanceUID == dataset.SeriesInstanceUID
            assert one.StudyID == "S7"
        assert len(file_set.find_values("SeriesInstanceUID")) == len(SERIES)
    assert found == sorted(name.rpartition("/")[2].removesuffix(".dcm") for name in FILES)
    dcmdump(tmp_path / "DICOMDIR")
    assert all(re.fullmatch("[A-Z0-9_]{1,8}", part) for name in names for part in name.split("/"))


async def test_a_dicomdir_of_other_record_types(archive: Running, tmp_path: Path) -> None:
    datasets = [pydicom.dcmread(get_testdata_file(name), force=True) for name in OTHER_TYPES]
    study = "1.2.3.77"
    files = []
    for dataset in datasets:
        dataset.StudyInstanceUID = study
        dataset.InstanceNumber = dataset.get("InstanceNumber") or 1
        buffer = BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        files.append(buffer.getvalue())
    stored = await archive.store(*files)
    assert stored.status_code in {200, 202}, stored.text
    _, opened = await zipped(archive, f"/studies/{study}", params={"dicomdir": "true"})
    opened.extractall(tmp_path)
    with file_set_of(tmp_path / "DICOMDIR") as file_set:
        records = {one.SOPInstanceUID: one.node._record for one in file_set}
    for dataset in datasets:
        record = records.pop(dataset.SOPInstanceUID)
        kind = TYPES[dataset.SOPClassUID.keyword]
        assert record.DirectoryRecordType == kind
        # pydicom's own record of that instance says the same, but that it takes a whole
        # document for the modifiers of its title.
        for element in DIRECTORY_RECORDERS[kind](dataset):
            if element.keyword != "ContentSequence":
                assert record[element.tag] == element, element
    assert not records
    dcmdump(tmp_path / "DICOMDIR")


async def test_dcmtk_follows_the_dicomdirs_offsets_and_adds_to_it(
    archive: Running, tmp_path: Path, dcmtk: Callable[[str], str]
) -> None:
    _, opened = await zipped(archive, f"/studies/{STUDY}", params={"dicomdir": "true"})
    await add_with_dcmtk(dcmtk("dcmmkdir"), opened, tmp_path)
    with file_set_of(tmp_path / "DICOMDIR") as file_set:
        assert len(file_set) == len(FILES) + 1


async def test_real_studies_with_their_dicomdirs(
    tmp_path: Path, real_data: Path, dcmtk: Callable[[str], str]
) -> None:
    program = dcmtk("dcmmkdir")
    async with served(tmp_path / "archive") as running:
        for path in sorted((real_data / "single").glob("*.dcm")):
            assert (await running.store(path.read_bytes())).status_code in {200, 202}, path.name
        found = await running.client.get("/studies", params={"limit": 1000})
        studies = {one["0020000D"]["Value"][0]: one["00201208"]["Value"][0] for one in found.json()}
        assert len(studies) > 20
        for number, (study, count) in enumerate(studies.items()):
            _, opened = await zipped(running, f"/studies/{study}", params={"dicomdir": "true"})
            folder = tmp_path / str(number)
            await add_with_dcmtk(program, opened, folder)
            with file_set_of(folder / "DICOMDIR") as file_set:
                assert len(file_set) == count + 1, study


async def add_with_dcmtk(program: str, opened: zipfile.ZipFile, folder: Path) -> None:
    """Let DCMTK read the directory, record by record, and add a file of another patient to it."""
    opened.extractall(folder)
    extra = make_instance(
        "1.9.9.1", study="1.9", series="1.9.9", PatientID="P9", StudyID="S9", SeriesNumber=1
    )
    (folder / "EXTRA").write_bytes(extra)
    done = await asyncio.create_subprocess_exec(
        *(program, "--no-backup", "--append", "--invent", "+D", "DICOMDIR", "EXTRA"),
        cwd=folder,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await done.communicate()
    said = errors.decode(errors="replace")
    assert done.returncode == 0, said
    # It makes up an ID for a patient that has none, where we leave it empty.
    assert all("inventing PatientID" in line for line in said.splitlines() if line), said


@contextmanager
def file_set_of(path: Path) -> Iterator[FileSet]:
    """Read a DICOMDIR; pydicom warns of values in its own test files, and leaves a folder behind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file_set = FileSet(path)
        yield file_set
    file_set._stage["t"].cleanup()


def dcmdump(path: Path) -> None:
    """DCMTK checks every record's offset as it dumps the tree."""
    program = shutil.which("dcmdirdmp") or shutil.which("dcmdump")
    if program is None:
        return
    done = subprocess.run([program, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
