"""`reject`, and `rejections`: notes of our own, and what all of them hide."""

import asyncio
from collections import Counter
from dataclasses import asdict
from functools import partial
from typing import Any, Final

from pacs_cloud.bootstrap.services import (
    Stores,
    now_us,
    open_intake,
    open_reading,
    trash_of,
)
from pacs_cloud.catalogue.judging import LoadTable
from pacs_cloud.cli.moments import when
from pacs_cloud.cli.on_record import concerns, open_stores
from pacs_cloud.cli.output import confirm, counted, print_json, print_rows, stderr, stdout
from pacs_cloud.cli.scopes import checked, scope_of
from pacs_cloud.cli.this_user import this_user
from pacs_cloud.custody.rejections.arrivals import follow_pack
from pacs_cloud.custody.rejections.choosing import Chosen, choose
from pacs_cloud.custody.rejections.listing import Rejection, rejection, rejections
from pacs_cloud.custody.rejections.making import make_note
from pacs_cloud.custody.rejections.note import Why
from pacs_cloud.custody.rejections.tending import Settled, read_all_notes
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.dicom.key_selection import Document
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.pack.source import Door, Source
from pacs_cloud.security.caller import system
from pacs_cloud.settings import Settings

LEFT: Final = 1
_COLUMNS: Final = ("received", "why", "in_force", "named", "hidden", "missing", "note", "study")
_PLACES: Final[tuple[str, ...]] = ("study", "series", "instance", "state")
_WHYS: Final = {
    "quality": Why.QUALITY,
    "safety": Why.SAFETY,
    "worklist": Why.WORKLIST,
    "retention": Why.RETENTION,
}


def reject(
    settings: Settings,
    names: tuple[str, str, str],
    code: str,
    *,
    words: str,
    sure: bool,
    as_json: bool,
) -> None:
    """Store a rejection note about a study, a series or an instance, and follow it.

    Raises:
        InvalidRequest: there is no such code, or it was not confirmed.
        InvalidUid: a UID is none.
        Gone, NotFound: nothing of it is visible.
    """
    why = _WHYS.get(code)
    if why is None:
        raise InvalidRequest(f"--code is one of {', '.join(_WHYS)}, not {code!r}")
    scope, chosen = asyncio.run(_choose(settings, checked(*names)))
    if not sure:
        for series, count in Counter(one.series_instance_uid for one in chosen.evidence).items():
            stderr.print(f"series {series}: {counted(count, 'instance')}")
        stderr.print(
            f"{counted(len(chosen.evidence), 'instance')} will be hidden: {why.meaning}."
            " `pacs-cloud rejections undo` shows them again."
        )
    confirm(f"Reject {' / '.join(scope.uids)}?", sure=sure)
    made, hidden = asyncio.run(_reject(settings, scope, chosen, why, words))
    if as_json:
        named = len(chosen.evidence)
        print_json({"note": made.sop_instance_uid, "code": why, "named": named, "hidden": hidden})
    else:
        stdout.print(
            f"{counted(hidden, 'instance is', 'instances are')} hidden by the note"
            f" {made.sop_instance_uid}."
        )


async def _choose(settings: Settings, names: tuple[str, str, str]) -> tuple[Scope, Chosen]:
    async with open_stores(settings, looks=True) as stores:
        scope = await scope_of(settings, stores, names)
        return scope, await choose(stores.objects, stores.catalogue, scope, _load(stores))


async def _reject(
    settings: Settings, scope: Scope, chosen: Chosen, why: Why, words: str
) -> tuple[Document, int]:
    made = make_note(
        scope.study_instance_uid,
        chosen.header,
        chosen.evidence,
        why,
        words=words,
        now_us=now_us(),
    )
    async with open_stores(settings) as stores:
        async with open_intake(settings, stores) as intake:
            session = intake.session(system(scope.tenant), Source(Door.IMPORT, calling=this_user()))
            reception = session.begin_file()
            try:
                reception.write(made.file)
                await reception.drain()
                await reception.finish()
            finally:
                reception.abort()
            await session.commit()
        # A worker will do so too; whoever asked shall not wait for one.
        uid = made.sop_instance_uid
        for ref in (await stores.catalogue.find_uids(scope.tenant, [uid])).get(uid, ()):
            await follow_pack(
                stores.objects,
                stores.catalogue,
                scope.tenant,
                ref,
                load_table=_load(stores),
                now_us=now_us(),
            )
        one = await rejection(
            stores.objects, stores.catalogue, scope.tenant, uid, load_table=_load(stores)
        )
        return made, one.hidden


def show_all(settings: Settings, *, as_json: bool) -> None:
    """Print every note."""
    rows = [_plain(one) for one in asyncio.run(_list(settings))]
    print_rows(rows, _COLUMNS, as_json=as_json, empty="Nothing was rejected.")


async def _list(settings: Settings) -> list[Rejection]:
    async with open_stores(settings) as stores:
        some = rejections(stores.objects, stores.catalogue, settings.tenant, _load(stores))
        return [one async for one in some]


def show(settings: Settings, note: str, *, as_json: bool) -> None:
    """Print one note, and what it names; raises NotFound."""
    one = asyncio.run(_show(settings, note))
    places: list[dict[str, str]] = [
        dict(zip(_PLACES, (*place, state), strict=True)) for place, state in one.states.items()
    ]
    if as_json:
        print_json({**_plain(one), "instances": places})
        return
    for name, value in _plain(one).items():
        stdout.print(f"{name:10} {value}")
    print_rows(places, _PLACES, as_json=False, empty="It names nothing.")


async def _show(settings: Settings, note: str) -> Rejection:
    async with open_stores(settings) as stores:
        return await rejection(
            stores.objects, stores.catalogue, settings.tenant, note, load_table=_load(stores)
        )


def undo(settings: Settings, note: str, *, sure: bool, as_json: bool) -> None:
    """Put a note into the trash.

    Raises:
        InvalidRequest: it was not confirmed.
        Gone, NotFound: there is no such note, or it is in the trash already.
        Held: its study is on hold.
    """
    confirm(f"Put the note {note} into the trash, and show what it rejects?", sure=sure)
    before, after = asyncio.run(_undo(settings, note))
    shown = before.hidden - after.hidden
    if as_json:
        print_json({"note": note, "shown": shown, "hidden": after.hidden})
        return
    stdout.print(f"{counted(shown, 'instance is', 'instances are')} shown again.")
    if after.hidden:
        stdout.print(f"{after.hidden} stay hidden: another note names them.")


async def _undo(settings: Settings, note: str) -> tuple[Rejection, Rejection]:
    async with open_stores(settings) as stores, open_reading(settings, stores) as reading:
        find = partial(
            rejection,
            stores.objects,
            stores.catalogue,
            settings.tenant,
            note,
            load_table=_load(stores),
        )
        before = await find()
        await concerns(settings.tenant, [before.note.study_instance_uid])
        names = before.note.study_instance_uid, before.note.series_instance_uid
        await trash_of(stores, reading.archive).delete(Scope(settings.tenant, *names, note))
        return before, await find()


def read_all(settings: Settings, *, as_json: bool) -> int:
    """Read every note anew; return the exit code, 1 if something could not be read."""
    done = asyncio.run(_read_all(settings))
    if as_json:
        print_json(asdict(done))
    else:
        stdout.print(
            f"{counted(done.studies, 'study', 'studies')} with key objects;"
            f" {counted(done.instances, 'instance')} hidden or shown."
        )
        if done.problems:
            stderr.print(
                f"{counted(done.problems, 'pack was', 'packs were')} left: `pacs-cloud fsck` says"
                " which."
            )
    return LEFT if done.problems else 0


async def _read_all(settings: Settings) -> Settled:
    async with open_stores(settings) as stores:
        return await read_all_notes(
            stores.objects,
            stores.catalogue,
            settings.tenant,
            load_table=_load(stores),
            now_us=now_us(),
        )


def _load(stores: Stores) -> LoadTable:
    return partial(load_table, stores.objects, stores.catalogue)


def _plain(one: Rejection) -> dict[str, Any]:
    note = one.note
    return {
        "note": note.sop_instance_uid,
        "study": note.study_instance_uid,
        "series": note.series_instance_uid,
        "received": when(note.received_us),
        "code": note.why,
        "why": note.why.meaning,
        "in_force": one.in_force,
        "named": one.named,
        "hidden": one.hidden,
        "missing": one.missing,
    }
