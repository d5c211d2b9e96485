"""`status`."""

import asyncio

from pacs_cloud.bootstrap.overview import slow_counts_of, state_of
from pacs_cloud.cli.moments import when
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import counted, counting, print_json, stdout
from pacs_cloud.custody.state import Stall
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.cost.figures import size


def show_status(settings: Settings, *, quick: bool, as_json: bool) -> None:
    """Print what lies where, what waits, what is wrong, and whether each store answers.

    With `quick` without what goes through all of the catalogue, or all holds.
    """
    status = asyncio.run(_status(settings, quick=quick))
    if as_json:
        print_json(status)
        return
    for name, value in status.items():
        for n, line in enumerate(_lines(value)):
            stdout.print(f"{'' if n else name.replace('_', ' '):22} {line}")


async def _status(settings: Settings, *, quick: bool) -> dict[str, object]:
    async with open_stores(settings) as stores:
        state = await state_of(settings, stores)
        status: dict[str, object] = {
            "objects": state.objects,
            "unmounted_tiers": [*state.unmounted_tiers],
            "catalogue": state.catalogue,
            "spool_packs": state.spool_packs,
            "spool_bytes": state.spool_bytes,
            "quarantined_files": state.quarantined_files,
            "jobs_ready": state.jobs_ready,
            "jobs_leased": state.jobs_leased,
            "jobs_dead": state.jobs_dead,
            **state.counts,
            "tier_policies": state.tier_policies,
            "stalled": (
                state.stalled if isinstance(state.stalled, str) else [*map(_stall, state.stalled)]
            ),
        }
        if not quick:
            with counting("studies") as progress:
                task = progress.add_task("", total=None)
                looked = slow_counts_of(settings, stores, looked=lambda: progress.advance(task))
                status["classes"], status["studies_on_hold"] = await looked
        return status


def _stall(stall: Stall) -> dict[str, object]:
    return {
        "chore": stall.chore,
        "since": when(stall.since_us),
        "tried": when(stall.tried_us),
        "reason": stall.reason,
    }


def _lines(value: object) -> list[str]:
    """Return what stands behind a name, a line for each thing of several."""
    match value:
        case None:
            return ["none"]
        case list():
            return [_line(one) for one in value] or ["none"]
        case dict():
            return [
                f"{name}: {counted(of['packs'], 'pack')}, {size(of['bytes'])}"
                for name, of in value.items()
            ] or ["none"]
        case _:
            return [str(value)]


def _line(one: object) -> str:
    match one:
        case {"chore": chore, "since": since, "tried": tried, "reason": reason}:
            return f"{chore}, since {since}, tried last {tried}: {reason}"
        case _:
            return str(one)
