"""The search service: rows of patients, studies, series or instances (PS3.4 C.4.1, PS3.18 10.6)."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from pacs_cloud.catalogue.elements import first_text
from pacs_cloud.catalogue.port import ByPatient, Catalogue
from pacs_cloud.catalogue.records import Patient, StudyRecord
from pacs_cloud.catalogue.visibility import seen_series, sees
from pacs_cloud.dicom.attributes import PATIENT_TAGS
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.errors import TooBroad
from pacs_cloud.query import computed
from pacs_cloud.query.criteria import SPECIFIC_CHARACTER_SET, Criteria, project
from pacs_cloud.query.headers import Headers, cost_of
from pacs_cloud.query.parts import Parts, Tables
from pacs_cloud.query.planner import PATIENT_ID, PATIENT_ID_ISSUER, FromAnchor, plan
from pacs_cloud.query.request import HeaderPlace, Level, Row, SearchRequest, SearchResult
from pacs_cloud.query.walk import Budget, Candidate, candidates
from pacs_cloud.security.audit_event import Kind
from pacs_cloud.security.caller import Action, Caller
from pacs_cloud.security.labels import SENSITIVE
from pacs_cloud.security.witness import NOBODY, Witness, require

_OF_PATIENT = frozenset((SPECIFIC_CHARACTER_SET, *PATIENT_TAGS))
_PATIENT_PAGE = 1000
_ONE_MORE = 1
"""A row more than was asked for tells whether there are more."""


class Search:
    """Searches one archive; stateless, shared by all callers."""

    def __init__(
        self,
        catalogue: Catalogue,
        tables: Tables,
        *,
        budget: int = 50_000,
        max_rows: int = 10_000,
        can_be_read: computed.CanBeRead = computed.always,
        witness: Witness = NOBODY,
        sensitive: frozenset[str] = SENSITIVE,
    ) -> None:
        """Search `catalogue`.

        Args:
            catalogue: studies, series and packs.
            tables: instances.
            budget: records one search may examine.
            max_rows: of one answer of `find`.
            can_be_read: tells whether a pack is ONLINE, or NEARLINE.
            witness: puts on record who searched for what.
            sensitive: labels that hide a study from whoever is not named for them.
        """
        self._catalogue = catalogue
        self._parts = Parts(catalogue, tables, can_be_read=can_be_read)
        self._headers = Headers(tables)
        self._budget = budget
        self._max_rows = max_rows
        self._can_be_read = can_be_read
        self._witness = witness
        self._sensitive = sensitive

    async def find(self, caller: Caller, request: SearchRequest) -> SearchResult:
        """Return the rows of `request`, newest study first, in a stable order.

        Raises:
            Denied: the caller may not search.
            InvalidRequest: a key's value is not one its attribute can have.
            TooBroad: not even the rows asked for are found within the budget.
            Unavailable: a store does not answer, or nothing can be put on record.
        """
        await self._admit(caller, request)
        asked = self._max_rows if request.limit is None else request.limit
        limit = min(asked, self._max_rows)
        criteria = Criteria(request)
        budget = Budget(self._budget)
        rows: list[Elements] = []
        places: list[tuple[HeaderPlace, ...]] = []
        labels: list[frozenset[str]] = []
        wishes = not criteria.wish.is_empty
        passed = further = 0
        is_exact = True
        try:
            async with aclosing(self._rows(caller, request, criteria, budget, limit)) as found:
                async for row in found:
                    if passed < request.offset:
                        passed += 1
                    elif len(rows) < limit:
                        if wishes:
                            budget.spend(cost_of(row.places))
                            places.append(row.places)
                        rows.append(row.elements)
                        labels.append(row.labels)
                    else:
                        further += 1
                        budget.suffice()
        except TooBroad:
            if passed < request.offset or len(rows) < limit:
                raise
            is_exact = False
        is_exact = is_exact and not budget.left_unread
        more = None if is_exact and not further else further
        said = criteria.ignored, places, criteria.unreturned
        return SearchResult(rows, more, is_exact, *said, labels)

    async def whole_rows(
        self, caller: Caller, request: SearchRequest, result: SearchResult
    ) -> AsyncGenerator[Elements]:
        """Yield the rows of `find` with what `request` wants of full headers, one at a time.

        An attribute of a study or a series is one that all its instances agree on.
        """
        wish = Criteria(request).wish
        for row, places in zip(result.rows, result.places, strict=True):
            yield await self._headers.common(caller.tenant, places, wish) | row

    async def _admit(self, caller: Caller, request: SearchRequest) -> None:
        await require(self._witness, caller, Action.SEARCH)
        keys = " ".join(f"{'.'.join(key.path)}={key.text}" for key in request.keys)
        query = f"{request.level.name} {keys}".rstrip()
        recorded = self._witness.saw(caller, Kind.QUERY, query=query)
        if recorded is not None:
            await recorded

    def ignored(self, request: SearchRequest) -> tuple[tuple[str, ...], ...]:
        """Return the keys of `request` that are not matched: C-FIND's FF01. Raises as `find`."""
        return Criteria(request).ignored

    async def rows(self, caller: Caller, request: SearchRequest) -> AsyncGenerator[Elements]:
        """Yield the rows of `request` as they are found, however many there are.

        The caller may stop at any row (C-CANCEL); it closes the generator then.

        Raises:
            Denied, InvalidRequest: as `find`.
            TooBroad: the budget is spent; rows that came before are right.
        """
        await self._admit(caller, request)
        left = request.limit
        passed = 0
        want = self._max_rows if left is None else left
        criteria, budget = Criteria(request), Budget(self._budget)
        async with aclosing(self._rows(caller, request, criteria, budget, want)) as found:
            async for row in found:
                if left == 0:
                    return
                if passed < request.offset:
                    passed += 1
                    continue
                if left is not None:
                    left -= 1
                yield row.elements

    async def _rows(
        self,
        caller: Caller,
        request: SearchRequest,
        criteria: Criteria,
        budget: Budget,
        want: int,
    ) -> AsyncGenerator[Row]:
        start = plan(request)
        first_page = request.offset + want + _ONE_MORE
        found = candidates(self._catalogue, caller.tenant, start, budget, want=first_page)
        has_lower_keys = criteria.lower_than(Level.STUDY)
        # In a wide search each study costs reads of its own when its parts matter.
        reads_each = isinstance(start, FromAnchor) and (
            request.level != Level.STUDY or has_lower_keys
        )
        patients: set[Patient | str] = set()
        async with aclosing(found) as studies:
            async for candidate in studies:
                if not sees(caller, Action.SEARCH, candidate.study, self._sensitive):
                    continue
                candidate = await self._as_seen(caller, candidate, budget)  # noqa: PLW2901 - narrowed
                if not candidate.study.series_count:
                    continue
                record = candidate.study
                study = record.attributes | computed.of_study(record)
                if not criteria.match(Level.STUDY, study):
                    continue
                if reads_each and not budget.may_read_on():
                    return
                if request.level > Level.STUDY:
                    parts = self._parts.rows(request, criteria, candidate, study, budget)
                    async with aclosing(parts) as rows:
                        async for row in rows:
                            yield row
                    continue
                if has_lower_keys and not await self._parts.have_match(criteria, candidate, budget):
                    continue
                if request.level == Level.PATIENT:
                    patient = _patient_of(record)
                    if patient in patients:
                        continue
                    patients.add(patient)
                    study = project(_OF_PATIENT, study)
                    study |= await self._patient_counts(caller, request, record, budget)
                else:
                    study |= await self._availability(request, candidate)
                places = await self._parts.places(criteria, candidate, budget)
                labels = record.labels if request.level == Level.STUDY else frozenset[str]()
                yield Row(project(request.returns, study), places, labels)

    async def _as_seen(self, caller: Caller, candidate: Candidate, budget: Budget) -> Candidate:
        """Return a study as if it had no other series than those that the caller sees."""
        study = candidate.study
        only = seen_series(caller, Action.SEARCH, study, self._sensitive)
        if only is None:
            return candidate
        every = await self._catalogue.series(study.tenant, study.study_instance_uid)
        budget.spend(len(every))
        seen = [one for one in every if one.series_instance_uid in only]
        narrowed = replace(
            study,
            modalities=frozenset[str]().union(*(one.modalities for one in seen)),
            sop_classes=frozenset[str]().union(*(one.sop_classes for one in seen)),
            series_count=len(seen),
            instance_count=sum(one.instance_count for one in seen),
        )
        return replace(candidate, study=narrowed, only=only)

    async def _availability(self, request: SearchRequest, candidate: Candidate) -> Elements:
        tag = computed.INSTANCE_AVAILABILITY
        if request.returns is not None and tag not in request.returns:
            return {}
        record = candidate.study
        packs = (
            await self._catalogue.packs(record.tenant, record.study_instance_uid)
            if record.has_cold_packs
            else ()
        )
        if candidate.only is not None:
            packs = tuple(one for one in packs if one.series_instance_uid in candidate.only)
        return {tag: computed.availability(packs, self._can_be_read)}

    async def _patient_counts(
        self, caller: Caller, request: SearchRequest, study: StudyRecord, budget: Budget
    ) -> Elements:
        """Return the counts over the studies of a patient that are seen, if they are asked for."""
        patient = _patient_of(study)
        if request.returns is not None and not request.returns & computed.PATIENT_COMPUTED:
            return {}
        if isinstance(patient, str):
            return computed.of_patient((study,))
        anchor = FromAnchor(ByPatient(patient.patient_id, patient.issuer or None))
        found = candidates(self._catalogue, study.tenant, anchor, budget, want=_PATIENT_PAGE)
        studies = [
            (await self._as_seen(caller, one, budget)).study
            async for one in found
            if _patient_of(one.study) == patient
            and sees(caller, Action.SEARCH, one.study, self._sensitive)
        ]
        return computed.of_patient(one for one in studies if one.series_count)


def _patient_of(study: StudyRecord) -> Patient | str:
    """Return who a study's patient is; one without an ID is known by that study alone."""
    patient_id = first_text(study.attributes, PATIENT_ID)
    if not patient_id:
        return study.study_instance_uid
    return Patient(first_text(study.attributes, PATIENT_ID_ISSUER), patient_id)
