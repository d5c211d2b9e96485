"""`conflicts list`, `show`, `promote` and `undo`."""

import asyncio
from functools import partial
from typing import Any, Final

from pacs_cloud.bootstrap.services import now_us, open_reading
from pacs_cloud.catalogue.records import ConflictKind
from pacs_cloud.cli.moments import when
from pacs_cloud.cli.on_record import concerns, open_stores
from pacs_cloud.cli.output import print_json, print_rows, stdout
from pacs_cloud.custody.conflicts.choosing import choose as choose_shown
from pacs_cloud.custody.conflicts.listing import Disagreement, disagreement, disagreements
from pacs_cloud.custody.conflicts.wording import in_words, shown_side
from pacs_cloud.retrieve.comparing import compared_pixels, compared_tags, locate
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.settings import Settings

_COLUMNS: Final = ("id", "found", "what", "instance", "study")
_SIDES: Final = ("newcomer", "other")


def show_all(settings: Settings, *, as_json: bool) -> None:
    """Print what disagrees."""
    rows = [_plain(one) for one in asyncio.run(_list(settings))]
    print_rows(rows, _COLUMNS, as_json=as_json, empty="Nothing contradicts each other.")


async def _list(settings: Settings) -> list[Disagreement]:
    async with open_stores(settings) as stores:
        return [one async for one in disagreements(stores.catalogue, settings.tenant)]


def show(settings: Settings, conflict_id: str, *, as_json: bool) -> None:
    """Print both sides of one, and in what they differ; raises NotFound."""
    shown = asyncio.run(_show(settings, conflict_id))
    if as_json:
        print_json(shown)
        return
    for name in ("id", "what", "instance", "shown", "resolution"):
        stdout.print(f"{name:12} {shown[name]}")
    if "tags" not in shown:
        return
    sides = [shown[side] for side in _SIDES]
    rows = [
        {"": name, **dict(zip(_SIDES, (side[name] for side in sides), strict=True))}
        for name in sides[0]
    ]
    print_rows(rows, ("", *_SIDES), as_json=False, empty="")
    print_rows(shown["tags"], ("path", *_SIDES), as_json=False, empty="The headers are equal.")
    frames: list[dict[str, Any]] = shown["pixels"]["frames"]
    for one in frames:
        stdout.print(f"frame {one['frame']}: {_said(one['differing'], one['largest'])}")
    if note := shown["pixels"]["note"]:
        stdout.print(f"pixels: {note}")


def _said(count: int | None, largest: int | None) -> str:
    if count is None:
        return "cannot be compared"
    return f"{count} pixels differ, by {largest} at most" if count else "no pixel differs"


async def _show(settings: Settings, conflict_id: str) -> dict[str, Any]:
    async with open_stores(settings) as stores, open_reading(settings, stores) as reading:
        one = await disagreement(stores.catalogue, settings.tenant, conflict_id)
        await concerns(settings.tenant, one.studies)
        if one.kind is ConflictKind.PATIENT:
            return _plain(one)
        find = partial(locate, reading.archive, stores.catalogue, settings.tenant)
        sides = [await find(ref, one.sop_instance_uid) for ref in (one.newcomer, one.other)]
        return {
            **_plain(one),
            **dict(zip(_SIDES, map(_described, sides), strict=True)),
            "tags": await compared_tags(reading.archive, *sides),
            "pixels": await compared_pixels(reading.archive, *sides),
        }


def choose(settings: Settings, conflict_id: str, *, by: str, undo: bool, as_json: bool) -> None:
    """Show the other one, or take that back.

    Raises:
        NotFound: there is no such conflict, or nothing to take back.
        Conflict: both are shown.
    """
    now = asyncio.run(_choose(settings, conflict_id, by, undo=undo))
    if as_json:
        print_json(_plain(now))
    else:
        stdout.print(f"Shown is the {_plain(now)['shown']}.")


async def _choose(settings: Settings, conflict_id: str, by: str, *, undo: bool) -> Disagreement:
    async with open_stores(settings) as stores:
        one = await disagreement(stores.catalogue, settings.tenant, conflict_id)
        await concerns(settings.tenant, one.studies)
        return await choose_shown(
            *(stores.objects, stores.catalogue, one), who=by, now_us=now_us(), undo=undo
        )


def _described(located: Located) -> dict[str, object]:
    """Return where an instance came from, and what it is."""
    instance = located.instance
    source = located.index.sources[instance.source]
    reason = located.pack.hidden.get(instance.sop_instance_uid)
    return {
        "shown": reason is None,
        "hidden": reason or "",
        "study": located.pack.study_instance_uid,
        "series": located.pack.series_instance_uid,
        "pack": located.pack.pack_id,
        "received": when(instance.received_us),
        "door": source.door,
        "calling": source.calling,
        "address": source.address,
        "transfer_syntax": instance.transfer_syntax_uid,
        "length_bytes": instance.length_bytes,
        "digest": instance.digest,
    }


def _plain(one: Disagreement) -> dict[str, Any]:
    return {
        "id": one.conflict_id,
        "kind": one.kind,
        "what": in_words(one),
        "found": when(one.found_us) if one.found_us else "",
        "study": one.newcomer.study_instance_uid,
        "series": one.newcomer.series_instance_uid,
        "instance": one.sop_instance_uid,
        "newcomer_pack": one.newcomer.pack_id,
        "other_pack": one.other.pack_id,
        "other_study": one.other.study_instance_uid,
        "other_series": one.other.series_instance_uid,
        "shown": shown_side(one),
        "resolution": one.resolution,
    }
