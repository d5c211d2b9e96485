"""What is looked up for `/metrics`: kept for a while, and looked up again soon where it failed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pacs_cloud.bootstrap import exposing
from pacs_cloud.bootstrap.exposing import Exposition
from pacs_cloud.bootstrap.services import open_stores
from pacs_cloud.errors import Unavailable
from pacs_cloud.settings import Settings


async def test_a_store_that_was_away_for_a_moment_is_asked_again_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> AsyncIterator[None]:
        raise Unavailable("the catalogue is away")
        yield

    settings = Settings(data=tmp_path)
    monkeypatch.setattr(exposing, "_AGAIN_S", 0.0, raising=False)
    async with open_stores(settings, create=True) as stores:
        exposition = Exposition(settings, stores)
        with monkeypatch.context() as broken:
            broken.setattr(stores.catalogue, "export", away)
            text, _ = await exposition.text("")
            assert b"pacs_stored_packs" not in text
            assert b"pacs_queue_jobs{" in text
        text, _ = await exposition.text("")
        assert b"pacs_stored_packs" in text
