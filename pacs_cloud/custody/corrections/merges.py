"""The patient merges that stand: a study that comes later under such a patient follows them."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from pacs_cloud.custody.corrections.book import listed_corrections, read_correction
from pacs_cloud.custody.corrections.correction import Correction, CorrectionKind
from pacs_cloud.errors import Corrupt, Denied, NotFound
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.security import access
from pacs_cloud.security.caller import Action, Caller

log = logging.getLogger(__name__)

KEPT_US: Final = 10_000_000
"""How long what was read is believed: `tending` looks again for what came meanwhile."""


def refuse_bounded(caller: Caller) -> None:
    """Return where somebody may merge patients, and take that back.

    Raises:
        Denied: they may correct some studies only, and a merge takes whatever comes later.
    """
    if access.is_bounded(caller, Action.CORRECT):
        raise Denied(
            "A merge, and its undoing, are about all studies of a patient, also those that come"
            " later: whoever may correct some studies only moves each of these instead."
        )


class StandingMerges:
    """Merges of each tenant, oldest first, read again every now and then."""

    def __init__(self, objects: ObjectStore, now_us: Callable[[], int]) -> None:
        self._objects = objects
        self._now_us = now_us
        self._known: dict[tuple[str, str], Correction] = {}
        self._reading = asyncio.Lock()
        self._standing: dict[str, tuple[int, list[Correction]]] = {}

    async def of(self, tenant: str) -> list[Correction]:
        """Return the merges that stand in a tenant, as of ten seconds ago at most.

        One that cannot be read is passed over, and told: it must not keep others from being
        followed, nor whatever else waits for the packs that come in.

        Raises:
            Unavailable: the store cannot be reached.
        """
        async with self._reading:  # many ask at once
            read_us, standing = self._standing.get(tenant, (0, []))
            now_us = self._now_us()
            if not read_us <= now_us < read_us + KEPT_US:
                standing = await self._read(tenant)
                self._standing[tenant] = now_us, standing
            return standing

    async def _read(self, tenant: str) -> list[Correction]:
        names = [
            (tenant, one.correction_id)
            for one in await listed_corrections(self._objects, tenant)
            if one.kind is CorrectionKind.PATIENT_MERGE and not one.is_undone
        ]
        for name in names:
            if name in self._known:  # what was ordered never changes
                continue
            try:
                self._known[name] = await read_correction(self._objects, *name)
            except (Corrupt, NotFound, Denied) as error:
                log.error(
                    "correction_unreadable",
                    extra={"correction": name[1], "error": type(error).__name__},
                )
        return [self._known[name] for name in names if name in self._known]
