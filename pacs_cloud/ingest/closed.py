"""Packs between spool and catalogue."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from pacs_cloud.catalogue.judging import InstanceOutcome

Outcomes: TypeAlias = Mapping[str, InstanceOutcome]
"""What became of a pack's instances, by SOP Instance UID."""


def outcomes_to_come() -> asyncio.Future[Outcomes]:
    """Return a future whose error nobody has to look at: the committer has logged it."""
    future: asyncio.Future[Outcomes] = asyncio.get_running_loop().create_future()
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


@dataclass(slots=True, eq=False)
class ClosedPack:
    """A complete, durable pack in the spool.

    Attributes:
        path: where it is.
        length_bytes: how long it is.
        outcomes: set by its commit; an error where that failed for good.
        surprises: how often its commit failed in a way nobody has planned for.
        closed_s: when that was, seconds since 1970 UTC.
    """

    path: Path
    length_bytes: int
    outcomes: asyncio.Future[Outcomes] = field(default_factory=outcomes_to_come)
    surprises: int = 0
    closed_s: float = field(default_factory=time.time)
