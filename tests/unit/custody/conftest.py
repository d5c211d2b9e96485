"""An embedded archive to check, break and rebuild."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.objectstore.local import LocalObjectStore
from unit.custody.custody_house import House


@pytest.fixture
async def objects(tmp_path: Path) -> AsyncIterator[LocalObjectStore]:
    async with LocalObjectStore(tmp_path / "objects") as store:
        yield store


@pytest.fixture
async def catalogue(tmp_path: Path) -> AsyncIterator[SqliteCatalogue]:
    async with SqliteCatalogue(tmp_path / "catalogue.sqlite") as opened:
        yield opened


@pytest.fixture
def house(objects: LocalObjectStore, catalogue: SqliteCatalogue) -> House:
    return House(objects, catalogue)
