"""Where the keys of encrypted objects come from, and what a store's URL says of them."""

import base64
import os
from pathlib import Path

import pytest

from pacs_cloud.bootstrap.adapters import open_objects
from pacs_cloud.bootstrap.object_keys import KMS_CONTEXT, bucket_scratch, ring_of, rings_of
from pacs_cloud.errors import Corrupt, Denied, InvalidRequest, NotFound, Unavailable
from pacs_cloud.objectstore.sealing import HEADER_BYTES
from pacs_cloud.settings import StoreUrl, parse_store_url
from servers.endpoint import Endpoint

KEY = bytes(range(32))
TEXT = base64.b64encode(KEY).decode()
OLDER = base64.b64encode(bytes(32)).decode()


def url(text: str) -> StoreUrl:
    return StoreUrl.model_validate(parse_store_url(text))


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.touch(mode=0o600)
    path.write_text(f"{TEXT}\n{OLDER}\n")
    return path


@pytest.fixture
def aws(moto_endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    """AWS's own chain, which leads to moto."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_endpoint.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto_endpoint.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto_endpoint.secret_key)
    monkeypatch.setenv("AWS_DEFAULT_REGION", moto_endpoint.region)
    return moto_endpoint


async def opens(sources: str, sealed_with: str) -> bool:
    """Return whether `sources` give a ring that opens what one key sealed."""
    header, _ = (await ring_of(f"env:{sealed_with}")).new("a/k", 5)
    try:
        return (await ring_of(sources)).open("a/k", header).length_bytes == 5
    except Denied:
        return False


async def test_keys_come_from_files_and_variables(
    key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONE", TEXT)
    monkeypatch.setenv("TWO", OLDER)
    assert await opens("env:ONE", "ONE")
    assert not await opens("env:ONE", "TWO")
    assert await opens(f"file:{key_file}", "ONE")
    assert await opens(f"file:{key_file}", "TWO")
    assert await opens("env:ONE,env:TWO", "TWO")


async def test_a_file_that_others_may_read_is_refused(key_file: Path) -> None:
    for mode in (0o640, 0o604, 0o620):
        key_file.chmod(mode)
        with pytest.raises(Denied):
            await ring_of(f"file:{key_file}")
    key_file.chmod(0o400)
    await ring_of(f"file:{key_file}")


@pytest.mark.parametrize("text", ["", " \n", "short", TEXT[:-4], TEXT + "AAAA", TEXT + "é", "%%%%"])
async def test_what_is_no_key_is_refused_and_not_said(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys"
    path.touch(mode=0o600)
    path.write_text(text)
    with pytest.raises(Exception) as failed:  # each kind of error is checked below
        await ring_of(f"file:{path}")
    assert type(failed.value).__module__ == "pacs_cloud.errors"
    assert failed.value.__cause__ is None
    assert len(text.strip()) < 5 or text[:5] not in str(failed.value)


async def test_what_a_variable_holds_is_not_said_either(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("kms:" + "é" * 40, "é" * 44, "!" * 44, "kms:%"):
        monkeypatch.setenv("ONE", text)
        with pytest.raises(InvalidRequest) as failed:
            await ring_of("env:ONE")
        assert text not in str(failed.value)
        assert failed.value.__cause__ is None


async def test_a_source_that_is_none_is_refused(tmp_path: Path) -> None:
    for sources in ("", ",", "env", "KEY", TEXT, "vault:x"):
        with pytest.raises((InvalidRequest, NotFound)) as failed:
            await ring_of(sources)
        assert TEXT not in str(failed.value)
    for sources in ("env:NOBODY_HAS_SET_THIS", f"file:{tmp_path}/none"):
        with pytest.raises(NotFound):
            await ring_of(sources)


async def test_keys_come_from_secrets_manager_and_kms(
    aws: Endpoint, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONE", TEXT)
    secrets, kms = aws.client("secretsmanager"), aws.client("kms")
    name = f"objects-{os.urandom(4).hex()}"
    secrets.create_secret(Name=name, SecretString=f"{TEXT}\n")
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    blob = kms.encrypt(KeyId=key_id, Plaintext=KEY, EncryptionContext=KMS_CONTEXT)["CiphertextBlob"]
    other = kms.encrypt(KeyId=key_id, Plaintext=KEY)["CiphertextBlob"]
    secrets.close()
    kms.close()
    assert await opens(f"secret:{name}", "ONE")
    key_file.write_text("kms:" + base64.b64encode(blob).decode())
    assert await opens(f"file:{key_file}", "ONE")
    key_file.write_text("kms:" + base64.b64encode(other).decode())
    with pytest.raises(Denied):  # it was meant for something else
        await ring_of(f"file:{key_file}")
    with pytest.raises(NotFound):
        await ring_of("secret:nobody-has-made-this")


async def test_a_file_store_s_url_asks_for_it(tmp_path: Path, key_file: Path) -> None:
    text = f"file://{tmp_path}/objects"
    async with open_objects(url(f"{text}?encrypt=file:{key_file}")) as store:
        await store.put_new("a/k", b"body")
        assert (await store.head("a/k")).length_bytes == 4
    assert len((tmp_path / "objects/a/k").read_bytes()) == HEADER_BYTES + 4 + 16
    async with open_objects(url(f"{text}?encrypt=file:{key_file}")) as store:
        assert await store.get("a/k") == b"body"
        assert [info.key async for info in store.list("")] == ["a/k"]
    async with open_objects(url(text)) as store:
        await store.put_new("a/plain", b"body")
    async with open_objects(url(f"{text}?encrypt=file:{key_file}")) as store:
        with pytest.raises(Corrupt):
            await store.get("a/plain")


async def test_a_bucket_s_objects_are_sealed_into_a_file_without_a_name(tmp_path: Path) -> None:
    with bucket_scratch(tmp_path)() as (path, number):
        os.write(number, b"body")
        assert Path(path).read_bytes() == b"body"
        assert list(tmp_path.iterdir()) == []


class TestEachTenant:
    @pytest.fixture(autouse=True)
    def keys(self, tmp_path: Path) -> None:
        for name in ("archive", "north", "south"):
            path = tmp_path / f"{name}.key"
            path.touch(mode=0o600)
            path.write_text(base64.b64encode(os.urandom(32)).decode())

    async def test_has_a_key_that_opens_nothing_of_another(self, tmp_path: Path) -> None:
        own, shared = f"file:{tmp_path}/{{tenant}}.key", f"file:{tmp_path}/archive.key"
        objects = f"file://{tmp_path}/objects?encrypt="
        north, south = "packs/north/ab/1.2/1.3/p.zip", "packs/south/ab/1.2/1.3/p.zip"
        async with open_objects(url(f"{objects}{own},{shared}")) as store:
            await store.put_new("packs/share_0a/ab/1.2/1.3/p.zip", b"a link's copy")
            for key in (north, south, "turns/south/1.json"):
                await store.put_new(key, b"body")
                assert await store.get(key) == b"body"
        sealed = {
            key: (tmp_path / "objects" / key).read_bytes()[:HEADER_BYTES]
            for key in (north, south, "turns/south/1.json")
        }
        for name, opened in (("north", north), ("south", south), ("archive", "turns/south/1.json")):
            ring = await ring_of(f"file:{tmp_path}/{name}.key")
            for key, header in sealed.items():
                if key == opened:
                    assert ring.open(key, header).length_bytes == 4
                else:
                    with pytest.raises(Denied):
                        ring.open(key, header)

    async def test_reads_what_was_sealed_before_it_had_a_key(self, tmp_path: Path) -> None:
        own, shared = f"file:{tmp_path}/{{tenant}}.key", f"file:{tmp_path}/archive.key"
        objects = f"file://{tmp_path}/objects?encrypt="
        async with open_objects(url(f"{objects}{shared}")) as store:
            await store.put_new("users/north/a/1.json", b"before")
        async with open_objects(url(f"{objects}{own},{shared}")) as store:
            assert await store.get("users/north/a/1.json") == b"before"

    async def test_whose_key_is_missing_is_not_taken_for_having_nothing(
        self, tmp_path: Path
    ) -> None:
        own, shared = f"file:{tmp_path}/{{tenant}}.key", f"file:{tmp_path}/archive.key"
        async with open_objects(url(f"file://{tmp_path}/objects?encrypt={own},{shared}")) as store:
            await store.put_new("users/north/a/1.json", b"body")
        (tmp_path / "north.key").unlink()
        async with open_objects(url(f"file://{tmp_path}/objects?encrypt={own},{shared}")) as store:
            with pytest.raises(Unavailable, match="north"):
                await store.get("users/north/a/1.json")
            with pytest.raises(Unavailable, match="west"):
                await store.put_new("users/west/a/1.json", b"body")
            assert not [info async for info in store.list("users/west/")]

    async def test_needs_a_key_besides_for_what_is_nobodys(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidRequest, match="without"):
            await rings_of(f"file:{tmp_path}/{{tenant}}.key")


async def test_a_bucket_is_told_the_keys_of_tenants(aws: Endpoint) -> None:
    bucket = f"s3://nobody?endpoint={aws.url}&sse=aws:kms&kms_keys="
    async with open_objects(url(f"{bucket}south=arn:aws:kms:eu-west-1:1:key/k,north=alias/n")):
        pass
    for wrong in ("arn:aws:kms:key", "South=k", "south=", "=k"):
        with pytest.raises(InvalidRequest, match="kms_keys"):
            async with open_objects(url(f"{bucket}{wrong}")):
                pass
