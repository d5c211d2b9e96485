"""The objects and the catalogue against each other, both ways, changing nothing."""

import asyncio
from array import array
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import numpy as np
from blake3 import blake3

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import StudyState
from pacs_cloud.custody.findings import Finding, unknown_key
from pacs_cloud.custody.in_order import in_order
from pacs_cloud.custody.study_check import StudyCheck
from pacs_cloud.custody.walk import StudyObjects, objects_of_study, walk_studies, walk_unknown
from pacs_cloud.objectstore.port import ObjectInfo, ObjectStore

AT_ONCE = 8
"""Studies that are checked at a time: enough for a disk."""

NEVER_YOUNG_US = (1 << 63) - 1
StudyName = tuple[str, str]
"""Tenant and Study Instance UID."""
_Checked = tuple[StudyName | None, list[Finding]]


async def check(
    objects: ObjectStore,
    catalogue: Catalogue,
    *,
    tenant: str | None = None,
    deep: bool = False,
    settled_us: int = NEVER_YOUNG_US,
    at_once: int = AT_ONCE,
) -> AsyncGenerator[Finding, None]:
    """Yield everything that is not as it should be, study by study; as `check_studies`."""
    studies = check_studies(
        objects, catalogue, tenant=tenant, deep=deep, settled_us=settled_us, at_once=at_once
    )
    async with aclosing(studies) as checked:
        async for _, findings in checked:
            for finding in findings:
                yield finding


async def check_studies(
    objects: ObjectStore,
    catalogue: Catalogue,
    *,
    tenant: str | None = None,
    deep: bool = False,
    settled_us: int = NEVER_YOUNG_US,
    at_once: int = AT_ONCE,
) -> AsyncGenerator[tuple[StudyName | None, list[Finding]], None]:
    """Yield what is not as it should be of each study; of None what is of no study.

    What was yielded may be repaired while this goes on.

    Memory: the largest pack's table for each study under way, and eight bytes for
    every study of the archive.

    Args:
        objects: the store.
        catalogue: the catalogue.
        tenant: whose objects and records; None for all, and for keys outside the archive.
        deep: also read every byte of every pack, and look up every UID.
        settled_us: in a running archive, what is younger is not yet missed in the
            catalogue, microseconds since 1970 UTC. Without it the archive must be at rest.
        at_once: how many studies at a time: more where the store is far away.

    Raises:
        Unavailable: the store or the catalogue cannot be reached.
    """

    async def check_study(found: StudyObjects) -> _Checked:
        study = StudyCheck(objects, catalogue, found, deep=deep, settled_us=settled_us)
        name = found.tenant, found.study_instance_uid
        return name, [finding async for finding in study.run()]

    seen = _Seen()

    async def stored() -> AsyncIterator[StudyObjects | ObjectInfo]:
        async for found in walk_studies(objects, tenant):
            if isinstance(found, StudyObjects):
                seen.add(found.tenant, found.study_instance_uid)
            yield found

    async def check_found(found: StudyObjects | ObjectInfo) -> _Checked:
        if isinstance(found, StudyObjects):
            return await check_study(found)
        return None, [unknown_key(found)]

    async def check_unseen(state: StudyState) -> _Checked:
        study = state.study
        # Listed again: it may have come after the listing.
        return await check_study(
            await objects_of_study(objects, study.tenant, study.study_instance_uid)
        )

    async with aclosing(in_order(check_found, stored(), at_once)) as checked:
        async for one in checked:
            yield one
    await asyncio.to_thread(seen.seal)

    async def unseen() -> AsyncIterator[StudyState]:
        async for state in catalogue.export(tenant):
            if not seen.holds(state.study.tenant, state.study.study_instance_uid):
                yield state

    async with aclosing(in_order(check_unseen, unseen(), at_once)) as checked:
        async for one in checked:
            yield one
    if tenant is None:
        async for info in walk_unknown(objects):
            yield None, [unknown_key(info)]


class _Seen:
    """Studies by a 64-bit hash: one among a million is missed once in 10^13 checks."""

    def __init__(self) -> None:
        self._growing = array("Q")
        self._sorted = np.empty(0, dtype=np.uint64)

    def add(self, tenant: str, study_instance_uid: str) -> None:
        self._growing.append(_hash(tenant, study_instance_uid))

    def seal(self) -> None:
        """Make ready for questions; nothing is added any more."""
        self._sorted = np.sort(np.frombuffer(self._growing, dtype=np.uint64))

    def holds(self, tenant: str, study_instance_uid: str) -> bool:
        wanted = np.uint64(_hash(tenant, study_instance_uid))
        at = int(np.searchsorted(self._sorted, wanted))
        return at < len(self._sorted) and bool(self._sorted[at] == wanted)


def _hash(tenant: str, study_instance_uid: str) -> int:
    digest = blake3(f"{tenant}/{study_instance_uid}".encode()).digest(length=8)
    return int.from_bytes(digest, "little")
