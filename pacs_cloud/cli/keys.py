"""`key add`, `key list` and `key revoke`."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

from pacs_cloud.bootstrap.accounts import api_keys_of
from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.cli.moments import end_of, when
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import print_json, print_rows, stderr, stdout
from pacs_cloud.identity.keys import ApiKey, ApiKeys
from pacs_cloud.security.api_keys import read_key
from pacs_cloud.security.caller import Grant
from pacs_cloud.security.grant_text import grant_texts
from pacs_cloud.settings import Settings

_COLUMNS: Final = ("key", "note", "grants", "state", "until", "used")
_DAY_US: Final = 86_400_000_000
_DAY_S: Final = 86_400

R = TypeVar("R")


def add(
    settings: Settings,
    note: str,
    grants: tuple[Grant, ...],
    *,
    until: str,
    days: int,
    by: str,
    as_json: bool,
) -> None:
    """Make a key, also on an archive that is to be; print its secret.

    Raises:
        InvalidRequest: `until` is no day to come, or the note no line.
    """
    until_us = end_of(until, now_us()) if until else now_us() + days * _DAY_US

    def made(keys: ApiKeys) -> Awaitable[tuple[ApiKey, str]]:
        return keys.create(grants, until_us=until_us, note=note, by=by)

    key, secret = _with_keys(settings, made, create=True)
    if as_json:
        print_json({**_plain(key), "secret": secret})
        return
    stdout.print(secret)
    stderr.print(
        f"This is the secret of key {key.key_id}, good until {when(key.until_us)}. It cannot be"
        " shown again. Programs send it as `Authorization: Bearer …`."
    )


def list_keys(settings: Settings, *, as_json: bool) -> None:
    """Print every key, also those that are over."""

    async def every(keys: ApiKeys) -> list[dict[str, object]]:
        return [_plain(key, opens=await keys.opens(key)) for key in await keys.list()]

    rows = _with_keys(settings, every)
    print_rows(rows, _COLUMNS, as_json=as_json, empty="There are no keys.")


def revoke(settings: Settings, key_id: str, *, by: str, as_json: bool) -> None:
    """Let a key open nothing any more; raises NotFound."""
    # Whoever finds a secret somewhere need not take it apart.
    shown = read_key(key_id.strip())
    name = shown.key_id if shown else key_id.strip()
    key = _with_keys(settings, lambda keys: keys.revoke(name, by=by))
    if as_json:
        print_json(_plain(key))
    else:
        stdout.print(f"The key {key.key_id} opens nothing any more.")


def _with_keys(
    settings: Settings, work: Callable[[ApiKeys], Awaitable[R]], *, create: bool = False
) -> R:
    async def run() -> R:
        async with open_stores(settings, create=create) as stores:
            return await work(api_keys_of(settings, stores.objects))

    return asyncio.run(run())


def _plain(key: ApiKey, *, opens: bool = True) -> dict[str, object]:
    return {
        "key": key.key_id,
        "note": key.note,
        "grants": [text for grant in key.grants for text in grant_texts(grant)],
        "state": key.state(now_us(), opens=opens),
        "until": when(key.until_us),
        "used": _day(key.used_day),
        "made": when(key.made_us),
        "made_by": key.made_by,
        "revoked": when(key.revoked_us) if key.revoked_us else None,
        "revoked_by": key.revoked_by or None,
    }


def _day(day: int) -> str | None:
    return str(datetime.fromtimestamp(day * _DAY_S, UTC).date()) if day >= 0 else None
