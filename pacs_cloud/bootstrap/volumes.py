"""The volumes that the light viewer looks at, with the memory that settings give them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.volumes import Volumes
from pacs_cloud.settings import Settings


@asynccontextmanager
async def open_volumes(settings: Settings, archive: Archive) -> AsyncGenerator[Volumes]:
    """Give the volumes of an archive; all processes on this machine share them."""
    folder = settings.data.absolute() / "volumes"
    volumes = Volumes(archive, folder, max_bytes=settings.volume_bytes)
    try:
        yield volumes
    finally:
        await volumes.aclose()
