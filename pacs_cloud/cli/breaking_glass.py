"""`break-glass list` and `break-glass end`."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from pacs_cloud.bootstrap.auditing import open_trail
from pacs_cloud.bootstrap.breaking_glass import break_glass_of
from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.cli.moments import when
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import print_json, print_rows, stdout
from pacs_cloud.identity.break_glass import BreakGlass
from pacs_cloud.identity.break_glass_record import Override
from pacs_cloud.security.caller import system
from pacs_cloud.settings import Settings

_DOOR: Final = "cli"
_COLUMNS: Final = ("id", "user", "begun", "until", "ended", "ended_by", "studies", "reason")


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncGenerator[BreakGlass]:
    async with (
        open_stores(settings) as stores,
        open_trail(settings, stores, brief=True) as trail,
    ):
        yield break_glass_of(settings, stores, trail.record)


def list_overrides(settings: Settings, *, everything: bool, as_json: bool) -> None:
    """Print overrides."""

    async def found() -> list[tuple[str, Override]]:
        async with _opened(settings) as glass:
            return await glass.all()

    now = now_us()
    rows = [
        _plain(subject, one)
        for subject, one in asyncio.run(found())
        if everything or one.is_open(now)
    ]
    print_rows(rows, _COLUMNS, as_json=as_json, empty="Nobody has broken the glass.")


def end_overrides(
    settings: Settings, override_ids: Sequence[str], *, by: str, as_json: bool
) -> None:
    """End overrides; raises NotFound where one is none, and those before it are ended."""
    itself = system(settings.tenant)
    whoever = replace(itself, subject=f"{itself.subject}:{by}")

    async def end() -> None:
        async with _opened(settings) as glass:
            for one in override_ids:
                ended = await glass.end(whoever, one, door=_DOOR)
                if as_json:
                    print_json({"id": ended.override_id, "ended": when(ended.ended_us)})
                else:
                    stdout.print(f"{ended.override_id} opens nothing any more.")

    asyncio.run(end())


def _plain(subject: str, override: Override) -> dict[str, Any]:
    return {
        "id": override.override_id,
        "user": subject,
        "begun": when(override.begun_us),
        "until": when(override.until_us),
        "ended": when(override.ended_us) if override.ended_us else "",
        "ended_by": override.ended_by,
        "studies": list(override.studies),
        "reason": override.reason,
    }
