"""`pacs-cloud conflicts` on an archive in files: real images, decoded and compared."""

import asyncio
import json
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import RLELossless
from typer.testing import CliRunner, Result

from pacs_cloud.bootstrap.services import open_intake, open_stores
from pacs_cloud.cli.conflict_commands import conflicts
from pacs_cloud.cli.importing import import_path
from pacs_cloud.cli.rebuilding import rebuild_catalogue
from pacs_cloud.errors import NotFound
from pacs_cloud.settings import Settings, load_settings

UID = str(dcmread(str(get_testdata_file("CT_small.dcm"))).SOPInstanceUID)
CHANGED = 7


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An archive with a CT slice, and one of its UID with other words and other pixels."""
    settings = load_settings({"data": tmp_path / "data"})

    async def create() -> None:
        async with open_stores(settings, create=True) as stores, open_intake(settings, stores):
            pass

    asyncio.run(create())
    ds = dcmread(str(get_testdata_file("CT_small.dcm")))
    ds.save_as(tmp_path / "first.dcm")
    import_path(settings, str(tmp_path / "first.dcm"), as_json=True)
    ds.StudyDescription = "taken again"
    pixels = ds.pixel_array.copy()
    pixels[0, :CHANGED] += 1
    # Another transfer syntax: what is compared is what was meant, not what is stored.
    ds.compress(RLELossless, pixels)
    ds.SOPInstanceUID = UID
    ds.file_meta.MediaStorageSOPInstanceUID = UID
    ds.save_as(tmp_path / "second.dcm")
    import_path(settings, str(tmp_path / "second.dcm"), as_json=True)
    return settings


def run(settings: Settings, *words: str) -> Result:
    done = CliRunner().invoke(conflicts, [*words, "--data", str(settings.data)])
    assert done.exit_code == 0, (done.output, done.exception)
    return done


def rows(settings: Settings, *words: str) -> list[dict]:
    return [json.loads(line) for line in run(settings, *words, "--json").stdout.splitlines()]


def test_both_sides_are_compared_and_the_other_one_is_shown(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    (one,) = rows(settings, "list")
    assert (one["kind"], one["shown"], one["resolution"]) == ("content", "other", "kept-first")
    assert one["instance"] == UID
    assert one["what"].endswith("shown is the one that came first.")
    assert one["what"] in run(settings, "list").stdout
    (shown,) = rows(settings, "show", one["id"])
    assert (shown["newcomer"]["shown"], shown["other"]["shown"]) == (False, True)
    assert shown["newcomer"]["transfer_syntax"] == RLELossless
    by_path = {tag["path"]: (tag["newcomer"], tag["other"]) for tag in shown["tags"]}
    assert by_path["StudyDescription"] == (["taken again"], ["e+1"])
    assert shown["pixels"] == {
        "frames": [{"frame": 1, "differing": CHANGED, "largest": 1}],
        "note": "",
    }
    told = run(settings, "show", one["id"]).stdout
    assert "taken again" in told
    assert f"frame 1: {CHANGED} pixels differ, by 1 at most" in told

    assert "newcomer" in run(settings, "promote", one["id"], "--by", "ana").stdout
    (promoted,) = rows(settings, "list")
    assert (promoted["id"], promoted["shown"]) == (one["id"], "newcomer")
    rebuild_catalogue(settings, resume=False, compare=False, as_json=True)
    capsys.readouterr()
    assert rows(settings, "list") == [promoted]
    (undone,) = rows(settings, "undo", one["id"])
    assert undone == one == rows(settings, "list")[0]
    assert one["id"] in run(settings, "list").stdout
    failed = CliRunner().invoke(conflicts, ["undo", one["id"], "--data", str(settings.data)])
    assert isinstance(failed.exception, NotFound)
