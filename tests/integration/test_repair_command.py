"""`fsck --repair` and `catalogue hash` as their user runs them."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

import warm_start
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.holds import HOLD_ENTRIES
from pacs_cloud.objectstore.keys import study_path
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.storage_classes import StorageClass
from unit.custody.custody_damage import swap
from unit.custody.custody_packs import Made, fill

CORRECTION = "01234567-89ab-7def-8123-456789abcdef"
TIERS = """
[[policies]]
name = "all"

[[policies.steps]]
to = "STANDARD_IA"
study_age_days = 30
"""


@pytest.fixture
async def made(tmp_path: Path) -> list[Made]:
    async with (
        LocalObjectStore(tmp_path / "objects") as objects,
        SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue,
    ):
        return await fill(objects, catalogue)


def pacs(*words: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = warm_start.run(*words, env={**os.environ, "NO_COLOR": "1"})
    assert done.returncode == code, (done.stdout[-2000:], done.stderr[-2000:])
    return done


def rows(*words: str | Path, code: int = 0) -> list[dict[str, Any]]:
    return [json.loads(line) for line in pacs(*words, "--json", code=code).stdout.splitlines()]


async def test_a_dry_run_then_the_repair_then_what_is_left(
    made: list[Made], tmp_path: Path
) -> None:
    (before,) = rows("catalogue", "hash", "--data", tmp_path)
    assert (before["studies"], before["packs"]) == (3, len(made))
    async with LocalObjectStore(tmp_path / "objects") as objects:
        await objects.delete(made[0].key.index)
        await objects.delete(made[1].key.pack)
        for one in made[2:]:
            await objects.move(one.key.pack, StorageClass.GLACIER_IR)
    words = ("fsck", "--repair", "--data", tmp_path)

    dry = pacs(*words, code=1)
    assert "nothing was changed: --yes does it" in dry.stderr
    planned = {one["kind"]: one for one in rows(*words, code=1)}
    assert planned.keys() == {"index-missing", "dangling", "storage-class"}
    assert planned["index-missing"]["outcome"] == "would"
    assert planned["index-missing"]["action"] == "write the index object again"
    assert planned["dangling"]["outcome"] == "left"
    assert "these are lost until then" in planned["dangling"]["action"]
    assert planned["storage-class"]["detail"].endswith(f": {len(made) - 2}")

    done = {one["kind"]: one["outcome"] for one in rows(*words, "--yes", code=1)}
    assert done == {"index-missing": "done", "dangling": "left", "storage-class": "done"}
    assert {one["kind"] for one in rows("fsck", "--data", tmp_path, code=1)} == {"dangling"}
    assert rows("catalogue", "hash", "--data", tmp_path) == [before]


async def test_a_hold_that_cannot_be_read_is_left(made: list[Made], tmp_path: Path) -> None:
    """As a check has it."""
    study = made[0].key.study_instance_uid
    async with LocalObjectStore(tmp_path / "objects") as objects:
        key = HOLD_ENTRIES.key("default", study, 1, "legal-set")
        await objects.put_new(key, b"{}")
    (found,) = rows("fsck", "--data", tmp_path, code=1)
    (left,) = rows("fsck", "--repair", "--yes", "--data", tmp_path, code=1)
    assert (left["outcome"], left["detail"]) == ("left", found["detail"])


async def test_a_rebuild_loses_no_index_that_the_catalogue_alone_has(
    made: list[Made], tmp_path: Path
) -> None:
    (before,) = rows("catalogue", "hash", "--data", tmp_path)
    async with LocalObjectStore(tmp_path / "objects") as objects:
        for one in made:
            await objects.delete(one.key.index)
            await objects.move(one.key.pack, StorageClass.GLACIER)
    (said,) = rows("rebuild", "--data", tmp_path)
    assert (said["equal"], said["problems"]) == (True, [])
    async with LocalObjectStore(tmp_path / "objects") as objects:
        assert [await objects.get(one.key.index) for one in made] == [one.index for one in made]
    assert rows("catalogue", "hash", "--data", tmp_path) == [before]


async def test_nothing_to_repair_is_clean(made: list[Made], tmp_path: Path) -> None:
    assert made
    assert pacs("fsck", "--repair", "--yes", "--data", tmp_path).stdout == "Clean.\n"
    told = pacs("fsck", "--yes", "--data", tmp_path, code=2).stderr
    assert "--repair" in told
    printed = pacs("catalogue", "hash", "--data", tmp_path)
    assert len(printed.stdout.strip()) == 64
    assert "3 studies" in printed.stderr


async def test_a_rebuild_leaves_out_a_study_of_which_something_cannot_be_read(
    made: list[Made], tmp_path: Path
) -> None:
    (before,) = rows("catalogue", "hash", "--data", tmp_path)
    async with LocalObjectStore(tmp_path / "objects") as objects:
        torn = await anext(info.key async for info in objects.list("ledger/"))
        good = await objects.get(torn)
        await swap(objects, torn, good[:-9])
    (tmp_path / "catalogue.sqlite").unlink()
    said = pacs("rebuild", "--data", tmp_path, code=1)
    assert torn in said.stderr
    assert "2 studies" in said.stdout
    (finding,) = [one for one in rows("fsck", "--data", tmp_path, code=1) if one["key"] == torn]
    assert finding["kind"] == "ledger"
    (again,) = rows("rebuild", "--resume", "--data", tmp_path, code=1)
    assert [torn in one["detail"] for one in again["problems"]] == [True]
    async with LocalObjectStore(tmp_path / "objects") as objects:
        await swap(objects, torn, good)
    (done,) = rows("rebuild", "--resume", "--data", tmp_path)
    assert (done["problems"], done["packs"]) == ([], len(made))
    assert rows("catalogue", "hash", "--data", tmp_path) == [before]


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("holds/{}/0000000000000001-legal-set.json", ("hold", "list")),
        ("pins/{}/0000000000000001-set.json", ("tier", "pins")),
        ("pins/{}/0000000000000001-set.json", ("tier", "plan", "{tiers}")),
        ("labels/{}/0000000000000001-added.json", ("label", "list")),
        (f"corrections/default/{CORRECTION}-patient-merge.json", ("corrections", "list")),
    ],
)
async def test_what_cannot_be_read_is_named(
    made: list[Made], tmp_path: Path, key: str, words: tuple[str, ...]
) -> None:
    study = made[0].key
    key = key.format(study_path(study.tenant, study.study_instance_uid).rstrip("/"))
    async with LocalObjectStore(tmp_path / "objects") as objects:
        await objects.put_new(key, b"")
    tiers = tmp_path / "tiers.toml"
    tiers.write_text(TIERS)
    named = (word.format(tiers=tiers) for word in words)
    said = pacs(*named, "--data", tmp_path, code=2)
    assert key in said.stderr
