"""A store on this machine's disk."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pacs_cloud.objectstore.local import LocalObjectStore
from unit.identity.accounts_house import House


@pytest.fixture
async def objects(tmp_path: Path) -> AsyncIterator[LocalObjectStore]:
    async with LocalObjectStore(tmp_path / "objects") as store:
        yield store


@pytest.fixture
def house(objects: LocalObjectStore) -> House:
    return House(objects)
