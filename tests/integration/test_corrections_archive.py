"""Corrections by the command line, and a running archive that follows them."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import typer
from dicomweb_archive import BOUNDARY, multipart
from test_command_line import lines, pacs
from test_deletion_archive import OTHER, STUDY, imported
from typer.testing import CliRunner, Result

from crash.archive import Archive, fsck, running
from dicomweb_samples import make_instance
from pacs_cloud.cli.correction_commands import corrections, patient, study
from pacs_cloud.errors import Conflict, InvalidRequest, NotFound, PacsError
from patience import PATIENCE_S

LATE = "1.2.3.77"
WHY = "--reason", "typed wrong: DOE^JOHN"


def command(app: typer.Typer, data: Path, *words: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, [*words, "--data", str(data)])
    assert done.exit_code == code, done.output
    return done


def told(app: typer.Typer, data: Path, *words: str) -> dict[str, Any]:
    return json.loads(command(app, data, *words, "--json").stdout)


def refused(app: typer.Typer, data: Path, *words: str) -> PacsError:
    error = command(app, data, *words, code=1).exception
    assert isinstance(error, PacsError)
    return error


def found(data: Path, **keys: str) -> list[str]:
    words = [f"{keyword}={value}" for keyword, value in keys.items()]
    rows = lines(pacs("find", *words, "--json", "--data", data))
    return sorted(row["StudyInstanceUID"] for row in rows)


def test_an_attribute_is_corrected_and_that_undone(tmp_path: Path) -> None:
    data = imported(tmp_path)
    words = "correct", STUDY, *WHY, "--set", "PatientID=NEW7", "--empty", "StudyTime"
    preview = told(study, data, *words)
    assert (preview["done"], preview["correction"], preview["studies"]) == (False, "", 1)
    assert {one["attribute"] for one in preview["changes"]} <= {"PatientID", "StudyTime"}
    assert found(data, PatientID="NEW7") == []
    table = command(study, data, *words).stdout
    assert "NEW7" in table
    assert "--yes" in table
    made = told(study, data, *words, "--yes", "--by", "ana")
    assert made["done"]
    assert found(data, PatientID="NEW7") == [STUDY]
    (row,) = [
        json.loads(line)
        for line in command(corrections, data, "list", "--json").stdout.splitlines()
    ]
    assert (row["id"], row["kind"], row["by"], row["state"]) == (
        made["correction"],
        "correct",
        "ana",
        "stands",
    )
    assert row["reason"] == WHY[1]
    shown = told(corrections, data, "show", made["correction"])
    assert shown["shown_in"] == [{"study": STUDY, "shows": "yes"}]
    assert "NEW7" in command(corrections, data, "show", made["correction"]).stdout
    undo = "undo", made["correction"], "--reason", "was right"
    assert not told(corrections, data, *undo)["done"]
    assert told(corrections, data, *undo, "--yes")["done"]
    assert found(data, PatientID="NEW7") == []
    assert isinstance(refused(corrections, data, *undo, "--yes"), Conflict)
    assert told(corrections, data, "show", made["correction"])["undone_reason"] == "was right"
    assert fsck(data) == (0, [])


def test_what_cannot_be_corrected_is_refused(tmp_path: Path) -> None:
    data = imported(tmp_path)
    for words, error in (
        (("correct", STUDY, *WHY), InvalidRequest),
        (("correct", STUDY, *WHY, "--set", "Rows=7"), InvalidRequest),
        (("correct", STUDY, *WHY, "--set", "PatientID"), InvalidRequest),
        (("correct", STUDY, *WHY, "--set", "PatientID=A", "--empty", "PatientID"), InvalidRequest),
        (("correct", STUDY, "--reason", " ", "--set", "PatientID=A"), InvalidRequest),
        (("correct", "9.9", *WHY, "--set", "PatientID=A"), NotFound),
        (("move", "9.9", "--to", "A", *WHY), NotFound),
    ):
        assert isinstance(refused(study, data, *words), error), words
    assert isinstance(refused(patient, data, "merge", "NOBODY", "X", *WHY), NotFound)
    assert isinstance(refused(patient, data, "unmerge", "nothing", *WHY), NotFound)
    assert command(corrections, data, "list").stdout.strip() == "Nothing was corrected."


def test_a_merge_is_followed_by_what_comes_later(tmp_path: Path) -> None:
    data = imported(tmp_path)
    told(study, data, "correct", OTHER, *WHY, "--set", "PatientID=B7", "--yes")
    merge = "merge", "P1", "B7", *WHY
    preview = told(patient, data, *merge)
    assert preview["changes"] == [
        {"study": STUDY, "attribute": "PatientID", "now": "P1", "then": "B7"}
    ]
    with running(data, log=tmp_path / "log") as archive:
        made = told(patient, data, *merge, "--yes")["correction"]
        assert studies(archive, "B7") == {STUDY, OTHER}
        assert studies(archive, "P1") == set()
        late = make_instance(f"{LATE}.1.1", study=LATE, series=f"{LATE}.1")
        answer = httpx.post(
            f"{archive.http}/dicom-web/studies",
            content=multipart(late),
            headers={
                "content-type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
            },
        )
        assert answer.status_code == 200, answer.text
        until(lambda: studies(archive, "B7") == {STUDY, OTHER, LATE})
        assert told(patient, data, "unmerge", made, *WHY, "--yes")["studies"] == 2
        assert studies(archive, "P1") == {STUDY, LATE}
        move = "move", LATE, "--to", "B7", *WHY, "--yes"
        assert told(study, data, *move)["done"]
        assert studies(archive, "B7") == {OTHER, LATE}
    log = (tmp_path / "log").read_text()
    assert WHY[1] not in log
    assert "B7" not in log
    assert fsck(data) == (0, [])


def studies(archive: Archive, patient_id: str) -> set[str]:
    answer = httpx.get(f"{archive.http}/dicom-web/studies", params={"PatientID": patient_id})
    rows = answer.json() if answer.status_code == 200 else []
    return {row["0020000D"]["Value"][0] for row in rows}


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.1)
