"""The command line as its user runs it: processes, exit codes, output that can be piped."""

import json
import os
import shutil
import signal
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

import warm_start
from crash.archive import Archive, running
from patience import PATIENCE_S

CT = Path(str(get_testdata_file("CT_small.dcm")))
MR = Path(str(get_testdata_file("MR_small.dcm")))


def pacs(
    *words: str | Path, code: int | None = 0, cwd: Path | None = None
) -> subprocess.CompletedProcess:
    """Run the program; it has to end with `code`, None for any."""
    done = warm_start.run(*words, cwd=cwd, env={**os.environ, "NO_COLOR": "1"})
    assert code is None or done.returncode == code, (done.stdout[-2000:], done.stderr[-2000:])
    return done


def lines(done: subprocess.CompletedProcess) -> list[dict]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def two_good_files(folder: Path) -> Path:
    """Two good files, one that is no DICOM, one cut short."""
    (folder / "deep").mkdir(parents=True)
    (folder / "ct.dcm").write_bytes(CT.read_bytes())
    (folder / "deep" / "mr").write_bytes(MR.read_bytes())
    (folder / "readme.txt").write_text("no DICOM")
    (folder / "torn.dcm").write_bytes(CT.read_bytes()[:3000])
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return two_good_files(tmp_path / "in")


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive with the two good files; what changes it changes a copy."""
    made = tmp_path_factory.mktemp("imported")
    pacs("import", two_good_files(made / "in"), "--data", made / "data", code=1)
    return made / "data"


@pytest.fixture
def data(tmp_path: Path, imported: Path) -> Path:
    return shutil.copytree(imported, tmp_path / "data")


@pytest.fixture
def archive(data: Path, tmp_path: Path) -> Iterator[Archive]:
    with running(data, log=tmp_path / "log") as started:
        yield started


def test_import_lists_each_refusal_and_exits_1(folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    *refused, summary = lines(pacs("import", folder, "--data", data, "--json", code=1))
    assert any("torn.dcm" in json.dumps(one) for one in refused)
    assert summary["stored"] == 2
    (folder / "torn.dcm").unlink()
    *_, again = lines(pacs("import", folder, "--data", data, "--json"))
    assert again["stored"] == 0
    assert again["duplicate"] == 2


def test_import_of_a_zip(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "in.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.write(folder / "ct.dcm", "a/ct.dcm")
    *_, summary = lines(pacs("import", tmp_path / "in.zip", "--data", tmp_path / "d", "--json"))
    assert summary["stored"] == 1


def test_find_get_and_what_comes_out_is_what_went_in(data: Path, tmp_path: Path) -> None:
    found = lines(pacs("find", "--json", "--data", data, "PatientName=CompressedSamples*"))
    assert {one["PatientID"] for one in found} == {"1CT1", "4MR1"}
    assert "1CT1" in pacs("find", "--data", data).stdout
    study = next(one["StudyInstanceUID"] for one in found if one["PatientID"] == "1CT1")
    told = lines(pacs("get", study, "-o", tmp_path / "out", "--data", data, "--json"))
    assert told[0]["files"] == 1
    ds = dcmread(CT)
    path = tmp_path / "out" / study / ds.SeriesInstanceUID / f"{ds.SOPInstanceUID}.dcm"
    assert path.read_bytes() == CT.read_bytes()


def test_find_at_every_level(imported: Path) -> None:
    for level, count in (("patient", 2), ("study", 2), ("series", 2), ("instance", 2)):
        assert len(lines(pacs("find", "--json", "--data", imported, "--level", level))) == count


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("find", "Nonsense=1"), "Nonsense"),
        (("find", "StudyDate=yesterday"), "StudyDate"),
        (("find", "PatientID"), "KEY=VALUE"),
        (("find", "--level", "cell"), "cell"),
        (("get", "1.2.3", "-o", "out"), "no such study"),
        (("get", "../../etc", "-o", "out"), "UID"),
        (("send", "1.2.3", "--to", "nowhere"), "AET@HOST:PORT"),
        (("import", "missing-folder"), "missing-folder"),
        (("up", "--http", "0.0.0.0:80"), "loopback"),
        (("up", "--config", "missing.toml"), "missing.toml"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_2(
    imported: Path, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    done = pacs(*words, "--data", imported, code=2, cwd=tmp_path)
    assert told in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("command", ["find", "fsck", "rebuild", "status"])
def test_no_archive_is_made_where_one_was_only_asked_for(tmp_path: Path, command: str) -> None:
    said = pacs(command, "--data", tmp_path / "none", code=2).stderr
    assert "no archive" in said
    assert "--data says where it is" in said
    assert not (tmp_path / "none").exists()


def test_fsck_exits_0_clean_1_with_findings_and_rebuild_mends_the_catalogue(data: Path) -> None:
    assert lines(pacs("fsck", "--data", data, "--json")) == []
    assert lines(pacs("fsck", "--data", data, "--json", "--deep")) == []
    for path in data.glob("catalogue.sqlite*"):
        path.unlink()
    kinds = {one["kind"] for one in lines(pacs("fsck", "--data", data, "--json", code=1))}
    assert kinds >= {"orphan"}
    assert lines(pacs("rebuild", "--data", data, "--json"))[0]["instances"] == 2
    assert lines(pacs("fsck", "--data", data, "--json", "--deep")) == []


def test_fsck_finds_a_flipped_bit_when_it_looks_deep(data: Path) -> None:
    (pack, *_) = (data / "objects" / "packs").rglob("*.zip")
    content = bytearray(pack.read_bytes())
    content[5000] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(content)
    kinds = {one["kind"] for one in lines(pacs("fsck", "--data", data, "--json", "--deep", code=1))}
    assert kinds & {"checksum", "digest"}


def test_rebuild_exits_1_where_a_pack_cannot_be_read(data: Path) -> None:
    # The catalogue would have its index still.
    for gone in (*(data / "objects" / "index").rglob("*.zst"), *data.glob("catalogue.sqlite*")):
        gone.unlink()
    (pack, *_) = (data / "objects" / "packs").rglob("*.zip")
    pack.chmod(0o600)
    pack.write_bytes(b"no pack")
    (said,) = lines(pacs("rebuild", "--data", data, "--json", code=1))
    assert said["problems"]


def test_fsck_and_rebuild_refuse_a_directory_in_use(archive: Archive, data: Path) -> None:
    for command in ("fsck", "rebuild"):
        assert "in use" in pacs(command, "--data", data, code=2).stderr


def test_reading_commands_work_beside_a_running_archive(archive: Archive, data: Path) -> None:
    assert len(lines(pacs("find", "--json", "--data", data))) == 2
    status = lines(pacs("status", "--json", "--data", data))[0]
    assert status["objects"] == status["catalogue"] == "yes"
    assert status["spool_packs"] == 0


def test_up_serves_and_its_ports_are_taken(archive: Archive, tmp_path: Path) -> None:
    for probe in ("healthz", "readyz"):
        assert httpx.get(f"{archive.http}/{probe}").status_code == 200
    taken = archive.http.removeprefix("http://")
    words = ("up", "--data", tmp_path / "other", "--http", taken, "--dimse", "127.0.0.1:0")
    said = pacs(*words, code=2).stderr
    assert "the port is in use" in said
    assert "--http says where else" in said


def test_a_process_that_dies_is_started_again(archive: Archive) -> None:
    web = min(archive.web_pids)
    os.kill(web, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            if httpx.get(f"{archive.http}/readyz").status_code == 200:
                break
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
    assert web not in archive.pids


def test_help_teaches() -> None:
    commands = [
        "up",
        "serve",
        "import",
        "find",
        "get",
        "send",
        "delete",
        "trash",
        "status",
        "fsck",
        "rebuild",
    ]
    assert set(commands) <= set(pacs("--help").stdout.split())
    for command in commands:
        assert "Usage" in pacs(command, "--help").stdout
    assert pacs("--version").stdout.startswith("pacs-cloud ")
