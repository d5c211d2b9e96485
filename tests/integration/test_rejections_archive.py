"""Rejection notes in the whole archive: over C-STORE and STOW, on files and in the cloud."""

import asyncio
import io
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from dicomweb_archive import served
from dimse_archive import Running, contexts_of
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, KeyObjectSelectionDocumentStorage
from pynetdicom import AE
from test_command_line import lines, pacs
from test_deletion_archive import FILES, FIRST, OTHER, STUDY, find, get, store

from crash.archive import Archive, fsck, running
from pacs_cloud.bootstrap.dimse_role import serve_dimse
from pacs_cloud.bootstrap.ports import Reservation
from pacs_cloud.bootstrap.services import Stores
from pacs_cloud.bootstrap.worker_role import serve_worker
from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.custody.export import digest
from pacs_cloud.custody.fsck import check
from pacs_cloud.custody.rebuild import rebuild
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.settings import Address, Settings
from pacs_cloud.workqueue.sqlite import SqliteWorkQueue
from patience import PATIENCE_S
from unit.custody.custody_notes import key_objects
from unit.custody.custody_packs import NOW_US

NOTE, NOTES = f"{STUDY}.9.1", f"{STUDY}.9"


def note(uid: str, named: list[str], **options: Any) -> Dataset:
    """Return a note of the study about instances of its first series."""
    ds = key_objects(uid, {STUDY: {FIRST: named}}, study=STUDY, series=NOTES, **options)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def file_of(ds: Dataset) -> bytes:
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def send(archive: Archive, *datasets: Dataset) -> list[int]:
    ae = AE("THEIRS")
    ae.requested_contexts = contexts_of(datasets)
    association = ae.associate(archive.host, archive.port, ae_title=archive.aet)
    statuses = [association.send_c_store(one).Status for one in datasets]
    association.release()
    return statuses


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)


def test_a_note_that_is_sent_hides_for_every_reader(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first, second = f"{FIRST}.1", f"{FIRST}.2"
    with running(data, log=tmp_path / "log") as archive:
        store(archive)
        web = f"{archive.http}/dicom-web/studies/{STUDY}"
        instance = f"{web}/series/{FIRST}/instances/{first}"
        assert httpx.get(f"{instance}/metadata").status_code == 200
        assert send(archive, note(NOTE, [first, f"{FIRST}.7"], code="113037")) == [0]
        until(lambda: httpx.get(f"{instance}/metadata").status_code == 404)
        answer = httpx.get(instance)
        assert (answer.status_code, "rejection note" in answer.text) == (404, True)
        rows = httpx.get(f"{web}/series/{FIRST}/instances").json()
        assert [row["00080018"]["Value"] for row in rows] == [[second]]
        matches = find(archive, "IMAGE", StudyInstanceUID=STUDY, SeriesInstanceUID=FIRST)
        assert len(matches) == 1
        assert get(archive, "SERIES", StudyInstanceUID=STUDY, SeriesInstanceUID=FIRST) == (
            0,
            {second},
        )
        # The note itself is shown: those who hold copies of their own must learn of it.
        found = httpx.get(f"{archive.http}/dicom-web/instances?SOPInstanceUID={NOTE}").json()
        assert found[0]["00080016"]["Value"] == [KeyObjectSelectionDocumentStorage]

        # What is sent again, and what comes late.
        store(archive)
        assert httpx.get(instance).status_code == 404
        late = dcmread(io.BytesIO(FILES[first]))
        late.SOPInstanceUID = late.file_meta.MediaStorageSOPInstanceUID = f"{FIRST}.7"
        assert send(archive, late) == [0]
        (row,) = lines(pacs("rejections", "list", "--data", data, "--json"))
        assert (row["note"], row["named"], row["in_force"]) == (NOTE, 2, True)

        def hidden() -> int:
            (row,) = lines(pacs("rejections", "list", "--data", data, "--json"))
            return row["hidden"]

        until(lambda: hidden() == 2)
        (told,) = lines(pacs("rejections", "undo", NOTE, "-y", "--data", data, "--json"))
        assert told == {"note": NOTE, "shown": 2, "hidden": 0}
        assert httpx.get(f"{instance}/metadata").status_code == 200
        pacs("trash", "restore", STUDY, "--instance", NOTE, "--data", data)
        assert httpx.get(instance).status_code == 404

        # A client deletes the note.
        assert httpx.delete(f"{web}/series/{NOTES}/instances/{NOTE}").status_code == 204
        assert httpx.get(f"{instance}/metadata").status_code == 200
    assert fsck(data) == (0, [])


def test_what_only_an_erased_note_rejected_is_shown_again(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (tmp_path / "in").mkdir()
    for uid, file in FILES.items():
        (tmp_path / "in" / uid).write_bytes(file)
    pacs("import", tmp_path / "in", "--data", data)
    words = ["--series", FIRST, "--code", "quality", "-y", "--data", data, "--json"]
    (told,) = lines(pacs("reject", STUDY, *words))
    (row,) = lines(pacs("rejections", "list", "--data", data, "--json"))
    place = ["--series", row["series"], "--instance", told["note"]]
    pacs("erase", STUDY, *place, "--reason", "names somebody", "--yes", "--data", data)
    assert len(lines(pacs("find", "--level", "instance", "--data", data, "--json"))) == len(FILES)
    assert fsck(data) == (0, [])


def test_a_note_of_our_own_is_valid_and_hides(tmp_path: Path, dsrdump: str) -> None:
    data = tmp_path / "data"
    (tmp_path / "in").mkdir()
    for uid, file in FILES.items():
        (tmp_path / "in" / uid).write_bytes(file)
    pacs("import", tmp_path / "in", "--data", data)
    refused = pacs("reject", STUDY, "--code", "taste", "-y", "--data", data, code=2)
    assert "quality, safety, worklist, retention" in refused.stderr
    unasked = pacs("reject", STUDY, "--code", "quality", "--data", data, code=2)
    assert "4 instances will be hidden: Rejected for Quality Reasons" in unasked.stderr
    assert lines(pacs("rejections", "list", "--data", data, "--json")) == []

    words = ["--because", "Patient moved; größer", "-y", "--data", data, "--json"]
    (told,) = lines(pacs("reject", STUDY, "--series", FIRST, "--code", "quality", *words))
    assert (told["named"], told["hidden"], told["code"]) == (2, 2, "113001")
    assert len(lines(pacs("find", "--level", "instance", "--data", data, "--json"))) == 5
    pacs("get", STUDY, "-o", tmp_path / "out", "--data", data)
    (path,) = (tmp_path / "out").rglob(f"{told['note']}.dcm")
    said = subprocess.run([dsrdump, "-Er", str(path)], capture_output=True, check=True)
    assert "E:" not in said.stderr.decode(), said.stderr.decode()
    ds = dcmread(path)
    (evidence,) = ds.CurrentRequestedProcedureEvidenceSequence
    assert evidence.StudyInstanceUID == ds.StudyInstanceUID == STUDY
    (series,) = evidence.ReferencedSeriesSequence
    named = {one.ReferencedSOPInstanceUID for one in series.ReferencedSOPSequence}
    assert (series.SeriesInstanceUID, named) == (FIRST, {f"{FIRST}.1", f"{FIRST}.2"})
    assert (str(ds.PatientName), ds.Modality) == ("Doe^Jane", "KO")
    modifier, description, *images = ds.ContentSequence
    assert modifier.ConceptNameCodeSequence[0].CodeValue == "113011"
    assert description.TextValue == "Patient moved; größer"
    assert [one.ValueType for one in images] == ["IMAGE", "IMAGE"]

    # What is left of the study: its notes are not rejected with it.
    (rest,) = lines(pacs("reject", STUDY, "--code", "retention", "-y", "--data", data, "--json"))
    assert (rest["named"], rest["hidden"]) == (2, 2)
    left = lines(
        pacs("find", "--level", "instance", f"StudyInstanceUID={STUDY}", "--data", data, "--json")
    )
    assert len(left) == 1
    everything = pacs("reject", STUDY, "--code", "retention", "-y", "--data", data, code=2)
    assert "rejection note" in everything.stderr
    shown = lines(pacs("rejections", "show", told["note"], "--data", data, "--json"))[0]
    assert {one["state"] for one in shown["instances"]} == {"rejected"}
    pacs("rejections", "undo", rest["note"], "-y", "--data", data)
    assert len(lines(pacs("find", "--level", "instance", "--data", data, "--json"))) == 5
    before = lines(pacs("rejections", "list", "--data", data, "--json"))
    pacs("rebuild", "--data", data)
    assert lines(pacs("rejections", "list", "--data", data, "--json")) == before
    (done,) = lines(pacs("rejections", "read", "--data", data, "--json"))
    assert (done["instances"], done["problems"]) == (0, 0)
    assert fsck(data) == (0, [])
    assert OTHER in {
        row["StudyInstanceUID"] for row in lines(pacs("find", "--data", data, "--json"))
    }


@pytest.fixture
def dsrdump() -> str:
    """DCMTK's reader of structured reports."""
    program = shutil.which("dsrdump")
    if program is None:
        pytest.skip("there is no dsrdump of DCMTK")
    return program


async def test_notes_in_the_cloud(cloud: tuple[ObjectStore, Catalogue], tmp_path: Path) -> None:
    objects, catalogue = cloud
    first, second = f"{FIRST}.1", f"{FIRST}.2"

    async def hidden() -> set[str]:
        packs = await catalogue.packs("default", STUDY)
        return {uid for pack in packs for uid in pack.hidden}

    async def until_hidden(*uids: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while await hidden() != set(uids):
                await asyncio.sleep(0.05)

    reservation = Reservation(Address(host="127.0.0.1", port=0))
    settings = Settings(data=tmp_path, dimse=reservation.address, stop_grace_s=2)
    async with SqliteWorkQueue(tmp_path / "queue.sqlite") as queue:
        stores = Stores(objects, catalogue, queue)
        async with (
            serve_dimse(settings, stores),
            serve_worker(settings, stores),
            served(tmp_path / "web", cloud) as web,
        ):
            dimse = Running(reservation.address.port, settings, stores)
            assert await dimse.store(note(NOTE, [first], code="113038")) == [0]
            answer = await web.store(*(FILES[uid] for uid in (first, second)))
            assert answer.status_code == 200
            await until_hidden(first)
            assert (await web.store(file_of(note(f"{NOTE}.2", [second])))).status_code == 200
            await until_hidden(first, second)
            where = f"/studies/{STUDY}/series/{FIRST}/instances/{first}"
            assert (await web.client.get(where)).status_code == 404
    reservation.close()
    assert [finding async for finding in check(objects, catalogue, deep=True)] == []
    before = await digest(catalogue)
    await rebuild(objects, catalogue, policy=ConflictPolicy.KEEP_FIRST, now_us=NOW_US)
    assert await digest(catalogue) == before
