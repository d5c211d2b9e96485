"""Rebuilds where things are far away: from packs that all lie cold, and into a table."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from objectstore_samples import config_at
from pacs_cloud.bootstrap.rebuilding import Begins, open_rebuild
from pacs_cloud.bootstrap.services import open_stores
from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import HiddenReason
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.export import digest
from pacs_cloud.custody.findings import FindingKind
from pacs_cloud.custody.fsck import check
from pacs_cloud.custody.rebuild import Rebuilt, rebuild
from pacs_cloud.errors import Offline
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.port import CHUNK_BYTES, ObjectStore
from pacs_cloud.objectstore.s3 import S3ObjectStore
from pacs_cloud.objectstore.s3_clients import S3Config
from pacs_cloud.objectstore.storage_classes import RecallSpeed, StorageClass
from pacs_cloud.settings import load_settings
from servers.endpoint import Endpoint
from servers.fixtures import Place, bucket_at, server
from unit.custody.custody_faults import Died, Fuse, Mortal
from unit.custody.custody_packs import NOW_US, Clock, Made, Sample, commit, fill, make_pack, put

KEEP_FIRST = ConflictPolicy.KEEP_FIRST
COLD = StorageClass.GLACIER


class Recording(S3ObjectStore):
    """Notes whose bytes it is asked for."""

    def __init__(self, config: S3Config) -> None:
        super().__init__(config)
        self.read: list[str] = []

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        self.read.append(key)
        return await super().get(key, start, end)

    async def get_suffix(self, key: str, length_bytes: int) -> tuple[bytes, int]:
        self.read.append(key)
        return await super().get_suffix(key, length_bytes)

    def stream(
        self, key: str, start: int = 0, end: int | None = None, *, chunk_bytes: int = CHUNK_BYTES
    ) -> AsyncIterator[bytes]:
        self.read.append(key)
        return super().stream(key, start, end, chunk_bytes=chunk_bytes)


@pytest.fixture
def moto(pytestconfig: pytest.Config) -> Endpoint:
    """The one server here that keeps bytes of a cold class back."""
    return server("moto", pytestconfig)


async def again(objects: ObjectStore, path: Path) -> tuple[Rebuilt, str]:
    async with SqliteCatalogue(path) as catalogue:
        done = await rebuild(objects, catalogue, policy=KEEP_FIRST, now_us=NOW_US, wipe=False)
        return done, await digest(catalogue)


async def test_packs_that_all_lie_cold_are_not_read(moto: Endpoint, tmp_path: Path) -> None:
    with bucket_at(moto) as place:
        config = replace(config_at(place), moves="copy")
        async with Recording(config) as objects:
            async with SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue:
                made = await fill(objects, catalogue)
                before = await digest(catalogue)
            for one in made:
                assert (await objects.move(one.key.pack, COLD)).storage_class == COLD
            with pytest.raises(Offline):
                await objects.get(made[0].key.pack)
            objects.read.clear()
            done, after = await again(objects, tmp_path / "again.sqlite")
            assert (done.packs, done.problems, after) == (len(made), (), before)
            assert sorted(key for key in objects.read if not key.startswith("ledger/")) == sorted(
                one.key.index for one in made
            )
            async with SqliteCatalogue(tmp_path / "again.sqlite") as catalogue:
                (study,) = await catalogue.studies_by_uid("second", ["1.2.3"])
                assert study.has_cold_packs
                kinds = {one.kind async for one in check(objects, catalogue)}
            assert kinds == {FindingKind.COLD}


async def test_a_cold_pack_without_index_object_is_recalled_first(
    moto: Endpoint, tmp_path: Path
) -> None:
    with bucket_at(moto) as place:
        config = replace(config_at(place), moves="copy")
        async with S3ObjectStore(config) as objects:
            await _recalled_first(objects, tmp_path)


async def test_so_it_is_in_folders(tmp_path: Path) -> None:
    cold = tmp_path / "cold"
    cold.mkdir()
    async with LocalObjectStore(tmp_path / "objects", {COLD: cold}) as objects:
        await _recalled_first(objects, tmp_path)


async def _recalled_first(objects: ObjectStore, folder: Path) -> None:
    async with SqliteCatalogue(folder / "catalogue.sqlite") as catalogue:
        made = await fill(objects, catalogue)
        before = await digest(catalogue)
    for one in made:
        await objects.move(one.key.pack, COLD)
    lost = made[3]
    await objects.delete(lost.key.index)
    done, after = await again(objects, folder / "again.sqlite")
    (problem,) = done.problems
    assert (problem.kind, problem.pack_id) == (FindingKind.COLD, lost.key.pack_id)
    assert problem.is_fault
    assert "recall the pack" in problem.repair
    assert after != before
    await objects.recall(lost.key.pack, 2, RecallSpeed.BULK)
    done, after = await again(objects, folder / "again.sqlite")
    assert (done.packs, done.problems, after) == (1, (), before)
    assert await objects.get(lost.key.index) == lost.index


@pytest.mark.parametrize("answers", [False, True])
async def test_a_rebuild_of_a_table_that_died_is_gone_on_with(
    cloud: tuple[ObjectStore, Catalogue], answers: bool
) -> None:
    objects, catalogue = cloud
    made = await _lived_in(objects, catalogue)
    before = await digest(catalogue)
    for at in range(2, 60, 9):
        fuse = Fuse(at, answers=answers)
        with suppress(Died):
            await rebuild(
                Mortal(objects, fuse),  # type: ignore[arg-type]
                Mortal(catalogue, fuse),  # type: ignore[arg-type]
                policy=KEEP_FIRST,
                now_us=NOW_US,
            )
        done = await rebuild(objects, catalogue, policy=KEEP_FIRST, now_us=NOW_US, wipe=False)
        assert done.packs + done.kept == len(made)
        assert await digest(catalogue) == before, at
        if not fuse.is_burnt:
            break
    assert {one.kind async for one in check(objects, catalogue, deep=True)} == set()


async def _lived_in(objects: ObjectStore, catalogue: Catalogue) -> list[Made]:
    clock, made = Clock(), []
    for study, series, samples in (
        ("1.2", "1.2.1", [Sample("1.2.1.1"), Sample("1.2.1.2")]),
        ("1.2", "1.2.1", [Sample("1.2.1.1"), Sample("1.2.1.3")]),
        ("1.2", "1.2.2", [Sample("1.2.2.1"), Sample("1.2.1.2")]),
        ("1.3", "1.3.1", [Sample("1.3.1.1")]),
    ):
        made.append(make_pack(clock, "default", study, series, samples))
        await put(objects, made[-1])
        await commit(objects, catalogue, made[-1], clock)
    packs = await catalogue.packs("default", "1.2")
    assert HiddenReason.DUPLICATE in {why for one in packs for why in one.hidden.values()}
    return made


async def test_the_hash_is_the_same_in_a_table_and_in_a_file(
    cloud: tuple[ObjectStore, Catalogue], tmp_path: Path
) -> None:
    objects, catalogue = cloud
    await fill(objects, catalogue)
    path = tmp_path / "catalogue.sqlite"
    _, in_file = await again(objects, path)
    assert in_file == await digest(catalogue)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE study SET rev = rev + 1000")
        connection.execute("INSERT INTO event VALUES ('e', 'default', '[]')")
    async with SqliteCatalogue(path) as other:
        assert await digest(other) == in_file


async def test_a_table_is_emptied_and_filled_where_it_is(
    dynamodb_table: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = dynamodb_table.endpoint
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", endpoint.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", endpoint.secret_key)
    url = f"dynamodb://{dynamodb_table.name}?endpoint={endpoint.url}&region={endpoint.region}"
    settings = load_settings({"data": tmp_path, "catalogue": url})
    async with open_stores(settings, create=True) as stores:
        made = await _lived_in(stores.objects, stores.catalogue)
        before = await digest(stores.catalogue)
    for resume, begins, kept in (
        (False, Begins.ANEW, 0),
        (True, Begins.GOING_ON, len(made)),
    ):
        async with open_rebuild(settings, resume=resume) as work:
            assert (work.begins, work.wipe) == (begins, not resume)
            assert resume or (work.before and work.before.hash == before)
            done = await rebuild(
                work.objects,
                work.catalogue,
                policy=KEEP_FIRST,
                now_us=NOW_US,
                wipe=work.wipe,
                at_once=work.at_once,
            )
            assert done.kept == kept
            assert await digest(work.catalogue) == before
