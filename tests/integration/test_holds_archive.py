"""A held study in the whole archive: HTTP and the command line refuse, and say so."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from test_command_line import lines, pacs
from test_deletion_archive import OTHER, STUDY, imported, packs
from typer.testing import CliRunner, Result

from crash.archive import fsck, running
from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.cli.fixity_commands import fixity
from pacs_cloud.cli.hold_commands import hold
from pacs_cloud.custody.conflicts.choice import promote, undo
from pacs_cloud.custody.conflicts.listing import disagreements
from pacs_cloud.custody.export import digest
from pacs_cloud.custody.findings import FindingKind
from pacs_cloud.custody.fixity.rolling import open_findings, reread, reread_study, tend_fixity
from pacs_cloud.custody.holds import HoldKind, all_holds
from pacs_cloud.custody.holds_setting import release_hold, set_hold
from pacs_cloud.custody.rebuild import rebuild
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.custody.trash.deletion import Trash
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.custody.trash.purging import purge_study
from pacs_cloud.errors import Held, InvalidRequest, NotFound, PacsError
from pacs_cloud.objectstore.port import ObjectStore
from unit.custody.custody_packs import Clock, fill, put


def command(app: typer.Typer, data: Path, *words: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, [*words, "--data", str(data)])
    assert done.exit_code == code, done.output
    return done


def refused(app: typer.Typer, data: Path, *words: str) -> PacsError:
    error = command(app, data, *words, code=1).exception
    assert isinstance(error, PacsError)
    return error


def rows(done: Result) -> list[dict]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_edge_refuses_to_delete_what_is_held(tmp_path: Path) -> None:
    data = imported(tmp_path)
    (row,) = rows(command(hold, data, "set", STUDY, "--reason", "case 7", "--by", "ana", "--json"))
    assert (row["study"], row["kind"], row["held"], row["sure"]) == (STUDY, "legal", True, True)
    with running(data, log=tmp_path / "log") as archive:
        answer = httpx.delete(f"{archive.http}/dicom-web/studies/{STUDY}")
        assert answer.status_code == 409
        assert answer.headers["content-type"] == "application/problem+json"
        assert "on hold" in answer.json()["detail"]
        assert httpx.get(f"{archive.http}/dicom-web/studies/{STUDY}/metadata").status_code == 200
        told = pacs("delete", STUDY, "-y", "--data", data, code=2).stderr
        assert told.startswith("pacs-cloud: The study is on legal hold")
        assert "case 7" not in told
        assert httpx.delete(f"{archive.http}/dicom-web/studies/{OTHER}").status_code == 204
        command(hold, data, "release", STUDY, "--reason", "over")
        assert httpx.delete(f"{archive.http}/dicom-web/studies/{STUDY}").status_code == 204
    assert fsck(data) == (0, [])


def test_a_purge_leaves_what_is_held_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = imported(tmp_path)
    pacs("delete", STUDY, "-y", "--data", data)
    pacs("delete", OTHER, "-y", "--data", data)
    until = (datetime.now(UTC) + timedelta(days=400)).date().isoformat()
    command(hold, data, "set", STUDY, "--reason", "law", "--until", until, "--by", "ben")
    told = pacs("trash", "purge", STUDY, "-y", "--data", data, code=2).stderr
    assert "retention date is not over" in told
    monkeypatch.setenv("PACS_TRASH_DAYS", "0")
    told = lines(pacs("trash", "purge", "--data", data, "--json", code=1))
    assert (told[0]["packs"] > 0, told[0]["held"], told[0]["problems"]) == (True, 1, 0)
    assert "on hold" in pacs("trash", "purge", "--all", "-y", "--data", data, code=1).stderr
    assert packs(data, STUDY)
    assert packs(data, OTHER) == []
    pacs("rebuild", "--data", data)
    (row,) = rows(command(hold, data, "list", "--json"))
    assert {name: row[name] for name in ("study", "kind", "until", "by", "reason")} == {
        "study": STUDY,
        "kind": "retention",
        "until": until,
        "by": "ben",
        "reason": "law",
    }
    assert STUDY in command(hold, data, "list").stdout
    assert fsck(data) == (0, [])
    sooner = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
    earlier = refused(hold, data, "set", STUDY, "--reason", "x", "--until", sooner)
    assert isinstance(earlier, Held)
    assert "hold release" in str(earlier)
    assert rows(command(hold, data, "list", "--json")) == [row]
    assert isinstance(refused(hold, data, "release", STUDY, "--reason", "x"), NotFound)
    command(hold, data, "release", STUDY, "--reason", "x", "--retention")
    assert "Nothing is held" in command(hold, data, "list").stdout
    pacs("trash", "purge", STUDY, "-y", "--data", data)
    assert packs(data, STUDY) == []


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("set", "1.9", "--reason", "x"), NotFound),
        (("set", STUDY, "--reason", " "), InvalidRequest),
        (("set", STUDY, "--reason", "x", "--until", "tomorrow"), InvalidRequest),
        (("set", STUDY, "--reason", "x", "--until", "2020-01-01"), InvalidRequest),
        (("set", STUDY, "--reason", "x", "--until", "9999-12-31"), InvalidRequest),
        (("release", STUDY, "--reason", "x"), NotFound),
    ],
)
def test_what_is_no_hold_is_refused(
    tmp_path: Path, words: tuple[str, ...], error: type[PacsError]
) -> None:
    data = imported(tmp_path)
    assert isinstance(refused(hold, data, *words), error)
    assert "Nothing is held" in command(hold, data, "list").stdout


def test_the_reread_lists_damage_until_it_is_mended(tmp_path: Path) -> None:
    data = imported(tmp_path)
    assert "Nothing was read" in command(fixity, data, "status").stdout
    assert "Clean." in command(fixity, data, "run").stdout
    (row,) = rows(command(fixity, data, "status", "--json"))
    assert row["round"]["is_over"]
    assert row["findings"] == []
    (damaged, *_) = packs(data, STUDY)
    whole = damaged.read_bytes()
    damaged.chmod(0o600)
    damaged.write_bytes(whole[:700] + bytes([whole[700] ^ 1]) + whole[701:])
    *findings, done = rows(command(fixity, data, "run", "--study", STUDY, "--json", code=1))
    assert {one["kind"] for one in findings} == {"checksum", "digest"}
    assert done["findings"] == 2
    (row,) = rows(command(fixity, data, "status", "--json", code=1))
    assert {one["pack_id"] for one in row["findings"]} == {damaged.stem}
    told = command(fixity, data, "status", code=1).stdout
    assert str(damaged.relative_to(data / "objects")) in told
    assert STUDY in told
    # Beside a running archive, and with a limit: what was found is read first.
    damaged.write_bytes(whole)
    with running(data, log=tmp_path / "log"):
        told = command(fixity, data, "run", "--limit", "1kB", "--rate", "1 GB")
    assert "1 mended" in told.stdout
    command(fixity, data, "status")
    for words in (
        ("run", "--limit", "much"),
        ("run", "--limit", "1", "--study", STUDY),
        ("run", "--rate", "0"),
    ):
        assert isinstance(refused(fixity, data, *words), InvalidRequest)
    assert isinstance(refused(fixity, data, "run", "--study", "1.9"), NotFound)


async def test_custody_is_the_same_on_s3_and_dynamodb(
    cloud: tuple[ObjectStore, Catalogue],
) -> None:
    objects, catalogue = cloud
    clock = Clock()
    made = await fill(objects, catalogue, clock=clock)
    load = partial(load_table, objects, catalogue)
    trash = Trash(objects, catalogue, load, clock.tick)
    names = "default", "1.2.3"

    done = await reread(objects, catalogue, now_us=clock.tick())
    assert (done.packs, done.findings) == (len(made), ())
    await objects.delete(made[0].key.pack)
    done = await reread_study(objects, catalogue, *names, now_us=clock.tick())
    assert [one.kind for one in done.findings] == [FindingKind.DANGLING]
    await put(objects, made[0])
    done = await reread(objects, catalogue, now_us=clock.tick(), limit_bytes=0)
    assert (done.mended, [one async for one in open_findings(objects)]) == (1, [])
    tended = await tend_fixity(objects, catalogue, now_us=1 << 60, fixity_days=30)
    assert (tended.packs, tended.findings) == (len(made), ())

    words: dict[str, Any] = {"reason": "case 7", "who": "ana"}
    held = await set_hold(objects, catalogue, *names, **words, now_us=clock.tick(), wait_s=0)
    assert held.is_sure
    with pytest.raises(Held):
        await trash.delete(Scope(*names))
    assert [one async for one in all_holds(objects, "default", now_us=clock.tick())] == [held.entry]
    await release_hold(objects, *names, HoldKind.LEGAL, **words, now_us=clock.tick())

    before = await digest(catalogue)
    listed = [one async for one in disagreements(catalogue, "default")]
    chosen = next(one for one in listed if one.shown is not None)
    choosing: dict[str, Any] = {"load_table": load, "who": "ana"}
    about = objects, catalogue, "default", chosen.conflict_id
    now = await promote(*about, **choosing, now_us=clock.tick())
    assert now.shown == chosen.hidden
    promoted = await digest(catalogue)
    await rebuild(objects, catalogue, policy=ConflictPolicy.KEEP_FIRST, now_us=clock.tick())
    assert await digest(catalogue) == promoted
    assert await undo(*about, **choosing, now_us=clock.tick()) == chosen
    assert await digest(catalogue) == before

    await trash.delete(Scope(*names))
    await set_hold(objects, catalogue, *names, **words, now_us=clock.tick(), wait_s=0)
    purging: dict[str, Any] = {"load_table": load, "now_us": clock.tick(), "cutoff_us": 1 << 60}
    with pytest.raises(Held):
        await purge_study(objects, catalogue, *names, **purging)
    await release_hold(objects, *names, HoldKind.LEGAL, **words, now_us=clock.tick())
    assert (await purge_study(objects, catalogue, *names, **purging)).packs == 8
