"""Changes of one study that race: each is on condition of the `rev` that was read.

Whoever loses reads again and makes another try.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

from pacs_cloud.catalogue.records import StudyRecord
from pacs_cloud.errors import Conflict, Unavailable

_TRIES = 40
_FIRST_PAUSE_S = 0.002
_LONGEST_PAUSE_S = 0.5


def next_rev(before: StudyRecord | None, now_us: int) -> int:
    """Return the `rev` of a study's next record: the time, and later than the last one.

    A study that is removed and made again so never repeats a `rev`.
    """
    return max(now_us, before.rev + 1) if before else now_us


async def until_done(step: Callable[[int], Awaitable[bool]]) -> None:
    """Make one change after another, until nobody has come between and nothing is left.

    Args:
        step: makes one change, and returns whether there may be more; raises Conflict
            where the study has changed since it was read. It is given the number of
            the try, so that no two have one `rev`.

    Raises:
        Unavailable: the study keeps changing.
    """
    for attempt in range(_TRIES):
        try:
            while await step(attempt):
                pass
        except Conflict:
            # Many may be at one study; let them not meet again.
            pause = min(_FIRST_PAUSE_S * 2**attempt, _LONGEST_PAUSE_S)
            await asyncio.sleep(random.uniform(0, pause))  # noqa: S311  not a secret
        else:
            return
    raise Unavailable(f"a study kept changing through {_TRIES} tries")
