"""Archives in files that hold one file, for tests of the commands."""

import asyncio
from pathlib import Path

from pacs_cloud.bootstrap.services import open_intake, open_stores
from pacs_cloud.cli.importing import import_path
from pacs_cloud.settings import Settings


def fill(settings: Settings, file: Path) -> None:
    """Make the archive that `settings` name, and store `file` in it."""

    async def create() -> None:
        async with open_stores(settings, create=True) as stores, open_intake(settings, stores):
            pass

    asyncio.run(create())
    import_path(settings, str(file), as_json=True)
