"""Every way in which an object comes into a bucket says how the store shall encrypt it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from objectstore_samples import config_at
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.objectstore import s3, s3_moves
from pacs_cloud.objectstore.s3 import SINGLE_PUT_BYTES, S3ObjectStore
from pacs_cloud.objectstore.s3_clients import S3Config
from pacs_cloud.objectstore.storage_classes import StorageClass
from servers.endpoint import Endpoint
from servers.fixtures import Place, bucket_at


@pytest.fixture
def bucket(moto_endpoint: Endpoint) -> Iterator[Place]:
    """A bucket where it is kept what each request said: moto encrypts nothing, and tells."""
    with bucket_at(moto_endpoint) as place:
        yield place


@pytest.fixture
def kms_key(moto_endpoint: Endpoint) -> str:
    client = moto_endpoint.client("kms")
    arn: str = client.create_key()["KeyMetadata"]["Arn"]
    client.close()
    return arn


def told_of(place: Place, key: str) -> tuple[str, str, bool]:
    client = place.endpoint.client("s3")
    found: dict[str, Any] = client.head_object(Bucket=place.name, Key=key)
    client.close()
    return (
        found.get("ServerSideEncryption", ""),
        found.get("SSEKMSKeyId", ""),
        found.get("BucketKeyEnabled", False),
    )


async def test_small_large_and_moved_objects_are_encrypted_with_the_key(
    bucket: Place, kms_key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_moves, "ONE_COPY_BYTES", 1 << 20)
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"small")
    with large.open("wb") as file:
        file.truncate(SINGLE_PUT_BYTES + 1)
    config = config_at(bucket, sse="aws:kms", kms_key=kms_key, moves="copy")
    encrypted = ("aws:kms", kms_key, True)
    async with S3ObjectStore(config) as store:
        await store.put_new("a/new", b"body")
        await store.put_file("a/small", small)
        await store.put_file("a/large", large)
        assert told_of(bucket, "a/new") == told_of(bucket, "a/small") == encrypted
        # moto forgets a bucket key of what came in parts.
        assert told_of(bucket, "a/large")[:2] == encrypted[:2]
        for key in ("a/small", "a/large"):
            moved = await store.move(key, StorageClass.STANDARD_IA)
            assert moved.storage_class == "STANDARD_IA"
            assert told_of(bucket, key)[:2] == encrypted[:2]


async def test_a_move_takes_an_object_along_that_was_not_encrypted_so(
    bucket: Place, kms_key: str
) -> None:
    async with S3ObjectStore(config_at(bucket)) as store:
        await store.put_new("a/k", b"body")
    assert told_of(bucket, "a/k")[1] == ""
    config = config_at(bucket, sse="aws:kms", kms_key=kms_key, moves="copy")
    async with S3ObjectStore(config) as store:
        await store.move("a/k", StorageClass.GLACIER_IR)
        assert await store.get("a/k") == b"body"
    assert told_of(bucket, "a/k") == ("aws:kms", kms_key, True)


async def test_the_objects_of_a_tenant_are_encrypted_with_its_own_key(
    bucket: Place, kms_key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in ((s3_moves, "ONE_COPY_BYTES"), (s3, "SINGLE_PUT_BYTES")):
        monkeypatch.setattr(module, name, 1 << 20)
    client = bucket.endpoint.client("kms")
    south: str = client.create_key()["KeyMetadata"]["Arn"]
    client.close()
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate((1 << 20) + 1)
    config = config_at(
        bucket, sse="aws:kms", kms_key=kms_key, kms_keys={"south": south}, moves="copy"
    )
    of_south = ("index/south/k", "audit/south/d/k", "fixity/found/south/k", "users/south/k/1.json")
    of_others = (
        "index/north/k",
        "audit/default/d/k",
        "turns/south/k",
        "fixity/at/south",
        "south/k",
    )
    async with S3ObjectStore(config) as store:
        for key in (*of_south, *of_others):
            await store.put_new(key, b"body")
            assert told_of(bucket, key)[1] == (south if key in of_south else kms_key), key
        for tenant, wanted in (("south", south), ("north", kms_key)):
            for name in ("small", "large"):
                key = f"packs/{tenant}/ab/1.2/1.3/{name}.zip"
                if name == "large":
                    await store.put_file(key, large)
                else:
                    await store.put_new(key, b"body")
                assert told_of(bucket, key)[1] == wanted
                await store.move(key, StorageClass.STANDARD_IA)
                assert told_of(bucket, key)[1] == wanted


def test_what_cannot_be_meant_is_refused() -> None:
    kms_keys = {"kms_keys": {"south": "k"}}
    for options in ({"kms_key": "k"}, {"kms_key": "k", "sse": "AES256"}, kms_keys):
        with pytest.raises(InvalidRequest):
            S3Config("b", **options)
    assert S3Config("b").encryption("a/k") == {}
    assert S3Config("b", sse="AES256").encryption("a/k") == {"ServerSideEncryption": "AES256"}
    assert S3Config("b", sse="aws:kms:dsse", kms_key="k").encryption("a/k") == {
        "ServerSideEncryption": "aws:kms:dsse",
        "SSEKMSKeyId": "k",
    }
