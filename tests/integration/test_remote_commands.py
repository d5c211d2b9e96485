"""`import`, `find`, `get` and `delete` with nothing but a URL and a key, behind a real sign-in."""

import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread
from remote_house import House, house
from typer.testing import CliRunner, Result

from dicomweb_samples import make_instance
from http_certificates import write_certificate
from pacs_cloud.cli.app import app
from pacs_cloud.errors import Denied, InvalidRequest, NotFound, PacsError, Unidentified
from pacs_cloud.remote.unfinished import NAME as UNFINISHED
from pacs_cloud.security.caller import Grant, Role
from pacs_cloud.security.rules import StudyRule

CT, MR = "1.2.826.0.1.51", "1.2.826.0.1.52"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies, the first of two series; one file that is no DICOM, one cut short."""
    folder = tmp_path_factory.mktemp("in")
    (folder / "deep").mkdir()
    for series, number in ((1, 1), (1, 2), (2, 3)):
        uid = f"{CT}.{series}"
        (folder / f"ct{number}.dcm").write_bytes(
            make_instance(f"{uid}.{number}", study=CT, series=uid, StudyDescription="Thorax")
        )
    given = {"Modality": "MR", "PatientName": "Zoë^Ann", "PatientID": "P2"}
    (folder / "deep" / "mr").write_bytes(
        make_instance(f"{MR}.1.1", study=MR, series=f"{MR}.1", StudyDate="20250102", **given)
    )
    (folder / "readme.txt").write_text("no DICOM " * 50)
    (folder / "torn.dcm").write_bytes((folder / "ct1.dcm").read_bytes()[:400])
    return folder


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def keys(archive: House) -> Mapping[str, str]:
    """Keys by what they are; all there before any is used, so that none is news to a process."""
    bounded = Grant(Role.REFERRER, (StudyRule(modalities=frozenset({"MR"})),))
    admin, revoked = archive.key(Grant(Role.ADMIN)), archive.key(Grant(Role.ADMIN))
    archive.revoke(revoked)
    return {
        "admin": admin,
        "bounded": archive.key(bounded),
        "none": "",
        "over": archive.key(Grant(Role.ADMIN), days=0.1 / 86_400),
        "wrong": admin[:-4] + ("aaaa" if admin[-4:] != "aaaa" else "bbbb"),
        "revoked": revoked,
    }


@pytest.fixture(scope="module")
def admin(keys: Mapping[str, str]) -> str:
    return keys["admin"]


@pytest.fixture(scope="module")
def stored(archive: House, admin: str, files: Path) -> dict[str, object]:
    """What `import --json` told last, once everything is there."""
    done = run(archive, admin, "import", str(files), "--json", code=1)
    assert done.stdout, done.exception
    *refused, summary = rows(done)
    return {"refused": refused, "summary": summary}


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run where no archive is: one that works here by mistake finds none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    for name in ("PACS_API_KEY", "PACS_REMOTE"):
        monkeypatch.delenv(name, raising=False)


def run(archive: House, key: str, *words: str, code: int = 0) -> Result:
    env = {"PACS_REMOTE": archive.url, "PACS_API_KEY": key}
    done = CliRunner().invoke(app, list(words), env=env)
    assert done.exit_code == code, (done.output, done.exception)
    return done


def here(archive: House, *words: str) -> Result:
    done = CliRunner().invoke(app, [*words, "--data", str(archive.settings.data)])
    assert done.exit_code == 0, (done.output, done.exception)
    return done


def refused(archive: House, key: str, *words: str) -> PacsError:
    error = run(archive, key, *words, code=1).exception
    assert isinstance(error, PacsError), error
    assert "\n" not in str(error)
    assert not key or key not in str(error)
    assert not (Path.cwd() / "data").exists()
    return error


def rows(done: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_import_tells_of_each_file_as_the_local_one(
    stored: dict[str, object], files: Path, tmp_path: Path
) -> None:
    local = CliRunner().invoke(app, ["import", str(files), "--data", str(tmp_path / "d"), "--json"])
    *refused, summary = rows(local)
    assert stored["summary"] == summary
    assert summary["stored"] == 4
    assert [one["file"] for one in refused] == ["torn.dcm"]
    assert [one["file"] for one in stored["refused"]] == ["torn.dcm"]  # type: ignore[attr-defined]
    assert set(stored["refused"][0]) == set(refused[0])  # type: ignore[index]


@pytest.mark.parametrize("level", ["study", "series", "instance"])
@pytest.mark.parametrize("wanted", [(), ("StudyDate=20240101-20241231", "PatientName=d*")])
def test_find_prints_the_same_from_afar(
    archive: House,
    admin: str,
    stored: dict[str, object],
    level: str,
    wanted: tuple[str, ...],
) -> None:
    for form in ((), ("--json",)):
        words = ("find", "--level", level, *form, *wanted)
        done = run(archive, admin, *words)
        assert done.stdout == here(archive, *words).stdout
        assert done.stdout.count("\n") >= 1


def test_find_tells_of_what_it_leaves_out_as_the_local_one(
    archive: House, admin: str, stored: dict[str, object]
) -> None:
    for words in (("find", "--limit", "1"), ("find", "--level", "instance", "--limit", "3")):
        done = run(archive, admin, *words)
        assert (done.stdout, done.stderr) == ((told := here(archive, *words)).stdout, told.stderr)
        assert done.stderr.startswith("1 more;")


def test_find_of_lists_and_wrong_words(
    archive: House, admin: str, stored: dict[str, object]
) -> None:
    found = rows(run(archive, admin, "find", "--json", f"StudyInstanceUID={CT}\\{MR}"))
    assert [one["StudyInstanceUID"] for one in found] == [MR, CT]
    assert "Nonsense" in str(refused(archive, admin, "find", "Nonsense=1"))
    assert "DICOMweb lists no patients" in str(
        refused(archive, admin, "find", "--level", "patient")
    )
    assert "400" in str(refused(archive, admin, "find", "StudyDate=yesterday"))


def test_get_writes_what_was_stored(
    archive: House, admin: str, stored: dict[str, object], files: Path, tmp_path: Path
) -> None:
    (told,) = rows(run(archive, admin, "get", CT, "-o", "out", "--json"))
    (local,) = rows(here(archive, "get", CT, "-o", str(tmp_path / "local"), "--json"))
    assert told | {"output": ""} == local | {"output": ""}
    for number, series in ((1, 1), (2, 1), (3, 2)):
        path = Path("out", CT, f"{CT}.{series}", f"{CT}.{series}.{number}.dcm")
        assert path.read_bytes() == (files / f"ct{number}.dcm").read_bytes()
    assert {path.suffix for path in Path("out").rglob("*.*") if path.is_file()} == {".dcm"}


def test_get_goes_on_where_it_was(archive: House, admin: str, stored: dict[str, object]) -> None:
    run(archive, admin, "get", CT, "-o", "out")
    folder = Path("out", CT)
    paths = sorted(folder.rglob("*.dcm"))
    whole = [path.read_bytes() for path in paths]
    # As if it had been stopped behind the first: it is asked for by its mark alone.
    etag = _etag(archive, admin, paths[0])
    line = {"file": paths[0].relative_to(folder).as_posix(), "etag": etag, "bytes": len(whole[0])}
    (folder / UNFINISHED).write_text(json.dumps(line) + '\n{"file": "tor')
    paths[0].write_bytes(marked := bytes(len(whole[0])))
    paths[1].unlink()
    (told,) = rows(run(archive, admin, "get", CT, "-o", "out", "--json"))
    assert told["files"] == 3
    assert [path.read_bytes() for path in paths] == [marked, *whole[1:]]
    # Now it is done: whoever gets it again gets all of it, and so what was corrected since.
    assert not (folder / UNFINISHED).exists()
    run(archive, admin, "get", CT, "-o", "out")
    assert [path.read_bytes() for path in paths] == whole


def _etag(archive: House, key: str, path: Path) -> str:
    url = f"{archive.url}/dicom-web/studies/{CT}/series/{path.parent.name}/instances/{path.stem}"
    accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    headers = {"authorization": f"Bearer {key}", "accept": accept}
    return httpx.get(url, headers=headers).headers["etag"]


def test_get_as_a_zip_is_the_same_here_and_from_afar(
    archive: House, admin: str, stored: dict[str, object]
) -> None:
    (told,) = rows(run(archive, admin, "get", CT, "-o", "far.zip", "--json"))
    (local,) = rows(here(archive, "get", CT, "-o", "near.zip", "--json"))
    assert told | {"output": ""} == local | {"output": ""}
    assert Path("far.zip").read_bytes() == Path("near.zip").read_bytes()
    with zipfile.ZipFile("far.zip") as opened:
        assert opened.testzip() is None
        assert len(opened.namelist()) == told["files"] == 3


def test_a_key_opens_what_its_grants_say(
    archive: House, keys: Mapping[str, str], stored: dict[str, object], files: Path
) -> None:
    bounded = keys["bounded"]
    assert [one["StudyInstanceUID"] for one in rows(run(archive, bounded, "find", "--json"))] == [
        MR
    ]
    run(archive, bounded, "get", MR, "-o", "out")
    assert isinstance(refused(archive, bounded, "get", CT, "-o", "out"), NotFound)
    assert isinstance(refused(archive, bounded, "delete", MR, "--yes"), Denied)
    assert isinstance(refused(archive, bounded, "import", str(files)), Denied)
    assert not Path("out", CT).exists()


@pytest.mark.parametrize("kind", ["none", "over", "wrong", "revoked"])
def test_who_is_not_known_is_told_so_in_one_line(
    archive: House, keys: Mapping[str, str], stored: dict[str, object], files: Path, kind: str
) -> None:
    key = keys[kind]
    for words in (
        ("find",),
        ("get", CT, "-o", "out"),
        ("import", str(files)),
        ("delete", CT, "--yes"),
    ):
        error = refused(archive, key, *words)
        assert isinstance(error, Unidentified)
        assert "401" in str(error)
    assert not Path("out").exists()


def test_delete_puts_into_the_trash_over_there(archive: House, admin: str, files: Path) -> None:
    study = "1.2.826.0.1.59"
    for number in (1, 2, 3):
        file = make_instance(f"{study}.1.{number}", study=study, series=f"{study}.1")
        Path(f"{number}.dcm").write_bytes(file)
    run(archive, admin, "import", ".")
    one = f"{study}.1.2"
    (told,) = rows(run(archive, admin, "delete", study, "--instance", one, "--yes", "--json"))
    assert told == {
        "level": "instance",
        "study": study,
        "series": f"{study}.1",
        "instance": one,
        "deleted": 1,
        "days": None,
    }
    done = run(archive, admin, "delete", study, "--yes")
    assert done.stdout.startswith("2 instances are deleted")
    assert isinstance(refused(archive, admin, "delete", study, "--yes"), NotFound)
    assert isinstance(refused(archive, admin, "delete", study), InvalidRequest)
    listed = rows(here(archive, "trash", "list", "--json"))
    assert sum(row["instances"] for row in listed if row["study"] == study) == 3


def test_every_other_command_refuses_and_touches_nothing(archive: House, admin: str) -> None:
    for words in (("fsck",), ("send", CT, "--to", "A@127.0.0.1:1"), ("up",), ("user", "list")):
        assert "find, get, import and delete" in str(refused(archive, admin, *words))
        done = CliRunner().invoke(app, [*words, "--remote", archive.url])
        assert isinstance(done.exception, InvalidRequest)
    error = refused(archive, admin, "find", "--data", "data")
    assert "--data" in str(error)


def test_the_key_comes_from_a_file_that_nobody_else_reads(
    archive: House, admin: str, stored: dict[str, object]
) -> None:
    file = Path("key")
    file.write_text(admin + "\n")
    file.chmod(0o640)
    words = ("find", "--remote", archive.url, "--key-file", "key", "--json")
    done = CliRunner().invoke(app, list(words))
    assert isinstance(done.exception, Denied)
    file.chmod(0o600)
    done = CliRunner().invoke(app, list(words))
    assert {one["StudyInstanceUID"] for one in rows(done)} >= {CT, MR}


def test_what_is_stored_from_afar_is_what_was_read(
    archive: House, admin: str, stored: dict[str, object], files: Path
) -> None:
    run(archive, admin, "get", MR, "-o", "out")
    (path,) = Path("out", MR).rglob("*.dcm")
    assert str(dcmread(path).PatientName) == "Zoë^Ann"
    assert path.read_bytes() == (files / "deep" / "mr").read_bytes()


def test_over_tls_only_a_certificate_that_is_trusted_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "strange").mkdir()
    certificate, secret = write_certificate(tmp_path / "ours")
    strange, _ = write_certificate(tmp_path / "strange")
    told = {"http_tls_certificate": certificate, "http_tls_key": secret}
    with house(tmp_path / "tls", **told) as archive:
        key = archive.key(Grant(Role.ADMIN))
        assert run(archive, key, "find", "--ca", str(certificate)).stdout == "Nothing matches.\n"
        elsewhere = replace(archive, url=archive.url.replace("127.0.0.1", "localhost"))
        for where, more in ((archive, ()), (archive, ("--ca", str(strange)))):
            assert "CERTIFICATE_VERIFY_FAILED" in str(refused(where, key, "find", *more))
        # Trusted, but of another name than was asked for.
        error = refused(elsewhere, key, "find", "--ca", str(certificate))
        assert "CERTIFICATE_VERIFY_FAILED" in str(error)
        # No proxy that the environment names gets to see any of it.
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        assert run(archive, key, "find", "--ca", str(certificate)).exit_code == 0
