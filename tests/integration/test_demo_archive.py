"""`demo`: what it makes, that it says so, and that it does so again without harm."""

import json
import os
from collections.abc import Iterator
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import SecondaryCaptureImageStorage

import warm_start
from pacs_cloud.demo.datasets import NOT_REAL, Series, file_of
from pacs_cloud.demo.hospital import MadeStudy, first_uid, studies
from pacs_cloud.demo.patients import PREFIX, patient

DAY = date(2026, 5, 4)
FEW = 5


def demo(data: Path, *words: str) -> Any:
    ended = warm_start.run("demo", "--data", data, "--studies", str(FEW), "--json", *words)
    return json.loads(ended.stdout) if ended.returncode == 0 else ended.stderr


def found(data: Path, *keys: str) -> list[dict[str, Any]]:
    ended = warm_start.run("find", "--data", data, "--json", *keys)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "data"
    made = demo(folder, "--newest", f"{DAY}")
    assert (made["studies"], made["patients"]) == (FEW, 2)
    assert made["stored"] > 100
    assert made["refused"] == made["duplicate"] == 0
    return folder


def test_it_can_be_made_again_and_changes_nothing(data: Path) -> None:
    said = demo(data)
    assert "--add" in said
    before = found(data)
    # On another day, and of the same days all the same.
    again = demo(data, "--add")
    assert again["stored"] == 0
    assert again["duplicate"] > 100
    assert found(data) == before
    assert len(before) == FEW


def test_there_is_what_one_trains_with(data: Path) -> None:
    assert {one["StudyDate"] for one in found(data, f"StudyInstanceUID={first_uid(1)}")} == {
        f"{DAY:%Y%m%d}"
    }
    assert len(found(data, "PatientName=山田*")) == 2
    state = json.loads(warm_start.run("status", "--data", data, "--json").stdout)
    assert state["conflicts"] == 1
    assert state["classes"]["GLACIER"]["packs"] == 1
    labels = warm_start.run("label", "list", "--data", data, "--json").stdout
    assert json.loads(labels)["label"] == "teaching"


def test_how_many_are_made_is_no_study_on_record(data: Path) -> None:
    listed = warm_start.run("audit", "list", "--data", data, "--json")
    assert listed.returncode == 0, listed.stderr
    events = [json.loads(line) for line in listed.stdout.splitlines()]
    made = [one for one in events if one["action"] == "demo"]
    assert made
    there = {one["StudyInstanceUID"] for one in found(data)}
    assert {uid for one in made for uid in one.get("studies", ())} <= there


def test_another_newest_day_would_contradict_what_is_there(data: Path) -> None:
    before = found(data)
    said = demo(data, "--add", "--newest", "2026-01-01")
    assert "2026-05-04" in said
    assert "--seed" in said
    assert found(data) == before


def test_nobody_was_there_before_they_were_born(tmp_path: Path) -> None:
    assert "2000-01-01" in demo(tmp_path / "data", "--newest", "1930-05-04")
    assert not (tmp_path / "data").exists()
    assert sum(1 for _ in studies(1, date(2000, 1, 1), 2000)) == 2000


def test_it_says_how_to_see_it(data: Path) -> None:
    words = "demo", "--data", data, "--add", "--studies", "3"
    public = {**os.environ, "PACS_PUBLIC_URL": "https://pacs.example/dicom-web"}
    said = warm_start.run(*words, env=public).stdout
    assert f"Look at https://pacs.example/ once `pacs-cloud up --data {data}` runs:" in said


def test_nobody_takes_it_for_real() -> None:
    kinds: set[str] = set()
    for study in every_kind():
        file = next(study.files())
        assert file == next(study.files())
        made = dcmread(BytesIO(file))
        assert str(made.PatientID).startswith(PREFIX)
        assert made.PatientComments == NOT_REAL
        assert made.ImageComments == NOT_REAL
        assert made.SyntheticData == "YES"
        assert made.pixel_array.std() > 5
        assert made.StudyDate >= made.PatientBirthDate
        kinds.add(made.Modality)
    assert kinds == {"CT", "MR", "CR", "DX", "US", "MG"}


def every_kind() -> Iterator[MadeStudy]:
    seen: set[str] = set()
    for study in studies(1, DAY, 70):
        if study.come.kind not in seen:
            seen.add(study.come.kind)
            yield study


def test_names_are_written_in_the_character_sets_that_they_say() -> None:
    assert len({patient(number).name for number in range(1, 41)}) == 40
    for number in range(1, 41):
        somebody = patient(number)
        study = next(one for one in studies(1, DAY, 90) if one.visit.patient.number == number)
        series = Series(study.visit, 2, "SC", SecondaryCaptureImageStorage, "", "")
        made = dcmread(BytesIO(file_of(series.dataset(1))))
        made.decode()
        assert str(made.PatientName) == somebody.name
        sets = made.SpecificCharacterSet
        assert (sets,) == somebody.charset or tuple(sets) == somebody.charset


def test_documents_speak_of_images_that_are_there() -> None:
    files = [dcmread(BytesIO(file)) for file in next(studies(1, DAY, 1)).files()]
    images = {made.SOPInstanceUID for made in files if "PixelData" in made}
    report, chosen = files[-2:]
    assert [report.Modality, chosen.Modality] == ["SR", "KO"]
    for document in (report, chosen):
        (study,) = document.CurrentRequestedProcedureEvidenceSequence
        (series,) = study.ReferencedSeriesSequence
        named = {one.ReferencedSOPInstanceUID for one in series.ReferencedSOPSequence}
        assert named
        assert named <= images


def test_breasts_are_where_their_images_say() -> None:
    study = next(one for one in every_kind() if one.come.kind == "mg")
    views = [dcmread(BytesIO(file)) for file in study.files()]
    said = {
        (made.ImageLaterality, made.ViewPosition): list(made.PatientOrientation)
        for made in views
        if made.Modality == "MG"
    }
    # To the right of the picture, and down (PS3.3 C.7.6.1.1.1): the side away from the body is A.
    assert said == {
        ("R", "CC"): ["P", "L"],
        ("L", "CC"): ["A", "R"],
        ("R", "MLO"): ["P", "FL"],
        ("L", "MLO"): ["A", "FR"],
    }
