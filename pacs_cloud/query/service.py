"""The search service: rows of patients, studies, series or instances (PS3.4 C.4.1, PS3.18 10.6)."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from pacs_cloud.catalogue.port import ByPatient, Catalogue
from pacs_cloud.catalogue.records import Patient, SeriesRecord, StudyRecord, UidRef
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.errors import TooBroad
from pacs_cloud.pack.index import PackIndex, PackInstance
from pacs_cloud.query import computed
from pacs_cloud.query.criteria import Criteria, project
from pacs_cloud.query.planner import PATIENT_ID, PATIENT_ID_ISSUER, FromAnchor, plan
from pacs_cloud.query.request import Level, SearchRequest, SearchResult
from pacs_cloud.query.walk import Budget, Candidate, candidates

_WHOLE_TABLE_RECORDS = 100
"""A pack's table is one read of many instances: so many of them cost one record of the budget."""
_TABLES_AT_ONCE = 8
_COUNT_PAGE = 1000
_PREFETCH = 1
"""One row more than was asked for tells whether there are more."""


class Tables(Protocol):
    """Where decoded pack tables come from (`retrieve.tables.PackTables`)."""

    async def table(self, tenant: str, ref: UidRef) -> PackIndex:
        """Return the table of a committed pack."""
        ...


@dataclass(frozen=True, slots=True)
class _Row:
    elements: Elements
    is_last_read: bool
    """Whether finding the next row may cost another read."""


class Search:
    """Searches one archive; stateless, shared by all callers."""

    def __init__(
        self,
        catalogue: Catalogue,
        tables: Tables,
        *,
        budget: int = 50_000,
        max_rows: int = 10_000,
        has_cold_packs: bool = False,
    ) -> None:
        """Search `catalogue`.

        Args:
            catalogue: studies, series and packs.
            tables: instances.
            budget: records one search may examine.
            max_rows: of one answer of `find`.
            has_cold_packs: packs may lie in a cold tier, so that Instance Availability
                of a study or series needs its packs read; otherwise all are ONLINE.
        """
        self._catalogue = catalogue
        self._tables = tables
        self._budget = budget
        self._max_rows = max_rows
        self._has_cold_packs = has_cold_packs

    async def find(self, tenant: str, request: SearchRequest) -> SearchResult:
        """Return the rows of `request`, newest study first, in a stable order.

        Raises:
            InvalidRequest: a key's value is not one its attribute can have.
            TooBroad: not even the rows asked for are found within the budget.
        """
        asked = self._max_rows if request.limit is None else request.limit
        limit = min(asked, self._max_rows)
        criteria = Criteria(request)
        rows: list[Elements] = []
        further = 0
        is_exact = True
        to_skip = request.offset
        try:
            async with aclosing(self._rows(tenant, request, criteria, limit)) as found:
                async for row in found:
                    if to_skip:
                        to_skip -= 1
                    elif len(rows) < limit:
                        rows.append(row.elements)
                    else:
                        further += 1
                        if row.is_last_read:
                            is_exact = False
                            break
        except TooBroad:
            if len(rows) < limit:
                raise
            is_exact = False
        more = None if is_exact and not further else further
        return SearchResult(rows, more, is_exact, criteria.ignored)

    async def rows(self, tenant: str, request: SearchRequest) -> AsyncGenerator[Elements]:
        """Yield the rows of `request` as they are found, without an upper limit of its own.

        The caller may stop at any row (C-CANCEL) and must then close the iterator.

        Raises:
            InvalidRequest: as `find`.
            TooBroad: the budget is spent; rows that came before are right.
        """
        limit = request.limit
        to_skip = request.offset
        criteria = Criteria(request)
        want = self._max_rows if limit is None else limit
        async with aclosing(self._rows(tenant, request, criteria, want)) as found:
            async for row in found:
                if to_skip:
                    to_skip -= 1
                    continue
                if limit is not None:
                    if limit == 0:
                        return
                    limit -= 1
                yield row.elements

    async def _rows(
        self, tenant: str, request: SearchRequest, criteria: Criteria, want: int
    ) -> AsyncGenerator[_Row]:
        budget = Budget(self._budget)
        start = plan(request)
        found = candidates(
            self._catalogue, tenant, start, budget, want=request.offset + want + _PREFETCH
        )
        # Each further study of a wide search costs reads of its own below the study level.
        reads_each = isinstance(start, FromAnchor) and (
            request.level > Level.STUDY or criteria.lower_than(Level.STUDY)
        )
        patients: set[Patient | str] = set()
        async with aclosing(found) as studies:
            async for candidate in studies:
                study = await self._study_elements(request, criteria, candidate.study)
                if study is None:
                    continue
                is_last_read = reads_each or candidate.is_last_read
                if request.level <= Level.STUDY:
                    if not await self._has_matching_part(criteria, candidate, budget):
                        continue
                    if request.level == Level.PATIENT:
                        patient = _patient_of(candidate.study)
                        if patient in patients:
                            continue
                        patients.add(patient)
                        study |= await self._patient_counts(request, candidate.study, budget)
                    yield _Row(project(request.returns, study), is_last_read)
                    continue
                async for elements in self._parts(request, criteria, candidate, study, budget):
                    yield _Row(elements, is_last_read)

    async def _study_elements(
        self, request: SearchRequest, criteria: Criteria, study: StudyRecord
    ) -> Elements | None:
        """Return a study's attributes with the computed ones; None when it does not match."""
        elements = study.attributes | computed.of_study(study)
        if not criteria.match(Level.STUDY, elements):
            return None
        if _returns(request, computed.INSTANCE_AVAILABILITY) and request.level == Level.STUDY:
            packs = (
                await self._catalogue.packs(study.tenant, study.study_instance_uid)
                if self._has_cold_packs
                else ()
            )
            elements[computed.INSTANCE_AVAILABILITY] = computed.availability(packs)
        return elements

    async def _has_matching_part(
        self, criteria: Criteria, candidate: Candidate, budget: Budget
    ) -> bool:
        """Tell whether a study has a series (and instance) that match the keys of their levels."""
        if not criteria.lower_than(Level.STUDY):
            return True
        request = SearchRequest(
            Level.IMAGE if criteria.has(Level.IMAGE) else Level.SERIES, returns=frozenset()
        )
        async with aclosing(self._parts(request, criteria, candidate, {}, budget)) as parts:
            async for _ in parts:
                return True
        return False

    async def _parts(
        self,
        request: SearchRequest,
        criteria: Criteria,
        candidate: Candidate,
        study: Elements,
        budget: Budget,
    ) -> AsyncGenerator[Elements]:
        """Yield the matching series or instances of one study."""
        tenant, study_uid = candidate.study.tenant, candidate.study.study_instance_uid
        all_series = await self._catalogue.series(tenant, study_uid)
        budget.spend(len(all_series))
        for record in sorted(all_series, key=_series_order):
            series = record.attributes | computed.of_series(record)
            if not criteria.match(Level.SERIES, series):
                continue
            if request.level == Level.SERIES:
                if criteria.has(Level.IMAGE) and not await self._instances(
                    criteria, record, candidate.refs, budget
                ):
                    continue
                yield project(request.returns, series, study)
                continue
            above = project(request.returns, series, study)
            for _, availability, elements in await self._instances(
                criteria, record, candidate.refs, budget
            ):
                elements[computed.INSTANCE_AVAILABILITY] = availability
                yield project(request.returns, elements, above)

    async def _instances(
        self,
        criteria: Criteria,
        series: SeriesRecord,
        refs: frozenset[UidRef] | None,
        budget: Budget,
    ) -> "list[tuple[PackInstance, dict[str, object], Elements]]":
        """Return the visible instances of a series that match, by Instance Number and UID."""
        packs = [
            (pack, ref)
            for pack in await self._catalogue.packs(
                series.tenant, series.study_instance_uid, series.series_instance_uid
            )
            if (ref := UidRef(pack.study_instance_uid, pack.series_instance_uid, pack.pack_id))
            and (refs is None or ref in refs)
        ]
        budget.spend(sum(1 + pack.instance_count // _WHOLE_TABLE_RECORDS for pack, _ in packs))
        found: list[tuple[PackInstance, dict[str, object], Elements]] = []
        for first in range(0, len(packs), _TABLES_AT_ONCE):
            some = packs[first : first + _TABLES_AT_ONCE]
            tables = await asyncio.gather(
                *(self._tables.table(series.tenant, ref) for _, ref in some)
            )
            for (pack, _), table in zip(some, tables, strict=True):
                availability = computed.availability((pack,))
                for instance in table.instances:
                    if instance.sop_instance_uid in pack.hidden:
                        continue
                    elements = table.attributes_of(instance)
                    if criteria.match(Level.IMAGE, elements):
                        found.append((instance, availability, elements))
        found.sort(key=lambda item: _instance_order(item[2], item[0].sop_instance_uid))
        return found

    async def _patient_counts(
        self, request: SearchRequest, study: StudyRecord, budget: Budget
    ) -> Elements:
        """Return the counts over all studies of a patient, if they are asked for."""
        patient_id = _first(study.attributes, PATIENT_ID)
        wanted = request.returns is None or request.returns & computed.PATIENT_COMPUTED
        if not wanted or not patient_id:
            # Studies without a patient ID have no patient that could be counted.
            return {}
        issuer = _first(study.attributes, PATIENT_ID_ISSUER)
        anchor = ByPatient(patient_id, issuer or None)
        studies: dict[str, StudyRecord] = {}
        found = candidates(
            self._catalogue, study.tenant, FromAnchor(anchor), budget, want=_COUNT_PAGE
        )
        async for candidate in found:
            if _patient_of(candidate.study) == _patient_of(study):
                studies[candidate.study.study_instance_uid] = candidate.study
        return computed.of_patient(studies.values())


def _returns(request: SearchRequest, tag: str) -> bool:
    return request.returns is None or tag in request.returns


def _patient_of(study: StudyRecord) -> Patient | str:
    """Return who a study's patient is; one without an ID is known by that study alone."""
    patient_id = _first(study.attributes, PATIENT_ID)
    if not patient_id:
        return study.study_instance_uid
    return Patient(_first(study.attributes, PATIENT_ID_ISSUER), patient_id)


def _first(elements: Elements, tag: str) -> str:
    values: Sequence[object] = elements.get(tag, {}).get("Value", ())
    return str(values[0]) if values and values[0] is not None else ""


def _number(elements: Elements, tag: str) -> float:
    try:
        return float(_first(elements, tag))
    except ValueError:
        return float("inf")


def _series_order(series: SeriesRecord) -> tuple[float, str]:
    return _number(series.attributes, "00200011"), series.series_instance_uid


def _instance_order(elements: Elements, sop_instance_uid: str) -> tuple[float, str]:
    return _number(elements, "00200013"), sop_instance_uid
