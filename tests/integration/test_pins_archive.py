"""Pins by the command line, on files, and on buckets whose lifecycle moves what is tagged."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from test_command_line import lines, pacs
from typer.testing import CliRunner

from dicomweb_samples import make_instance
from objectstore_samples import config_at
from pacs_cloud.catalogue.pack_facts import note_packs
from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.cli.recall_commands import recall
from pacs_cloud.cli.tier_commands import tier
from pacs_cloud.errors import PacsError
from pacs_cloud.objectstore.s3 import S3ObjectStore
from pacs_cloud.objectstore.storage_classes import TIER_TAG, StorageClass
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.tiering.bringing_back import Brought, bring_back
from pacs_cloud.tiering.mover import Fate, move_due
from pacs_cloud.tiering.pins import Pin, write_pin
from pacs_cloud.tiering.policy import Policy, Step
from pacs_cloud.tiering.recall.demand import Recalls, RecallWish
from pacs_cloud.tiering.staying import stay_all
from recall_samples import Clock
from servers.fixtures import Place
from unit.custody.custody_house import STUDY, House
from unit.custody.custody_packs import Sample

YEAR_US = 365 * 86_400_000_000
COLD = (Policy("p", steps=(Step(StorageClass.GLACIER, 30),)),)
OLD, OTHER = "1.2.3.1", "1.2.3.9"
POLICY = """
[[policies]]
name = "old"
steps = [{to = "GLACIER", study_age_days = 3650}]
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    file = tmp_path / "tiers.toml"
    file.write_text(POLICY)
    return file


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An archive with two old studies."""
    (tmp_path / "in").mkdir()
    for study in (OLD, OTHER):
        file = make_instance(f"{study}.1.1", study=study, series=f"{study}.1", StudyDate="20010203")
        (tmp_path / "in" / f"{study}.dcm").write_bytes(file)
    pacs("import", tmp_path / "in", "--data", tmp_path / "data")
    return tmp_path / "data"


@dataclass
class Ran:
    """What a command printed, and what it could not do."""

    stdout: str
    said: str


def ran(*words: str, code: int = 0) -> Ran:
    """Run a `tier` command in this process; 2 is what `app.main` makes of an error of ours."""
    done = CliRunner().invoke(tier, list(words))
    if isinstance(done.exception, PacsError):
        assert code == 2, done.exception
        return Ran(done.stdout, str(done.exception))
    assert done.exit_code == code, done.output
    return Ran(done.stdout, done.stderr)


def rows(done: Ran) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_pinned_study_stays_and_the_plan_says_so(data: Path, policy: Path) -> None:
    assert "Nothing is pinned" in ran("pins", "--data", str(data)).stdout
    words = ("--until", "2999-12-31", "--reason", "teaching", "--by", "ana")
    (pinned,) = rows(ran("pin", OLD, *words, "--data", str(data), "--json"))
    assert (pinned["pinned"], pinned["until"], pinned["recall"]) == (True, "2999-12-31", False)
    (row,) = rows(ran("pins", "--data", str(data), "--json"))
    assert (row["study"], row["by"], row["reason"]) == (OLD, "ana", "teaching")
    plan = rows(ran("plan", str(policy), "--data", str(data), "--json"))
    assert {one["kept_by"]: one["packs"] for one in plan} == {"pin": 1, "": 1}
    (done,) = rows(ran("apply", str(policy), "--yes", "--data", str(data), "--json"))
    assert done == {"moved": 1, "asked": 0, "left": 0, "pinned": 1}
    # A rebuilt catalogue forgets no pin, and fsck knows what it is.
    for path in data.glob("catalogue.sqlite*"):
        path.unlink()
    pacs("rebuild", "--data", data)
    (found,) = lines(pacs("fsck", "--data", data, "--json"))
    assert found["kind"] == "cold"
    (plan,) = rows(ran("plan", str(policy), "--data", str(data), "--json"))
    assert plan["kept_by"] == "pin"
    ran("unpin", OLD, "--data", str(data))
    assert "not pinned" in ran("unpin", OLD, "--data", str(data), code=2).said
    (done,) = rows(ran("apply", str(policy), "--yes", "--data", str(data), "--json"))
    assert done == {"moved": 1, "asked": 0, "left": 0, "pinned": 0}


def test_it_is_brought_back_when_the_cost_is_known(data: Path, policy: Path) -> None:
    ran("apply", str(policy), "--yes", "--data", str(data))
    refused = ran("pin", OLD, "--recall", "--data", str(data), code=2)
    assert "--yes" in refused.said
    assert "Nothing is pinned" in ran("pins", "--data", str(data)).stdout
    (first,) = rows(ran("pin", OLD, "--recall", "--yes", "--data", str(data), "--json"))
    assert (first["recall"], first["waiting"]) == (True, 1)  # it comes at once, and then goes up
    (again,) = rows(ran("pin", OLD, "--recall", "--yes", "--data", str(data), "--json"))
    assert (again["moved"], again["waiting"], again["left"]) == (1, 0, 0)
    (pack,) = (data / "objects" / "packs").rglob(f"{OLD}.1/*.zip")
    assert not pack.is_symlink()
    # Nothing is asked where nothing is to be paid.
    (last,) = rows(ran("pin", OLD, "--recall", "--data", str(data), "--json"))
    assert (last["moved"], last["waiting"]) == (0, 0)


def test_priors_are_asked_for_by_what_they_are(data: Path, policy: Path) -> None:
    ran("apply", str(policy), "--yes", "--data", str(data))
    for words, count in (
        (["--modality", "mr"], 0),
        (["--same-modality", "--max-age-days", "30"], 0),
        (["--body-part", "chest"], 0),
        (["--modality", "mr", "--modality", "ct", "--same-modality", "--same-body-part"], 1),
    ):
        done = CliRunner().invoke(recall, ["priors", OLD, *words, "--json", "--data", str(data)])
        assert done.exit_code == 0, done.output
        found = [json.loads(line) for line in done.stdout.splitlines()]
        assert [(one["study"], one["why"]) for one in found] == [(OTHER, ["command"])] * count


def test_what_cannot_be_pinned_is_said(data: Path) -> None:
    assert "no such study" in ran("pin", "1.2.3.4", "--data", str(data), code=2).said
    words = ("--until", "2001-01-01", "--data", str(data))
    assert "is over" in ran("pin", OLD, *words, code=2).said


class Bucket:
    """An archive in a bucket whose lifecycle moves what is tagged."""

    def __init__(self, objects: S3ObjectStore, catalogue: SqliteCatalogue, client: Any, name: str):
        self.house = House(objects, catalogue)  # type: ignore[arg-type]
        self.objects = objects
        self.catalogue = catalogue
        self.client = client
        self.name = name

    async def key(self) -> str:
        (key,) = await self.house.keys("packs/")
        return key

    async def tag(self) -> str:
        found = self.client.get_object_tagging(Bucket=self.name, Key=await self.key())["TagSet"]
        return {one["Key"]: one["Value"] for one in found}.get(TIER_TAG, "")

    async def moved(self) -> list[Fate]:
        archive = Archive(self.catalogue, self.objects, pixel_processes=1)
        due = move_due(
            self.objects,
            self.catalogue,
            COLD,
            now_us=self.house.clock.tick() + YEAR_US,
            last_read_us=lambda _: None,
            least_bytes=0,
            keep=archive.thumbnails.keep,
        )
        try:
            return [one.fate async for one in due]
        finally:
            await archive.workers.aclose()


@pytest.fixture
async def bucket(s3_bucket: Place, tmp_path: Path) -> AsyncIterator[Bucket]:
    client = s3_bucket.endpoint.client("s3")
    async with (
        S3ObjectStore(replace(config_at(s3_bucket), moves="tag")) as objects,
        SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue,
    ):
        made = Bucket(objects, catalogue, client, s3_bucket.name)
        await made.house.store(Sample(f"{STUDY}.1.1"))
        yield made
    client.close()


async def test_a_pin_takes_the_tag_away_and_without_it_the_next_run_sets_it(
    bucket: Bucket,
) -> None:
    assert await bucket.moved() == [Fate.ASKED]
    assert await bucket.tag() == "GLACIER"
    (kept,) = await bucket.house.keys("thumbs/")  # a rule may move the pack from now on
    assert (await bucket.objects.head(kept)).storage_class == "STANDARD"
    pin = Pin("default", STUDY, is_set=True)
    await write_pin(bucket.objects, pin, now_us=1)
    assert await stay_all(bucket.objects, bucket.catalogue, "default", STUDY, now_us=1) == 0
    assert await bucket.tag() == "STANDARD"
    assert await bucket.moved() == [Fate.PINNED]
    assert await bucket.tag() == "STANDARD"
    await write_pin(bucket.objects, replace(pin, is_set=False), now_us=1)
    assert await bucket.moved() == [Fate.ASKED]
    assert await bucket.tag() == "GLACIER"


async def test_a_tag_that_was_set_while_it_was_pinned_goes_with_the_next_run(
    bucket: Bucket,
) -> None:
    await write_pin(bucket.objects, Pin("default", STUDY, is_set=True), now_us=1)
    await bucket.objects.move(await bucket.key(), StorageClass.GLACIER)
    assert await bucket.tag() == "GLACIER"
    assert await bucket.moved() == [Fate.PINNED]
    assert await bucket.tag() == "STANDARD"


async def test_what_a_lifecycle_has_moved_is_brought_back(bucket: Bucket, s3_bucket: Place) -> None:
    if s3_bucket.endpoint.kind != "moto":
        pytest.skip("only moto restores")
    key = await bucket.key()
    before = await bucket.objects.get(key)
    await bucket.moved()
    copied = {"Bucket": bucket.name, "Key": key}
    bucket.client.copy_object(**copied, CopySource=copied, StorageClass="GLACIER")

    def noted(pack: PackRecord) -> PackRecord:
        return replace(pack, storage_class="GLACIER")

    await note_packs(bucket.catalogue, "default", STUDY, noted, now_us=1)
    clock = Clock()
    recalls = Recalls(bucket.objects, bucket.catalogue, clock)

    async def brought() -> Brought:
        names = RecallWish(), "default", STUDY
        return await bring_back(bucket.objects, bucket.catalogue, recalls, *names, now_us=clock())

    assert await brought() == Brought(waiting=1)
    assert await brought() == Brought(moved=1)
    info = await bucket.objects.head(key)
    assert (info.storage_class, await bucket.objects.get(key)) == ("STANDARD", before)
    assert await bucket.tag() == "STANDARD"
    (pack,) = await bucket.catalogue.packs("default", STUDY)
    assert pack.storage_class == "STANDARD"
