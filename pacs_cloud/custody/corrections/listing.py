"""The corrections of an archive, and how each stands."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.custody.corrections.book import (
    Undone,
    correction_marks,
    late_studies,
    listed_corrections,
    read_correction,
    read_undone,
)
from pacs_cloud.custody.corrections.correction import Correction
from pacs_cloud.custody.in_order import in_order
from pacs_cloud.objectstore.port import ObjectStore

_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class CorrectionState:
    """One correction as it is now.

    Attributes:
        correction: what was ordered.
        late: studies that came later.
        undone: who took it back; None: it stands.
        is_open: whether it was not seen to end: the worker ends it within minutes.
    """

    correction: Correction
    late: tuple[str, ...]
    undone: Undone | None
    is_open: bool

    @property
    def studies(self) -> tuple[str, ...]:
        """All that it is about."""
        return (*self.correction.studies, *self.late)


async def corrections(
    objects: ObjectStore, tenant: str, *, newest_first: bool = False
) -> AsyncGenerator[CorrectionState]:
    """Yield a tenant's corrections, oldest first, or the other way; raises Corrupt."""
    under_way = {mark.correction_id async for mark in correction_marks(objects, tenant)}

    async def names() -> AsyncIterator[str]:
        listed = await listed_corrections(objects, tenant)
        for one in reversed(listed) if newest_first else listed:
            yield one.correction_id

    async def read(correction_id: str) -> CorrectionState:
        return await _state(objects, tenant, correction_id, under_way)

    async with aclosing(in_order(read, names(), _AT_ONCE)) as states:
        async for state in states:
            yield state


async def correction_state(
    objects: ObjectStore, tenant: str, correction_id: str
) -> CorrectionState:
    """Return one correction; raises NotFound, Corrupt."""
    under_way = {mark.correction_id async for mark in correction_marks(objects, tenant)}
    return await _state(objects, tenant, correction_id, under_way)


async def _state(
    objects: ObjectStore, tenant: str, correction_id: str, under_way: set[str]
) -> CorrectionState:
    correction = await read_correction(objects, tenant, correction_id)
    late = await late_studies(objects, tenant, correction_id)
    # A study may be known from the beginning and have come again.
    more = tuple(uid for uid in late if uid not in correction.studies)
    undone = await read_undone(objects, tenant, correction_id)
    return CorrectionState(correction, more, undone, correction_id in under_way)


async def studies_showing(catalogue: Catalogue, state: CorrectionState) -> dict[str, bool]:
    """Return each study of a correction that is there, and whether it shows it now."""
    found = await catalogue.studies_by_uid(state.correction.tenant, state.studies)
    name = state.correction.correction_id
    return {
        study.study_instance_uid: any(one.correction_id == name for one in study.amendments)
        for study in found
    }
