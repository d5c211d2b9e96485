"""What C-MOVE does with instances that lie in a cold class: it waits, then leaves word."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from pacs_cloud.dimse import suboperations
from pacs_cloud.dimse.service import Operation
from pacs_cloud.dimse.state import AssociationAborted
from pacs_cloud.dimse.tally import Tally
from pacs_cloud.errors import Offline
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.instances import Located

LeaveWord: TypeAlias = Callable[[str, Sequence[Located]], Awaitable[None]]
"""Sees to it that instances are sent to an AE title of ours once they can be read."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How a C-MOVE waits.

    Attributes:
        leave_word: called when it is over and they have not come.
        most_s: how long it waits.
        every_s: how often it looks, and tells the requestor that it is alive.
    """

    leave_word: LeaveWord
    most_s: float
    every_s: float = 5.0

    async def wait(
        self,
        operation: Operation,
        archive: Archive,
        instances: Sequence[Located],
        destination: str,
    ) -> None:
        """Return when `instances` can be read, or the requestor has cancelled.

        Raises:
            Offline: not within the time; word was left.
            AssociationAborted, CancelledError: the requestor has gone; word was left.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self.most_s
        try:
            while True:
                try:
                    await archive.require(instances)
                except Offline:
                    if loop.time() >= until:
                        raise
                else:
                    return
                await operation.respond(suboperations.pending(Tally(len(instances))))
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(self.every_s, until - loop.time())):
                        await operation.cancelled.wait()
                        return
        except (Offline, AssociationAborted, asyncio.CancelledError):
            # Nobody has taken the wish back: that would be a C-CANCEL.
            await self.leave_word(destination, instances)
            raise
