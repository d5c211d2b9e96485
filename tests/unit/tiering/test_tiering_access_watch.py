"""A watched store is a store, and tells how much of packs is read."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import pytest

from contract.test_objectstore_contract import ObjectStoreContract
from pacs_cloud.errors import NotFound
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.tiering.access.watch import WatchedObjects

PACK = "packs/t/aa/1.2/1.2.1/a.zip"


class TestWatched(ObjectStoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[ObjectStore]:
        async with LocalObjectStore(tmp_path / "objects") as objects:
            yield WatchedObjects(objects, lambda *_: None)


async def test_what_is_read_of_packs_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []
    async with LocalObjectStore(tmp_path / "objects") as objects:
        for key in (PACK, "index/x"):
            await objects.put_new(key, bytes(100))
        store = WatchedObjects(objects, lambda *read: told.append(read))
        await store.get("index/x")
        async for _ in store.stream("index/x"):
            pass
        await store.get_suffix("index/x", 1)
        await store.head(PACK)
        assert not told

        await store.get(PACK, 10, 30)
        await store.get_suffix(PACK, 7)
        async for _ in store.stream(PACK, 1, 100, chunk_bytes=10):
            pass
        async with aclosing(cast("Any", store.stream(PACK, chunk_bytes=10))) as chunks:
            await anext(chunks)
        with pytest.raises(NotFound):
            await store.get("packs/none")
        with pytest.raises(NotFound):
            await anext(aiter(store.stream("packs/none")))
        assert told == [(PACK, length) for length in (20, 7, 99, 10)]
