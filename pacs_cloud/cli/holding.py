"""`hold set`, `hold release` and `hold list`."""

import asyncio
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from pacs_cloud.bootstrap.services import now_us, open_stores
from pacs_cloud.cli.moments import when
from pacs_cloud.cli.output import print_json, print_rows, stderr, stdout
from pacs_cloud.cli.this_user import this_user
from pacs_cloud.custody.holds import HoldEntry, HoldKind, all_holds
from pacs_cloud.custody.holds_setting import HoldSet, release_hold, set_hold
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.settings import Settings

DONE, UNSURE = 0, 1
_COLUMNS: Final = ("study", "kind", "until", "since", "by", "reason")


def set_(settings: Settings, study: str, *, reason: str, until: str, by: str, as_json: bool) -> int:
    """Set a legal hold, or with `until` a retention date; return the exit code.

    Raises:
        InvalidRequest: `until` is no day to come, or the reason is empty.
        InvalidUid: `study` is no UID.
        NotFound: there is no such study.
    """
    reason, by = _words(reason, by)
    until_us = _end_of(until) if until else 0
    done = asyncio.run(_set(settings, parse_uid(study), reason, until_us, by))
    row = _plain(done.entry)
    if as_json:
        print_json({**row, "sure": done.is_sure, "packs": done.packs})
    else:
        stdout.print(f"The study is held until {row['until']}." if until else "The study is held.")
    if not done.is_sure:
        stderr.print(
            "A purge of it may have begun before, and was not seen to end: the archive's worker"
            " takes it back within the hour, where it is not over. Then set the hold again, to"
            " be sure."
        )
    if not done.packs:
        stderr.print("Nothing of the study is left: a purge that had begun before has ended it.")
    return DONE if done.is_sure and done.packs else UNSURE


async def _set(settings: Settings, study: str, reason: str, until_us: int, by: str) -> HoldSet:
    async with open_stores(settings) as stores:
        return await set_hold(
            stores.objects,
            stores.catalogue,
            settings.tenant,
            study,
            reason=reason,
            who=by,
            now_us=now_us(),
            until_us=until_us,
        )


def release(
    settings: Settings, study: str, *, reason: str, retention: bool, by: str, as_json: bool
) -> None:
    """Release a study's legal hold, or its retention date.

    Raises:
        InvalidRequest: the reason is empty.
        InvalidUid: `study` is no UID.
        NotFound: it has none.
    """
    reason, by = _words(reason, by)
    kind = HoldKind.RETENTION if retention else HoldKind.LEGAL
    entry = asyncio.run(_release(settings, parse_uid(study), kind, reason, by))
    if as_json:
        print_json(_plain(entry))
    else:
        stdout.print("Released.")


async def _release(
    settings: Settings, study: str, kind: HoldKind, reason: str, by: str
) -> HoldEntry:
    async with open_stores(settings) as stores:
        return await release_hold(
            stores.objects, settings.tenant, study, kind, reason=reason, who=by, now_us=now_us()
        )


def show_holds(settings: Settings, *, as_json: bool) -> None:
    """Print what is held now."""
    rows = [_plain(entry) for entry in asyncio.run(_list(settings))]
    print_rows(rows, _COLUMNS, as_json=as_json, empty="Nothing is held.")


async def _list(settings: Settings) -> list[HoldEntry]:
    async with open_stores(settings) as stores:
        held = all_holds(stores.objects, settings.tenant, now_us=now_us())
        return [entry async for entry in held]


def _words(reason: str, by: str) -> tuple[str, str]:
    """Return the reason, and who gives it: the system's user where nobody is named."""
    if not reason.strip():
        raise InvalidRequest("a hold needs a --reason")
    return reason.strip(), by or this_user()


def _end_of(day: str) -> int:
    """Return the end of `day`, microseconds since 1970 UTC; raises InvalidRequest."""
    try:
        last = date.fromisoformat(day)
        end = datetime.combine(last + timedelta(days=1), time.min, UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(f"--until is a day, YYYY-MM-DD, not {day!r}") from error
    end_us = round(end.timestamp()) * 1_000_000
    if end_us <= now_us():
        raise InvalidRequest(f"--until {day} is over")
    return end_us


def _plain(entry: HoldEntry) -> dict[str, object]:
    last = datetime.fromtimestamp(entry.until_us / 1e6 - 1, UTC).date() if entry.until_us else None
    return {
        "study": entry.study_instance_uid,
        "kind": entry.kind,
        "held": entry.is_set,
        "until": str(last) if last else "",
        "since": when(entry.entered_us),
        "by": entry.who,
        "reason": entry.reason,
    }
