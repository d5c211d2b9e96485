"""`pacs-cloud deid` as its user runs it."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage

import warm_start
from deid_samples import STUDY, part10, patient, presentation_state, report, with_pixels
from deid_scanner import leaks, person_in, read
from pacs_cloud.settings import load_settings
from unit.cli.cli_archive import fill

NAMES = ("Lüdenscheidt", "PAT-445566", "Zellweger", STUDY, "Gallus", "ACC778899")


def pacs(*words: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = warm_start.run(*words, env={**os.environ, "NO_COLOR": "1"})
    assert done.returncode == code, (done.stdout[-2000:], done.stderr[-2000:])
    return done


def originals() -> list[bytes]:
    ct = with_pixels(patient(CTImageStorage))
    ct.ImageComments = "Müller-Lüdenscheidt"
    capture = with_pixels(patient(SecondaryCaptureImageStorage, f"{STUDY}.5"))
    return [part10(one) for one in (ct, report(), presentation_state(), capture)]


def archive_in(folder: Path) -> Path:
    """Return an archive with one study: a CT, a report and presentation state of it, a capture."""
    (folder / "in").mkdir()
    for number, file in enumerate(originals()):
        (folder / "in" / f"{number}.dcm").write_bytes(file)
    fill(load_settings({"data": folder / "data"}), folder / "in")
    return folder / "data"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return archive_in(tmp_path)


@pytest.fixture(scope="module")
def with_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive with a project P, of which nothing is given out."""
    data = archive_in(tmp_path_factory.mktemp("archive"))
    pacs("deid", "project", "add", "P", "--data", data)
    return data


def test_a_study_is_given_out_without_its_patient(data: Path, tmp_path: Path) -> None:
    made = pacs(
        *("deid", "project", "add", "TRIAL-1", "--option", "clean-structured-content"),
        *("--option", "retain-modified-dates", "--note", "first", "--json", "--data", data),
    )
    shown = json.loads(made.stdout)
    assert shown["options"] == ["clean-structured-content", "retain-modified-dates"]
    assert "key" not in made.stdout
    assert (
        json.loads(pacs("deid", "project", "show", "TRIAL-1", "--json", "--data", data).stdout)
        == shown
    )
    assert "TRIAL-1" in pacs("deid", "project", "list", "--data", data).stdout

    words = ("deid", "study", STUDY, "--project", "TRIAL-1", "--data", data)
    preview = pacs(*words, "--json", code=1)
    out, file = tmp_path / "out", tmp_path / "report.json"
    done = pacs(*words, "--to", out, "--report", file, code=1)
    said = json.loads(file.read_text())
    assert [one | {"bytes": 0} for one in said["instances"]] == [
        one | {"bytes": 0} for one in json.loads(preview.stdout)["instances"]
    ]
    assert (said["written"], said["withheld"]) == (3, {"burned-in": 1})
    assert [one["value"] for one in said["codes"]] == ["113100", "113104", "113107"]
    assert said["elements"]["shifted"]["StudyDate"] == 3
    assert "its pixels may show text, and no rule says where" in done.stdout

    for word in NAMES:
        assert word not in done.stdout + done.stderr + file.read_text() + preview.stdout
    written = sorted(out.rglob("*"))
    files = [path for path in written if path.is_file()]
    assert len(files) == 3
    assert {path.suffix for path in files} == {".dcm"}
    people = [person_in(original) for original in originals()]
    instances = [read(path.read_bytes()) for path in files]
    for path, ds in zip(files, instances, strict=True):
        assert path == out / ds.StudyInstanceUID / ds.SeriesInstanceUID / f"{ds.SOPInstanceUID}.dcm"
        assert [one for person in people for one in leaks(person, path.read_bytes())] == []
    (ct,) = [ds for ds in instances if ds.Modality == "CT"]
    (sr,) = [ds for ds in instances if ds.Modality == "SR"]
    image = sr.ContentSequence[-1].ReferencedSOPSequence[0]
    assert image.ReferencedSOPInstanceUID == ct.SOPInstanceUID
    assert not [path for path in data.rglob("*") if path.name.startswith("tmp")], (
        "an original is left"
    )


def test_rules_and_files_and_an_escrow(data: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('version = 1\n[[pixels]]\nmodality = "CT"\nblank = [[0, 0, 8, 2]]\n')
    pacs("deid", "project", "add", "P", "--rules", rules, "--escrow", "--data", data)
    out = tmp_path / "out"
    words = ("deid", "study", "--file", tmp_path / "in", "--project", "P", "--data", data)
    refused = json.loads(pacs(*words, "--json", code=1).stdout)
    assert refused["withheld"] == {"rule-needs-option": 2}
    with pytest.raises(AssertionError):  # a preview keeps nothing in escrow
        pacs("deid", "reveal", refused["instances"][1]["study"], "--project", "P", "--data", data)
    said = json.loads(pacs(*words, "--to", out, "--option", "clean-pixel-data", "--json").stdout)
    assert (said["written"], said["pixels"]) == (4, {"blanked": 2, "none": 2})
    (ct,) = [one for one in said["instances"] if one["modality"] == "CT"][:1]
    path = out / ct["study"] / ct["series"] / f"{ct['instance']}.dcm"
    pixels = read(path.read_bytes()).PixelData
    assert not any(pixels[:32])
    assert any(pixels[32:])
    told = pacs("deid", "reveal", ct["study"], "--project", "P", "--data", data)
    assert told.stdout.strip() == STUDY
    told = pacs(
        "deid", "reveal", read(path.read_bytes()).PatientID, "--project", "P", "--data", data
    )
    assert told.stdout.strip() == "PAT-445566"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("study", STUDY, "--project", "NONE"), "there is no project NONE"),
        (("study", "--project", "P"), "name studies, or files with --file"),
        (("study", "1.2.3", "--project", "P"), "no such study"),
        (("study", "x", "--project", "P"), "is not a UID"),
        (
            ("study", STUDY, "--project", "P", "--option", "clean-recognizable-visual-features"),
            "faces are not recognised",
        ),
        (("study", STUDY, "--project", "P", "--rules", "/nowhere.toml"), "cannot be read"),
        (("study", "--file", "/nowhere.dcm", "--project", "P"), "cannot be read"),
        (("project", "add", "P"), "there is a project P already"),
        (("project", "add", "a/b"), "letters, digits and hyphens"),
        (("reveal", "2.25.1", "--project", "P"), "nothing is kept of that"),
    ],
)
def test_what_cannot_be_done(with_project: Path, words: tuple[str, ...], said: str) -> None:
    done = pacs("deid", *words, "--data", with_project, code=2)
    assert said.lower() in done.stderr.lower()
    assert "Traceback" not in done.stderr


def test_the_archive_takes_projects_for_its_own(data: Path, tmp_path: Path) -> None:
    """`fsck` finds nothing strange, and a backup brings keys and escrow back."""
    pacs("deid", "project", "add", "P", "--escrow", "--data", data)
    pacs(
        "deid",
        "study",
        "--file",
        tmp_path / "in" / "0.dcm",
        "--project",
        "P",
        "--to",
        tmp_path / "a",
        "--data",
        data,
    )
    pacs("fsck", "--data", data)
    folder = data / "objects" / "deid"
    kept = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.json")}
    assert len(kept) == 2
    backup = tmp_path / "backup.zip"
    pacs("backup", backup, "--data", data)
    shutil.rmtree(folder)
    pacs("restore", backup, "--yes", "--data", data)
    assert {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.json")} == kept
