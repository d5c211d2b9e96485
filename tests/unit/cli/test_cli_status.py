"""`status` tells what an operator has to know before a user does."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from typer.testing import CliRunner

from pacs_cloud.bootstrap.services import now_us, open_stores
from pacs_cloud.bootstrap.stalls import Stalls
from pacs_cloud.cli.upkeep_commands import upkeep
from pacs_cloud.custody.corrections.book import CorrectionMark, put_mark
from pacs_cloud.custody.erasure.entries import Step, enter
from pacs_cloud.custody.fixity.rolling import reread
from pacs_cloud.custody.holds_setting import set_hold
from pacs_cloud.custody.trash.marks import Action, Mark, Scope
from pacs_cloud.custody.trash.marks import put_mark as put_trash_mark
from pacs_cloud.errors import Unavailable
from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.settings import Settings, load_settings
from unit.cli.cli_archive import fill

DAY_US = 86_400_000_000
CORRECTION = "00000000-0000-4000-8000-000000000001"
STUDY = str(dcmread(str(get_testdata_file("CT_small.dcm"))).StudyInstanceUID)
NONE = {
    "conflicts": 0,
    "recalls_under_way": 0,
    "fixity_findings": 0,
    "trash": 0,
    "trash_due": 0,
    "corrections_unfinished": 0,
    "erasures_unfinished": 0,
    "studies_on_hold": 0,
    "unmounted_tiers": [],
    "stalled": [],
}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An archive with one study, a tier of its own, and policies that are no TOML."""
    tape, policies = tmp_path / "tape", tmp_path / "tiers.toml"
    tape.mkdir()
    policies.write_text("[[policies")
    monkeypatch.setenv("PACS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PACS_OBJECTS", f"file://{tmp_path}/objects?GLACIER={tape}")
    monkeypatch.setenv("PACS_TIER_POLICIES", str(policies))
    settings = load_settings({})
    fill(settings, Path(str(get_testdata_file("CT_small.dcm"))))
    return settings


def status(*words: str) -> dict[str, Any]:
    done = CliRunner().invoke(upkeep, ["status", *words, "--json"])
    assert done.exit_code == 0, (done.output, done.exception)
    return json.loads(done.stdout)


def told() -> str:
    return CliRunner().invoke(upkeep, ["status"]).stdout


async def trouble(settings: Settings) -> None:
    async with open_stores(settings) as stores:
        objects, now = stores.objects, now_us()
        (pack,) = [info.key async for info in objects.list("packs/")]
        await set_hold(
            objects, stores.catalogue, "default", STUDY, reason="x", who="y", now_us=now, wait_s=0
        )
        for age_days in (1, 400):
            mark = Mark(Scope("default", "1.2.3"), Action.DELETE, now - age_days * DAY_US)
            await put_trash_mark(objects, mark)
        await put_mark(objects, CorrectionMark("default", CORRECTION, now))
        await enter(objects, "default", "1.2.4", Step.ASKED, now_us=now, uids=["1.2.4.1"])
        await Stalls(objects, now_us).failed("tiers", Unavailable("no policies"))
        await objects.move(pack, StorageClass.GLACIER_IR)
        data = await objects.get(pack)
        await objects.delete(pack)
        await objects.put_new(pack, data[:700] + bytes([data[700] ^ 1]) + data[701:])
        assert (await reread(objects, stores.catalogue, now_us=now)).findings


def test_a_quiet_archive_has_nothing_to_tell(settings: Settings) -> None:
    found = status()
    assert found | NONE == found
    assert found["classes"]["STANDARD"]["packs"] == 1
    assert found["classes"]["STANDARD"]["bytes"] > 1000
    assert "STANDARD: 1 pack, " in told()
    few = status("--quick")
    assert found.keys() - few.keys() == {"classes", "studies_on_hold"}


def test_policies_that_cannot_be_read_are_told(settings: Settings) -> None:
    assert status()["tier_policies"].startswith("no: ")
    assert settings.tier_policies is not None
    settings.tier_policies.write_text('[[policies]]\nname = "p"\n')
    assert status()["tier_policies"] == "yes"


def test_what_waits_and_what_is_wrong_is_told(settings: Settings) -> None:
    asyncio.run(trouble(settings))
    found = status()
    wanted = {
        "fixity_findings": 1,
        "trash": 2,
        "trash_due": 1,
        "corrections_unfinished": 1,
        "erasures_unfinished": 1,
        "studies_on_hold": 1,
    }
    assert found | wanted == found
    (stall,) = found["stalled"]
    assert (stall["chore"], stall["reason"]) == ("tiers", "no policies")
    assert f"tiers, since {stall['since']}, tried last {stall['tried']}: no policies" in told()


def test_a_tier_that_is_not_mounted_is_told(settings: Settings, tmp_path: Path) -> None:
    # What lies there is another directory now, as where nothing is mounted.
    (tmp_path / "objects" / ".tier" / "GLACIER").unlink()
    (tmp_path / "bare").mkdir()
    (tmp_path / "objects" / ".tier" / "GLACIER").symlink_to(tmp_path / "bare")
    settings_url = f"file://{tmp_path}/objects"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PACS_OBJECTS", settings_url)
        (said,) = status()["unmounted_tiers"]
        assert "GLACIER is not at" in said
        assert said in told()
    assert settings.is_embedded


def test_what_cannot_be_told_keeps_nothing_else_from_it(settings: Settings, tmp_path: Path) -> None:
    asyncio.run(trouble(settings))
    (hold,) = (tmp_path / "objects" / "holds").rglob("*.json")
    hold.chmod(0o600)
    hold.write_text("no hold")
    found = status()
    assert found["studies_on_hold"].startswith("?: ")
    assert found["trash_due"] == 1
