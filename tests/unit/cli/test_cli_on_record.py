"""Every command that changes or reads somebody's data is on record before it is done."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from pacs_cloud.audit.reading import events
from pacs_cloud.audit.verify import Verification
from pacs_cloud.bootstrap.services import open_stores
from pacs_cloud.cli import app as command_line
from pacs_cloud.cli.deeds import NOTHING, RECORDED, THEMSELVES, every_command
from pacs_cloud.cli.this_user import this_user
from pacs_cloud.errors import PacsError, Unavailable
from pacs_cloud.security.audit_event import AuditEvent, Kind, Outcome
from pacs_cloud.settings import load_settings

COMMANDS = Path(command_line.__file__).parent
OPENING = {"auditing.py", "audit_verifying.py", "on_record.py", "serve.py"}
"""Modules that may open the stores of an archive behind the back of what is on record."""


@pytest.fixture(autouse=True)
def without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's settings counts."""
    monkeypatch.delenv("PACS_DATA", raising=False)


def pacs(data: Path, *words: str) -> Result:
    return CliRunner().invoke(command_line.app, [*words, "--data", str(data)])


def done(data: Path, *words: str, code: int = 0) -> list[AuditEvent]:
    """Run a command; return what it has put on record."""
    before = len(recorded(data))
    result = pacs(data, *words)
    assert result.exit_code == code, (words, result.output, result.exception)
    return recorded(data)[before:]


def recorded(data: Path) -> list[AuditEvent]:
    """Return the trail in the order of what happened; it is as it was written."""

    async def read() -> list[AuditEvent]:
        settings = load_settings({"data": data})
        async with open_stores(settings) as stores:
            root = settings.audit_journals
            verification = Verification(stores.objects, root, settings.tenant)
            assert not [finding async for finding in verification.run()]
            found = events(stores.objects, root, settings.tenant)
            return [event async for event, _ in found]

    return sorted(asyncio.run(read()), key=lambda event: event.when_us)


def told(event: AuditEvent) -> tuple[Kind, str, str, str, Outcome]:
    return event.kind, event.action, event.subject, event.door, event.outcome


def is_done(event: AuditEvent, kind: Kind, command: str) -> None:
    who = f"system:{this_user()}"
    assert told(event) == (kind, command, who, "cli", Outcome.SUCCESS)


def test_every_command_says_what_is_on_record_of_it() -> None:
    commands = [name for name, _ in every_command(command_line.app)]
    assert len(commands) == len(set(commands))
    assert {*RECORDED, *THEMSELVES, *NOTHING} == set(commands)
    assert len(RECORDED) + len(THEMSELVES) + len(NOTHING) == len(commands)


def test_a_command_that_no_table_has_is_on_record_as_a_change(tmp_path: Path) -> None:
    from pacs_cloud.cli.deeds import Deed, deed_under_way, put_on_record

    deeds: list[Deed | None] = []
    app = typer.Typer()

    @app.command("new")
    def new(study: str) -> None:
        del study
        deeds.append(deed_under_way())

    @app.command("status")
    def status() -> None:
        deeds.append(deed_under_way())

    del new, status
    put_on_record(app)
    for words in (["new", "1.2"], ["status"]):
        assert CliRunner().invoke(app, words).exit_code == 0
    assert [deed and (deed.kind, deed.command, deed.said) for deed in deeds] == [
        (Kind.CHANGE, "new", {"study": "1.2"}),
        None,
    ]
    assert deed_under_way() is None


def test_no_command_opens_the_stores_behind_the_record() -> None:
    opening = re.compile(r"from pacs_cloud\.bootstrap\.services import [^\n]*\bopen_stores\b")
    many = re.compile(r"from pacs_cloud\.bootstrap\.services import \([^)]*\bopen_stores\b")
    found = {
        path.name
        for path in COMMANDS.glob("*.py")
        if opening.search(text := path.read_text()) or many.search(text)
    }
    assert found <= OPENING


def test_what_is_read_and_changed_of_a_study(data: Path, tmp_path: Path) -> None:
    begun, imported = done(data, "import", str(data.parent / "1.dcm"))
    for event in (begun, imported):
        is_done(event, Kind.IMPORT, "import")
    assert (begun.studies, imported.studies, imported.instances) == ((), ("1.2.3",), 1)
    for words, kind in (
        (["get", "1.2.3", "-o", str(tmp_path / "out")], Kind.EXPORT),
        (["hold", "set", "1.2.3", "--reason", "trial"], Kind.CHANGE),
        (["hold", "release", "1.2.3", "--reason", "over"], Kind.CHANGE),
        (["delete", "1.2.3", "--yes"], Kind.DELETE),
        (["trash", "restore", "1.2.3"], Kind.CHANGE),
        (["fixity", "run", "--study", "1.2.3"], Kind.READ),
        (["tier", "pin", "1.2.3", "--reason", "trial"], Kind.CHANGE),
    ):
        (event,) = done(data, *words)
        is_done(event, kind, " ".join(words[: 1 if words[1] == "1.2.3" else 2]))
        assert event.studies == ("1.2.3",)
        is_shown = words[0] != "trash"
        assert [one.patient_id for one in event.patients] == ["P1"] * is_shown
    (found,) = done(data, "find", "PatientID=P1")
    is_done(found, Kind.QUERY, "find")
    assert found.query == "PatientID=P1"
    (listed,) = done(data, "trash", "list")
    is_done(listed, Kind.READ, "trash list")


def test_who_was_erased_is_on_record_before_nobody_knows_them_any_more(data: Path) -> None:
    asked = "erase", "study", "1.2.3", "--reason", "their wish"
    (looked,) = done(data, *asked)
    is_done(looked, Kind.READ, "erase study")
    (erased,) = done(data, *asked, "--yes")
    is_done(erased, Kind.ERASE, "erase study")
    assert [one.patient_id for one in erased.patients] == ["P1"]
    assert ("reason", "their wish") in erased.details


def test_a_correction_is_on_record_with_the_studies_that_it_changes(data: Path) -> None:
    words = "study", "correct", "1.2.3", "--set", "PatientName=DOE^JANE", "--reason", "typo"
    for event in done(data, *words):
        assert (event.kind, event.studies) == (Kind.READ, ("1.2.3",))
    begun, corrected = done(data, *words, "--yes")
    for event in (begun, corrected):
        is_done(event, Kind.CHANGE, "study correct")
        assert event.studies == ("1.2.3",)
        assert ("set", "PatientName") in event.details
        assert "JANE" not in str(event.details)


def test_users_keys_devices_and_shares(data: Path) -> None:
    for words in (
        ["user", "add", "anna", "--role", "clinician"],
        ["user", "disable", "anna"],
        ["device", "add", "CT1", "--from", "10.0.0.1"],
        ["deid", "project", "add", "trial-1"],
    ):
        (event,) = done(data, *words)
        count = 3 if words[0] == "deid" else 2
        is_done(event, Kind.ADMINISTER, " ".join(words[:count]))
        assert words[count] in [value for _, value in event.details]
    secret = pacs(data, "key", "add", "robot", "--role", "device").stdout.strip()
    (revoked,) = done(data, "key", "revoke", secret)
    is_done(revoked, Kind.ADMINISTER, "key revoke")
    assert [value for name, value in revoked.details if name == "key"] == [secret[5:21]]
    assert secret[22:] not in str(recorded(data))
    (shared,) = done(data, "share", "make", "1.2.3", "--reason", "second opinion")
    assert (shared.kind, shared.studies) == (Kind.SHARE, ("1.2.3",))
    (listed,) = done(data, "audit", "list", "--kind", "share")
    assert listed.kind is Kind.AUDIT


def test_the_whole_archive(data: Path, tmp_path: Path) -> None:
    (backed,) = done(data, "backup", str(tmp_path / "backup.zip"))
    is_done(backed, Kind.EXPORT, "backup")
    (rebuilt,) = done(data, "rebuild")
    is_done(rebuilt, Kind.CHANGE, "rebuild")
    (looked,) = done(data, "restore", str(tmp_path / "backup.zip"))
    is_done(looked, Kind.READ, "restore")
    (restored,) = done(data, "restore", str(tmp_path / "backup.zip"), "--yes")
    is_done(restored, Kind.CHANGE, "restore")
    done(data, "deid", "project", "add", "trial-1")
    to = "--to", str(tmp_path / "deid")
    (deidentified,) = done(data, "deid", "study", "--project", "trial-1", "1.2.3", *to)
    is_done(deidentified, Kind.DEIDENTIFY, "deid study")
    assert deidentified.studies == ("1.2.3",)


def test_what_fails_is_on_record_as_failed(data: Path) -> None:
    begun, failed = done(data, "delete", "1.2.9", "--yes", code=1)
    is_done(begun, Kind.DELETE, "delete")
    assert (failed.kind, failed.studies, failed.outcome) == (
        Kind.DELETE,
        ("1.2.9",),
        Outcome.MINOR,
    )


def test_a_peer_that_is_away(data: Path) -> None:
    before = len(recorded(data))
    assert pacs(data, "send", "1.2.3", "--to", "AWAY@127.0.0.1:1").exit_code == 1
    sent = recorded(data)[before]
    is_done(sent, Kind.SEND, "send")
    assert (sent.studies, sent.details) == (("1.2.3",), (("to", "AWAY@127.0.0.1:1"),))


@pytest.fixture
def without_a_trail(data: Path) -> Path:
    """An archive whose trail cannot be written."""
    journals = load_settings({"data": data}).audit_journals
    journals.write_bytes(b"")
    return data


def test_without_a_trail_nothing_is_done(without_a_trail: Path) -> None:
    result = pacs(without_a_trail, "delete", "1.2.3", "--yes")
    assert isinstance(result.exception, Unavailable)
    assert pacs(without_a_trail, "status", "--json").exit_code == 0
    assert visible(without_a_trail) == 1


def test_without_a_trail_the_command_line_ends_with_2(
    without_a_trail: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["pacs-cloud", "delete", "1.2.3", "--yes", "--data", str(without_a_trail)]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == 2
    assert issubclass(Unavailable, PacsError)


def test_where_it_is_not_required_it_is_done_all_the_same(
    without_a_trail: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACS_AUDIT_REQUIRED", "false")
    result = pacs(without_a_trail, "delete", "1.2.3", "--yes")
    assert result.exit_code == 0, result.exception
    assert visible(without_a_trail) == 0


def visible(data: Path) -> int:
    async def count() -> int:
        async with open_stores(load_settings({"data": data})) as stores:
            found: Any = await stores.catalogue.series("default", "1.2.3")
            return sum(one.instance_count for one in found)

    return asyncio.run(count())
