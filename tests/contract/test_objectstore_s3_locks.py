"""Locks of a bucket that can lock objects (S3 Object Lock), and every version of a key."""

import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from infra import provision
from infra.template import read
from objectstore_samples import config_at
from pacs_cloud.errors import Denied
from pacs_cloud.objectstore.port import ObjectLock
from pacs_cloud.objectstore.s3 import S3ObjectStore
from pacs_cloud.objectstore.s3_clients import S3Config
from servers.endpoint import Endpoint
from servers.fixtures import Place

HOUR_US = 3_600_000_000


def now_us() -> int:
    return time.time_ns() // 1000


@pytest.fixture
def client(s3_server: Endpoint) -> Iterator[Any]:
    with closing(s3_server.client("s3")) as client:
        yield client


@pytest.fixture
def place(s3_server: Endpoint, client: Any) -> Place:
    """An empty bucket that can lock, as the template describes it; never removed: it is locked."""
    name = f"t-{uuid.uuid4().hex[:20]}"
    provision.create_bucket(client, read({"BucketName": name, "ObjectLock": "true"}))
    return Place(s3_server, name)


@pytest.fixture
def config(place: Place) -> S3Config:
    return config_at(place, lock="GOVERNANCE")


@pytest.fixture
async def store(config: S3Config) -> AsyncIterator[S3ObjectStore]:
    async with S3ObjectStore(config) as store:
        yield store


def versions(client: Any, place: Place, key: str) -> list[str]:
    page = client.list_object_versions(Bucket=place.name, Prefix=key)
    return [one["VersionId"] for one in page.get("Versions", ())]


async def test_a_legal_hold_keeps_an_object_until_it_is_cleared(
    store: S3ObjectStore, client: Any, place: Place
) -> None:
    await store.put_new("a/k", b"1")
    assert await store.set_legal_hold("a/k", on=True)
    assert await store.set_legal_hold("a/k", on=True)
    assert await store.lock_of("a/k") == ObjectLock(is_held=True)
    with pytest.raises(Denied):
        await store.delete("a/k")
    assert await store.get("a/k") == b"1"
    assert len(versions(client, place, "a/k")) == 1
    assert await store.set_legal_hold("a/k", on=False)
    assert await store.lock_of("a/k") == ObjectLock()
    await store.delete("a/k")
    assert versions(client, place, "a/k") == []


@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
async def test_a_retention_date_is_put_off_and_never_brought_forward(
    config: S3Config, client: Any, place: Place, mode: Any
) -> None:
    until_us = now_us() // 1_000_000 * 1_000_000 + HOUR_US
    async with S3ObjectStore(replace(config, lock=mode)) as store:
        await store.put_new("a/k", b"1")
        assert await store.retain("a/k", until_us - 1)
        assert await store.lock_of("a/k") == ObjectLock(until_us=until_us)
        assert client.head_object(Bucket=place.name, Key="a/k")["ObjectLockMode"] == mode
        assert await store.retain("a/k", until_us - HOUR_US // 2)
        assert await store.lock_of("a/k") == ObjectLock(until_us=until_us)
        assert await store.retain("a/k", until_us + HOUR_US)
        assert await store.lock_of("a/k") == ObjectLock(until_us=until_us + HOUR_US)
        with pytest.raises(Denied):
            await store.delete("a/k")
        assert await store.get("a/k") == b"1"


async def test_what_is_in_compliance_stays_in_it(
    config: S3Config, client: Any, place: Place
) -> None:
    async with S3ObjectStore(replace(config, lock="COMPLIANCE")) as store:
        await store.put_new("a/k", b"1")
        await store.retain("a/k", now_us() + HOUR_US)
    async with S3ObjectStore(config) as store:
        await store.retain("a/k", now_us() + 2 * HOUR_US)
    assert client.head_object(Bucket=place.name, Key="a/k")["ObjectLockMode"] == "COMPLIANCE"


async def test_what_others_lock_is_seen_by_a_store_that_locks_nothing(
    config: S3Config, client: Any, place: Place
) -> None:
    async with S3ObjectStore(replace(config, lock="")) as store:
        await store.put_new("a/k", b"1")
        client.put_object_legal_hold(Bucket=place.name, Key="a/k", LegalHold={"Status": "ON"})
        assert await store.lock_of("a/k") == ObjectLock(is_held=True)
        assert not await store.set_legal_hold("a/k", on=False)
        assert await store.lock_of("a/k") == ObjectLock(is_held=True)


async def test_a_retention_that_is_over_locks_nothing(
    store: S3ObjectStore, client: Any, place: Place
) -> None:
    await store.put_new("a/k", b"1")
    soon = now_us() + 1_000_000
    assert await store.retain("a/k", soon)
    while now_us() < soon + 1_100_000:
        time.sleep(0.1)
    assert await store.lock_of("a/k") == ObjectLock()
    await store.delete("a/k")
    assert versions(client, place, "a/k") == []


async def test_a_bucket_without_locks_says_so(s3_bucket: Place) -> None:
    async with S3ObjectStore(config_at(s3_bucket, lock="COMPLIANCE")) as store:
        await store.put_new("a/k", b"1")
        assert not await store.set_legal_hold("a/k", on=True)
        assert not await store.retain("a/k", now_us() + HOUR_US)
        assert await store.lock_of("a/k") == ObjectLock()
        await store.delete("a/k")


async def test_versions_that_only_seem_to_be_removed_are_told(
    s3_bucket: Place, s3_server: Endpoint
) -> None:
    with closing(s3_server.client("s3")) as client:
        for body in (b"1", b"2"):
            client.put_object(Bucket=s3_bucket.name, Key="site/a/k", Body=body)
        client.delete_object(Bucket=s3_bucket.name, Key="site/a/k")
    async with S3ObjectStore(config_at(s3_bucket, prefix="site/")) as store:
        assert [info.key async for info in store.list("a/")] == []
        assert [key async for key in store.versions("a/k")] == ["a/k"] * 3
        await store.delete("a/k")
        assert [key async for key in store.versions("a/")] == []


async def test_more_versions_than_a_page_holds(s3_bucket: Place, s3_server: Endpoint) -> None:
    with closing(s3_server.client("s3")) as client:
        for number in range(1_005):
            client.put_object(Bucket=s3_bucket.name, Key=f"a/{number // 2}", Body=b"%d" % number)
    async with S3ObjectStore(config_at(s3_bucket)) as store:
        found = [key async for key in store.versions("a/")]
        assert len(found) == 1_005
        assert len(set(found)) == 503


async def test_uploads_that_were_never_completed_are_dropped(
    store: S3ObjectStore, client: Any, place: Place
) -> None:
    for key in ("packs/a/1", "packs/b/2", "index/a/1"):
        client.create_multipart_upload(Bucket=place.name, Key=key)
    await store.put_new("packs/a/0", b"whole")
    if place.endpoint.kind != "moto":  # to which all uploads are of the year 2010
        assert await store.drop_uploads("packs/a/", before_us=now_us() - HOUR_US) == 0
    assert await store.drop_uploads("packs/a/", before_us=now_us() + HOUR_US) == 1
    assert await store.drop_uploads("packs/a/", before_us=now_us() + HOUR_US) == 0
    left = client.list_multipart_uploads(Bucket=place.name)["Uploads"]
    assert sorted(one["Key"] for one in left) == ["index/a/1", "packs/b/2"]
    assert await store.get("packs/a/0") == b"whole"
