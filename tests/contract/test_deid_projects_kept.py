"""Projects and escrow in every object store: written once, read back, never taken for none."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from deid_samples import PROJECT
from objectstore_samples import config_at
from pacs_cloud.custody.deid.escrow import Escrow, escrow_prefix, revealed
from pacs_cloud.custody.deid.projects import (
    KeptProject,
    add_project,
    project_named,
    project_prefix,
    projects,
)
from pacs_cloud.dicom.deid.option import checked_options
from pacs_cloud.dicom.deid.pseudonyms import Replaced
from pacs_cloud.dicom.deid.rules import parse_rules
from pacs_cloud.errors import Conflict, Corrupt, InvalidRequest, NotFound
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.objectstore.s3 import S3ObjectStore
from servers.fixtures import Place

RULES = parse_rules(
    'version = 1\n[[pixels]]\nmodel = "U*"\nblank = [[0, 0, 9, 9]]\n'
    '[[private]]\ncreator = "ACME"\ngroup = "0029"\nelements = ["05"]\n'
)
KEPT = KeptProject(
    replace(PROJECT, options=checked_options(["retain-uids"]), rules=RULES, escrow=True),
    1_700_000_000_000_000,
    "anna",
    "for the trial",
)


class KeptProjectsContract:
    async def test_a_project_comes_back_as_it_was(self, store: ObjectStore) -> None:
        await add_project(store, "t", KEPT)
        assert await project_named(store, "t", "TRIAL") == KEPT
        assert [one async for one in projects(store, "t")] == [KEPT]
        assert [one async for one in projects(store, "other")] == []
        with pytest.raises(NotFound):
            await project_named(store, "other", "TRIAL")

    async def test_a_project_is_written_once(self, store: ObjectStore) -> None:
        await add_project(store, "t", KEPT)
        with pytest.raises(Conflict, match="there is a project TRIAL already"):
            await add_project(store, "t", replace(KEPT, note="another"))
        assert (await project_named(store, "t", "TRIAL")).note == "for the trial"

    async def test_a_name_is_no_path(self, store: ObjectStore) -> None:
        for name in ("../x", "a/b", ""):
            with pytest.raises(InvalidRequest):
                await project_named(store, "t", name)
            with pytest.raises(InvalidRequest):
                await add_project(store, "t", KeptProject(replace(PROJECT, name=name), 0, ""))

    @pytest.mark.parametrize("damage", ["cut", "key", "name", "version", "option"])
    async def test_what_cannot_be_read_is_not_none(self, store: ObjectStore, damage: str) -> None:
        await add_project(store, "t", KEPT)
        key = f"{project_prefix('t')}TRIAL.json"
        said = orjson.loads(await store.get(key))
        await store.delete(key)
        changes = {
            "key": {"key": "00"},
            "name": {"name": "OTHER"},
            "version": {"version": 2},
            "option": {"options": ["all"]},
        }
        data = orjson.dumps(said | changes.get(damage, {}))
        await store.put_new(key, data[:40] if damage == "cut" else data)
        with pytest.raises(Corrupt):
            await project_named(store, "t", "TRIAL")

    async def test_an_escrow_tells_what_was_replaced(self, store: ObjectStore) -> None:
        for _ in range(2):  # the same run again
            escrow = Escrow(store, "t", "TRIAL")
            await escrow.add(Replaced({"2.25.1": "1.2.3"}, {"TRIAL-A": "P1"}))
            await escrow.add(Replaced({"2.25.2": "1.2.4"}))
            await escrow.write()
            await escrow.write()
        assert len([one async for one in store.list(escrow_prefix("t", "TRIAL"))]) == 1
        assert await revealed(store, "t", "TRIAL", "2.25.2") == "1.2.4"
        assert await revealed(store, "t", "TRIAL", "TRIAL-A") == "P1"
        for project, value in (("TRIAL", "2.25.3"), ("OTHER", "2.25.1")):
            with pytest.raises(NotFound):
                await revealed(store, "t", project, value)

    async def test_an_escrow_is_written_in_parts(self, store: ObjectStore) -> None:
        escrow = Escrow(store, "t", "TRIAL")
        for start in (0, 10_000, 20_000):
            uids = {f"2.25.{start + n}": f"1.2.{start + n}" for n in range(10_000)}
            await escrow.add(Replaced(uids))
        assert len([one async for one in store.list(escrow_prefix("t", "TRIAL"))]) == 3
        assert await revealed(store, "t", "TRIAL", "2.25.10001") == "1.2.10001"

    async def test_a_damaged_escrow_is_said_to_be(self, store: ObjectStore) -> None:
        await store.put_new(f"{escrow_prefix('t', 'TRIAL')}00.json", b"{")
        with pytest.raises(Corrupt):
            await revealed(store, "t", "TRIAL", "2.25.1")


class TestLocal(KeptProjectsContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[ObjectStore]:
        async with LocalObjectStore(tmp_path / "objects") as store:
            yield store


class TestS3(KeptProjectsContract):
    @pytest.fixture
    async def store(self, best_bucket: Place) -> AsyncIterator[ObjectStore]:
        async with S3ObjectStore(config_at(best_bucket)) as store:
            yield store
