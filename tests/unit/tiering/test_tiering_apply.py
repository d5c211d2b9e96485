"""`tier plan` and `tier apply` on an archive of files: when, how much, and what was done."""

import asyncio
import json
from collections.abc import AsyncGenerator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pacs_cloud.bootstrap import tiers
from pacs_cloud.bootstrap.services import open_stores
from pacs_cloud.cli import moving
from pacs_cloud.cli.app import app
from pacs_cloud.cli.tier_commands import tier
from pacs_cloud.custody.trash.deletion import Trash
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.errors import Corrupt, Denied, InvalidRequest, Unavailable
from pacs_cloud.settings import load_settings
from pacs_cloud.tiering.mover import Moved
from pacs_cloud.tiering.pins import Pin, write_pin
from unit.custody.custody_packs import Clock, Sample, commit, make_pack, put

POLICY = """
[[policies]]
name = "north"
match = {{ tenant = "nroth" }}
steps = [{{ to = "GLACIER_IR", stored_days = 1 }}]

[[policies]]
name = "all"
steps = [{{ to = "GLACIER_IR", stored_days = {} }}, {{ to = "GLACIER", stored_days = {} }}]
"""

KEPT_A_DAY = """
[[policies]]
name = "a day"
retention_days = 1
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An archive of two studies that are long there."""
    settings = load_settings({"data": tmp_path / "data"})

    async def fill() -> None:
        clock = Clock()
        async with open_stores(settings, create=True) as stores:
            for study in ("1.1", "1.2"):
                names = settings.tenant, study, f"{study}.1"
                made = make_pack(clock, *names, [Sample(f"{study}.1.1")])
                await put(stores.objects, made)
                await commit(stores.objects, stores.catalogue, made, clock)

    asyncio.run(fill())
    return tmp_path / "data"


def days_old() -> int:
    """Return how long the studies have been stored."""
    stored = datetime.fromtimestamp(Clock().now_us / 1e6, UTC)
    return (datetime.now(UTC) - stored).days


def policies(tmp_path: Path, *days: int) -> Path:
    file = tmp_path / "tiers.toml"
    file.write_text(POLICY.format(*days))
    return file


def run(*words: object) -> Result:
    return CliRunner().invoke(tier, [str(word) for word in words])


def kept_a_day(tmp_path: Path) -> Path:
    file = tmp_path / "kept.toml"
    file.write_text(KEPT_A_DAY)
    return file


def pin(data: Path, study: str) -> Path:
    """Pin a study; return what says so."""
    settings = load_settings({"data": data})

    async def write() -> str:
        async with open_stores(settings) as stores:
            set_ = Pin(settings.tenant, study, is_set=True)
            return (await write_pin(stores.objects, set_, now_us=Clock().now_us)).key

    return data / "objects" / asyncio.run(write())


def rows(done: Result) -> dict[str, tuple[str, bool | None]]:
    """Return by study what keeps it, and whether it was deleted."""
    said = map(json.loads, done.stdout.splitlines())
    return {one["study"]: (one["kept_by"], one["deleted"]) for one in said}


def test_a_plan_says_when_and_names_what_matches_nothing(tmp_path: Path, data: Path) -> None:
    file = policies(tmp_path, days_old() - 5, days_old() + 20)
    done = run("plan", file, "--data", data, "--json")
    now, later = map(json.loads, done.stdout.splitlines())
    assert (now["when"], now["from"], now["to"], now["packs"]) == (
        *("now", "STANDARD", "GLACIER_IR"),
        2,
    )
    assert (later["when"], later["from"], later["to"]) == (
        "within 30 days",
        "GLACIER_IR",
        "GLACIER",
    )
    today = date.today()
    assert date.fromisoformat(now["first"]) - today <= timedelta(1)
    # A study's days begin when it came in, not at midnight.
    assert timedelta(18) <= date.fromisoformat(later["first"]) - today <= timedelta(21)
    assert done.stderr == "no study matches 'north'\n"
    # On a later day one plans for that day.
    (then,) = map(
        json.loads, run("plan", file, "--data", data, "--json", "--in-days", 21).stdout.splitlines()
    )
    assert (then["when"], then["from"], then["to"]) == ("now", "STANDARD", "GLACIER")


def test_who_is_asked_is_told_how_much(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def confirm(question: str, *, sure: bool) -> None:
        asked.append(question)
        raise InvalidRequest("not done")

    monkeypatch.setattr(moving, "confirm", confirm)
    run("apply", policies(tmp_path, 1, 2), "--data", data)
    run("apply", policies(tmp_path, 1, days_old() + 9), "--data", data)
    cold, warm = asked
    assert cold.startswith("Move 2 packs (")
    assert ") to GLACIER? What is cold has to be recalled" in cold
    assert warm.endswith(") to GLACIER_IR?")
    run("apply", policies(tmp_path, 1, 2), "--data", data, "--yes")
    assert len(asked) == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Unavailable("gone")])
def test_what_was_done_is_told_where_it_ends_early(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    async def ending(*arguments: Any, **options: Any) -> AsyncGenerator[Moved]:
        async for one in tiers.moved(*arguments, **options):
            yield one
            raise error

    monkeypatch.setattr(moving, "moved", ending)
    done = run("apply", policies(tmp_path, 1, days_old() + 9), "--data", data, "--yes")
    assert "1 pack moved" in done.stderr
    assert "apply again" in done.stderr
    if isinstance(error, Unavailable):
        assert done.exception is error
    else:
        assert done.exit_code == 130


def test_what_merging_moved_packs_costs_is_told(tmp_path: Path, data: Path) -> None:
    settings = load_settings({"data": data})

    async def another() -> None:
        clock = Clock()
        clock.now_us += 60_000_000
        async with open_stores(settings) as stores:
            made = make_pack(clock, settings.tenant, "1.1", "1.1.1", [Sample("1.1.1.2")])
            await put(stores.objects, made)
            await commit(stores.objects, stores.catalogue, made, clock)

    asyncio.run(another())
    run("apply", policies(tmp_path, 1, days_old() + 9), "--data", data, "--yes")
    words = ["repack", "1.1", "--data", str(data)]
    assert "nothing to repack" in CliRunner().invoke(app, words).stdout
    done = CliRunner().invoke(app, [*words, "--include-warm"])
    assert "2 packs became 1" in done.stdout
    assert "of GLACIER_IR, 0.00 EUR" in done.stdout
    (row,) = map(
        json.loads,
        run("plan", policies(tmp_path, 1, 2), "--data", data, "--json").stdout.splitlines(),
    )
    assert (row["from"], row["packs"]) == ("GLACIER_IR", 2)


def test_what_need_not_be_kept_stays_where_it_is_pinned(tmp_path: Path, data: Path) -> None:
    words = "expired", kept_a_day(tmp_path), "--data", data, "--json"
    pin(data, "1.1")
    looked = run(*words)
    assert (looked.exit_code, rows(looked)) == (0, {"1.1": ("pin", None), "1.2": ("", None)})
    done = run(*words, "--delete", "--yes")
    assert (done.exit_code, rows(done)) == (1, {"1.1": ("pin", False), "1.2": ("", True)})
    assert rows(run(*words)) == {"1.1": ("pin", None)}
    run("unpin", "1.1", "--data", data)
    done = run(*words, "--delete", "--yes")
    assert (done.exit_code, rows(done)) == (0, {"1.1": ("", True)})


def test_a_pin_that_cannot_be_read_lets_nothing_be_deleted(tmp_path: Path, data: Path) -> None:
    damaged = pin(data, "1.1")
    damaged.chmod(0o600)
    damaged.write_bytes(b"not what was written")
    words = "expired", kept_a_day(tmp_path), "--data", data, "--json"
    for more in ((), ("--delete", "--yes")):
        done = run(*words, *more)
        assert isinstance(done.exception, Corrupt)
        assert not done.stdout
    damaged.unlink()
    assert rows(run(*words)) == {"1.1": ("", None), "1.2": ("", None)}


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_pin_that_is_set_behind_the_list_counts(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, *, is_damaged: bool
) -> None:
    async def then_pinned(*arguments: Any) -> AsyncGenerator[tiers.Expired]:
        async for one in tiers.expired(*arguments):
            yield one
        settings, stores, _ = arguments
        set_ = Pin(settings.tenant, "1.1", is_set=True)
        key = (await write_pin(stores.objects, set_, now_us=Clock().now_us)).key
        if is_damaged:
            await stores.objects.delete(key)
            await stores.objects.put_new(key, b"not what was written")

    monkeypatch.setattr(moving, "expired", then_pinned)
    words = "expired", kept_a_day(tmp_path), "--data", data, "--json", "--delete", "--yes"
    done = run(*words)
    kept_by = "" if is_damaged else "pin"
    assert (done.exit_code, rows(done)) == (1, {"1.1": (kept_by, False), "1.2": ("", True)})
    assert ("1.1: " in done.stderr) is is_damaged


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Denied("no"), Unavailable("gone")])
def test_what_was_deleted_is_told_where_it_ends_early(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    delete = Trash.delete

    async def ending(trash: Trash, scope: Scope) -> int:
        if scope.study_instance_uid == "1.2":
            raise error
        return await delete(trash, scope)

    monkeypatch.setattr(Trash, "delete", ending)
    done = run("expired", kept_a_day(tmp_path), "--data", data, "--delete", "--yes")
    assert "1 study is in the trash" in done.stderr
    assert not done.stdout
    if isinstance(error, KeyboardInterrupt):
        assert done.exit_code == 130
    else:
        assert done.exception is error


def test_a_files_own_store_says_what_can_be_carried_out(tmp_path: Path, data: Path) -> None:
    step = '{ to = "STANDARD_IA", study_age_days = 10 }'
    file = tmp_path / "tiers.toml"
    file.write_text(f"{KEPT_A_DAY.replace('= 1', '= 20')}steps = [{step}]\n")
    for command in ("validate", "plan", "expired"):
        done = run(command, file, "--data", data)
        assert (command, done.exit_code) == (command, 0)
    assert run("validate", file).exit_code == 1  # for a bucket
