"""`send` and `import` from the command line, over the embedded stores."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from dimse_archive import CT, EXPLICIT, Got, destination, elements_of, instance
from pydicom import Dataset
from pydicom.filewriter import dcmwrite
from pynetdicom import build_context, evt

from pacs_cloud.cli.importing import import_path
from pacs_cloud.cli.sending import peer_of, send_study
from pacs_cloud.dimse.requestor import Peer
from pacs_cloud.errors import InvalidRequest, InvalidUid, NotFound
from pacs_cloud.settings import Destination, Settings
from servers.fixtures import Place


def write(path: Path, dataset: Dataset) -> None:
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dcmwrite(path, dataset, enforce_file_format=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(1, 4):
        write(folder / f"{number}.dcm", instance(number))
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data")


def spoken(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_import_then_send(
    folder: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert import_path(settings, str(folder), as_json=True) == 0
    (summary,) = spoken(capsys)
    assert summary["files"] == summary["stored"] == 3
    got = Got()
    with destination([build_context(CT, EXPLICIT)], got.keep) as port:
        code = send_study(settings, "1.2.3", f"THERE@127.0.0.1:{port}", as_json=True)
    assert code == 0
    (told,) = spoken(capsys)
    assert (told["instances"], told["stored"], told["failed"]) == (3, 3, 0)
    for number in range(1, 4):
        assert elements_of(got.by_uid[f"1.2.3.4.{number}"]) == elements_of(instance(number))


def test_what_a_peer_refuses_is_listed(
    folder: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    import_path(settings, str(folder), as_json=False)

    def answer(event: evt.Event) -> int:
        return 0xA700 if event.request.AffectedSOPInstanceUID == "1.2.3.4.2" else 0

    capsys.readouterr()
    with destination([build_context(CT, EXPLICIT)], answer) as port:
        assert send_study(settings, "1.2.3", f"THERE@127.0.0.1:{port}", as_json=False) == 1
        told = capsys.readouterr()
        assert "2 of 3 instances" in told.out
        assert "1.2.3.4.2: refused with status A700" in told.err
        assert send_study(settings, "1.2.3", f"THERE@127.0.0.1:{port}", as_json=True) == 1
        (summary,) = spoken(capsys)
    assert summary["failures"] == [{"instance": "1.2.3.4.2", "reason": "refused with status A700"}]


def test_a_peer_that_is_away_fails_every_instance(
    folder: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    import_path(settings, str(folder), as_json=False)
    with destination([build_context(CT)], lambda _: 0) as port:
        pass
    capsys.readouterr()
    assert send_study(settings, "1.2.3", f"THERE@127.0.0.1:{port}", as_json=True) == 1
    (told,) = spoken(capsys)
    assert len(told["failures"]) == 3
    assert send_study(settings, "1.2.3", f"THERE@127.0.0.1:{port}", as_json=False) == 1
    # Once, however many they are.
    said = capsys.readouterr().err
    assert said.count("no connection to THERE") == 1
    assert "3 instances were not stored" in said


def test_no_such_study(folder: Path, settings: Settings) -> None:
    import_path(settings, str(folder), as_json=False)
    with pytest.raises(NotFound):
        send_study(settings, "1.2.4", "THERE@127.0.0.1:104", as_json=False)
    with pytest.raises(InvalidUid):
        send_study(settings, "study", "THERE@127.0.0.1:104", as_json=False)


def test_whom_to_send_to() -> None:
    settings = Settings(destinations=(Destination(aet="KNOWN", host="pacs", port=104),))
    assert peer_of("A B@localhost:11112", settings) == Peer("A B", "localhost", 11112)
    assert peer_of("AT@SIGN@[::1]:104", settings) == Peer("AT@SIGN", "::1", 104)
    assert peer_of("KNOWN", settings) == Peer("KNOWN", "pacs", 104)
    assert peer_of("UNKNOWN", settings) is None
    for wrong in ("@h:1", "A@h", "A@h:0", "A@:104", "A@h:99999", "X" * 17 + "@h:1"):
        with pytest.raises(InvalidRequest, match="--to"):
            peer_of(wrong, settings)


def test_refusals_of_an_import_are_listed(
    folder: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    faulty = instance(9)
    del faulty.StudyInstanceUID
    write(folder / "faulty.dcm", faulty)
    (folder / "notes.txt").write_text("not DICOM")
    assert import_path(settings, str(folder), as_json=True) == 1
    refusal, summary = spoken(capsys)
    assert refusal["file"] == "faulty.dcm"
    assert refusal["reason"] == "missing-uid"
    assert summary["stored"] == 3
    assert summary["refused"] == summary["skipped"] == 1
    # Again: everything is there.
    assert import_path(settings, str(folder), as_json=False) == 1
    told = capsys.readouterr()
    assert "3 duplicate" in told.out
    assert "faulty.dcm: refused, missing-uid" in told.err


def test_a_zip_and_a_file(
    folder: Path, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile(tmp_path / "files.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    assert import_path(settings, str(tmp_path / "files.zip"), as_json=True) == 0
    assert import_path(settings, str(folder / "1.dcm"), as_json=True) == 0
    of_zip, of_file = spoken(capsys)
    assert of_zip["stored"] == 3
    assert (of_file["files"], of_file["duplicate"]) == (1, 1)


def test_a_bucket_s_prefix(
    folder: Path,
    settings: Settings,
    s3_bucket: Place,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    endpoint = s3_bucket.endpoint
    client = endpoint.client("s3")
    for path in sorted(folder.iterdir()):
        client.put_object(Bucket=s3_bucket.name, Key=f"in/{path.name}", Body=path.read_bytes())
    client.put_object(Bucket=s3_bucket.name, Key="elsewhere/4.dcm", Body=b"not asked for")
    client.close()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", endpoint.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", endpoint.secret_key)
    url = f"s3://{s3_bucket.name}/in/?endpoint={endpoint.url}&region={endpoint.region}"
    assert import_path(settings, url, as_json=True) == 0
    (summary,) = spoken(capsys)
    assert summary["files"] == summary["stored"] == 3


def test_nothing_to_import(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="no such file or folder"):
        import_path(settings, str(tmp_path / "nowhere"), as_json=False)
    with pytest.raises(InvalidRequest, match="names no bucket"):
        import_path(settings, "s3://", as_json=False)
