"""Encrypted objects do all that objects do, and whoever changes one is found out."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from test_objectstore_contract import BODY, ObjectStoreContract

from objectstore_samples import config_at
from pacs_cloud.bootstrap.object_keys import bucket_scratch, folder_scratch
from pacs_cloud.errors import Corrupt, Denied, InvalidRequest, NotFound
from pacs_cloud.objectstore.encrypted import EncryptedObjectStore
from pacs_cloud.objectstore.encrypted_bucket import EncryptedBucket
from pacs_cloud.objectstore.lifecycles import HasLifecycle
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.objectstore.s3 import S3ObjectStore
from pacs_cloud.objectstore.sealing import (
    CHUNK_BYTES,
    HEADER_BYTES,
    SEALED_CHUNK_BYTES,
    KeyRing,
    opened_length,
    sealed_length,
)
from servers.fixtures import Place

KEY = bytes(range(32))
SIZES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 200_001]


class TestLocalEncrypted(ObjectStoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[ObjectStore]:
        root = tmp_path / "objects"
        async with LocalObjectStore(root) as inner:
            with folder_scratch(root) as scratch:
                yield EncryptedObjectStore(inner, KeyRing([KEY]), scratch)


class TestS3Encrypted(ObjectStoreContract):
    # Of the bucket alone, and slow.
    test_a_listing_of_more_than_a_page = None

    @pytest.fixture
    async def store(self, s3_bucket: Place) -> AsyncIterator[ObjectStore]:
        async with S3ObjectStore(config_at(s3_bucket)) as inner:
            yield EncryptedBucket(inner, KeyRing([KEY]), bucket_scratch())


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[Callable[..., EncryptedObjectStore]]:
    """Give what opens the store in tmp_path/objects anew, with these keys."""
    root = tmp_path / "objects"
    async with LocalObjectStore(root) as inner:
        with folder_scratch(root) as scratch:
            yield lambda *keys: EncryptedObjectStore(inner, KeyRing(keys or [KEY]), scratch)


def test_sizes_are_told_from_sizes() -> None:
    for size in [*SIZES, 64 << 30]:
        assert opened_length(sealed_length(size)) == size
    for nothing in (0, 1, HEADER_BYTES, HEADER_BYTES + 15):
        assert opened_length(nothing) == 0


@pytest.mark.parametrize("size", SIZES)
async def test_any_range_of_any_size(
    files: Callable[..., EncryptedObjectStore], tmp_path: Path, size: int
) -> None:
    body = os.urandom(size)
    path = tmp_path / "file"
    path.write_bytes(body)
    store = files()
    await store.put_new("a/new", body)
    await store.put_file("a/file", path)
    edges = sorted({n for edge in (0, size, *range(0, size, CHUNK_BYTES))
                    for n in (edge - 1, edge, edge + 1) if 0 <= n <= size})  # fmt: skip
    for key in ("a/new", "a/file"):
        assert (await store.head(key)).length_bytes == size
        for start in edges:
            for end in (*(n for n in edges if n >= start), None):
                assert await store.get(key, start, end) == body[start:end]
                pieces = [c async for c in store.stream(key, start, end, chunk_bytes=100_000)]
                assert b"".join(pieces) == body[start:end]
                assert all(len(piece) == 100_000 for piece in pieces[:-1])
        assert await store.get_suffix(key, 70_000) == (body[-70_000:], size)


async def test_nothing_of_it_is_on_the_disk(
    files: Callable[..., EncryptedObjectStore], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(BODY)
    store = files()
    await store.put_new("a/new", BODY)
    await store.put_new("a/same", BODY)
    await store.put_file("a/file", path)
    kept = [one.read_bytes() for one in (tmp_path / "objects").rglob("*") if one.is_file()]
    assert sorted(len(data) for data in kept if data) == [sealed_length(len(BODY))] * 3
    for data in kept:
        assert not any(BODY[at : at + 8] in data for at in range(0, 256, 8))
        assert KEY not in data
    assert len(set(kept) - {b""}) == 3  # the same bytes never look the same


async def test_a_file_is_sealed_into_nothing_that_stays(
    files: Callable[..., EncryptedObjectStore], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(BODY)
    store = files()
    with pytest.raises(NotFound):
        await store.put_file("a/none", tmp_path / "none")
    await store.put_file("a/file", path)
    await store.put_file("a/file", path)
    partial = tmp_path / "objects" / ".partial"
    assert [one.name for one in partial.glob("*/*") if one.name != "lock"] == []


def changed(sealed: bytes) -> dict[str, bytes]:
    """Return what somebody could make of an object of four chunks, the last one short."""
    header, body = sealed[:HEADER_BYTES], sealed[HEADER_BYTES:]
    chunks = [body[n : n + SEALED_CHUNK_BYTES] for n in range(0, len(body), SEALED_CHUNK_BYTES)]
    assert len(chunks) == 4

    def flipped(at: int) -> bytes:
        return sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]

    def without(*left_out: int) -> bytes:
        return header + b"".join(c for n, c in enumerate(chunks) if n not in left_out)

    return {
        **{f"header byte {at}": flipped(at) for at in range(HEADER_BYTES)},
        **{f"byte {at}": flipped(at) for at in (HEADER_BYTES, 100_000, len(sealed) - 1)},
        "cut": sealed[:-1],
        "cut at a chunk": without(3),
        "cut at the first chunk": without(1, 2, 3),
        "header alone": header,
        "nothing": b"",
        "plain": BODY,
        "longer": sealed + b"\0",
        "longer by a chunk": sealed + chunks[0],
        "a chunk left out": without(1),
        "chunks swapped": header + chunks[1] + chunks[0] + chunks[2] + chunks[3],
        "a chunk twice": header + chunks[0] + chunks[0] + chunks[2] + chunks[3],
    }


async def test_what_was_changed_is_corrupt(
    files: Callable[..., EncryptedObjectStore], tmp_path: Path
) -> None:
    body = os.urandom(3 * CHUNK_BYTES + 1000)
    await files().put_new("a/k", body)
    sealed = (tmp_path / "objects/a/k").read_bytes()
    for what, data in changed(sealed).items():
        store = files()
        await store.delete("a/k")
        await store._inner.put_new("a/k", data)
        with pytest.raises((Corrupt, Denied)):
            await store.get("a/k")
            pytest.fail(f"{what} was read")
        if not what.startswith("longer"):
            with pytest.raises((Corrupt, Denied)):
                [chunk async for chunk in store.stream("a/k")]
            with pytest.raises((Corrupt, Denied)):
                for start in range(0, len(body), 1000):
                    await store.get("a/k", start, min(start + 1000, len(body)))


async def test_a_renamed_object_and_one_chunk_of_another_are_corrupt(
    files: Callable[..., EncryptedObjectStore], tmp_path: Path
) -> None:
    body = os.urandom(2 * CHUNK_BYTES)
    store = files()
    await store.put_new("a/k", body)
    await store.put_new("a/other", body)
    one, other = ((tmp_path / "objects/a" / name).read_bytes() for name in ("k", "other"))
    await store._inner.put_new("a/renamed", one)
    mixed = one[: HEADER_BYTES + SEALED_CHUNK_BYTES] + other[HEADER_BYTES + SEALED_CHUNK_BYTES :]
    await store.delete("a/k")
    await store._inner.put_new("a/k", mixed)
    assert await store.get("a/k", 0, 10) == body[:10]  # this chunk is its own
    for key, start in (("a/renamed", 0), ("a/k", CHUNK_BYTES)):
        with pytest.raises(Corrupt):
            await store.get(key, start, start + 10)
        with pytest.raises(Corrupt):
            await store.get_suffix(key, 10)


async def test_a_key_that_is_written_anew_is_read_anew(
    files: Callable[..., EncryptedObjectStore],
) -> None:
    mine, another = files(), files()
    await mine.put_new("a/k", b"the first")
    assert await another.get("a/k", 4, 9) == b"first"
    await mine.delete("a/k")
    await mine.put_new("a/k", b"the second one")
    read = await asyncio.gather(*(another.get("a/k", 4, 14) for _ in range(8)))
    assert read == [b"second one"] * 8
    assert await another.get_suffix("a/k", 3) == (b"one", 14)


async def test_keys_change_and_old_ones_still_open(
    files: Callable[..., EncryptedObjectStore],
) -> None:
    newer = bytes(reversed(KEY))
    await files(KEY).put_new("a/old", b"old")
    both = files(newer, KEY)
    await both.put_new("a/new", b"new")
    assert await both.get("a/old") == b"old"
    assert await files(newer).get("a/new") == b"new"
    for store, key in ((files(newer), "a/old"), (files(KEY), "a/new")):
        with pytest.raises(Denied):
            await store.get(key)


def test_a_ring_names_no_key() -> None:
    assert repr(KeyRing([KEY])) == "KeyRing(1 keys)"
    for keys in ([], [KEY[:16]], [KEY, b""]):
        with pytest.raises(InvalidRequest):
            KeyRing(keys)


async def test_a_bucket_s_versions_are_opened_too(s3_bucket: Place) -> None:
    async with S3ObjectStore(config_at(s3_bucket)) as inner:
        store = EncryptedBucket(inner, KeyRing([KEY]), bucket_scratch())
        assert isinstance(store, HasLifecycle)
        await inner._bucket.client.put_bucket_versioning(
            Bucket=s3_bucket.name, VersioningConfiguration={"Status": "Enabled"}
        )
        body = os.urandom(CHUNK_BYTES + 5)
        await store.put_new("a/k", body)
        await inner._bucket.client.delete_object(Bucket=s3_bucket.name, Key="a/k")
        [version] = await store.earlier("a/k")
        assert (await store.head_version("a/k", version)).length_bytes == len(body)
        read = await store.get_version("a/k", version, CHUNK_BYTES - 2, CHUNK_BYTES + 3)
        assert read == body[CHUNK_BYTES - 2 : CHUNK_BYTES + 3]
        await store.bring_back("a/k", version)
        assert await store.get("a/k") == body
