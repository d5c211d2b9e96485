"""Moving and recalling in a bucket beyond the contract: tags, versions, parts, locks."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from objectstore_samples import config_at
from pacs_cloud.errors import Conflict, Corrupt, Denied, InvalidRequest, NeverRestored, Offline
from pacs_cloud.objectstore import s3_moves
from pacs_cloud.objectstore.port import Availability
from pacs_cloud.objectstore.s3 import S3ObjectStore
from pacs_cloud.objectstore.s3_clients import S3Config
from pacs_cloud.objectstore.storage_classes import TIER_TAG, RecallSpeed, StorageClass
from servers.endpoint import Endpoint
from servers.fixtures import Place

IR, STANDARD = StorageClass.GLACIER_IR, StorageClass.STANDARD


@pytest.fixture
def config(s3_bucket: Place) -> S3Config:
    return config_at(s3_bucket)


@pytest.fixture
async def store(config: S3Config) -> AsyncIterator[S3ObjectStore]:
    async with S3ObjectStore(config) as store:
        yield store


@pytest.fixture
async def tagging(config: S3Config, s3_bucket: Place) -> AsyncIterator[S3ObjectStore]:
    if s3_bucket.endpoint.kind == "ceph":
        pytest.skip("it would not move what is tagged where it keeps versions: it is copied")
    async with S3ObjectStore(replace(config, moves="tag")) as store:
        yield store


@pytest.fixture
def client(s3_bucket: Place) -> Any:
    client = s3_bucket.endpoint.client("s3")
    yield client
    client.close()


def tags(client: Any, bucket: str, key: str = "a/k") -> dict[str, str]:
    found = client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    return {tag["Key"]: tag["Value"] for tag in found}


def classes(client: Any, bucket: str, key: str = "a/k") -> list[str]:
    """Return the class of each version of `key`, newest first."""
    found = client.list_object_versions(Bucket=bucket, Prefix=key).get("Versions", [])
    return [version["StorageClass"] for version in found if version["Key"] == key]


def put(client: Any, bucket: str, body: bytes = b"body", **options: str) -> None:
    """Put an object as another tool may have: with metadata, a type and tags."""
    client.put_object(
        Bucket=bucket,
        Key="a/k",
        Body=body,
        Metadata={"site": "north"},
        ContentType="application/zip",
        CacheControl="no-transform",
        Tagging="study-date=20240131&kind=pack",
        **options,
    )


async def test_a_copy_keeps_all_but_the_class_and_leaves_one_version(
    store: S3ObjectStore, client: Any, s3_bucket: Place
) -> None:
    put(client, s3_bucket.name)
    await store.put_new("a/k2", b"its key begins with the other's")
    for to in (IR, StorageClass.STANDARD_IA, STANDARD):
        await store.move("a/k", to)
        assert classes(client, s3_bucket.name) == [to]
        head = client.head_object(Bucket=s3_bucket.name, Key="a/k")
        assert head["Metadata"] == {"site": "north"}
        assert (head["ContentType"], head["CacheControl"]) == ("application/zip", "no-transform")
        assert tags(client, s3_bucket.name) == {"study-date": "20240131", "kind": "pack"}
    assert classes(client, s3_bucket.name, "a/k2") == ["STANDARD"]


async def test_large_objects_are_copied_in_parts(
    store: S3ObjectStore,
    client: Any,
    s3_bucket: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(s3_moves, "ONE_COPY_BYTES", 8 << 20)
    monkeypatch.setattr(s3_moves, "PART_BYTES", 5 << 20)
    body = os.urandom((21 << 20) + 5)
    put(client, s3_bucket.name, body)
    (tmp_path / "spooled").write_bytes(os.urandom(65 << 20))
    await store.put_file("b", tmp_path / "spooled", tags={"kind": "pack"})
    for key in ("a/k", "b"):
        assert (await store.move(key, IR)).storage_class == IR
        assert classes(client, s3_bucket.name, key) == [IR]
    assert await store.get("a/k") == body
    assert await store.get("b") == (tmp_path / "spooled").read_bytes()
    head = client.head_object(Bucket=s3_bucket.name, Key="a/k")
    assert head["Metadata"] == {"site": "north"}
    assert (head["ContentType"], head["CacheControl"]) == ("application/zip", "no-transform")
    assert tags(client, s3_bucket.name) == {"study-date": "20240131", "kind": "pack"}
    assert tags(client, s3_bucket.name, "b") == {"kind": "pack"}
    assert not client.list_multipart_uploads(Bucket=s3_bucket.name).get("Uploads")


async def test_movers_leave_one_version(
    store: S3ObjectStore, client: Any, s3_bucket: Place
) -> None:
    await store.put_new("a/k", b"body")
    await asyncio.gather(*(store.move("a/k", IR) for _ in range(6)))
    assert classes(client, s3_bucket.name) == [IR]


async def test_what_a_killed_mover_left_is_removed(
    store: S3ObjectStore, client: Any, s3_bucket: Place
) -> None:
    await store.put_new("a/k", b"body")
    source = {"Bucket": s3_bucket.name, "Key": "a/k"}
    client.copy_object(**source, CopySource=source, StorageClass="GLACIER_IR")
    assert classes(client, s3_bucket.name) == ["GLACIER_IR", "STANDARD"]
    await store.move("a/k", IR)
    assert classes(client, s3_bucket.name) == ["GLACIER_IR"]


async def test_a_version_that_holds_something_else_stays(
    store: S3ObjectStore, client: Any, s3_bucket: Place
) -> None:
    await store.put_new("a/k", b"first")
    put(client, s3_bucket.name, b"other")
    await store.move("a/k", IR)
    assert await store.get("a/k") == b"other"
    assert classes(client, s3_bucket.name) == ["GLACIER_IR", "STANDARD"]


async def test_versions_that_say_nothing_of_their_bytes_are_read(
    store: S3ObjectStore, client: Any, s3_bucket: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = s3_moves.remove_older

    async def mute(*words: Any) -> None:
        monkeypatch.setattr("pacs_cloud.objectstore.s3_versions.same_by_what_is_said", unsaid)
        await real(*words)

    def unsaid(*_: Any) -> None:
        return None

    monkeypatch.setattr(s3_moves, "remove_older", mute)
    await store.put_new("a/k", os.urandom(3_000_000))
    await store.move("a/k", IR)
    assert classes(client, s3_bucket.name) == ["GLACIER_IR"]
    put(client, s3_bucket.name, b"other")
    await store.move("a/k", StorageClass.STANDARD_IA)
    assert classes(client, s3_bucket.name) == ["STANDARD_IA", "GLACIER_IR"]


async def test_an_older_version_that_cannot_be_read_is_about_one_object(
    moto_endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is cold: the object is left as it is, and a run goes on with the next one."""
    bucket = f"t-{uuid.uuid4().hex[:20]}"
    client = moto_endpoint.client("s3")
    client.create_bucket(Bucket=bucket)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    put(client, bucket, StorageClass="GLACIER")
    put(client, bucket)
    monkeypatch.setattr("pacs_cloud.objectstore.s3_versions.same_by_what_is_said", lambda *_: None)
    async with S3ObjectStore(config_at(Place(moto_endpoint, bucket))) as store:
        with pytest.raises(Offline, match="both stay"):
            await store.move("a/k", IR)
    assert classes(client, bucket) == ["GLACIER_IR", "GLACIER"]
    client.close()


async def test_a_store_without_a_class_is_asked_to_copy_once(
    store: S3ObjectStore, s3_bucket: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    if s3_bucket.endpoint.kind == "ceph":
        pytest.skip("it says so, and copies nothing")
    real = s3_moves.Mover._copy
    copied = 0

    async def ignoring(mover: s3_moves.Mover, found: Any, to: StorageClass) -> str | None:
        nonlocal copied
        copied += 1
        return await real(mover, found, STANDARD if to is IR else to)

    monkeypatch.setattr(s3_moves.Mover, "_copy", ignoring)
    for number in range(3):
        await store.put_new(f"a/{number}", b"body")
        with pytest.raises(InvalidRequest, match="no class GLACIER_IR"):
            await store.move(f"a/{number}", IR)
    assert copied == 1
    assert (await store.move("a/0", StorageClass.STANDARD_IA)).storage_class == "STANDARD_IA"


async def test_an_object_that_changes_meanwhile_moves_as_it_is_then(
    store: S3ObjectStore, client: Any, s3_bucket: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = s3_moves.Mover._copy
    copied = 0

    async def late(mover: s3_moves.Mover, *words: Any) -> str | None:
        nonlocal copied
        copied += 1
        if copied == 1:
            put(client, s3_bucket.name, b"changed")
        return await real(mover, *words)

    monkeypatch.setattr(s3_moves.Mover, "_copy", late)
    await store.put_new("a/k", b"body")
    if s3_bucket.endpoint.kind in {"moto", "ceph"}:
        # They copy whatever is there, which is seen afterwards, and taken back where the
        # server says which version it made.
        with pytest.raises(Corrupt):
            await store.move("a/k", IR)
        taken_back = ["STANDARD", "STANDARD"]
        expected = taken_back if s3_bucket.endpoint.kind == "moto" else ["GLACIER_IR", *taken_back]
        assert classes(client, s3_bucket.name) == expected
    else:
        await store.move("a/k", IR)
        assert copied == 2
        assert classes(client, s3_bucket.name) == ["GLACIER_IR", "STANDARD"]
    assert await store.get("a/k") == b"changed"


async def test_a_tag_asks_the_lifecycle(
    tagging: S3ObjectStore, client: Any, s3_bucket: Place
) -> None:
    put(client, s3_bucket.name)
    own = {"study-date": "20240131", "kind": "pack"}
    for to in (StorageClass.STANDARD_IA, IR, IR):
        info = await tagging.move("a/k", to)
        assert info.storage_class == "STANDARD", "it is not done yet"
        assert tags(client, s3_bucket.name) == {**own, TIER_TAG: to}
        assert classes(client, s3_bucket.name) == ["STANDARD"]
    # What was asked for can be taken back.
    assert (await tagging.move("a/k", STANDARD)).storage_class == "STANDARD"
    assert tags(client, s3_bucket.name) == {**own, TIER_TAG: "STANDARD"}
    # The lifecycle did it.
    source = {"Bucket": s3_bucket.name, "Key": "a/k"}
    await tagging.move("a/k", IR)
    client.copy_object(**source, CopySource=source, StorageClass="GLACIER_IR")
    assert (await tagging.move("a/k", IR)).storage_class == IR


async def test_no_lifecycle_moves_up(tagging: S3ObjectStore, client: Any, s3_bucket: Place) -> None:
    put(client, s3_bucket.name, StorageClass="GLACIER_IR")
    moved = await tagging.move("a/k", STANDARD)
    assert moved.storage_class == "STANDARD"
    assert classes(client, s3_bucket.name) == ["STANDARD"]
    assert tags(client, s3_bucket.name) == {
        "study-date": "20240131",
        "kind": "pack",
        TIER_TAG: "STANDARD",
    }


async def test_a_copy_keeps_rules_from_moving_it_back(
    tagging: S3ObjectStore, store: S3ObjectStore, client: Any, s3_bucket: Place
) -> None:
    put(client, s3_bucket.name)
    await tagging.move("a/k", IR)
    await store.move("a/k", StorageClass.STANDARD_IA)
    assert tags(client, s3_bucket.name)[TIER_TAG] == "STANDARD_IA"


async def test_ten_tags_leave_no_room(
    tagging: S3ObjectStore, client: Any, s3_bucket: Place
) -> None:
    own = "&".join(f"t{n}=x" for n in range(10))
    client.put_object(Bucket=s3_bucket.name, Key="a/k", Body=b"1", Tagging=own)
    with pytest.raises(Conflict):
        await tagging.move("a/k", IR)
    assert len(tags(client, s3_bucket.name)) == 10


async def test_a_locked_object_is_tagged_and_not_copied(moto_endpoint: Endpoint) -> None:
    bucket = f"t-{uuid.uuid4().hex[:20]}"
    client = moto_endpoint.client("s3")
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    put(client, bucket, ObjectLockLegalHoldStatus="ON")
    config = config_at(Place(moto_endpoint, bucket))
    async with S3ObjectStore(config) as store:
        with pytest.raises(Denied):
            await store.move("a/k", IR)
        assert classes(client, bucket) == ["STANDARD"]
    async with S3ObjectStore(replace(config, moves="tag")) as store:
        await store.move("a/k", IR)
        assert tags(client, bucket)[TIER_TAG] == IR
    client.close()


async def test_an_unversioned_bucket(s3_server: Endpoint) -> None:
    bucket = f"t-{uuid.uuid4().hex[:20]}"
    client = s3_server.client("s3")
    client.create_bucket(Bucket=bucket)
    put(client, bucket, b"body")
    async with S3ObjectStore(config_at(Place(s3_server, bucket))) as store:
        for to in (IR, StorageClass.STANDARD_IA):
            assert (await store.move("a/k", to)).storage_class == to
            assert await store.get("a/k") == b"body"
    client.delete_object(Bucket=bucket, Key="a/k")
    client.delete_bucket(Bucket=bucket)
    client.close()


async def test_cold_classes_of_a_store_without_recall(
    config: S3Config, s3_bucket: Place, client: Any
) -> None:
    if s3_bucket.endpoint.kind == "moto":
        pytest.skip("moto recalls")
    put(client, s3_bucket.name)
    async with S3ObjectStore(config) as store:
        await store.move("a/k", StorageClass.GLACIER)
        with pytest.raises(NeverRestored, match="cold=online"):
            await store.recall("a/k", 1, RecallSpeed.BULK)
        with pytest.raises(Offline):
            await store.move("a/k", STANDARD)
    async with S3ObjectStore(replace(config, reads_cold=True)) as store:
        assert (await store.head("a/k")).availability is Availability.ONLINE
        assert [i.availability async for i in store.list("")] == [Availability.ONLINE]
        await store.recall("a/k", 1, RecallSpeed.BULK)
        assert await store.get("a/k") == b"body"
        assert (await store.move("a/k", STANDARD)).storage_class == "STANDARD"
