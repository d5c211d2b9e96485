"""A session of a real intake, on files."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.ingest.session import Session
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.pack.index import Door, Source
from pacs_cloud.security.caller import system


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[Session]:
    async with (
        LocalObjectStore(tmp_path / "objects") as objects,
        SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue,
        Intake(tmp_path / "spool", objects, catalogue) as intake,
    ):
        yield intake.session(system("default"), Source(Door.STOW))
