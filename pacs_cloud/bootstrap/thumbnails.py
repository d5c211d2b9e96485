"""What keeps thumbnails of studies that go cold, for those who move and recall them."""

from collections.abc import Generator
from contextlib import closing, contextmanager

from pacs_cloud.bootstrap.services import Stores, reads_cold, recalls_of
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.keeping import KeepThumbnail, keep_none

_TABLES_BYTES = 32 << 20
_PIXELS_BYTES = 4 << 20


@contextmanager
def thumbnails_of(settings: Settings, stores: Stores) -> Generator[KeepThumbnail]:
    """Yield what keeps thumbnails, by one process that works on pixels, started when needed.

    It reads the stores themselves: that a study goes cold is no reading of it, which
    policies go by.
    """
    if reads_cold(settings):
        yield keep_none  # they are made of what is cold, at any time
        return
    archive = Archive(
        stores.catalogue,
        stores.objects,
        tables_max_bytes=_TABLES_BYTES,
        headers_max_bytes=_TABLES_BYTES,
        inflated_max_bytes=_TABLES_BYTES,
        pixel_processes=1,
        pixel_cache_bytes=_PIXELS_BYTES,
        at_hand=recalls_of(settings, stores).can_be_read,
    )
    with closing(archive):
        yield archive.thumbnails.keep
