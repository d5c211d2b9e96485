"""Repairs in a bucket that keeps versions, and of a table."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from objectstore_samples import config_at
from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import StudyChange, UidRef
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.export import digest
from pacs_cloud.custody.findings import FindingKind, Severity, about_pack
from pacs_cloud.custody.fsck import NEVER_YOUNG_US, check
from pacs_cloud.custody.repair.action import Outcome, Repaired
from pacs_cloud.custody.repair.run import repair
from pacs_cloud.custody.repair.study import StudyRepair, Terms
from pacs_cloud.errors import Denied, NotFound, Unavailable
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.objectstore.s3 import S3ObjectStore
from pacs_cloud.objectstore.s3_earlier import remove_newer
from servers.fixtures import Place
from unit.custody.custody_packs import NOW_US, Clock, Made, Sample, commit, fill, make_pack, put

Kind = FindingKind
TERMS = Terms(
    ConflictPolicy.KEEP_FIRST, NOW_US * 2, deep=True, settled_us=NEVER_YOUNG_US, grace_us=0
)


async def repaired(
    objects: ObjectStore, catalogue: Catalogue, *, dry: bool = False
) -> list[Repaired]:
    return [one async for one in repair(objects, catalogue, TERMS, dry=dry)]


async def kinds(objects: ObjectStore, catalogue: Catalogue) -> set[FindingKind]:
    return {one.kind async for one in check(objects, catalogue, deep=True)}


@pytest.fixture
async def store(s3_bucket: Place) -> AsyncIterator[S3ObjectStore]:
    async with S3ObjectStore(config_at(s3_bucket)) as opened:
        yield opened


@pytest.fixture
async def catalogue(tmp_path: Path) -> AsyncIterator[SqliteCatalogue]:
    async with SqliteCatalogue(tmp_path / "catalogue.sqlite") as opened:
        yield opened


@pytest.fixture
def client(s3_bucket: Place) -> Any:
    client = s3_bucket.endpoint.client("s3")
    yield client
    client.close()


Harm = Callable[[Any, str, Made], None]


def write_over(client: Any, bucket: str, made: Made) -> None:
    client.put_object(Bucket=bucket, Key=made.key.pack, Body=b"something else")


def write_over_twice(client: Any, bucket: str, made: Made) -> None:
    data = bytearray(made.data)
    data[made.table.instances[0].offset + 200] ^= 1
    client.put_object(Bucket=bucket, Key=made.key.pack, Body=bytes(data))
    client.delete_object(Bucket=bucket, Key=made.key.pack)
    client.put_object(Bucket=bucket, Key=made.key.pack, Body=bytes(data))


def remove(client: Any, bucket: str, made: Made) -> None:
    client.delete_object(Bucket=bucket, Key=made.key.pack)


def remove_with_its_index(client: Any, bucket: str, made: Made) -> None:
    remove(client, bucket, made)
    client.delete_object(Bucket=bucket, Key=made.key.index)


def spoil_the_ledger(client: Any, bucket: str, made: Made) -> None:
    prefix = f"ledger/{made.key.tenant}/"
    key = client.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"][0]["Key"]
    client.put_object(Bucket=bucket, Key=key, Body=b"{}")


@pytest.mark.parametrize(
    "harm", [write_over, write_over_twice, remove, remove_with_its_index, spoil_the_ledger]
)
async def test_an_earlier_version_that_is_whole_comes_back(
    store: S3ObjectStore, catalogue: SqliteCatalogue, client: Any, s3_bucket: Place, harm: Harm
) -> None:
    made = await fill(store, catalogue)
    before = await digest(catalogue)
    harm(client, s3_bucket.name, made[0])
    found = await kinds(store, catalogue)
    assert found
    planned = await repaired(store, catalogue, dry=True)
    assert {one.outcome for one in planned} == {Outcome.WOULD}
    assert await kinds(store, catalogue) == found

    done = await repaired(store, catalogue)
    assert {one.outcome for one in done} == {Outcome.DONE}
    assert await kinds(store, catalogue) == set()
    assert await store.get(made[0].key.pack) == made[0].data
    assert await digest(catalogue) == before


async def test_a_pack_that_seems_removed_and_is_not_known_comes_back(
    store: S3ObjectStore, catalogue: SqliteCatalogue, client: Any, s3_bucket: Place
) -> None:
    """It had been adopted by nobody: its index object is all that tells of it."""
    orphan = make_pack(Clock(), "default", "1.7", "1.7.1", [Sample("1.7.1.1")])
    await put(store, orphan)
    remove(client, s3_bucket.name, orphan)
    assert await kinds(store, catalogue) == {Kind.INDEX_ORPHAN}
    (planned,) = await repaired(store, catalogue, dry=True)
    assert "adopt" in planned.detail
    (done,) = await repaired(store, catalogue)
    assert done.outcome is Outcome.DONE
    assert await kinds(store, catalogue) == set()
    assert len(await catalogue.packs("default", "1.7")) == 1


async def test_whoever_died_while_bringing_one_back_is_gone_on_with(
    store: S3ObjectStore, catalogue: SqliteCatalogue, client: Any, s3_bucket: Place
) -> None:
    """Newer versions go one by one, the newest first."""
    made = await fill(store, catalogue)
    for left in range(3):
        write_over_twice(client, s3_bucket.name, made[0])
        for _ in range(left):
            page = client.list_object_versions(Bucket=s3_bucket.name, Prefix=made[0].key.pack)
            (newest,) = [
                one["VersionId"]
                for one in (*page["Versions"], *page.get("DeleteMarkers", ()))
                if one["IsLatest"]
            ]
            client.delete_object(Bucket=s3_bucket.name, Key=made[0].key.pack, VersionId=newest)
        assert await kinds(store, catalogue) != set()
        await repaired(store, catalogue)
        assert await kinds(store, catalogue) == set()
        assert await store.get(made[0].key.pack) == made[0].data


async def test_what_is_nowhere_whole_stays_lost_and_is_named(
    store: S3ObjectStore, catalogue: SqliteCatalogue, client: Any, s3_bucket: Place
) -> None:
    made = await fill(store, catalogue)
    before = await digest(catalogue)
    await store.delete(made[0].key.pack)  # with its versions
    for body in (b"first", b"second"):
        client.put_object(Bucket=s3_bucket.name, Key=made[0].key.pack, Body=body)
    for one in await repaired(store, catalogue):
        assert one.outcome is Outcome.LEFT
        if one.finding.kind is Kind.DAMAGED:
            assert "none of its 1 earlier versions is whole" in one.detail
            assert "1.2.3.1.1" in one.detail
    assert await digest(catalogue) == before
    assert await store.get(made[0].key.pack) == b"second"


async def test_versions_are_told_and_brought_back(
    store: S3ObjectStore, client: Any, s3_bucket: Place
) -> None:
    await store.put_new("a/k", b"first")
    assert await store.earlier("a/k") == []
    client.put_object(Bucket=s3_bucket.name, Key="a/k", Body=b"second")
    client.put_object(Bucket=s3_bucket.name, Key="a/k2", Body=b"another object")
    client.delete_object(Bucket=s3_bucket.name, Key="a/k")
    second, first = await store.earlier("a/k")
    assert await store.get_version("a/k", first, 0, 5) == b"first"
    assert await store.get_version("a/k", second, 1, 3) == b"ec"
    assert (await store.head_version("a/k", second)).length_bytes == 6
    with pytest.raises(NotFound):
        await store.bring_back("a/k2", first)
    for _ in range(2):
        await store.bring_back("a/k", first)
        assert await store.get("a/k") == b"first"
        assert await store.earlier("a/k") == []
    assert await store.get("a/k2") == b"another object"


class Refusing(S3ObjectStore):
    """Does not let the newest version of one object be read, as a key that is gone does."""

    refused = ""

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        if key == self.refused:
            raise Denied(f"{key} may not be read")
        return await super().get(key, start, end)


async def test_what_may_not_be_read_is_not_replaced_by_something_older(
    catalogue: SqliteCatalogue, client: Any, s3_bucket: Place
) -> None:
    async with Refusing(config_at(s3_bucket)) as store:
        await fill(store, catalogue)
        key, *_ = [info.key async for info in store.list("ledger/default/")]
        data = await store.get(key)
        for body in (data, data):  # such a move leaves behind
            client.put_object(Bucket=s3_bucket.name, Key=key, Body=body)
        before = await store.earlier(key)
        store.refused = key
        left = await repaired(store, catalogue)
        assert {one.outcome for one in left if one.finding.key == key} == {Outcome.LEFT}
        assert await store.earlier(key) == before


async def test_a_decision_of_another_key_is_not_brought_back(
    store: S3ObjectStore, catalogue: SqliteCatalogue, client: Any, s3_bucket: Place
) -> None:
    """Of another study, or of this one at another time: it can be read, and is not what it was."""
    await fill(store, catalogue)
    keys = [info.key async for info in store.list("ledger/")]
    key = keys[0]
    same = [one for one in keys[1:] if one.rpartition("/")[0] == key.rpartition("/")[0]]
    data = await store.get(key)
    for other in (keys[-1], same[0]):
        client.put_object(Bucket=s3_bucket.name, Key=key, Body=await store.get(other))
        client.put_object(Bucket=s3_bucket.name, Key=key, Body=b"{}")
    await repaired(store, catalogue)
    assert await store.get(key) == data
    assert await kinds(store, catalogue) == set()


async def test_a_pack_that_went_meanwhile_does_not_come_back(
    store: S3ObjectStore, catalogue: SqliteCatalogue, client: Any, s3_bucket: Place
) -> None:
    """It was purged beside the check: what is left of its versions is not for anybody."""
    clock = Clock()
    made = make_pack(clock, "default", "1.7", "1.7.1", [Sample("1.7.1.1")])
    await put(store, made)
    await commit(store, catalogue, made, clock)
    remove(client, s3_bucket.name, made)
    findings = [one async for one in check(store, catalogue, deep=True)]
    state = await catalogue.study("default", "1.7")
    assert state is not None
    drop = UidRef("1.7", "1.7.1", made.key.pack_id)
    await catalogue.commit(
        StudyChange("default", "1.7", state.study, None, drop_series=("1.7.1",), drop_packs=(drop,))
    )
    await store.delete(made.key.index)
    repair_of = StudyRepair(store, catalogue, "default", "1.7", findings, TERMS)
    await repair_of.repair()
    assert [info.key async for info in store.list("packs/")] == []


async def test_a_whole_object_keeps_its_versions(
    store: S3ObjectStore, catalogue: SqliteCatalogue, client: Any, s3_bucket: Place
) -> None:
    """What a check could not read for a moment is nothing to be removed."""
    made = await fill(store, catalogue)
    client.put_object(Bucket=s3_bucket.name, Key=made[0].key.pack, Body=made[0].data)
    before = await store.earlier(made[0].key.pack)
    finding = about_pack(
        made[0].key, Kind.DAMAGED, Severity.ERROR, "", "", object_key=made[0].key.pack
    )
    names = made[0].key.tenant, made[0].key.study_instance_uid
    await StudyRepair(store, catalogue, *names, [finding], TERMS).repair()
    assert await store.earlier(made[0].key.pack) == before != []


async def test_what_is_written_meanwhile_stays(
    store: S3ObjectStore, client: Any, s3_bucket: Place
) -> None:
    """Another machine has the right bytes, too."""
    await store.put_new("a/k", b"right")
    client.put_object(Bucket=s3_bucket.name, Key="a/k", Body=b"wrong")
    (first,) = await store.earlier("a/k")

    class Racing:
        has_raced = False

        async def list_object_versions(self, **names: str) -> dict[str, Any]:
            return client.list_object_versions(**names)

        async def delete_object(self, **names: str) -> None:
            client.delete_object(**names)
            if not self.has_raced:
                self.has_raced = True
                client.put_object(Bucket=names["Bucket"], Key=names["Key"], Body=b"right, too")

    target = {"Bucket": s3_bucket.name, "Key": "a/k"}
    with pytest.raises(Unavailable, match="meanwhile"):
        await remove_newer(Racing(), target, first)
    assert await store.get("a/k") == b"right, too"


async def test_a_table_is_repaired(cloud: tuple[ObjectStore, Catalogue]) -> None:
    objects, catalogue = cloud
    clock = Clock()
    made = [
        make_pack(clock, "default", "1.2", "1.2.1", [Sample("1.2.1.1"), Sample(f"1.2.1.{n}")])
        for n in (2, 3)
    ]
    for one in made:
        await put(objects, one)
        await commit(objects, catalogue, one, clock)
    before = await digest(catalogue)
    ref = UidRef("1.2", "1.2.1", made[0].key.pack_id)
    await catalogue.unstage("default", ref, ["1.2.1.1", "1.2.1.2"])
    await objects.delete(made[1].key.index)
    for key in [info.key async for info in objects.list("ledger/")]:
        await objects.delete(key)
    assert await kinds(objects, catalogue) == {
        Kind.UNSTAGED,
        Kind.UNFINDABLE,
        Kind.INDEX_MISSING,
        Kind.LEDGER,
    }
    assert {one.outcome for one in await repaired(objects, catalogue)} == {Outcome.DONE}
    assert await kinds(objects, catalogue) == set()
    assert await digest(catalogue) == before
