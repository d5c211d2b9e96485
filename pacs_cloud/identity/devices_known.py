"""Devices as a process knows them: read when they are asked for, and believed for a moment."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from pacs_cloud.errors import Unavailable
from pacs_cloud.identity.devices import Device, folder_name, folders_of, read_device
from pacs_cloud.objectstore.port import ObjectStore

log = logging.getLogger(__name__)

_STALE_S: Final = 600.0
"""A store that does not answer keeps no modality out that was known a moment ago."""
_PATIENCE_S: Final = 10.0
"""A store that is silent for so long does not answer: a peer waits for its own answer meanwhile."""


@dataclass(slots=True)
class _Tenant:
    """What is known of one tenant's devices, and when it was read."""

    folders: frozenset[str] = frozenset()
    listed_s: float = float("-inf")
    devices: dict[str, tuple[float, Device | None]] = field(
        default_factory=dict[str, tuple[float, Device | None]]
    )
    listing: asyncio.Lock = field(default_factory=asyncio.Lock)


class KnownDevices:
    """What a store says of titles.

    Whoever calls can make titles up: those of which nothing is written cost no more than one
    listing in a while, however many are tried.
    """

    def __init__(
        self, objects: ObjectStore, keep_s: float, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Read from `objects`, and believe what it said for `keep_s` seconds of the clock."""
        self._objects = objects
        self._keep_s = keep_s
        self._now_s = now_s
        self._tenants: defaultdict[str, _Tenant] = defaultdict(_Tenant)

    async def find(self, tenant: str, title: str) -> Device | None:
        """Return the device of a title, disabled or not; None where nobody knows it.

        Raises:
            Corrupt: what is written of it cannot be read.
            Unavailable: the store does not answer, and it was not known lately.
        """
        known, folder = self._tenants[tenant], folder_name(title)
        known_s, device = known.devices.get(folder, (float("-inf"), None))
        if self._is_fresh(known_s):
            return device
        try:
            async with asyncio.timeout(_PATIENCE_S):
                if folder not in await self._folders(tenant):
                    return None
                read_s = self._now_s()
                now = (await read_device(self._objects, tenant, title)).device
        except (Unavailable, TimeoutError) as error:
            age_s = self._now_s() - known_s
            if device is None or age_s >= _STALE_S:
                raise Unavailable("the store does not answer") from error
            log.warning("device_taken_as_known", extra={"age_s": age_s})
            return device
        known.devices[folder] = read_s, now
        return now

    async def _folders(self, tenant: str) -> frozenset[str]:
        """Return of which titles something is written; those who wait share one listing."""
        known = self._tenants[tenant]
        async with known.listing:
            if not self._is_fresh(known.listed_s):
                listed_s = self._now_s()
                found = [name async for name in folders_of(self._objects, tenant)]
                known.folders, known.listed_s = frozenset(found), listed_s
            return known.folders

    def _is_fresh(self, read_s: float) -> bool:
        return self._now_s() - read_s < self._keep_s
