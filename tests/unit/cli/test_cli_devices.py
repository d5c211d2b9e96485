"""`device`: what is said on the command line is what is known."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from dimse_certificates import Authority
from pacs_cloud.bootstrap.services import open_stores
from pacs_cloud.cli.device_commands import device
from pacs_cloud.errors import Conflict, InvalidRequest, NotFound
from pacs_cloud.settings import Settings

DIGEST = "ab" * 32


@pytest.fixture
async def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    async with open_stores(Settings(data=tmp_path / "data"), create=True):
        return tmp_path / "data"


def ran(*words: str) -> Result:
    return CliRunner().invoke(device, list(words))


def said(*words: str) -> dict[str, Any]:
    done = ran(*words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def wrong(error: type[Exception], word: str, *words: str) -> None:
    done = ran(*words)
    assert isinstance(done.exception, error), done.output
    assert word in str(done.exception)


def test_a_device_is_added_changed_shown_and_removed(data: Path) -> None:
    at = ("--data", str(data))
    assert "No device" in ran("list", *at).stdout
    row = said("add", "CT1", "--from", "10.1.2.3/16", "--by", "anna", *at)
    assert row["changed"]
    del row["changed"]
    assert row == {
        "title": "CT1",
        "allow": ["verify", "store"],
        "from": ["10.1.0.0/16"],
        "tls": False,
        "certificates": [],
        "names": [],
        "user": "check",
        "most": None,
        "per_minute": None,
        "to": "",
        "to_tls": False,
        "to_name": "",
        "disabled": False,
        "note": "",
        "by": "anna",
    }
    wrong(Conflict, "device change", "add", "CT1", "--from", "any", *at)
    more = ["--allow", "find", "--allow", "move", "--certificate", DIGEST, "--name", "ct1.example"]
    more += ["--user", "require", "--most", "4", "--per-minute", "60", "--to", "[2001:db8::1]:104"]
    more += ["--to-tls", "--to-name", "ct1", "--note", "second floor", "--disable"]
    row = said("change", "CT1", *more, *at)
    assert (row["allow"], row["from"]) == (["find", "move"], ["10.1.0.0/16"])
    assert (row["tls"], row["certificates"], row["names"]) == (True, [DIGEST], ["ct1.example"])
    assert (row["user"], row["most"], row["per_minute"]) == ("require", 4, 60)
    assert (row["to"], row["to_tls"], row["to_name"]) == ("[2001:db8::1]:104", True, "ct1")
    assert (row["disabled"], row["note"]) == (True, "second floor")
    # What is not named stays; what is taken back is gone.
    row = said("change", "CT1", "--to", "ws:105", *at)
    assert (row["to"], row["to_tls"], row["to_name"]) == ("ws:105", True, "ct1")
    gone = ["--certificate", "none", "--name", "none", "--most", "0", "--per-minute", "0"]
    row = said("change", "CT1", *gone, "--to", "none", "--enable", "--from", "any", *at)
    assert row["from"] == ["0.0.0.0/0", "::/0"]
    assert (row["certificates"], row["names"], row["tls"]) == ([], [], False)
    assert (row["most"], row["per_minute"], row["to"], row["disabled"]) == (None, None, "", False)
    assert said("show", "CT1", *at) == row
    assert "0.0.0.0/0" in ran("show", "CT1", *at).stdout
    assert [json.loads(one) for one in ran("list", "--json", *at).stdout.splitlines()] == [row]
    assert "CT1" in ran("list", *at).stdout
    assert ran("remove", "CT1", *at).exit_code == 0
    for command in ("show", "change", "remove"):
        wrong(NotFound, "CT1", command, "CT1", *at)
    assert said("add", "CT1", "--certificate", DIGEST, *at)["from"] == []


def test_a_certificate_may_be_a_file(data: Path, tmp_path: Path) -> None:
    pair = Authority(tmp_path).pair("ct1.example.org")
    at = ("--data", str(data))
    for title, file in (("MR1", pair.certificate), ("MR2", pair.whole)):
        row = said("add", title, "--certificate", str(file), *at)
        assert row["certificates"] == [pair.sha256]
    colons = ":".join([DIGEST[:2].upper()] * 32)
    assert said("add", "CT1", "--certificate", colons, *at)["certificates"] == [DIGEST]
    wrong(InvalidRequest, "no PEM", "add", "CT2", "--certificate", str(pair.key), *at)
    wrong(InvalidRequest, "cannot read", "add", "CT2", "--certificate", "nowhere.pem", *at)


def test_what_cannot_be_is_said(data: Path) -> None:
    at = ("--data", str(data))
    wrong(InvalidRequest, "proves nothing", "add", "CT1", *at)
    wrong(InvalidRequest, "range", "add", "CT1", "--from", "10.1", *at)
    wrong(InvalidRequest, "title", "add", "C" * 17, "--from", "any", *at)
    wrong(InvalidRequest, "--to", "add", "CT1", "--from", "any", "--to", "ws", *at)
    wrong(InvalidRequest, "need --to", "add", "CT1", "--from", "any", "--to-tls", *at)
    assert ran("add", "CT1", "--allow", "print", *at).exit_code == 2
    said("add", "CT1", "--from", "any", *at)
    wrong(InvalidRequest, "proves nothing", "change", "CT1", "--from", "none", *at)
