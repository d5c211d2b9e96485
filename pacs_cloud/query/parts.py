"""The series and the instances of one study that match, in a stable order."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import PackRecord, SeriesRecord, UidRef
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.pack.index import PackIndex
from pacs_cloud.query import computed
from pacs_cloud.query.criteria import Criteria, first_text, project
from pacs_cloud.query.request import Level, SearchRequest
from pacs_cloud.query.walk import Budget, Candidate

_SERIES_NUMBER = "00200011"
_INSTANCE_NUMBER = "00200013"
_INSTANCES_PER_RECORD = 100
"""A pack's table is one read of many instances: so many cost as much as one record."""
_TABLES_AT_ONCE = 8


class Tables(Protocol):
    """Where decoded pack tables come from (`retrieve.tables.PackTables`)."""

    async def table(self, tenant: str, ref: UidRef) -> PackIndex:
        """Return the table of a committed pack."""
        ...


@dataclass(frozen=True, slots=True)
class _Instance:
    sop_instance_uid: str
    elements: Elements
    pack: PackRecord


class Parts:
    """Reads below the study."""

    def __init__(self, catalogue: Catalogue, tables: Tables, *, has_cold_packs: bool) -> None:
        self._catalogue = catalogue
        self._tables = tables
        self._has_cold_packs = has_cold_packs

    async def have_match(self, criteria: Criteria, candidate: Candidate, budget: Budget) -> bool:
        """Tell whether one series, and one instance of it, match the keys of their levels."""
        level = Level.IMAGE if criteria.has(Level.IMAGE) else Level.SERIES
        request = SearchRequest(level, returns=frozenset())
        async with aclosing(self.rows(request, criteria, candidate, {}, budget)) as found:
            async for _ in found:
                return True
        return False

    async def rows(
        self,
        request: SearchRequest,
        criteria: Criteria,
        candidate: Candidate,
        study: Elements,
        budget: Budget,
    ) -> AsyncGenerator[Elements]:
        """Yield the rows of one study: series by number, instances by number, then by UID.

        Args:
            request: whose level is SERIES or IMAGE.
            criteria: its keys.
            candidate: the study.
            study: the study's attributes, for those that `request` returns.
            budget: spent by what is read.
        """
        record = candidate.study
        every = await self._catalogue.series(record.tenant, record.study_instance_uid)
        budget.spend(len(every))
        for series in sorted(every, key=_series_order):
            elements = series.attributes | computed.of_series(series)
            if not criteria.match(Level.SERIES, elements):
                continue
            above = project(request.returns, elements, study)
            if request.level == Level.SERIES:
                if not criteria.has(Level.IMAGE) or await self._instances(
                    criteria, series, candidate.refs, budget
                ):
                    yield above | await self._availability(request, series)
                continue
            for one in await self._instances(criteria, series, candidate.refs, budget):
                own = one.elements | {
                    computed.INSTANCE_AVAILABILITY: computed.availability((one.pack,))
                }
                yield project(request.returns, own, above)

    async def _availability(self, request: SearchRequest, series: SeriesRecord) -> Elements:
        tag = computed.INSTANCE_AVAILABILITY
        if request.returns is not None and tag not in request.returns:
            return {}
        names = series.tenant, series.study_instance_uid, series.series_instance_uid
        packs = await self._catalogue.packs(*names) if self._has_cold_packs else ()
        return {tag: computed.availability(packs)}

    async def _instances(
        self,
        criteria: Criteria,
        series: SeriesRecord,
        refs: frozenset[UidRef] | None,
        budget: Budget,
    ) -> list[_Instance]:
        """Return the visible instances of a series that match."""
        committed = await self._catalogue.packs(
            series.tenant, series.study_instance_uid, series.series_instance_uid
        )
        packs = [pack for pack in committed if refs is None or _ref(pack) in refs]
        budget.spend(sum(1 + pack.instance_count // _INSTANCES_PER_RECORD for pack in packs))
        found: list[_Instance] = []
        for first in range(0, len(packs), _TABLES_AT_ONCE):
            some = packs[first : first + _TABLES_AT_ONCE]
            tables = await asyncio.gather(
                *(self._tables.table(pack.tenant, _ref(pack)) for pack in some)
            )
            for pack, table in zip(some, tables, strict=True):
                for instance in table.instances:
                    uid = instance.sop_instance_uid
                    if uid not in pack.hidden:
                        elements = table.attributes_of(instance)
                        if criteria.match(Level.IMAGE, elements):
                            found.append(_Instance(uid, elements, pack))
        found.sort(key=_instance_order)
        return found


def _ref(pack: PackRecord) -> UidRef:
    return UidRef(pack.study_instance_uid, pack.series_instance_uid, pack.pack_id)


def _series_order(series: SeriesRecord) -> tuple[float, str]:
    return _number(series.attributes, _SERIES_NUMBER), series.series_instance_uid


def _instance_order(instance: _Instance) -> tuple[float, str]:
    return _number(instance.elements, _INSTANCE_NUMBER), instance.sop_instance_uid


def _number(elements: Elements, tag: str) -> float:
    try:
        number = float(first_text(elements, tag))
    except ValueError:
        return float("inf")
    return number if number == number else float("inf")  # noqa: PLR0124 - "nan" has no place
