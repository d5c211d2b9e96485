"""What signs sessions: made once for an archive on one machine, and told to nobody."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from test_command_line import pacs

from pacs_cloud.bootstrap.backing_up import settings_json
from pacs_cloud.bootstrap.session_secrets import session_secrets
from pacs_cloud.errors import Corrupt, InvalidRequest, PacsError, Unavailable
from pacs_cloud.settings import Settings, load_settings
from patience import PATIENCE_S

SECRET, OTHER = "s3cret-" + "x" * 40, "0ther-" + "y" * 40
PRINT = (
    "import sys; from pathlib import Path;"
    "from pacs_cloud.bootstrap.session_secrets import session_secrets;"
    "from pacs_cloud.settings import Settings;"
    "sys.stdin.readline();"
    "print(session_secrets(Settings(data=Path(sys.argv[1])))[0].decode())"
)


def on_s3(**more: object) -> Settings:
    return load_settings({"objects": "s3://bucket", **more})


def test_processes_that_start_together_have_one_secret(tmp_path: Path) -> None:
    data = tmp_path / "data"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PRINT, str(data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = {process.communicate(timeout=PATIENCE_S)[0] for process in started}
    assert {process.returncode for process in started} == {0}
    (secret,) = said
    assert len(secret.strip()) == 64
    file = data / "session.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text() == secret
    assert [path.name for path in data.iterdir()] == ["session.key"]
    assert session_secrets(Settings(data=data)) == (secret.strip().encode(),)


def test_whatever_the_umask_nobody_else_reads_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        session_secrets(Settings(data=tmp_path))
    finally:
        os.umask(before)
    assert (tmp_path / "session.key").stat().st_mode & 0o777 == 0o600


def test_a_new_secret_is_written_in_front(tmp_path: Path) -> None:
    (old,) = session_secrets(Settings(data=tmp_path))
    file = tmp_path / "session.key"
    file.write_text(f"{SECRET}\n{old.decode()}\n")
    assert session_secrets(Settings(data=tmp_path)) == (SECRET.encode(), old)


@pytest.mark.parametrize(
    ("text", "mode"), [("", 0o600), ("\n", 0o600), ("short\n", 0o600), (SECRET, 0o604)]
)
def test_a_file_that_is_no_secret_is_refused(tmp_path: Path, text: str, mode: int) -> None:
    file = tmp_path / "session.key"
    file.write_text(text)
    file.chmod(mode)
    with pytest.raises(Corrupt) as refused:
        session_secrets(Settings(data=tmp_path))
    assert SECRET not in str(refused.value)
    assert file.read_text() == text


def test_where_none_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "session.key").mkdir()
    with pytest.raises(Unavailable):
        session_secrets(Settings(data=tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable):
        session_secrets(Settings(data=tmp_path / "file"))


def test_machines_on_one_bucket_are_told_theirs(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="PACS_SESSION_SECRET"):
        session_secrets(on_s3(data=tmp_path))
    assert list(tmp_path.iterdir()) == []
    told = on_s3(data=tmp_path, session_secret=f"{SECRET}, {OTHER}")
    assert session_secrets(told) == (SECRET.encode(), OTHER.encode())


def test_children_are_told_it_and_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACS_SESSION_SECRET", f"{SECRET},{OTHER}")
    settings = load_settings({"data": tmp_path})
    assert Settings.from_child_json(settings.child_json()) == settings
    shown = [
        repr(settings),
        str(settings),
        settings.model_dump_json(),
        str(settings.model_dump()),
        settings_json(settings).decode(),
    ]
    assert not [text for text in shown if SECRET in text or OTHER in text]


def test_a_wrong_one_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACS_SESSION_SECRET", f"{SECRET},too-short-a-secret")
    with pytest.raises(InvalidRequest) as refused:
        load_settings({"data": tmp_path})
    assert "session_secret" in str(refused.value)
    assert "too-short" not in str(refused.value)
    told = pacs("user", "list", "--data", tmp_path, code=2)
    assert "too-short" not in told.stdout + told.stderr
    with pytest.raises(ValueError) as raised:
        Settings(session_secret="too-short-a-secret")  # type: ignore[arg-type]
    assert "too-short" not in str(raised.value)


def test_no_file_of_settings_holds_it(tmp_path: Path) -> None:
    config = tmp_path / "pacs.toml"
    config.write_text(f'session_secret = "{SECRET}"\n')
    with pytest.raises(InvalidRequest, match="PACS_SESSION_SECRET") as refused:
        load_settings(config=config)
    assert SECRET not in str(refused.value)
    assert isinstance(refused.value, PacsError)


def test_no_backup_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACS_SESSION_SECRET", SECRET)
    (tmp_path / "data" / "objects").mkdir(parents=True)
    session_secrets(Settings(data=tmp_path / "data"))
    pacs("backup", tmp_path / "b.zip", "--data", tmp_path / "data")
    with zipfile.ZipFile(tmp_path / "b.zip") as backup:
        assert not [name for name in backup.namelist() if "session" in name]
        said = json.loads(backup.read("settings.json"))
        assert said["session_secret"] == []
        assert not [name for name in backup.namelist() if SECRET.encode() in backup.read(name)]
