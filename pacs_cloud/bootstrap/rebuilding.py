"""The stores of a rebuild: the catalogue that it fills, and what becomes of the one before.

A file is filled beside the one in use, and takes its place at the end: a rebuild that was
stopped leaves the archive as it was. A table is emptied and filled where it is.
"""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pacs_cloud.bootstrap.adapters import open_catalogue, open_objects
from pacs_cloud.bootstrap.datalock import own_data
from pacs_cloud.bootstrap.open_files import allow_open_files
from pacs_cloud.bootstrap.services import refuse_absent
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.sqlite_beside import beside, discard, take_place
from pacs_cloud.custody.export import Exported, export_hash
from pacs_cloud.custody.rebuild import AT_ONCE
from pacs_cloud.custody.repair.missing_indexes import write_missing_indexes
from pacs_cloud.errors import Corrupt, Unavailable
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.settings import Settings, StoreUrl

STUDIES_AT_ONCE_FAR = 32
"""Where every request takes its time."""


class Begins(StrEnum):
    """Where a rebuild begins, in words for whoever started it."""

    ANEW = "making the catalogue anew"
    ANEW_AGAIN = (
        "making the catalogue anew; a rebuild was interrupted before (--resume would go on with it)"
    )
    NOTHING_LEFT = "no rebuild was interrupted: making the catalogue anew"
    UNREADABLE = "what an interrupted rebuild left cannot be read: making the catalogue anew"
    GOING_ON = "going on with the rebuild that was interrupted"


@dataclass(frozen=True, slots=True)
class Rebuilding:
    """What a rebuild works on.

    Attributes:
        objects: the store.
        catalogue: what is filled.
        wipe: whether it has to be emptied first.
        begins: where the rebuild begins.
        before: the logical export of the catalogue that is replaced; None where it cannot
            be read, or there is none, or what there is was left by an interrupted rebuild.
        at_once: how many studies at a time.
        url: of the catalogue.
    """

    objects: ObjectStore
    catalogue: Catalogue
    url: StoreUrl
    wipe: bool
    begins: Begins
    before: Exported | None
    at_once: int


@asynccontextmanager
async def open_rebuild(
    settings: Settings, *, resume: bool, compare: bool = True
) -> AsyncGenerator[Rebuilding]:
    """Open the stores of a rebuild; where it ends without an error the new catalogue counts.

    Args:
        settings: which stores.
        resume: go on with a rebuild that was interrupted.
        compare: read the logical export of the catalogue that is replaced.

    Raises:
        NotFound: there is no embedded archive at `settings.data`.
        Conflict: the data directory is in use.
        Unavailable: a store cannot be used.
    """
    allow_open_files()
    refuse_absent(settings)
    url = settings.catalogue_url
    is_file = url.scheme == "sqlite"
    async with AsyncExitStack() as stack:
        stack.enter_context(own_data(settings.data))
        objects = await stack.enter_async_context(open_objects(settings.objects_url))
        near = settings.objects_url.scheme == "file"
        begins = Begins.GOING_ON if resume else Begins.ANEW
        before = await _leave(settings, objects, export=compare and (is_file or not resume))
        if not is_file:
            catalogue = await stack.enter_async_context(open_catalogue(url))
            yield Rebuilding(
                objects, catalogue, url, not resume, begins, before, _at_once(is_near=False)
            )
            return
        path = Path(url.name)
        made = beside(path)
        begins = await _prepare(settings, made, resume=resume)
        async with open_catalogue(_at(url, made)) as catalogue:
            at_once = _at_once(is_near=near)
            yield Rebuilding(objects, catalogue, _at(url, made), False, begins, before, at_once)
        take_place(made, path)


def _at(url: StoreUrl, path: Path) -> StoreUrl:
    return url.model_copy(update={"name": str(path)})


def _at_once(*, is_near: bool) -> int:
    return AT_ONCE if is_near else STUDIES_AT_ONCE_FAR


async def _prepare(settings: Settings, made: Path, *, resume: bool) -> Begins:
    """Remove what an interrupted rebuild left, unless it can be gone on with."""
    if not made.exists():
        return Begins.NOTHING_LEFT if resume else Begins.ANEW
    if not resume:
        discard(made)
        return Begins.ANEW_AGAIN
    try:
        async with open_catalogue(
            settings.catalogue_url.model_copy(update={"name": str(made)})
        ) as catalogue:
            await export_hash(catalogue)
    except (Corrupt, Unavailable):
        discard(made)
        return Begins.UNREADABLE
    return Begins.GOING_ON


async def _leave(settings: Settings, objects: ObjectStore, *, export: bool) -> Exported | None:
    """Save from the catalogue in use what is nowhere else; return its logical export.

    None where it is not asked for, or the catalogue cannot be read.
    """
    url = settings.catalogue_url
    if url.scheme == "sqlite" and not Path(url.name).exists():
        return None
    try:
        async with open_catalogue(url) as catalogue:
            await write_missing_indexes(objects, catalogue)
            return await export_hash(catalogue) if export else None
    except (Corrupt, Unavailable):
        return None
