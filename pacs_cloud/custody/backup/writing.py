"""A backup made: every object that is no pack, spool files, and settings."""

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from pacs_cloud.custody.backup.archive_file import (
    CONFIG,
    OBJECTS,
    SPOOL,
    BackupWriter,
    Manifest,
)
from pacs_cloud.custody.backup.trees import INDEXES, TREES, Tree
from pacs_cloud.errors import NotFound
from pacs_cloud.objectstore.numbered import last_in
from pacs_cloud.objectstore.port import ObjectStore

SETTINGS = "settings.json"


async def write_backup(
    objects: ObjectStore,
    path: Path,
    *,
    settings: bytes,
    config: Mapping[str, bytes],
    spool: Mapping[str, Path],
    with_indexes: bool,
    made_us: int,
    release: str,
    progress: Callable[[], None] = lambda: None,
) -> Manifest:
    """Write a backup to `path`; return what is in it.

    The archive may run: an object that goes meanwhile is left out, unless another one takes its
    place, and of a spool file that grows is taken what is there. Memory: about half a KB for each
    object.

    Args:
        objects: the store, of all tenants.
        path: a new file.
        settings: those in force, without secrets, as JSON.
        config: by name, the files that they name.
        spool: by name, the files of packs that may not be committed.
        with_indexes: take index objects too: then no pack has to be read to make them again.
        made_us: now, microseconds since 1970 UTC.
        release: of this program.
        progress: called for each member.

    Raises:
        Conflict: there is such a file already.
        Unavailable: the store cannot be reached, or the file not written.
    """
    writer = BackupWriter(path, made_us=made_us, release=release)
    try:
        await writer.add(SETTINGS, settings)
        for name in sorted(config):
            await writer.add(CONFIG + name, config[name])
        # First: what is committed meanwhile is in the store then, and in the spool's part too.
        for name in sorted(spool):
            try:
                await writer.add_file(SPOOL + name, spool[name])
            except FileNotFoundError:
                continue  # it was committed meanwhile
            progress()
        for tree in (*TREES, *((INDEXES,) if with_indexes else ())):
            async for key, data in _objects(objects, tree):
                await writer.add(OBJECTS + key, data)
                progress()
        return await writer.finish()
    except BaseException:
        writer.drop()
        raise


async def _objects(objects: ObjectStore, tree: Tree) -> AsyncIterator[tuple[str, bytes]]:
    """Yield the objects of a tree, with their keys, each once."""
    ahead = ""
    async for info in objects.list(tree.prefix):
        if info.key == ahead:
            continue
        try:
            found = info.key, await objects.get(info.key)
        except NotFound:
            # The listing may be older than what stands for it now. Else: it has served.
            folder = f"{info.key.rpartition('/')[0]}/"
            last = await last_in(objects, folder) if tree.is_numbered else None
            if last is None or last[0] == ahead:
                continue
            ahead = last[0]
            found = last
        yield found
