"""`delete`, and `trash`: what was deleted, brought back or purged."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from typing import Final

from pacs_cloud.bootstrap.services import Stores, now_us, open_reading, trash_of
from pacs_cloud.cli.moments import when
from pacs_cloud.cli.on_record import concerns, open_stores
from pacs_cloud.cli.output import confirm, counted, print_json, print_rows, stderr, stdout
from pacs_cloud.cli.scopes import checked, scope_of
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.custody.trash.deletion import Restored, Trash
from pacs_cloud.custody.trash.listing import list_trash
from pacs_cloud.custody.trash.marks import Scope, marks
from pacs_cloud.custody.trash.purging import Purged, purge_readable, purge_study, tend_trash
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import InvalidRequest, NotFound
from pacs_cloud.remote.address import remote_of
from pacs_cloud.remote.connection import open_connection
from pacs_cloud.remote.deleting import delete as delete_afar
from pacs_cloud.remote.searching import places
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.cost.figures import size

LEFT: Final = 1
_DAY_US: Final = 86_400_000_000
_NO_MATTER_WHEN_US: Final = (1 << 63) - 1
_COLUMNS: Final = ("deleted", "until", "level", "instances", "study", "series", "instance")


def delete(
    settings: Settings, study: str, series: str, instance: str, *, sure: bool, as_json: bool
) -> None:
    """Put a study, a series or an instance into the trash.

    Raises:
        InvalidRequest: it was not confirmed.
        InvalidUid: a UID is none.
        NotFound: there is nothing of it.
        Held: its study is on hold.
        Unidentified, Denied, …: as `remote.answers.refusal`.
    """
    names = checked(study, series, instance)
    confirm(f"Delete {' / '.join(filter(None, names))}?", sure=sure)
    if settings.remote:
        _tell_of_afar(*asyncio.run(_delete_afar(settings, names)), as_json=as_json)
        return
    scope, deleted = asyncio.run(_delete(settings, names))
    if as_json:
        print_json({**_plain(scope), "deleted": deleted, "days": settings.trash_days})
    else:
        stdout.print(
            f"{counted(deleted, 'instance is', 'instances are')} in the trash; for"
            f" {settings.trash_days:g} days"
            " `pacs-cloud trash restore` brings them back."
        )


async def _delete(settings: Settings, names: tuple[str, str, str]) -> tuple[Scope, int]:
    async with _open(settings) as (stores, trash):
        scope = await scope_of(settings, stores, names)
        return scope, await trash.delete(scope)


async def _delete_afar(settings: Settings, names: tuple[str, str, str]) -> tuple[Scope, int]:
    study, series, instance = names
    async with open_connection(remote_of(settings)) as connection:
        found = await places(connection, study, series, instance)
        if instance:
            of_study = {one.series_instance_uid for one in found}
            if len(of_study) > 1:
                raise InvalidRequest("several series hold this instance: name one with --series")
            (series,) = of_study
        await delete_afar(connection, study, series, instance)
    return Scope(settings.tenant, study, series, instance), len(found)


def _tell_of_afar(scope: Scope, deleted: int, *, as_json: bool) -> None:
    if as_json:
        # How long its trash keeps them is not for DICOMweb to say.
        print_json({**_plain(scope), "deleted": deleted, "days": None})
    else:
        stdout.print(
            f"{counted(deleted, 'instance is', 'instances are')} deleted; whoever runs that archive"
            " may bring them back while its trash has them."
        )


def show_trash(settings: Settings, *, as_json: bool) -> None:
    """Print what can be restored, and until when."""
    rows = asyncio.run(_list(settings))
    print_rows(rows, _COLUMNS, as_json=as_json, empty="The trash is empty.")


async def _list(settings: Settings) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    async with open_stores(settings) as stores:
        async for one in list_trash(stores.objects, stores.catalogue, settings.tenant):
            until_us = one.deleted_us + round(settings.trash_days * _DAY_US)
            times = {"deleted": when(one.deleted_us), "until": when(until_us)}
            rows.append({**times, **_plain(one.scope), "instances": one.instances})
    return sorted(rows, key=lambda row: str(row["deleted"]))


def restore(settings: Settings, study: str, series: str, instance: str, *, as_json: bool) -> int:
    """Bring back what is in the trash; return the exit code.

    Returns:
        1 if something stays in the trash, because its UID was stored again, or was
        purged meanwhile.

    Raises:
        InvalidUid: a UID is none.
        NotFound: nothing of it is in the trash.
    """
    restored = asyncio.run(_restore(settings, checked(study, series, instance)))
    if as_json:
        print_json(asdict(restored))
    else:
        stdout.print(f"{counted(restored.instances, 'instance is', 'instances are')} back.")
        if restored.left:
            stderr.print(
                f"{counted(restored.left, 'instance stays', 'instances stay')} in the trash: one of"
                " the same UID is visible."
            )
        if restored.purged:
            stderr.print(
                f"{counted(restored.purged, 'instance was', 'instances were')} purged"
                " meanwhile, and gone for good."
            )
    return LEFT if restored.left or restored.purged else 0


async def _restore(settings: Settings, names: tuple[str, str, str]) -> Restored:
    async with _open(settings) as (stores, trash):
        return await trash.restore(await scope_of(settings, stores, names))


def purge(settings: Settings, study: str, *, everything: bool, sure: bool, as_json: bool) -> int:
    """Remove for good what is over its time; of `study`, or with `everything`, all at once.

    Returns:
        The exit code: 1 if studies were left because they cannot be read, or are held.

    Raises:
        InvalidRequest: it was not confirmed.
        InvalidUid: `study` is no UID.
        NotFound: nothing of `study` is in the trash.
        Held: `study` is on hold.
    """
    study = parse_uid(study) if study else ""
    if study or everything:
        what = f"what is deleted of {study}" if study else "everything in the trash"
        confirm(f"Purge {what}? Nothing brings it back.", sure=sure)
    purged = asyncio.run(_purge(settings, study, everything=everything))
    if as_json:
        print_json(asdict(purged))
    else:
        stdout.print(
            f"{counted(purged.instances, 'instance')} purged; {counted(purged.packs, 'pack')}"
            f" removed, {size(purged.length_bytes)}."
        )
        if purged.problems:
            stderr.print(
                f"{counted(purged.problems, 'study was', 'studies were')} left: the ledger or a"
                " pack's table cannot be read. `pacs-cloud fsck` says which."
            )
        if purged.held:
            stderr.print(
                f"{counted(purged.held, 'study was', 'studies were')} left, being on hold."
                " `pacs-cloud hold list` says why."
            )
    return LEFT if purged.problems or purged.held else 0


async def _purge(settings: Settings, study: str, *, everything: bool) -> Purged:
    async with open_stores(settings) as stores:
        load = partial(load_table, stores.objects, stores.catalogue)
        if not (study or everything):
            return await tend_trash(
                stores.objects,
                stores.catalogue,
                load_table=load,
                now_us=now_us(),
                retention_us=round(settings.trash_days * _DAY_US),
                tenant=settings.tenant,
            )
        studies = {
            mark.scope.study_instance_uid
            async for mark in marks(stores.objects, settings.tenant)
            if study in {"", mark.scope.study_instance_uid}
        }
        if study and not studies:
            raise NotFound("Nothing of this is in the trash.")
        await concerns(settings.tenant, studies)
        total = Purged()
        # One of many does not keep the others waiting; of one alone, what is wrong is told.
        work = purge_study if study else purge_readable
        for one in sorted(studies):
            total += await work(
                stores.objects,
                stores.catalogue,
                settings.tenant,
                one,
                load_table=load,
                now_us=now_us(),
                cutoff_us=_NO_MATTER_WHEN_US,
            )
        return total


@asynccontextmanager
async def _open(settings: Settings) -> AsyncGenerator[tuple[Stores, Trash]]:
    async with open_stores(settings) as stores, open_reading(settings, stores) as reading:
        yield stores, trash_of(stores, reading.archive)


def _plain(scope: Scope) -> dict[str, object]:
    return {
        "level": scope.level,
        "study": scope.study_instance_uid,
        "series": scope.series_instance_uid,
        "instance": scope.sop_instance_uid,
    }
