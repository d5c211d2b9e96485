"""A whole run's logs, at their most talkative, name no patient, no identifier and no UID.

The archive runs with all its processes, its objects encrypted; everything that is done to it, well
and badly, carries names that stand nowhere else.
"""

import base64
import json
import os
import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from dicomweb_archive import BOUNDARY, multipart
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    ModalityWorklistInformationFind,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

import warm_start
from crash.archive import Archive, running
from dicomweb_samples import make_instance
from patience import PATIENCE_S

ROOT = "1.2.826.0.1.3680043.10.9871"
STUDY, OTHER, LATER = (f"{ROOT}.{n}.20260504" for n in (61, 62, 63))
FAMILY, GIVEN = "Quagmiredottir", "Zephyrine"
NAME, MERGED = f"{FAMILY}^{GIVEN}", "Brontessa^Ludmilowna"
PATIENT, MERGED_ID = "ZXQ-7781-PID", "ZXQ-9992-PID"
TYPED = "Oberonsson"
"""What people type where something else belongs."""
DATA = {
    "PatientName": NAME,
    "PatientID": PATIENT,
    "PatientBirthDate": "19370217",
    "AccessionNumber": "ACCQ90210X",
    "StudyID": "SIDQ4711Z",
    "StudyDescription": "Vulpeculascan",
    "PatientComments": "Tarantellaremark",
    "ReferringPhysicianName": "Thunderquist^Ottokar",
    "InstitutionName": "Nimbostratusklinik",
    "OtherPatientIDs": "OPIDQ-555-1212",
}
NEEDLES = (
    *(FAMILY, GIVEN, "Brontessa", "Ludmilowna", PATIENT, MERGED_ID, TYPED, ROOT),
    *("19370217", "ACCQ90210X", "SIDQ4711Z", "Vulpeculascan", "Tarantellaremark"),
    *("Thunderquist", "Ottokar", "Nimbostratus", "OPIDQ-555-1212"),
)
LINE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (debug|info|warning|error) ")


def instance(number: int, study: str = STUDY, **changed: str) -> bytes:
    series = f"{study}.7"
    return make_instance(f"{series}.{number}", study=study, series=series, **{**DATA, **changed})


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Settings by which all is told that ever is; yields the data directory."""
    keys = tmp_path / "keys"
    keys.touch(mode=0o600)
    keys.write_text(base64.b64encode(os.urandom(32)).decode())
    data = tmp_path / "data"
    monkeypatch.setenv("PACS_LOG_LEVEL", "debug")
    monkeypatch.setenv("PACS_NO_AUTH", "true")
    monkeypatch.setenv("PACS_OBJECTS", f"file://{data}/objects?encrypt=file:{keys}")
    return data


def named_in(text: str) -> dict[str, str]:
    """Return which needle is in which line of a log."""
    return {
        needle: line
        for needle in NEEDLES
        for line in text.splitlines()
        if needle.casefold() in line.casefold() or quote(needle).casefold() in line.casefold()
    }


def command(data: Path, log: Path, *words: str, code: int | None = 0) -> None:
    """Run a command; what it logs is added to `log`, what it says to its user is not."""
    done = warm_start.run(*words, "--data", data)
    assert code is None or done.returncode == code, done.stderr
    is_logged = False
    with log.open("a") as file:
        for line in done.stderr.splitlines():
            is_logged = bool(LINE.match(line)) or (is_logged and line.startswith((" ", "Trace")))
            if is_logged:
                file.write(line + "\n")


def by_http(archive: Archive) -> None:
    related = {"content-type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'}
    as_json = {
        "content-type": f'multipart/related; type="application/dicom+json"; boundary={BOUNDARY}'
    }
    typed, name = quote(TYPED), quote(NAME)
    series = f"/studies/{STUDY}/series/{STUDY}.7"
    with httpx.Client(base_url=f"{archive.http}/dicom-web", timeout=PATIENCE_S) as client:

        def store(body: bytes, headers: dict[str, str] = related, path: str = "/studies") -> int:
            return client.post(path, content=body, headers=headers).status_code

        assert store(multipart(*(instance(n) for n in range(1, 4)))) == 200
        assert store(multipart(instance(1, OTHER, PatientName=MERGED, PatientID=MERGED_ID))) == 200
        stored = {
            # Other content under a UID that is taken.
            store(multipart(instance(1, StudyDescription="Vulpeculascan again"))),
            store(multipart(instance(9)), path=f"/studies/{OTHER}"),
            store(multipart(instance(9)[:900])),
            store(multipart(b"\0" * 128 + b"DICM" + NAME.encode() * 50)),
            store(multipart(instance(9), content_type=f"application/{TYPED}")),
            store(multipart(NAME.encode() * 10)),
            store(NAME.encode()),
            store(multipart(instance(9)).replace(b"Content-Type:", f"{TYPED}\r\n".encode())),
            store(multipart(json.dumps([{"00100010": NAME}]).encode()), as_json),
            store(multipart(f'[{{"0010{TYPED}'.encode()), as_json),
            store(b"", path=f"/studies/{typed}"),
        }
        assert stored <= {202, 400, 409, 415}
        good = [
            f"/studies?PatientName={name}", f"/studies?PatientID={PATIENT}",
            f"/instances?StudyInstanceUID={STUDY}", f"/studies?PatientName={FAMILY}*&fuzzymatching=true",
            f"{series}/metadata", f"{series}/instances/{STUDY}.7.1",
            f"{series}/instances/{STUDY}.7.1/frames/1", f"{series}/instances/{STUDY}.7.1/rendered",
            f"/studies/{STUDY}/rendered", f"{series}/thumbnail",
        ]  # fmt: skip
        for path in good:
            answer = client.get(path, headers={"accept": "*/*"})
            assert answer.status_code in {200, 204}, (path, answer.text)
        bad = [
            f"/studies?StudyDate={name}", f"/studies?PatientBirthDate={typed}", f"/studies?{typed}={name}",
            f"/studies?limit={typed}", f"/studies?includefield={typed}", f"/studies?Rows={typed}",
            f"/studies/{typed}", f"/studies/{typed}/metadata", f"{series}/instances/{typed}",
            f"/studies/{STUDY}.404", f"{series}/instances/{STUDY}.7.404/frames/1",
            f"{series}/instances/{STUDY}.7.1/frames/{typed}", f"/{typed}/{name}",
            f"{series}/instances/{STUDY}.7.1/rendered?viewport={typed}",
            f"{series}/instances/{STUDY}.7.1/rendered?annotation={typed}",
            f"/wado?requestType=WADO&studyUID={typed}&seriesUID={name}&objectUID={STUDY}.7.1",
            f"/studies?PatientName=%FF%FE{typed}",
        ]  # fmt: skip
        for path in bad:
            assert client.get(path).status_code in {200, 204, 400, 404, 406}, path
        for field in (
            "accept",
            "host",
            "origin",
            "range",
            "x-request-id",
            "if-none-match",
            "cookie",
        ):
            client.get(f"{series}/instances/{STUDY}.7.1", headers={field: f"{TYPED} {NAME}"})
        client.request(f"{TYPED.upper()}", "/studies")
        assert client.delete(f"{series}/instances/{STUDY}.7.3").status_code == 204
        for path in (f"{series}/instances/{STUDY}.7.404", f"/studies/{typed}"):
            assert client.delete(path).status_code in {400, 404}
    host = archive.http.removeprefix("http://").split(":")
    for words in (
        f"{NAME}\r\n\r\n",
        f"GET /{NAME} HTTP/9\r\n\r\n",
        f"GET / HTTP/1.1\r\n{NAME}\r\n\r\n",
    ):
        with socket.create_connection((host[0], int(host[1]))) as raw:
            raw.sendall(words.encode())
            raw.recv(4096)


def by_dimse(archive: Archive) -> None:
    ae = AE("MODALITY1")
    for context in (
        *(CTImageStorage, Verification, StudyRootQueryRetrieveInformationModelFind),
        *(StudyRootQueryRetrieveInformationModelMove, ModalityWorklistInformationFind),
        StudyRootQueryRetrieveInformationModelGet,
    ):
        ae.add_requested_context(context, "1.2.840.10008.1.2.1")
    taken = [(evt.EVT_C_STORE, lambda event: 0x0000)]
    assoc = ae.associate(
        archive.host,
        archive.port,
        ae_title=archive.aet,
        ext_neg=[build_role(CTImageStorage, scu_role=True, scp_role=True)],
        evt_handlers=taken,
    )
    assert assoc.is_established
    ds = dcmread(DicomBytesIO(instance(1, LATER)))
    assert assoc.send_c_store(ds).Status == 0
    ds = dcmread(DicomBytesIO(instance(2)))
    ds.StudyInstanceUID = f"{TYPED}/../{NAME}"
    assert assoc.send_c_store(ds).Status != 0
    ds = dcmread(DicomBytesIO(instance(1)))
    ds.PatientComments = "Tarantellaremark differs"
    assoc.send_c_store(ds)

    def find(**keys: str) -> None:
        identifier = Dataset()
        for keyword, value in keys.items():
            setattr(identifier, keyword, value)
        list(assoc.send_c_find(identifier, StudyRootQueryRetrieveInformationModelFind))
        list(assoc.send_c_get(identifier, StudyRootQueryRetrieveInformationModelGet))
        list(assoc.send_c_move(identifier, "NOBODY", StudyRootQueryRetrieveInformationModelMove))

    find(QueryRetrieveLevel="STUDY", PatientName=NAME, StudyInstanceUID="")
    find(QueryRetrieveLevel="STUDY", StudyInstanceUID=STUDY)
    find(QueryRetrieveLevel=TYPED.upper(), PatientID=PATIENT)
    find(QueryRetrieveLevel="SERIES", PatientID=PATIENT)
    find(QueryRetrieveLevel="STUDY", StudyInstanceUID=f"{STUDY}.404")
    find(PatientName=NAME)
    assoc.release()
    for body in (NAME.encode() * 30, b"\1\0" + struct.pack(">I", 200) + NAME.encode() * 12):
        with socket.create_connection((archive.host, archive.port)) as raw:
            raw.sendall(body)
            raw.recv(4096)


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_no_line_names_a_patient_or_what_was_stored(environment: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running(environment, log=log) as archive:
        by_http(archive)
        by_dimse(archive)
        why = ("--reason", f"typed wrong: {NAME}")
        run = lambda *words, code=0: command(environment, log, *words, code=code)  # noqa: E731
        run("find", f"PatientName={NAME}")
        run("find", f"StudyDate={TYPED}", code=None)
        run("study", "correct", STUDY, *why, "--set", f"PatientComments={TYPED}", "--yes")
        run("patient", "merge", PATIENT, MERGED_ID, *why, "--yes")
        run("patient", "merge", "NOBODY", MERGED_ID, *why, "--yes", code=None)
        run("delete", LATER, *why, "--yes", code=None)
        run("hold", "set", OTHER, *why, code=None)
        run("get", STUDY, str(tmp_path / "out"), code=None)
        run("get", TYPED, str(tmp_path / "none"), code=None)
        run("fsck", code=None)
        # It is read again what was corrected, and deleted once more.
        httpx.get(f"{archive.http}/dicom-web/studies/{STUDY}/metadata").raise_for_status()
        httpx.delete(f"{archive.http}/dicom-web/studies/{OTHER}")
    text = log.read_text(errors="replace")
    told = {line.split()[3] for line in text.splitlines() if LINE.match(line)}
    # These concern what was stored, or was refused.
    assert {"instance_refused", "request_refused", "corrected", "deleted"} <= told
    assert named_in(text) == {}
    assert "Traceback" not in text


def test_a_name_in_a_log_is_seen() -> None:
    for words in (f"patient={NAME}", f"url=/studies?PatientName={quote(NAME)}", f"uid={STUDY}",
                  FAMILY.upper(), f"{PATIENT!r}"):  # fmt: skip
        assert named_in(f"2026-05-04T10:11:12.345Z info pacs_cloud.x event {words}\n")
    assert not named_in("2026-05-04T10:11:12.345Z info pacs_cloud.x event uid=uid:0a1b2c\n")
