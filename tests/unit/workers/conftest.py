"""A queue and a catalogue that workers work on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.workqueue.sqlite import SqliteWorkQueue


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[SqliteWorkQueue]:
    async with SqliteWorkQueue(tmp_path / "queue.sqlite") as opened:
        yield opened


@pytest.fixture
async def catalogue(tmp_path: Path) -> AsyncIterator[SqliteCatalogue]:
    async with SqliteCatalogue(tmp_path / "catalogue.sqlite") as opened:
        yield opened


@pytest.fixture
async def objects(tmp_path: Path) -> AsyncIterator[LocalObjectStore]:
    async with LocalObjectStore(tmp_path / "objects") as store:
        yield store
