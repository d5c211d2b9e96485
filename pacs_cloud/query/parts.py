"""The series and the instances of one study that match, in a stable order."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Final, NamedTuple, Protocol

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import PackRecord, SeriesRecord, StudyRecord, UidRef
from pacs_cloud.dicom.element_values import number
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.pack.index import PackIndex, PackInstance
from pacs_cloud.query import computed
from pacs_cloud.query.criteria import Criteria, project
from pacs_cloud.query.headers import Headers, cost_of
from pacs_cloud.query.request import HeaderPlace, Level, Row, SearchRequest
from pacs_cloud.query.walk import Budget, Candidate

_SERIES_NUMBER = "00200011"
_INSTANCE_NUMBER = "00200013"
_INSTANCES_PER_RECORD = 100
"""A pack's table is one read of many instances: so many cost as much as one record."""
_TABLES_AT_ONCE = 8
_EVERY: Final = Criteria(SearchRequest(Level.IMAGE))
"""No keys: every instance matches."""


class Tables(Protocol):
    """Where decoded pack tables come from (`retrieve.tables.PackTables`)."""

    async def shown_index(self, pack: PackRecord) -> PackIndex:
        """Return the table of a committed pack as its amendments show it."""
        ...

    async def headers(self, tenant: str, ref: UidRef) -> bytes:
        """Return the headers of a committed pack; instances find theirs by offset."""
        ...


class _Instance(NamedTuple):
    pack: PackRecord
    table: PackIndex
    entry: PackInstance

    @property
    def place(self) -> HeaderPlace:
        pack, entry = self.pack, self.entry
        return HeaderPlace(
            _ref(pack),
            entry.header_offset,
            entry.header_length,
            entry.sop_instance_uid,
            pack.amendments,
        )


class Parts:
    """Reads below the study."""

    def __init__(
        self,
        catalogue: Catalogue,
        tables: Tables,
        *,
        can_be_read: computed.CanBeRead,
    ) -> None:
        self._catalogue = catalogue
        self._tables = tables
        self._headers = Headers(tables)
        self._can_be_read = can_be_read

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
    ) -> AsyncGenerator[Row]:
        """Yield the rows of one study: series by number, instances by number, then by UID.

        Args:
            request: whose level is SERIES or IMAGE.
            criteria: its keys.
            candidate: the study.
            study: the study's attributes, for those that `request` returns.
            budget: spent by what is read.
        """
        record = candidate.study
        every = await self._series(candidate, budget)
        for series in sorted(every, key=_series_order):
            elements = series.attributes | computed.of_series(series)
            if not criteria.match(Level.SERIES, elements):
                continue
            above = project(request.returns, elements, study)
            if request.level == Level.SERIES:
                if not criteria.has(Level.IMAGE) or await self._instances(
                    criteria, series, candidate.refs, budget
                ):
                    row = above | await self._availability(request, series, record)
                    yield Row(row, await self._places(criteria, (series,), budget))
                continue
            found = await self._instances(criteria, series, candidate.refs, budget)
            for elements, one in _rows(request.returns, found, above, self._can_be_read):
                yield Row(elements) if criteria.wish.is_empty else Row(elements, (one.place,))

    async def places(
        self, criteria: Criteria, candidate: Candidate, budget: Budget
    ) -> tuple[HeaderPlace, ...]:
        """Return where the headers of a study's instances are, if any of them is wished."""
        if criteria.wish.is_empty:
            return ()
        every = await self._series(candidate, budget)
        return await self._places(criteria, every, budget)

    async def _series(self, candidate: Candidate, budget: Budget) -> list[SeriesRecord]:
        """Return a study's series, as far as the caller sees them."""
        record, only = candidate.study, candidate.only
        every = await self._catalogue.series(record.tenant, record.study_instance_uid)
        budget.spend(len(every))
        return [one for one in every if only is None or one.series_instance_uid in only]

    async def _places(
        self, criteria: Criteria, every: Sequence[SeriesRecord], budget: Budget
    ) -> tuple[HeaderPlace, ...]:
        if criteria.wish.is_empty:
            return ()
        found: list[HeaderPlace] = []
        for series in every:
            instances = await self._instances(_EVERY, series, None, budget)
            # A pack's together: read once.
            found += sorted((one.place for one in instances), key=_place_order)
        return tuple(found)

    async def _availability(
        self, request: SearchRequest, series: SeriesRecord, study: StudyRecord
    ) -> Elements:
        tag = computed.INSTANCE_AVAILABILITY
        if request.returns is not None and tag not in request.returns:
            return {}
        names = series.tenant, series.study_instance_uid, series.series_instance_uid
        packs = await self._catalogue.packs(*names) if study.has_cold_packs else ()
        return {tag: computed.availability(packs, self._can_be_read)}

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
        has_keys = criteria.has(Level.IMAGE)
        for first in range(0, len(packs), _TABLES_AT_ONCE):
            some = packs[first : first + _TABLES_AT_ONCE]
            tables = await asyncio.gather(*(self._tables.shown_index(pack) for pack in some))
            for pack, table in zip(some, tables, strict=True):
                found += [
                    _Instance(pack, table, entry)
                    for entry in table.instances
                    if entry.sop_instance_uid not in pack.hidden
                    and (not has_keys or criteria.match(Level.IMAGE, table.attributes_of(entry)))
                ]
        if criteria.has_header_keys:
            found = await self._by_header(criteria, found, budget)
        found.sort(key=_instance_order)
        return found

    async def _by_header(
        self, criteria: Criteria, instances: list[_Instance], budget: Budget
    ) -> list[_Instance]:
        if not instances:
            return []
        places = [one.place for one in instances]
        budget.spend(cost_of(places))
        headers = self._headers.read(instances[0].pack.tenant, places)
        async with aclosing(headers):
            found = [criteria.match_header(header) async for header in headers]
        return [one for one, matches in zip(instances, found, strict=True) if matches]


def _rows(
    returns: frozenset[str] | None,
    instances: Sequence[_Instance],
    above: Elements,
    can_be_read: computed.CanBeRead,
) -> Iterator[tuple[Elements, _Instance]]:
    """Yield each instance with what `returns` names of it.

    They may be thousands: what those of one pack share is put together once, and their
    own behind it.
    """
    shared: dict[tuple[str, str], Elements] = {}
    for one in instances:
        key = one.pack.pack_id, one.entry.transfer_syntax_uid
        base = shared.get(key)
        if base is None:
            own = {
                computed.INSTANCE_AVAILABILITY: computed.availability((one.pack,), can_be_read),
                computed.AVAILABLE_TRANSFER_SYNTAX: {"vr": "UI", "Value": [key[1]]},
            }
            base = shared[key] = project(returns, own, one.table.common, above)
        attributes = one.entry.attributes
        if returns is None:
            yield project(None, attributes, base), one
        else:
            own = {tag: attributes[tag] for tag in attributes if tag in returns}
            yield {**base, **own}, one


def _ref(pack: PackRecord) -> UidRef:
    return UidRef(pack.study_instance_uid, pack.series_instance_uid, pack.pack_id)


def _place_order(place: HeaderPlace) -> tuple[str, int]:
    return place.ref.pack_id, place.offset


def _series_order(series: SeriesRecord) -> tuple[float, str]:
    return _number(series.attributes, _SERIES_NUMBER), series.series_instance_uid


def _instance_order(one: _Instance) -> tuple[float, str]:
    attributes = one.entry.attributes
    holder = attributes if _INSTANCE_NUMBER in attributes else one.table.common
    return _number(holder, _INSTANCE_NUMBER), one.entry.sop_instance_uid


def _number(elements: Elements, tag: str) -> float:
    found = number(elements, tag)
    return float("inf") if found is None else found
