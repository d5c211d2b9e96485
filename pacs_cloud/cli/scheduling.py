"""`recall worklist`: the priors of patients who have an appointment."""

import asyncio
from typing import Final

from pacs_cloud.bootstrap.prefetching import Scheduled, prefetch_by_worklist
from pacs_cloud.cli.output import print_rows, stdout
from pacs_cloud.cli.recalling import open_cold
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.settings import Destination, Settings
from pacs_cloud.tiering.recall.prefetching import PriorFate

LEFT: Final = 1
_LEFT: Final = frozenset({PriorFate.OVER_BOUND, PriorFate.FAILED})
_COLUMNS: Final = ("study", "fate", "why", "bytes")


def start_by_worklist(settings: Settings, newest: int, *, as_json: bool) -> int:
    """Ask for the priors of scheduled patients, and print what became of them.

    Args:
        settings: of the archive, with the worklist to ask.
        newest: how many of each patient's; 0: by the rules.
        as_json: one JSON object for each prior.

    Returns:
        1 if some were left: over what may be prefetched in a day, or not to be had.

    Raises:
        InvalidRequest: no worklist is named, the peer has none, there are no rules, or
            nothing has to be recalled here.
        Unavailable: the peer or a store cannot be reached.
    """
    if settings.worklist is None:
        raise InvalidRequest("--from AET@HOST:PORT names the worklist, or the setting worklist")
    scheduled = asyncio.run(_ask(settings, settings.worklist, newest))
    rows = [
        {
            "study": prior.study_instance_uid,
            "fate": prior.fate.value,
            "why": one.why,
            "bytes": prior.length_bytes,
        }
        for one in scheduled
        for prior in one.priors
    ]
    print_rows(rows, _COLUMNS, as_json=as_json, empty="None of the patients has such a prior.")
    if not as_json:
        stdout.print(f"{len(scheduled)} procedures are scheduled.")
    return LEFT if any(prior.fate in _LEFT for one in scheduled for prior in one.priors) else 0


async def _ask(settings: Settings, ris: Destination, newest: int) -> list[Scheduled]:
    async with open_cold(settings) as stores:
        return [one async for one in prefetch_by_worklist(settings, stores, ris, newest=newest)]
