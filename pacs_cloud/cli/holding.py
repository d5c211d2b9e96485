"""`hold set`, `hold release` and `hold list`."""

import asyncio
from collections import Counter
from typing import Final

from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.cli.moments import end_of, last_day, when
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import counted, print_json, print_rows, stderr, stdout
from pacs_cloud.custody.holds import HoldEntry, HoldKind, all_holds, hold_entries
from pacs_cloud.custody.holds_locks import (
    LockDifference,
    Locked,
    differences_of,
    lock_differences,
    lock_study,
)
from pacs_cloud.custody.holds_setting import HoldSet, release_hold, set_hold
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import NotFound
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.settings import Settings

DONE, UNSURE = 0, 1
_COLUMNS: Final = ("study", "kind", "until", "since", "by", "reason", "unlocked")


def set_(settings: Settings, study: str, *, reason: str, until: str, by: str, as_json: bool) -> int:
    """Set a legal hold, or with `until` a retention date; return the exit code.

    Raises:
        InvalidRequest: `until` is no day to come.
        InvalidUid: `study` is no UID.
        NotFound: there is no such study.
        Held: it has a later retention date.
    """
    until_us = end_of(until, now_us()) if until else 0
    done, locked = asyncio.run(_set(settings, parse_uid(study), reason, until_us, by))
    row = _plain(done.entry)
    if as_json:
        print_json({**row, "sure": done.is_sure, "packs": done.packs, **_locks(locked)})
    else:
        stdout.print(f"The study is held until {row['until']}." if until else "The study is held.")
        if locked.can_lock:
            stdout.print(f"The store locks {counted(locked.objects, 'object')} of it.")
        elif locked.can_lock is False:
            stdout.print(
                "This archive keeps it; the store itself locks nothing (lock= in the URL of"
                " `objects`, and a bucket with Object Lock)."
            )
    _tell_refused(locked)
    if not done.is_sure:
        stderr.print(
            "A purge of it may have begun before, and was not seen to end: the archive's worker"
            " takes it back within the hour, where it is not over. Then set the hold again, to"
            " be sure."
        )
    if not done.packs:
        stderr.print("Nothing of the study is left: a purge that had begun before has ended it.")
    return DONE if done.is_sure and done.packs and not locked.refused else UNSURE


async def _set(
    settings: Settings, study: str, reason: str, until_us: int, by: str
) -> tuple[HoldSet, Locked]:
    async with open_stores(settings) as stores:
        done = await set_hold(
            stores.objects,
            stores.catalogue,
            settings.tenant,
            study,
            reason=reason,
            who=by,
            now_us=now_us(),
            until_us=until_us,
        )
        return done, await lock_study(stores.objects, settings.tenant, study, now_us=now_us())


def _locks(locked: Locked) -> dict[str, object]:
    return {
        "can_lock": locked.can_lock is True,
        "locked": locked.objects,
        "refused": locked.refused,
    }


def _tell_refused(locked: Locked) -> None:
    if locked.refused:
        stderr.print(
            f"The store refuses to change the locks of {len(locked.refused)} objects, as"
            f" {locked.refused[0]}. Set or release the hold again once it lets us."
        )


def release(
    settings: Settings, study: str, *, reason: str, retention: bool, by: str, as_json: bool
) -> int:
    """Release a study's legal hold, or its retention date; return the exit code.

    Returns:
        1 if the store did not let go of all of it.

    Raises:
        InvalidUid: `study` is no UID.
        NotFound: it has none, and the store holds nothing of it.
    """
    kind = HoldKind.RETENTION if retention else HoldKind.LEGAL
    entry, locked = asyncio.run(_release(settings, parse_uid(study), kind, reason, by))
    if as_json:
        print_json({**_plain(entry), **_locks(locked)})
    else:
        stdout.print("Released.")
        if retention and locked.can_lock:
            stdout.print("What the store has locked until that date stays locked until then.")
    _tell_refused(locked)
    return UNSURE if locked.refused else DONE


async def _release(
    settings: Settings, study: str, kind: HoldKind, reason: str, by: str
) -> tuple[HoldEntry, Locked]:
    async with open_stores(settings) as stores:
        names = stores.objects, settings.tenant, study
        try:
            entry = await release_hold(*names, kind, reason=reason, who=by, now_us=now_us())
        except NotFound:
            entry = await _released_before(*names, kind)
            if entry is None:
                raise
        return entry, await lock_study(
            stores.objects,
            settings.tenant,
            study,
            now_us=now_us(),
            clears=kind is HoldKind.LEGAL,
        )


async def _released_before(
    objects: ObjectStore, tenant: str, study: str, kind: HoldKind
) -> HoldEntry | None:
    """Return the release of a legal hold that the store has not let go of; None without one.

    Its command died, or the store refused.
    """
    entries = await hold_entries(objects, tenant, study)
    last = max((one for one in entries if one.kind is kind), key=_entered, default=None)
    if kind is not HoldKind.LEGAL or last is None or last.is_set:
        return None
    differing = await differences_of(objects, tenant, study, now_us=now_us())
    is_left = any(one.found.is_held and not one.wanted.is_held for one in differing)
    return last if is_left else None


def _entered(entry: HoldEntry) -> int:
    return entry.entered_us


def show_holds(settings: Settings, *, as_json: bool) -> None:
    """Print what is held now, and where the store's locks are others than the holds say."""
    held, differing = asyncio.run(_list(settings))
    missing = Counter(one.study_instance_uid for one in differing if one.is_missing)
    more = Counter(one.study_instance_uid for one in differing if not one.is_missing)
    rows = [
        {**_plain(entry), "unlocked": missing[entry.study_instance_uid] or None} for entry in held
    ]
    print_rows(rows, _COLUMNS, as_json=as_json, empty="Nothing is held.")
    for study in sorted(missing):
        stderr.print(
            f"{missing[study]} objects of {study} are not locked as it is held: the worker"
            " locks them within a day, `pacs-cloud hold set` now."
        )
    for study in sorted(more):
        stderr.print(
            f"{more[study]} objects of {study} are locked by others than its holds, or since a"
            " release that died: `pacs-cloud hold release` again clears legal holds."
        )


async def _list(settings: Settings) -> tuple[list[HoldEntry], list[LockDifference]]:
    async with open_stores(settings) as stores:
        names, now = (stores.objects, settings.tenant), now_us()
        held = [entry async for entry in all_holds(*names, now_us=now)]
        return held, [one async for one in lock_differences(*names, now_us=now)]


def _plain(entry: HoldEntry) -> dict[str, object]:
    return {
        "study": entry.study_instance_uid,
        "kind": entry.kind,
        "held": entry.is_set,
        "until": last_day(entry.until_us),
        "since": when(entry.entered_us),
        "by": entry.who,
        "reason": entry.reason,
    }
