"""`user` and `key` as whoever runs an archive types them, and what a backup does to both."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from test_command_line import lines, pacs
from typer.testing import CliRunner, Result

from pacs_cloud.bootstrap.accounts import accounts_of, api_keys_of
from pacs_cloud.bootstrap.services import open_stores
from pacs_cloud.cli.key_commands import key
from pacs_cloud.cli.user_commands import user
from pacs_cloud.errors import Conflict, InvalidRequest, NotFound, PacsError, Unidentified
from pacs_cloud.identity.user import User
from pacs_cloud.security.caller import Caller, Grant, Role
from pacs_cloud.security.rules import StudyRule
from pacs_cloud.settings import Settings, load_settings

GOOD = "horse staple lamp"
HOME = "127.0.0.1"


def command(app: typer.Typer, data: Path, *words: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, [*words, "--data", str(data)])
    assert done.exit_code == code, done.output
    return done


def refused(app: typer.Typer, data: Path, *words: str) -> PacsError:
    error = command(app, data, *words, code=1).exception
    assert isinstance(error, PacsError)
    return error


def rows(done: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def settings_of(data: Path) -> Settings:
    return load_settings({"data": data})


async def redeem(data: Path, secret: str) -> User:
    settings = settings_of(data)
    async with open_stores(settings) as stores:
        return await accounts_of(settings, stores.objects).redeem(secret, GOOD, address=HOME)


async def sign_in(data: Path, name: str) -> User:
    settings = settings_of(data)
    async with open_stores(settings) as stores:
        return await accounts_of(settings, stores.objects).sign_in(name, GOOD, address=HOME)


async def shown(data: Path, secret: str) -> Caller | None:
    settings = settings_of(data)
    async with open_stores(settings) as stores:
        return await api_keys_of(settings, stores.objects).caller(secret, address=HOME)


class TestUsers:
    def test_the_program_has_the_commands(self, tmp_path: Path) -> None:
        data = tmp_path / "data"
        told = pacs("user", "add", "anna", "--role", "clinician", "--data", data)
        assert told.stdout.startswith("http://127.0.0.1:8042/welcome#")
        assert "anna" in told.stderr
        (row,) = lines(pacs("user", "list", "--data", data, "--json"))
        assert (row["name"], row["grants"], row["state"]) == ("anna", ["clinician"], "invited")
        assert "no such user" in pacs("user", "show", "bob", "--data", data, code=2).stderr
        assert (
            "no role" in pacs("user", "grant", "anna", "--role", "x", "--data", data, code=2).stderr
        )
        assert "modality" in pacs("user", "add", "--help").stdout
        assert "Clean" in pacs("fsck", "--data", data).stdout

    async def test_a_link_leads_to_a_user_who_is_what_was_said(self, tmp_path: Path) -> None:
        (row,) = await _ran(
            tmp_path,
            "add",
            "Anna",
            *("--role", "clinician", "--role", "radiologist"),
            *("--institution", "St. Elsewhere", "--modality", "CT,mr"),
            *("--grant", "auditor", "--display", "Dr. A", "--email", "a@x.example"),
            *("--by", "root", "--json"),
        )
        assert row["link"] == f"http://127.0.0.1:8042/welcome#{row['secret']}"
        assert (row["display"], row["email"], row["changed_by"]) == ("Dr. A", "a@x.example", "root")
        await redeem(tmp_path, row["secret"])
        rule = StudyRule(frozenset({"St. Elsewhere"}), modalities=frozenset({"CT", "MR"}))
        assert (await sign_in(tmp_path, "anna")).grants == (
            Grant(Role.CLINICIAN, (rule,)),
            Grant(Role.RADIOLOGIST, (rule,)),
            Grant(Role.AUDITOR),
        )
        (row,) = await _ran(tmp_path, "show", "anna", "--json")
        assert row["state"] == "active"
        assert row["link_until"] is None
        assert "secret" not in row
        told = (await _run(tmp_path, "show", "anna")).stdout
        assert "clinician;institution=St. Elsewhere;modality=CT;modality=MR" in told

    async def test_every_other_word(self, tmp_path: Path) -> None:
        (row,) = await _ran(tmp_path, "add", "root", "--role", "admin", "--json")
        await redeem(tmp_path, row["secret"])
        (row,) = await _ran(tmp_path, "add", "anna", "--role", "clinician", "--json")
        await redeem(tmp_path, row["secret"])
        (row,) = await _ran(
            tmp_path, "grant", "anna", "--grant", "referrer;referring=DOE^J", "--json"
        )
        assert row["grants"] == ["referrer;referring=DOE^J"]
        (row,) = await _ran(tmp_path, "change", "anna", "--display", "A", "--json")
        assert (row["display"], row["email"]) == ("A", "")
        await _run(tmp_path, "disable", "anna")
        with pytest.raises(Unidentified):
            await sign_in(tmp_path, "anna")
        await _run(tmp_path, "enable", "anna")
        before = await sign_in(tmp_path, "anna")
        await _run(tmp_path, "sign-out", "anna")
        assert (await sign_in(tmp_path, "anna")).mark != before.mark
        await _run(tmp_path, "unlock", "anna")
        (row,) = await _ran(tmp_path, "reset", "anna", "--codes", "--json")
        assert row["state"] == "invited"
        with pytest.raises(Unidentified):
            await sign_in(tmp_path, "anna")
        await redeem(tmp_path, row["secret"])
        await _run(tmp_path, "remove", "anna", "--yes")
        assert "anna" not in (await _run(tmp_path, "list")).stdout

    @pytest.mark.parametrize(
        ("words", "error"),
        [
            (("add", "anna"), InvalidRequest),
            (("add", "a b", "--role", "ops"), InvalidRequest),
            (("add", "anna", "--institution", "North"), InvalidRequest),
            (("add", "anna", "--role", "guest"), InvalidRequest),
            (("add", "anna", "--role", "ops", "--email", "x"), InvalidRequest),
            (("add", "ROOT", "--role", "ops"), Conflict),
            (("grant", "root", "--role", "ops"), Conflict),
            (("disable", "root"), Conflict),
            (("remove", "root", "--yes"), Conflict),
            (("remove", "root"), InvalidRequest),
            (("change", "root"), InvalidRequest),
            (("show", "anna"), NotFound),
            (("reset", "anna"), NotFound),
            (("disable", "anna"), NotFound),
            (("enable", "anna"), NotFound),
            (("unlock", "anna"), NotFound),
            (("sign-out", "anna"), NotFound),
        ],
    )
    async def test_what_cannot_be_done(
        self, tmp_path: Path, words: tuple[str, ...], error: type[PacsError]
    ) -> None:
        (row,) = await _ran(tmp_path, "add", "root", "--role", "admin", "--json")
        await redeem(tmp_path, row["secret"])
        before = (await _run(tmp_path, "list", "--json")).stdout
        assert isinstance(await _refused(tmp_path, *words), error)
        assert (await _run(tmp_path, "list", "--json")).stdout == before

    def test_no_archive_is_made_by_looking_for_users(self, tmp_path: Path) -> None:
        assert isinstance(refused(user, tmp_path / "none", "list"), NotFound)
        assert isinstance(refused(key, tmp_path / "none", "list"), NotFound)

    @pytest.mark.parametrize(
        ("flags", "start"),
        [
            ({"public_url": "https://pacs.example/x"}, "https://pacs.example/welcome#"),
            ({"http": "127.0.0.1:0"}, "/welcome#"),
            ({"http": "127.0.0.1:9000"}, "http://127.0.0.1:9000/welcome#"),
        ],
    )
    def test_links_go_where_people_find_the_archive(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: Mapping[str, str], start: str
    ) -> None:
        for name, value in flags.items():
            monkeypatch.setenv(f"PACS_{name.upper()}", value)
        told = command(user, tmp_path, "add", "anna", "--role", "ops")
        assert told.stdout.startswith(start)


class TestKeys:
    async def test_a_key_opens_until_it_is_revoked(self, tmp_path: Path) -> None:
        words = ("add", "router", "--role", "device", "--institution", "North", "--by", "root")
        (row,) = rows(await _in_thread(key, tmp_path, *words, "--json"))
        caller = await shown(tmp_path, row["secret"])
        assert caller is not None
        assert caller.subject == f"key:{row['key']}"
        assert caller.grants == (Grant(Role.DEVICE, (StudyRule(frozenset({"North"})),)),)
        (listed,) = rows(await _in_thread(key, tmp_path, "list", "--json"))
        assert "secret" not in listed
        assert (listed["note"], listed["state"], listed["made_by"]) == ("router", "active", "root")
        assert listed["used"] is not None
        await _in_thread(key, tmp_path, "revoke", row["key"], "--by", "ana")
        assert await shown(tmp_path, row["secret"]) is None
        (listed,) = rows(await _in_thread(key, tmp_path, "list", "--json"))
        assert (listed["state"], listed["revoked_by"]) == ("revoked", "ana")

    def test_whoever_finds_a_secret_can_revoke_it(self, tmp_path: Path) -> None:
        secret = command(key, tmp_path, "add", "x", "--role", "ops").stdout.strip()
        command(key, tmp_path, "revoke", secret)
        assert "revoked" in command(key, tmp_path, "list").stdout

    @pytest.mark.parametrize(
        ("words", "error"),
        [
            (("add", "x"), InvalidRequest),
            (("add", "x\ny", "--role", "ops"), InvalidRequest),
            (("add", "x", "--role", "ops", "--until", "2020-01-01"), InvalidRequest),
            (("add", "x", "--role", "ops", "--until", "soon"), InvalidRequest),
            (("revoke", "0123456789abcdef"), NotFound),
            (("revoke", "../devices"), NotFound),
        ],
    )
    def test_what_cannot_be_done(
        self, tmp_path: Path, words: tuple[str, ...], error: type[PacsError]
    ) -> None:
        (tmp_path / "objects").mkdir()
        assert isinstance(refused(key, tmp_path, *words), error)
        assert "no keys" in command(key, tmp_path, "list").stdout


async def test_a_backup_brings_users_and_keys_back_and_nothing_that_was_taken(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    secrets: dict[str, str] = {}
    for name in ("anna", "bob"):
        (row,) = await _ran(data, "add", name, "--role", "clinician", "--json")
        await redeem(data, row["secret"])
        secrets[name] = row["secret"]
    (kept, gone) = [
        rows(await _in_thread(key, data, "add", note, "--role", "ops", "--json"))[0]
        for note in ("kept", "gone")
    ]
    backup = tmp_path / "b.zip"
    pacs("backup", backup, "--data", data)
    await _run(data, "disable", "bob")
    await _run(data, "grant", "anna", "--role", "auditor")
    await _in_thread(key, data, "revoke", gone["key"])
    pacs("restore", backup, "--yes", "--data", data)
    with pytest.raises(Unidentified):
        await sign_in(data, "bob")
    assert (await sign_in(data, "anna")).grants == (Grant(Role.AUDITOR),)
    assert await shown(data, gone["secret"]) is None
    # On a store that has lost them all, they are what they were.
    new = tmp_path / "new"
    (new / "objects").mkdir(parents=True)
    pacs("restore", backup, "--yes", "--data", new)
    assert (await sign_in(new, "bob")).grants == (Grant(Role.CLINICIAN),)
    assert await shown(new, kept["secret"]) is not None
    assert "Clean" in pacs("fsck", "--data", new).stdout
    text = backup.read_bytes()
    assert not any(secret.encode() in text for secret in secrets.values())


async def _in_thread(app: typer.Typer, data: Path, *words: str) -> Result:
    """Run a command, which has an event loop of its own."""
    return await asyncio.to_thread(command, app, data, *words)


async def _run(data: Path, *words: str) -> Result:
    return await _in_thread(user, data, *words)


async def _ran(data: Path, *words: str) -> list[dict[str, Any]]:
    return rows(await _run(data, *words))


async def _refused(data: Path, *words: str) -> PacsError:
    return await asyncio.to_thread(refused, user, data, *words)
