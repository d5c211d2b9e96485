"""What only a bucket does: versions, tags, classes, lost answers, refusals."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from objectstore_samples import config_at
from pacs_cloud.errors import Conflict, Denied, NotFound, Offline, PacsError, Unavailable
from pacs_cloud.objectstore import s3_multipart
from pacs_cloud.objectstore.port import Availability
from pacs_cloud.objectstore.s3 import S3ObjectStore
from pacs_cloud.objectstore.s3_claims import be_first, claims_by_version, refuse_taken
from pacs_cloud.objectstore.s3_clients import S3Config
from patience import PATIENCE_S
from servers.fixtures import Place


@pytest.fixture
def config(s3_bucket: Place) -> S3Config:
    return config_at(s3_bucket)


@pytest.fixture
async def store(config: S3Config) -> AsyncIterator[S3ObjectStore]:
    async with S3ObjectStore(config) as store:
        yield store


@pytest.fixture
def client(s3_bucket: Place) -> Any:
    client = s3_bucket.endpoint.client("s3")
    yield client
    client.close()


@asynccontextmanager
async def proxy(
    url: str, lose: Callable[[bytes, int], bool], *, after: int = 0
) -> AsyncIterator[str]:
    """Forward to `url`; cut an answer after `after` bytes where `lose(request, n)` says so."""
    address = urlsplit(url)
    asked = 0
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        tasks.add(asyncio.current_task())
        up_reader, up_writer = await asyncio.open_connection(address.hostname, address.port)
        losing = False

        async def requests() -> None:
            nonlocal asked, losing
            while data := await reader.read(65536):
                if data.split(b" ", 1)[0] in {b"GET", b"PUT", b"POST", b"HEAD"}:
                    asked += 1
                    losing = lose(data, asked)
                up_writer.write(data)
            up_writer.close()

        forward = asyncio.create_task(requests())
        tasks.add(forward)
        sent = 0
        try:
            while data := await up_reader.read(65536):
                sent += len(data)
                if losing and sent > after:
                    writer.transport.abort()
                    return
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            forward.cancel()
            up_writer.transport.abort()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_put_whose_answer_is_lost_is_our_own(config: S3Config, tmp_path: Path) -> None:
    path = tmp_path / "spooled"
    path.write_bytes(os.urandom(300_000))

    def first_put(request: bytes, _: int) -> bool:
        nonlocal lost
        if request.startswith(b"PUT") and not lost:
            lost = True
            return True
        return False

    for put in ("put_new", "put_file"):
        lost = False
        async with (
            proxy(config.endpoint, first_put) as url,
            S3ObjectStore(replace(config, endpoint=url)) as store,
        ):
            argument = path if put == "put_file" else path.read_bytes()
            for _ in range(2):
                try:
                    info = await getattr(store, put)(put, argument)
                    break
                except Unavailable:  # obstore does not repeat a put that may have happened
                    continue
            assert lost
            assert info.length_bytes == 300_000
            assert await store.get(put) == path.read_bytes()


async def test_a_stream_that_breaks_goes_on_where_it_broke(config: S3Config) -> None:
    body = os.urandom(3_000_000)
    cuts = []

    def twice(request: bytes, _: int) -> bool:
        if request.startswith(b"GET") and len(cuts) < 2:
            cuts.append(request)
            return True
        return False

    async with (
        proxy(config.endpoint, twice, after=700_000) as url,
        S3ObjectStore(replace(config, endpoint=url)) as store,
    ):
        await store.put_new("k", body)
        chunks = [chunk async for chunk in store.stream("k", 10, chunk_bytes=100_000)]
    assert len(cuts) == 2
    assert b"".join(chunks) == body[10:]


async def test_a_stream_that_always_breaks_ends(config: S3Config) -> None:
    async with (
        proxy(config.endpoint, lambda request, _: request.startswith(b"GET"), after=200_000) as url,
        S3ObjectStore(replace(config, endpoint=url)) as store,
    ):
        await store.put_new("k", os.urandom(3_000_000))
        with pytest.raises(Unavailable):
            [chunk async for chunk in store.stream("k", chunk_bytes=2_000_000)]


async def test_an_endpoint_that_is_not_there(config: S3Config, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"1")
    nowhere = replace(config, endpoint="http://127.0.0.1:9", retries=0)
    async with S3ObjectStore(nowhere) as store, asyncio.timeout(PATIENCE_S):
        for attempt in (
            store.put_new("k", b"1"),
            store.put_file("k", tmp_path / "f"),
            store.get("k"),
            store.get("k", 1, 2),
            store.get_suffix("k", 5),
            anext(aiter(store.stream("k"))),
            store.head("k"),
            anext(aiter(store.list(""))),
            store.delete("k"),
            store.ready(),
        ):
            with pytest.raises(Unavailable):
                await attempt


async def test_a_silent_endpoint(config: S3Config) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.read()

    writers: list[asyncio.StreamWriter] = []

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    quick = replace(
        config,
        endpoint=f"http://127.0.0.1:{port}",
        retries=1,
        read_timeout_s=0.2,
        upload_timeout_s=0.5,
    )
    async with S3ObjectStore(quick) as store, asyncio.timeout(PATIENCE_S):
        for attempt in (store.get("k"), store.head("k"), store.put_new("k", b"1")):
            with pytest.raises(Unavailable):
                await attempt
    server.close()
    for writer in writers:
        writer.transport.abort()


async def test_a_missing_bucket_is_not_a_missing_object(config: S3Config) -> None:
    async with S3ObjectStore(replace(config, bucket="no-such-bucket-here")) as store:
        for attempt in (
            store.get("k"),
            store.get_suffix("k", 1),
            store.head("k"),
            store.ready(),
            store.delete("k"),
            anext(aiter(store.list(""))),
        ):
            with pytest.raises(Unavailable, match="NoSuchBucket"):
                await attempt


async def test_a_wrong_secret_is_denied(config: S3Config, s3_bucket: Place) -> None:
    if s3_bucket.endpoint.kind == "moto":
        pytest.skip("moto accepts any secret")
    async with S3ObjectStore(replace(config, secret_access_key="wrong")) as store:
        for attempt in (
            store.put_new("k", b"1"),
            store.get("k"),
            store.head("k"),
            store.ready(),
        ):
            with pytest.raises(Denied):
                await attempt


async def test_keys_come_from_aws_s_chain(
    config: S3Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The profile file is what obstore alone would not read.
    credentials = tmp_path / "credentials"
    credentials.write_text(
        f"[pacs]\naws_access_key_id={config.access_key_id}\n"
        f"aws_secret_access_key={config.secret_access_key}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_PROFILE", "pacs")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_BUCKET", "another")
    async with S3ObjectStore(replace(config, access_key_id="", secret_access_key="")) as store:
        await store.put_new("k", b"1")
        assert await store.get("k") == b"1"
        assert (await store.head("k")).length_bytes == 1


async def test_nobody_is_anonymous(
    config: S3Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(Denied):
        await S3ObjectStore(replace(config, access_key_id="", secret_access_key="")).__aenter__()


async def test_every_version_is_deleted(
    store: S3ObjectStore, client: Any, s3_bucket: Place
) -> None:
    await store.put_new("a/k", b"1")
    await store.put_new("a/k2", b"1")
    # Somebody else's tools overwrite and delete.
    client.put_object(Bucket=s3_bucket.name, Key="a/k", Body=b"2")
    client.delete_object(Bucket=s3_bucket.name, Key="a/k")
    client.put_object(Bucket=s3_bucket.name, Key="a/k", Body=b"3")
    await store.delete("a/k")
    left = client.list_object_versions(Bucket=s3_bucket.name)
    assert [v["Key"] for v in left.get("Versions", [])] == ["a/k2"]
    assert left.get("DeleteMarkers", []) == []


async def test_tags_and_class_are_set(
    config: S3Config,
    client: Any,
    s3_bucket: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"1")
    large.write_bytes(os.urandom(65 << 20))
    tags = {"study-date": "20240131", "kind": "pack"}
    async with S3ObjectStore(replace(config, storage_class="STANDARD_IA")) as store:
        await store.put_new("index", b"1", tags=tags)
        await store.put_file("small", small, tags=tags)
        await store.put_file("large", large, tags=tags)
        classes = [(await store.head(key)).storage_class for key in ("index", "small", "large")]
        listed = [(info.key, info.storage_class) async for info in store.list("")]
    assert classes == ["STANDARD", "STANDARD_IA", "STANDARD_IA"]
    assert listed == [("index", "STANDARD"), ("large", "STANDARD_IA"), ("small", "STANDARD_IA")]
    for key in ("index", "small", "large"):
        found = client.get_object_tagging(Bucket=s3_bucket.name, Key=key)["TagSet"]
        assert {tag["Key"]: tag["Value"] for tag in found} == tags


async def test_cold_objects_are_offline_until_restored(
    store: S3ObjectStore, client: Any, s3_bucket: Place
) -> None:
    if s3_bucket.endpoint.kind != "moto":
        pytest.skip("only moto has cold classes")
    client.put_object(Bucket=s3_bucket.name, Key="k", Body=b"cold", StorageClass="DEEP_ARCHIVE")
    assert (await store.head("k")).availability is Availability.OFFLINE
    assert [i.availability async for i in store.list("")] == [Availability.OFFLINE]
    for attempt in (
        store.get("k"),
        store.get("k", 1, 2),
        store.get_suffix("k", 2),
        anext(aiter(store.stream("k"))),
    ):
        with pytest.raises(Offline):
            await attempt
    with pytest.raises(Conflict):
        await store.put_new("k", b"cold")
    client.restore_object(Bucket=s3_bucket.name, Key="k", RestoreRequest={"Days": 1})
    info = await store.head("k")
    assert (info.availability, info.storage_class) == (Availability.ONLINE, "DEEP_ARCHIVE")
    assert await store.get("k") == b"cold"


async def test_an_upload_that_fails_is_dropped(
    store: S3ObjectStore, client: Any, s3_bucket: Place, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    path.write_bytes(os.urandom(66 << 20))

    async def cut() -> None:
        while not client.list_multipart_uploads(Bucket=s3_bucket.name).get("Uploads"):
            await asyncio.sleep(0.01)
        os.truncate(path, 1 << 20)

    results = await asyncio.gather(store.put_file("k", path), cut(), return_exceptions=True)
    if isinstance(results[0], BaseException):  # else every part had been read before
        assert isinstance(results[0], PacsError)
        with pytest.raises(NotFound):
            await store.head("k")
    assert not client.list_multipart_uploads(Bucket=s3_bucket.name).get("Uploads")


async def test_an_upload_that_is_cancelled_is_dropped(
    store: S3ObjectStore,
    client: Any,
    s3_bucket: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "large"
    path.write_bytes(os.urandom(66 << 20))
    begun = asyncio.Event()
    real = s3_multipart.Upload.part

    async def slow(upload: s3_multipart.Upload, *part: Any) -> dict[str, Any]:
        done = await real(upload, *part)
        begun.set()
        await asyncio.sleep(60)
        return done

    monkeypatch.setattr(s3_multipart.Upload, "part", slow)
    task = asyncio.create_task(store.put_file("k", path))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not client.list_multipart_uploads(Bucket=s3_bucket.name).get("Uploads")
    with pytest.raises(NotFound):
        await store.head("k")


async def test_uploads_in_parts_that_race_leave_one_whole(
    store: S3ObjectStore, tmp_path: Path
) -> None:
    block = os.urandom(65 << 20)
    paths = [tmp_path / str(n) for n in range(4)]
    for n, path in enumerate(paths):
        path.write_bytes(bytes([n]) + block[1:])
    results = await asyncio.gather(
        *(store.put_file("k", path) for path in paths), return_exceptions=True
    )
    # Of these at AWS exactly one wins. moto and SeaweedFS look at the key and
    # complete in two steps, so that several may, and the last one stays; that
    # different content never has one key is the archive's own rule.
    winners = [n for n, result in enumerate(results) if not isinstance(result, BaseException)]
    losers = [result for result in results if isinstance(result, BaseException)]
    assert winners
    assert {type(loser) for loser in losers} <= {Conflict}
    stored = await store.get("k")
    assert stored[0] in winners
    assert stored[1:] == block[1:]


async def test_a_store_opens_in_one_loop_after_another(config: S3Config) -> None:
    store = S3ObjectStore(config)
    async with store:
        await store.put_new("k", b"1")

    def again() -> bytes:
        async def read() -> bytes:
            async with store:
                return await store.get("k")

        return asyncio.run(read())

    assert await asyncio.to_thread(again) == b"1"
    with pytest.raises(RuntimeError):
        await store.get("k")


async def test_of_two_versions_the_older_was_first(
    store: S3ObjectStore, client: Any, s3_bucket: Place
) -> None:
    """As it is where a server does not see to it that a key has one writer."""
    target = {"Bucket": s3_bucket.name, "Key": "a/k"}
    first, second = (
        client.put_object(**target, Body=body)["VersionId"] for body in (b"first", b"second")
    )
    client.put_object(Bucket=s3_bucket.name, Key="a/k2", Body=b"its key begins with the other's")
    ours = store._bucket.client
    await be_first(ours, target, first)
    with pytest.raises(Conflict):
        await be_first(ours, target, second)
    left = client.list_object_versions(Bucket=s3_bucket.name, Prefix="a/k")["Versions"]
    assert [one["VersionId"] for one in left if one["Key"] == "a/k"] == [first]
    with pytest.raises(Conflict):
        await refuse_taken(ours, target)
    await refuse_taken(ours, {**target, "Key": "a/none"})


async def test_who_does_not_see_to_it_is_known_by_its_answers(
    store: S3ObjectStore, s3_bucket: Place
) -> None:
    answer = await store._bucket.client.list_objects_v2(Bucket=s3_bucket.name)
    assert claims_by_version(answer) is (s3_bucket.endpoint.kind == "ceph")
