"""The logs of an archive with sign-in name no patient, no user and no secret, even of a crash.

Users, a key, a known device and a link come in, well and badly; and a part of the archive
fails with an error that says more than it should.
"""

import asyncio
import re
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from dicomweb_archive import BOUNDARY, multipart
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.sop_class import CTImageStorage, StudyRootQueryRetrieveInformationModelFind
from typer.testing import CliRunner

from crash.archive import Archive, running
from dicomweb_samples import make_instance
from pacs_cloud.bootstrap.accounts import accounts_of
from pacs_cloud.bootstrap.services import open_stores
from pacs_cloud.cli.app import app
from pacs_cloud.settings import load_settings
from patience import PATIENCE_S

ROOT = "1.2.826.0.1.3680043.10.9872"
STUDY, LATER = f"{ROOT}.61.20260504", f"{ROOT}.62.20260504"
NAME, PATIENT = "Quagmiredottir^Zephyrine", "ZXQ-7781-PID"
USER, CALLED, WRONG_USER = "zwetschgenfrau", "Zwetschgenfrau Oberonsson", "nebelkraehe"
PASSWORD, WRONG = "Vulpecula lamp 4711", "Tarantella lamp 0815"
GUEST, WHY = "Thunderquist", "Nimbostratus"
BROKEN = """
from pacs_cloud.query.service import Search

find = Search.find

async def broken(self, caller, request, *args, **more):
    if any(key.text == "CRASH" for key in request.keys):
        raise RuntimeError(f"{caller} asks {request} of {'Quagmiredottir^Zephyrine'}")
    return await find(self, caller, request, *args, **more)

Search.find = broken
"""
"""Runs in every process of the archive as it starts (`site`)."""
STORE = {"content-type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'}
LINE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (?:debug|info|warning|error) \S+ (\S+)")


def instance(number: int, study: str = STUDY) -> bytes:
    series = f"{study}.7"
    return make_instance(
        f"{series}.{number}", study=study, series=series, PatientName=NAME, PatientID=PATIENT
    )


def typed(data: Path, *words: str) -> str:
    """Return what a command prints, which runs in this process."""
    done = CliRunner().invoke(app, [*words, "--data", str(data)])
    assert done.exit_code == 0, (words, done.output, done.exception)
    return done.stdout.strip()


async def redeem(data: Path, link: str) -> None:
    settings = load_settings({"data": data})
    async with open_stores(settings) as stores:
        people = accounts_of(settings, stores.objects)
        await people.redeem(link.partition("#")[2], PASSWORD)


def by_http(archive: Archive, key: str, link: str) -> None:
    robot = {"authorization": f"Bearer {key}"}
    origin = {"origin": archive.http, "accept": "text/html"}
    with httpx.Client(base_url=archive.http, timeout=PATIENCE_S) as client:

        def status(path: str, **headers: str) -> int:
            return client.get(path, headers={"accept": "*/*", **headers}).status_code

        stow = {**robot, **STORE}
        assert client.post(
            "/dicom-web/studies", content=multipart(instance(1)), headers=stow
        ).is_success
        refused = client.post("/dicom-web/studies", content=multipart(instance(2)), headers=STORE)
        assert refused.status_code == 401
        study = f"/dicom-web/studies/{STUDY}"
        search = f"/dicom-web/studies?PatientName={quote(NAME)}"
        assert status(f"{study}/metadata", **robot) == 200
        assert status(search, **robot) == 200
        for wrong in (key[:-1] + "_", WRONG, NAME):
            assert status(search, authorization=f"Bearer {wrong}") == 401
        assert status(f"{study}/metadata", cookie=f"pacs={key}; other={NAME}") == 401
        assert status("/dicom-web/studies?PatientName=CRASH", **robot) == 500

        def sign_in(name: str, password: str) -> int:
            form = {"name": name, "password": password}
            return client.post("/sign-in", data=form, headers=origin).status_code

        for name, password in ((USER, WRONG), (WRONG_USER, PASSWORD), (NAME, WRONG)):
            assert sign_in(name, password) == 403
        assert sign_in(USER, PASSWORD) == 303
        assert status(search) == 200
        assert status("/account") == 200
    place, _, secret = link.removeprefix(archive.http).partition("#")
    with httpx.Client(base_url=archive.http, timeout=PATIENCE_S) as guest:
        for said, code in ((WRONG, 403), (f"#{WRONG}", 403), (f"#{secret}", 303)):
            form = {"secret": said, "open": "1", "code": GUEST}
            assert guest.post(place, data=form, headers=origin).status_code == code
        assert guest.get(place, headers=origin).status_code == 200
        shown = {"accept": "application/dicom+json"}
        assert guest.get(f"{study}/metadata", headers=shown).status_code == 200
        assert guest.get(f"/dicom-web/studies/{LATER}/metadata", headers=shown).status_code == 404


def by_dimse(archive: Archive) -> None:
    def associate(title: str, passcode: str = "") -> Association:
        ae = AE(title)
        for context in (CTImageStorage, StudyRootQueryRetrieveInformationModelFind):
            ae.add_requested_context(context, "1.2.840.10008.1.2.1")
        more = []
        if passcode:
            user = UserIdentityNegotiation()
            user.user_identity_type = 2
            user.primary_field, user.secondary_field = USER.encode(), passcode.encode()
            more.append(user)
        return ae.associate(archive.host, archive.port, ae_title=archive.aet, ext_neg=more)

    stranger = associate("STRANGER")
    assert stranger.is_rejected, "let in" if stranger.is_established else "not answered"
    assert associate("MODALITY1", WRONG).is_rejected
    assoc = associate("MODALITY1")
    assert assoc.is_established
    assert assoc.send_c_store(dcmread(DicomBytesIO(instance(1, LATER)))).Status == 0
    for name in (NAME, "CRASH"):
        asked = Dataset()
        asked.QueryRetrieveLevel, asked.PatientName, asked.PatientID = "STUDY", name, PATIENT
        list(assoc.send_c_find(asked, StudyRootQueryRetrieveInformationModelFind))
    assoc.abort()


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_no_line_names_a_patient_a_user_or_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, log, start = tmp_path / "data", tmp_path / "log", tmp_path / "start"
    start.mkdir()
    (start / "sitecustomize.py").write_text(BROKEN)
    add = "user", "add", USER, "--role", "radiologist", "--display", CALLED
    asyncio.run(redeem(data, typed(data, *add)))
    key = typed(data, "key", "add", "robot", "--role", "radiologist")
    services = [word for one in ("store", "find") for word in ("--allow", one)]
    identity = "--user", "check"
    typed(data, "device", "add", "MODALITY1", "--from", "127.0.0.1", *identity, *services)
    monkeypatch.setenv("PYTHONPATH", str(start))
    monkeypatch.setenv("PACS_LOG_LEVEL", "debug")
    monkeypatch.setenv("PACS_DIMSE_UNKNOWN", "refuse")
    with running(data, log=log, words=()) as archive:
        with httpx.Client(base_url=archive.http) as client:
            headers = {"authorization": f"Bearer {key}", **STORE}
            body = multipart(instance(3))
            assert client.post("/dicom-web/studies", content=body, headers=headers).is_success
        wish = "--reason", WHY, "--name", GUEST, "--download"
        link = typed(data, "share", "make", STUDY, *wish).splitlines()[0]
        link = archive.http + link[link.index("/share/") :]
        by_http(archive, key, link)
        by_dimse(archive)
    lines = [line for line in log.read_text(errors="replace").splitlines() if line]
    told = {found[1] for line in lines if (found := LINE.match(line))}
    assert {"request_failed", "association_refused"} <= told
    secrets = key[22:], link.partition("#")[2], PASSWORD, WRONG
    people = *NAME.split("^"), PATIENT, USER, WRONG_USER, *CALLED.split(), GUEST, WHY
    for needle in (*secrets, *people, ROOT):
        for said in (needle, quote(needle)):
            assert [line for line in lines if said.casefold() in line.casefold()] == []
