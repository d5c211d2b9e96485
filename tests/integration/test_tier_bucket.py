"""`tier` on buckets: what is asked of them before anything is tagged or sent where it is cold."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from dicomweb_samples import make_instance
from pacs_cloud.bootstrap.chores import chores_of
from pacs_cloud.bootstrap.ops_tiers import tier_services
from pacs_cloud.bootstrap.services import open_stores
from pacs_cloud.cli.app import app
from pacs_cloud.errors import Denied, InvalidRequest
from pacs_cloud.objectstore.s3 import S3ObjectStore
from pacs_cloud.objectstore.storage_classes import TIER_TAG
from pacs_cloud.settings import load_settings
from pacs_cloud.telemetry import configure_logging
from pacs_cloud.web.ops.errands import Steps
from pacs_cloud.web.ops.services import ShownPlan
from servers.endpoint import Endpoint
from servers.fixtures import Place, bucket_at

POLICY = """
[[policies]]
name = "old"
[[policies.steps]]
to = "{}"
study_age_days = 365
"""


@pytest.fixture
def place(moto_endpoint: Endpoint) -> Iterator[Place]:
    with bucket_at(moto_endpoint) as place:
        yield place


@pytest.fixture
def client(place: Place) -> Iterator[Any]:
    with closing(place.endpoint.client("s3")) as client:
        yield client


@pytest.fixture
def bucket(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the policies' file of an archive in a bucket, with one old study."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", place.endpoint.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", place.endpoint.secret_key)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("PACS_DATA", str(tmp_path / "data"))
    located(monkeypatch, place, "&moves=tag&cold=offline")
    (tmp_path / "a.dcm").write_bytes(
        make_instance("1.2.3.1.1", study="1.2.3", series="1.2.3.1", rows=300, StudyDate="20010203")
    )
    assert run("import", tmp_path / "a.dcm").exit_code == 0
    file = tmp_path / "tiers.toml"
    file.write_text(POLICY.format("GLACIER_IR"))
    return file


def located(monkeypatch: pytest.MonkeyPatch, place: Place, options: str) -> None:
    url = f"s3://{place.name}/pacs?endpoint={place.endpoint.url}&region=us-east-1{options}"
    monkeypatch.setenv("PACS_OBJECTS", url)


def run(*words: object, text: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], input=text)


def tags(client: Any, place: Place) -> list[str]:
    """Return what packs are tagged for."""
    (pack,) = client.list_objects_v2(Bucket=place.name, Prefix="pacs/packs/")["Contents"]
    found = client.get_object_tagging(Bucket=place.name, Key=pack["Key"])["TagSet"]
    return [tag["Value"] for tag in found if tag["Key"] == TIER_TAG]


def tend(file: Path) -> None:
    """Do the worker's chore once."""
    settings = load_settings({"tier_policies": file})
    configure_logging("info")

    async def once() -> None:
        async with open_stores(settings) as stores:
            await chores_of(settings, stores)["tiers"]()

    asyncio.run(once())


def test_nothing_is_tagged_for_rules_that_the_bucket_has_not(
    bucket: Path, place: Place, client: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run("tier", "apply", bucket, "--yes")
    assert done.exit_code == 1
    assert "nothing will move to GLACIER_IR" in done.stderr
    assert "tier lifecycle" in done.stderr
    assert "nothing will move to GLACIER_IR" in run("tier", "plan", bucket).stderr
    tend(bucket)
    assert not tags(client, place)
    assert capsys.readouterr().err.count("tiers_hindered") == 1


# moto's rules go by no sizes.
def test_the_bucket_itself_is_asked_for_its_rules(bucket: Path, place: Place, client: Any) -> None:
    differs = run("tier", "lifecycle", bucket, "--check", "--no-sizes")
    assert differs.exit_code == 1
    assert 'rule "tier-GLACIER_IR" is missing' in differs.stdout
    rules = json.loads(run("tier", "lifecycle", bucket, "--prefix", "pacs/", "--no-sizes").stdout)
    client.put_bucket_lifecycle_configuration(Bucket=place.name, LifecycleConfiguration=rules)
    same = run("tier", "lifecycle", bucket, "--check", "--no-sizes")
    assert (same.stdout, same.exit_code) == ("As it should be.\n", 0)
    done = run("tier", "apply", bucket, "--yes", "--json")
    assert (done.exit_code, json.loads(done.stdout)["asked"]) == (0, 1)
    assert tags(client, place) == ["GLACIER_IR"]
    # What a person has switched off moves nothing.
    for rule in rules["Rules"]:
        if rule["ID"] == "tier-GLACIER_IR":
            rule["Status"] = "Disabled"
    client.put_bucket_lifecycle_configuration(Bucket=place.name, LifecycleConfiguration=rules)
    assert run("tier", "apply", bucket, "--yes").exit_code == 1


def test_pages_tell_what_is_planned_and_where_the_rules_differ(
    bucket: Path, place: Place, client: Any
) -> None:
    settings = load_settings({"tier_policies": bucket})

    async def told() -> tuple[ShownPlan, Sequence[str] | None]:
        async with open_stores(settings) as stores:
            tiers = tier_services(settings, stores)
            return await tiers.plan(Steps()), await tiers.drift()

    plan, differs = asyncio.run(told())
    assert [(row["from"], row["to"], row["packs"]) for row in plan.rows] == [
        ("STANDARD", "GLACIER_IR", 1)
    ]
    assert "nothing will move to GLACIER_IR" in plan.words[0]
    assert differs is not None
    assert 'rule "tier-GLACIER_IR" is missing' in "\n".join(differs)
    rules = json.loads(run("tier", "lifecycle", bucket, "--prefix", "pacs/", "--no-sizes").stdout)
    client.put_bucket_lifecycle_configuration(Bucket=place.name, LifecycleConfiguration=rules)
    plan, differs = asyncio.run(told())
    assert (plan.words, differs) == ((), [])


def test_rules_that_may_not_be_read_are_told(
    bucket: Path, place: Place, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(_: S3ObjectStore) -> dict[str, Any]:
        raise Denied("lifecycle of bucket b: AccessDenied")

    monkeypatch.setattr(S3ObjectStore, "lifecycle", refused)
    done = run("tier", "apply", bucket, "--yes")
    assert done.exit_code == 0
    assert "s3:GetLifecycleConfiguration" in done.stderr
    assert tags(client, place) == ["GLACIER_IR"]


def test_a_store_has_to_say_how_it_brings_back_what_is_cold(
    bucket: Path, place: Place, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    located(monkeypatch, place, "")
    bucket.write_text(POLICY.format("DEEP_ARCHIVE"))
    for command in (("plan",), ("apply", "--yes")):
        done = run("tier", *command, bucket)
        assert done.exit_code == 1
        assert "cold=online" in done.stderr
    with pytest.raises(InvalidRequest, match="cold=offline"):
        tend(bucket)
    located(monkeypatch, place, "&cold=offline")
    done = run("tier", "apply", bucket, "--yes", "--json")
    assert (done.exit_code, json.loads(done.stdout)["moved"]) == (0, 1)


def test_prices_are_those_of_where_the_objects_lie(
    bucket: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "On site" in run("tier", "plan", bucket).stdout
    assert "Frankfurt" in run("tier", "plan", bucket, "--region", "eu-central-1").stdout
    rows = map(json.loads, run("cost", "explain", "--json").stdout.splitlines())
    assert not [one for one in rows if one["class"] == "DEEP_ARCHIVE"]
    monkeypatch.setenv("PACS_OBJECTS", "s3://b?region=eu-central-1")
    assert "Frankfurt" in run("cost", "explain").stderr
