"""`tier apply` and `tier expired`: moving what is due, and what need not be kept."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pacs_cloud.bootstrap.services import now_us, open_reading, reads_cold, trash_of
from pacs_cloud.bootstrap.tier_checks import moved_by_rules, unmoved_words
from pacs_cloud.bootstrap.tiers import Expired, due, expired, moved
from pacs_cloud.catalogue.elements import first_text
from pacs_cloud.cli.on_record import concerns, open_stores
from pacs_cloud.cli.output import confirm, counted, counting, print_json, print_rows, stderr, stdout
from pacs_cloud.cli.tiering import INFEASIBLE, feasible_policies, movable_policies
from pacs_cloud.custody.trash.deletion import Trash
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.errors import Conflict, Corrupt, Denied, NotFound, Unavailable
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.objectstore.storage_classes import StorageClass, needs_recall
from pacs_cloud.query.planner import STUDY_DATE
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.cost.figures import size
from pacs_cloud.tiering.mover import Fate
from pacs_cloud.tiering.pins import pin_of
from pacs_cloud.tiering.policy import Policy

LEFT: Final = 1
INTERRUPTED: Final = 130
"""What a shell calls a command that was ended by Ctrl-C (128 and SIGINT's number)."""
_PIN: Final = "pin"


def apply_policies(settings: Settings, file: Path, *, sure: bool, as_json: bool) -> int:
    """Move what is due; return the exit code.

    Raises:
        InvalidRequest: the policies cannot be read, or it was not confirmed.
        NotFound: there is no archive.
        Unavailable: a store cannot be reached; stderr says what was done until then.
    """
    policies = movable_policies(settings, file)
    if policies is None:
        return INFEASIBLE
    if not sure:
        confirm(asyncio.run(_question(settings, policies)), sure=sure)
    fates: Counter[Fate] = Counter()
    try:
        is_hindered = asyncio.run(_apply(settings, policies, fates))
    except KeyboardInterrupt:
        stderr.print(f"Interrupted: {_said(fates)} What is done stands: apply again.")
        return INTERRUPTED
    except Unavailable:
        stderr.print(f"Not ended: {_said(fates)} What is done stands: apply again.")
        raise
    if is_hindered:
        return LEFT
    if as_json:
        print_json({fate.value: fates[fate] for fate in Fate})
    else:
        stdout.print(_said(fates))
    return LEFT if fates[Fate.LEFT] else 0


def _said(fates: Counter[Fate]) -> str:
    return (
        f"{counted(fates[Fate.MOVED], 'pack')} moved, {fates[Fate.ASKED]} tagged for the bucket's"
        f" lifecycle, {fates[Fate.LEFT]} left, {fates[Fate.PINNED]} pinned."
    )


async def _question(settings: Settings, policies: Sequence[Policy]) -> str:
    """Return what is to be confirmed, with its numbers."""
    packs: Counter[str] = Counter()
    length_bytes: Counter[str] = Counter()
    async with open_stores(settings, looks=True) as stores:
        async for move in due(settings, stores, policies):
            if not move.is_pinned:
                packs[move.to] += 1
                length_bytes[move.to] += move.pack.length_bytes
    if not packs:
        return "Nothing is due. Look at every pack all the same?"
    waits = any(map(needs_recall, packs)) and not reads_cold(settings)
    moves = ", ".join(
        f"{counted(packs[to], 'pack')} ({size(length_bytes[to])}) to {to}"
        for to in StorageClass
        if packs[to]
    )
    recalled = " What is cold has to be recalled before it is read." if waits else ""
    return f"Move {moves}?{recalled}"


async def _apply(settings: Settings, policies: Sequence[Policy], fates: Counter[Fate]) -> bool:
    """Move what is due, counting it; return whether something keeps all of it from that."""
    async with open_stores(settings) as stores:
        hindered, unsure = await unmoved_words(stores, policies)
        for words in (*hindered, *unsure):
            stderr.print(words)
        if hindered:
            return True
        with counting("packs") as progress:
            task = progress.add_task("", total=None)
            async for one in moved(settings, stores, policies):
                fates[one.fate] += 1
                progress.advance(task)
                if one.fate is Fate.LEFT:
                    pack = one.move.pack
                    stderr.print(f"{pack.study_instance_uid} {pack.pack_id}: {one.reason}")
    return False


def show_expired(settings: Settings, file: Path, *, delete: bool, sure: bool, as_json: bool) -> int:
    """Print the studies whose retention is over, deleted if that is asked; return the exit code.

    Raises:
        InvalidRequest: the policies cannot be read, or it was not confirmed.
        NotFound: there is no archive.
        Corrupt: a pin cannot be read; nothing was deleted.
        Denied, Unavailable: a store refuses, or cannot be reached; stderr says what was deleted
            until then.
    """
    policies = feasible_policies(file, by_rules=moved_by_rules(settings))
    if policies is None:
        return INFEASIBLE
    if delete:
        confirm(
            "Put every study whose retention is over, but pinned ones, into the trash?", sure=sure
        )
    rows: list[dict[str, object]] = []
    try:
        asyncio.run(_expired(settings, policies, rows, delete=delete))
    except KeyboardInterrupt:
        if delete:
            stderr.print(f"Interrupted: {_deleted_until(rows)}")
        return INTERRUPTED
    except (Denied, Unavailable):
        if delete:
            stderr.print(f"Not ended: {_deleted_until(rows)}")
        raise
    columns = ("study", "date", "policy", "instances", "bytes", "kept_by")
    columns = (*columns, "deleted") if delete else columns
    print_rows(rows, columns, as_json=as_json, empty="No study's retention is over.")
    return LEFT if any(row["deleted"] is False for row in rows) else 0


async def _expired(
    settings: Settings,
    policies: Sequence[Policy],
    rows: list[dict[str, object]],
    *,
    delete: bool,
) -> None:
    """Add a row for each study whose retention is over; delete those that nothing keeps."""
    scopes: list[Scope] = []
    async with (
        open_stores(settings, looks=not delete) as stores,
        open_reading(settings, stores) as reading,
    ):
        # Of many studies nothing is kept but what is printed.
        async for one in expired(settings, stores, policies):
            scopes.append(Scope(one.study.tenant, one.study.study_instance_uid))
            rows.append(_expired_row(one))
        studies = [
            scope.study_instance_uid
            for scope, row in zip(scopes, rows, strict=True)
            if not (delete and row["kept_by"])
        ]
        await concerns(settings.tenant, studies, looks=not delete)
        if delete:
            trash = trash_of(stores, reading.archive)
            for scope, row in zip(scopes, rows, strict=True):
                row["deleted"] = await _deleted(stores.objects, trash, scope, row)


def _expired_row(one: Expired) -> dict[str, object]:
    return {
        "study": one.study.study_instance_uid,
        "date": first_text(one.study.attributes, STUDY_DATE),
        "policy": one.policy.name,
        "instances": one.study.instance_count,
        "bytes": one.study.length_bytes,
        "kept_by": _PIN if one.is_pinned else "",
        "deleted": None,
    }


async def _deleted(
    objects: ObjectStore, trash: Trash, scope: Scope, row: dict[str, object]
) -> bool:
    """Delete a study that is not pinned; where that cannot be, say why, and let the others go."""
    if row["kept_by"]:
        return False
    try:
        # Looked at now: the list may be hours old.
        pin = await pin_of(objects, scope.tenant, scope.study_instance_uid, now_us=now_us())
        if pin is not None:
            row["kept_by"] = _PIN
            return False
        await trash.delete(scope)
    except (Conflict, Corrupt, NotFound) as error:
        stderr.print(f"{scope.study_instance_uid}: {error}")
        return False
    return True


def _deleted_until(rows: Sequence[dict[str, object]]) -> str:
    done = sum(row["deleted"] is True for row in rows)
    words = counted(done, "study is", "studies are")
    return f"{words} in the trash. What is done stands: delete again."
