"""A trail on this disk, and the objects it is sealed into."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pacs_cloud.objectstore.local import LocalObjectStore
from unit.audit.audit_house import House


@pytest.fixture
async def objects(tmp_path: Path) -> AsyncIterator[LocalObjectStore]:
    async with LocalObjectStore(tmp_path / "objects") as store:
        yield store


@pytest.fixture
def house(objects: LocalObjectStore, tmp_path: Path) -> House:
    return House(objects, tmp_path / "audit")
