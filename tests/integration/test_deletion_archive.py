"""Deletion in the whole running archive: HTTP, DIMSE and the command line agree."""

import json
import time
from pathlib import Path

import httpx
import pytest
from dicomweb_archive import BOUNDARY, multipart
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)
from test_command_line import lines, pacs

from crash.archive import Archive, fsck, running
from dicomweb_samples import make_instance
from patience import PATIENCE_S

STUDY, OTHER = "1.2.3.1", "1.2.3.9"
FIRST, SECOND = f"{STUDY}.1", f"{STUDY}.2"
FILES = {
    f"{series}.{number}": make_instance(
        f"{series}.{number}", study=series.rpartition(".")[0], series=series
    )
    for series in (FIRST, SECOND, f"{OTHER}.1")
    for number in (1, 2)
}


def store(archive: Archive) -> None:
    answer = httpx.post(
        f"{archive.http}/dicom-web/studies",
        content=multipart(*FILES.values()),
        headers={
            "content-type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
        },
    )
    assert answer.status_code == 200, answer.text


def imported(tmp_path: Path) -> Path:
    """A data directory that holds `FILES`."""
    (tmp_path / "in").mkdir()
    for uid, file in FILES.items():
        (tmp_path / "in" / uid).write_bytes(file)
    pacs("import", tmp_path / "in", "--data", tmp_path / "data")
    return tmp_path / "data"


def packs(data: Path, study: str) -> list[Path]:
    return list((data / "objects" / "packs").glob(f"*/*/{study}/*/*.zip"))


def find(archive: Archive, level: str, **keys: str) -> list[Dataset]:
    """What a C-FIND of the running archive finds."""
    ae = AE("THEIRS")
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
    association = ae.associate(archive.host, archive.port, ae_title=archive.aet)
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    *found, (last, _) = association.send_c_find(
        identifier, StudyRootQueryRetrieveInformationModelFind
    )
    association.release()
    assert last.Status == 0
    return [match for _, match in found if match is not None]


def get(archive: Archive, level: str, **keys: str) -> tuple[int, set[str]]:
    """The status of a C-GET, and the SOP Instance UIDs that it brought."""
    brought: set[str] = set()

    def take(event: evt.Event) -> int:
        brought.add(event.request.AffectedSOPInstanceUID)
        return 0

    ae = AE("THEIRS")
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
    ae.add_requested_context(CTImageStorage)
    association = ae.associate(
        archive.host,
        archive.port,
        ae_title=archive.aet,
        ext_neg=[build_role(CTImageStorage, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, take)],
    )
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    *_, (last, _) = association.send_c_get(identifier, StudyRootQueryRetrieveInformationModelGet)
    association.release()
    return last.Status, brought


def test_every_edge_agrees_on_what_is_deleted(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data, log=tmp_path / "log") as archive:
        store(archive)
        series = f"{archive.http}/dicom-web/studies/{STUDY}/series/{FIRST}"
        assert httpx.delete(series).status_code == 204
        assert {
            one.SeriesInstanceUID
            for one in find(archive, "SERIES", StudyInstanceUID=STUDY, SeriesInstanceUID="")
        } == {SECOND}
        (study,) = find(
            archive,
            "STUDY",
            StudyInstanceUID=STUDY,
            NumberOfStudyRelatedInstances="",
            NumberOfStudyRelatedSeries="",
        )
        assert (study.NumberOfStudyRelatedInstances, study.NumberOfStudyRelatedSeries) == (2, 1)
        assert get(archive, "STUDY", StudyInstanceUID=STUDY) == (0, {f"{SECOND}.1", f"{SECOND}.2"})
        assert get(archive, "SERIES", StudyInstanceUID=STUDY, SeriesInstanceUID=FIRST) == (0, set())

        # The command line works beside the running archive.
        told = lines(pacs("delete", STUDY, "--yes", "--data", data, "--json"))
        assert told == [
            {
                "level": "study",
                "study": STUDY,
                "series": "",
                "instance": "",
                "deleted": 2,
                "days": 30,
            }
        ]
        assert httpx.get(f"{archive.http}/dicom-web/studies/{STUDY}").status_code == 410
        assert find(archive, "STUDY", StudyInstanceUID=STUDY) == []
        assert [one.StudyInstanceUID for one in find(archive, "STUDY", StudyInstanceUID="")] == [
            OTHER
        ]
        assert find(archive, "IMAGE", StudyInstanceUID=STUDY, SeriesInstanceUID=FIRST) == []
        assert get(archive, "STUDY", StudyInstanceUID=STUDY) == (0, set())
        assert get(archive, "IMAGE", SOPInstanceUID=f"{SECOND}.1") == (0, set())

        entries = lines(pacs("trash", "list", "--data", data, "--json"))
        assert [(one["level"], one["series"], one["instances"]) for one in entries] == [
            ("series", FIRST, 2),
            ("study", "", 2),
        ]
        assert STUDY in pacs("trash", "list", "--data", data).stdout
        told = lines(pacs("trash", "restore", STUDY, "--data", data, "--json"))
        assert told == [{"instances": 4, "left": 0, "purged": 0}]
        status, brought = get(archive, "STUDY", StudyInstanceUID=STUDY)
        assert (status, len(brought)) == (0, 4)
        assert pacs("trash", "list", "--data", data).stdout.strip() == "The trash is empty."
        assert httpx.delete(series).status_code == 204
    status, findings = fsck(data)
    assert (status, findings) == (0, []), findings
    pacs("rebuild", "--data", data)
    (entry,) = lines(pacs("trash", "list", "--data", data, "--json"))
    assert (entry["series"], entry["instances"]) == (FIRST, 2)


def test_a_retention_of_no_time_is_purged_by_the_worker_at_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    with running(data, log=tmp_path / "log") as archive:
        store(archive)
        assert httpx.delete(f"{archive.http}/dicom-web/studies/{STUDY}").status_code == 204
    assert packs(data, STUDY)
    monkeypatch.setenv("PACS_TRASH_DAYS", "0")
    with running(data, log=tmp_path / "log"):
        deadline = time.monotonic() + PATIENCE_S
        while packs(data, STUDY) and time.monotonic() < deadline:
            time.sleep(0.05)
    assert packs(data, STUDY) == []
    assert packs(data, OTHER)
    assert fsck(data) == (0, [])


def test_deleting_is_confirmed(tmp_path: Path) -> None:
    data = imported(tmp_path)
    for words in (("delete", STUDY), ("trash", "purge", "--all"), ("trash", "purge", STUDY)):
        assert "--yes" in pacs(*words, "--data", data, code=2).stderr
    assert len(lines(pacs("find", "--data", data, "--json"))) == 2
    instance = f"{FIRST}.1"
    told = lines(pacs("delete", STUDY, "--instance", instance, "-y", "--data", data, "--json"))
    assert told[0]["series"] == FIRST
    for words in (
        ("delete", STUDY, "--instance", instance, "-y"),
        ("delete", STUDY, "--instance", "1.9", "-y"),
        ("delete", "1.9", "-y"),
        ("delete", "../..", "-y"),
        ("trash", "restore", OTHER),
        ("trash", "purge", OTHER, "-y"),
    ):
        assert pacs(*words, "--data", data, code=2).stderr.startswith("pacs-cloud: ")
    nothing = lines(pacs("trash", "purge", "--data", data, "--json"))
    assert (nothing[0]["instances"], nothing[0]["packs"]) == (0, 0)
    # Stored again meanwhile: that one is shown, and what is deleted stays in the trash.
    pacs("import", tmp_path / "in", "--data", data)
    told = lines(pacs("trash", "restore", STUDY, "--data", data, "--json", code=1))
    assert told == [{"instances": 0, "left": 1, "purged": 0}]
    purged = lines(pacs("trash", "purge", STUDY, "-y", "--data", data, "--json"))
    assert purged[0]["instances"] == 1
    pacs("delete", STUDY, "-y", "--data", data)
    purged = lines(pacs("trash", "purge", "--all", "-y", "--data", data, "--json"))
    assert purged[0]["packs"] >= 2
    assert purged[0]["length_bytes"] > 0
    assert json.loads(pacs("status", "--data", data, "--json").stdout)["catalogue"] == "yes"
    assert lines(pacs("fsck", "--deep", "--data", data, "--json")) == []


def test_a_purge_that_leaves_a_study_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = imported(tmp_path)
    pacs("delete", STUDY, "-y", "--data", data)
    (decision,) = (data / "objects" / "ledger").rglob(f"*/{STUDY}/*.json")
    decision.with_name(f"{decision.name[:-5]}bad.json").write_bytes(b"{}")
    monkeypatch.setenv("PACS_TRASH_DAYS", "0")
    told = lines(pacs("trash", "purge", "--data", data, "--json", code=1))
    assert (told[0]["packs"], told[0]["problems"]) == (0, 1)
    assert packs(data, STUDY)
    # It holds up no other, and the one alone is told why.
    pacs("delete", OTHER, "-y", "--data", data)
    told = lines(pacs("trash", "purge", "--all", "-y", "--data", data, "--json", code=1))
    assert (told[0]["packs"], told[0]["problems"]) == (1, 1)
    assert packs(data, OTHER) == []
    assert "ledger" in pacs("trash", "purge", STUDY, "-y", "--data", data, code=2).stderr


def test_a_restoration_after_the_purge_says_that_it_is_gone(tmp_path: Path) -> None:
    data = imported(tmp_path)
    pacs("delete", STUDY, "-y", "--data", data)
    pacs("trash", "purge", STUDY, "-y", "--data", data)
    told = pacs("trash", "restore", STUDY, "--data", data, code=2).stderr
    assert "gone for good" in told
