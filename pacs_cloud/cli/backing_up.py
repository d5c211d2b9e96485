"""`backup` and `restore`."""

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import Final

from pacs_cloud import __version__
from pacs_cloud.bootstrap.backing_up import (
    backup_source,
    backup_target,
    config_files,
    place_spool,
    settings_json,
    spool_files,
)
from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.cli.moments import when
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import counting, print_json, stderr, stdout
from pacs_cloud.custody.backup.archive_file import BackupReader, Manifest
from pacs_cloud.custody.backup.restoring import Restored, Restoring
from pacs_cloud.custody.backup.writing import write_backup
from pacs_cloud.settings import Settings

DONE, LEFT = 0, 1
_NAMED: Final = 20


def write(settings: Settings, to: str, *, with_indexes: bool, as_json: bool) -> None:
    """Write a backup, and print what is in it.

    Raises:
        Conflict: there is one already.
        InvalidRequest: it is no place.
        Unavailable: the store cannot be reached, or the file not written.
    """
    manifest, file = asyncio.run(_write(settings, to, with_indexes=with_indexes))
    parts = {name: part.members for name, part in manifest.parts.items()}
    if as_json:
        print_json({"to": file, "made": when(manifest.made_us), "parts": parts})
        return
    for name, count in parts.items():
        stdout.print(f"{count:>8} {name}")
    stdout.print(f"The backup is complete: {file}")


async def _write(settings: Settings, to: str, *, with_indexes: bool) -> tuple[Manifest, str]:
    made_us = now_us()
    name = f"pacs-backup-{datetime.fromtimestamp(made_us / 1e6, UTC):%Y%m%dT%H%M%SZ}.zip"
    async with open_stores(settings) as stores, backup_target(to, name) as (path, file):
        with counting("backing up") as progress:
            task = progress.add_task("", total=None)
            manifest = await write_backup(
                stores.objects,
                path,
                settings=settings_json(settings),
                config=await asyncio.to_thread(config_files, settings),
                spool=await asyncio.to_thread(spool_files, settings),
                with_indexes=with_indexes,
                made_us=made_us,
                release=__version__,
                progress=partial(progress.advance, task),
            )
    return manifest, file


def put_back(settings: Settings, file: str, *, replace: bool, do: bool, as_json: bool) -> int:
    """Restore from a backup, or say what that would do; return the exit code.

    Raises:
        NotFound: there is no such file.
        Corrupt: it is no backup, or not what was written.
        InvalidRequest: it is of a version that is not known here.
        Conflict: the archive runs.
    """
    done = asyncio.run(_restore(settings, file, replace=replace, do=do))
    left = len(done.differing) - len(done.replaced)
    if as_json:
        print_json(_plain(done, is_dry=not do))
    else:
        _say(done, is_dry=not do)
        if left:
            stderr.print(
                f"{left} objects differ from the backup and are left, as"
                f" {done.differing[0]}: --replace puts the backup's in their place."
            )
    return LEFT if left else DONE


async def _restore(settings: Settings, file: str, *, replace: bool, do: bool) -> Restored:
    async with (
        backup_source(file) as path,
        open_stores(settings, create=True, alone=True, looks=not do) as stores,
    ):
        with BackupReader(path) as backup, counting("restoring") as progress:
            task = progress.add_task("", total=2 * len(backup.names))
            return await Restoring(
                stores.objects,
                backup,
                partial(place_spool, settings),
                is_dry=not do,
                is_replacing=replace,
                progress=partial(progress.advance, task),
            ).run()


def _say(done: Restored, *, is_dry: bool) -> None:
    what = "are missing" if is_dry else "were missing, and are back"
    stdout.print(f"Of the backup of {when(done.manifest.made_us)}:")
    stdout.print(f"{len(done.missing)} objects {what}; {done.same} are there as they were.")
    for key in done.missing[:_NAMED]:
        stdout.print(f"    {key}")
    if len(done.missing) > _NAMED:
        stdout.print(f"    … and {len(done.missing) - _NAMED} more")
    if done.replaced:
        stdout.print(f"{len(done.replaced)} objects that differed were replaced.")
    if done.spool:
        stdout.print(f"{len(done.spool)} spooled packs {what}.")
    if done.erased:
        stdout.print(f"{done.erased} objects were erased since, and stay away.")
    if done.over:
        stdout.print(f"{done.over} objects are left out: the archive has newer ones of their kind.")
    if done.useless:
        stdout.print(f"{done.useless} objects are left out: nothing needs them any more.")
    if is_dry:
        stdout.print("Nothing was done: --yes does it.")
    elif done.missing or done.replaced or done.spool:
        stdout.print("Now run `pacs-cloud rebuild`.")


def _plain(done: Restored, *, is_dry: bool) -> dict[str, object]:
    return {
        "made": when(done.manifest.made_us),
        "done": not is_dry,
        "missing": done.missing,
        "differing": done.differing,
        "replaced": done.replaced,
        "same": done.same,
        "erased": done.erased,
        "over": done.over,
        "useless": done.useless,
        "spool": done.spool,
        "spool_known": done.spool_known,
    }
