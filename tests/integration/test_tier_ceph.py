"""Tier policies on Ceph: its gateway truly moves, by its own lifecycle or by our copies.

By the command line, with real instances. Ceph has no recall: what is in a cold class is
read at once (`cold=online`).
"""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from test_command_line import lines, pacs

from infra.provision import remove_bucket
from pacs_cloud.bootstrap.services import open_stores
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.settings import load_settings
from servers.fixtures import Place

pytestmark = pytest.mark.ceph

POLICY = """
[[policies]]
name = "computed tomography"
[policies.match]
modality = "CT"
[[policies.steps]]
to = "GLACIER_IR"
stored_days = 0

[[policies]]
name = "everything else"
[[policies.steps]]
to = "GLACIER"
stored_days = 0
"""
DUE = {"CT": "GLACIER_IR", "MR": "GLACIER"}
MOST_WAIT_S = 200


@dataclass(frozen=True)
class Archive:
    """Real series in a bucket on Ceph, and the policy that says where they are due."""

    bucket: Place
    data: Path
    policy: Path
    files: list[Path]

    def apply(self) -> dict[str, int]:
        """Carry the policy out; return what became of the packs."""
        (done,) = lines(pacs("tier", "apply", self.policy, "--yes", "--data", self.data, "--json"))
        return {fate: count for fate, count in done.items() if count}

    def put_rules(self, *options: str) -> dict[str, Any]:
        """Give the bucket the rules that the policy asks for; return them."""
        rules = json.loads(pacs("tier", "lifecycle", self.policy, *options).stdout)
        with closing(self.bucket.endpoint.client("s3")) as s3:
            s3.put_bucket_lifecycle_configuration(
                Bucket=self.bucket.name, LifecycleConfiguration=rules
            )
        return rules

    def listed_classes(self) -> dict[str, str]:
        """By pack: the class that a listing tells."""
        with closing(self.bucket.endpoint.client("s3")) as s3:
            page = s3.list_objects_v2(Bucket=self.bucket.name, Prefix="packs/")
            return {one["Key"]: one["StorageClass"] for one in page["Contents"]}

    def bucket_classes(self) -> dict[str, str]:
        """By pack: the class that HEAD tells."""
        with closing(self.bucket.endpoint.client("s3")) as s3:
            return {
                key: s3.head_object(Bucket=self.bucket.name, Key=key).get(
                    "StorageClass", "STANDARD"
                )
                for key in self.listed_classes()
            }

    def catalogue_classes(self) -> dict[str, str]:
        """By pack: the class that the catalogue tells."""

        async def read() -> dict[str, str]:
            async with open_stores(load_settings({"data": self.data})) as stores:
                return {
                    PackKey(
                        one.tenant, one.study_instance_uid, one.series_instance_uid, one.pack_id
                    ).pack: one.storage_class
                    async for state in stores.catalogue.export()
                    for one in state.packs
                }

        return asyncio.run(read())

    def due_classes(self) -> dict[str, str]:
        """By series: the class that it is due in."""
        read = [dcmread(path, stop_before_pixels=True) for path in self.files]
        return {one.SeriesInstanceUID: DUE[one.Modality] for one in read}

    def assert_agreed(self, out: Path) -> None:
        """Catalogue, bucket and policy say the same, fsck finds nothing, and reads are whole."""
        known = self.catalogue_classes()
        assert known == self.bucket_classes() == self.listed_classes()
        due = self.due_classes()
        assert {key.split("/")[4]: lies_in for key, lies_in in known.items()} == due
        assert lines(pacs("fsck", "--deep", "--data", self.data, "--json")) == []
        for study in {key.split("/")[3] for key in known}:
            pacs("get", study, "-o", out, "--data", self.data)
        assert sorted(path.read_bytes() for path in out.rglob("*.dcm")) == sorted(
            path.read_bytes() for path in self.files
        )


@pytest.fixture
def plain_bucket(ceph_bucket: Place) -> Iterator[Place]:
    """A bucket that keeps no versions."""
    place = Place(ceph_bucket.endpoint, f"{ceph_bucket.name}-plain")
    with closing(place.endpoint.client("s3")) as s3:
        s3.create_bucket(Bucket=place.name)
        yield place
        remove_bucket(s3, place.name)


@pytest.fixture
def archive(
    request: pytest.FixtureRequest,
    ceph_bucket: Place,
    plain_bucket: Place,
    real_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Archive]:
    """`request.param` is how packs are moved, and whether their bucket keeps versions."""
    moves, keeps_versions = request.param
    bucket = ceph_bucket if keeps_versions else plain_bucket
    endpoint = bucket.endpoint
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", endpoint.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", endpoint.secret_key)
    monkeypatch.setenv(
        "PACS_OBJECTS",
        f"s3://{bucket.name}?endpoint={endpoint.url}&moves={moves}&cold=online",
    )
    data = tmp_path / "data"
    monkeypatch.setenv("PACS_CATALOGUE", f"sqlite://{data}/catalogue.sqlite")
    (tmp_path / "in").mkdir()
    files: list[Path] = []
    for path in sorted(real_data.glob("series_*/*.dcm")):
        files.append(tmp_path / "in" / f"{len(files)}.dcm")
        files[-1].write_bytes(path.read_bytes())
    pacs("import", tmp_path / "in", "--data", data)
    policy = tmp_path / "tiers.toml"
    policy.write_text(POLICY)
    return Archive(bucket, data, policy, files)


@pytest.mark.parametrize("archive", [("tag", False)], indirect=True)
def test_the_gateway_s_lifecycle_moves_what_is_tagged(archive: Archive, tmp_path: Path) -> None:
    archive.put_rules("--no-sizes")
    packs = len(archive.bucket_classes())
    assert set(archive.catalogue_classes().values()) == {"STANDARD"}
    assert archive.apply() == {"asked": packs}
    deadline = time.monotonic() + MOST_WAIT_S
    while "STANDARD" in archive.bucket_classes().values():
        assert time.monotonic() < deadline, "the gateway has moved nothing"
        time.sleep(1)
    # The next look notes it.
    assert archive.apply() == {"moved": packs}
    assert archive.apply() == {}
    archive.assert_agreed(tmp_path / "out")


@pytest.mark.parametrize("archive", [("copy", True), ("tag", True)], indirect=True)
def test_copies_move_at_once_and_leave_one_version(archive: Archive, tmp_path: Path) -> None:
    """The gateway moves nothing that is tagged in a bucket that keeps versions: we copy."""
    archive.put_rules("--no-sizes")
    packs = len(archive.bucket_classes())
    assert archive.apply() == {"moved": packs}
    assert archive.apply() == {}
    with closing(archive.bucket.endpoint.client("s3")) as s3:
        versions = s3.list_object_versions(Bucket=archive.bucket.name, Prefix="packs/")
    assert len(versions["Versions"]) == packs
    archive.assert_agreed(tmp_path / "out")


@pytest.mark.parametrize("archive", [("tag", True)], indirect=True)
def test_what_differs_from_the_rules_that_were_put_is_told(
    archive: Archive, tmp_path: Path
) -> None:
    def said(*options: str, code: int = 0) -> str:
        with closing(archive.bucket.endpoint.client("s3")) as s3:
            found: dict[str, Any] = s3.get_bucket_lifecycle_configuration(
                Bucket=archive.bucket.name
            )
        (tmp_path / "found.json").write_text(json.dumps({"Rules": found["Rules"]}))
        check = ("--check", tmp_path / "found.json")
        return pacs("tier", "lifecycle", archive.policy, *options, *check, code=code).stdout

    assert '"tier-GLACIER" is missing' in said("--no-sizes", code=1)
    for options in ((), ("--no-sizes",)):
        rules = archive.put_rules(*options)
        # Ceph 16 takes rules that go by sizes, and forgets those.
        assert "of more bytes than 131071 is not said" in said(code=1)
        assert said("--no-sizes") == "As it should be.\n"
    rules["Rules"][-1]["Transitions"][0]["Days"] = 9
    with closing(archive.bucket.endpoint.client("s3")) as s3:
        s3.put_bucket_lifecycle_configuration(
            Bucket=archive.bucket.name, LifecycleConfiguration=rules
        )
    assert "moving to GLACIER after days 9, not 0" in said("--no-sizes", code=1)
