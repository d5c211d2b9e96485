"""Study searches in DynamoDB: hints by key, newest first, then the studies themselves.

A hint is a place (`ordering`) that an index or a token item gives. It may be stale:
the study is read consistently by its UID, and counts only if it still stands at
that place and still matches.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from pacs_cloud.catalogue import items
from pacs_cloud.catalogue.dynamodb_table import GET_AT_ONCE, Item, Table
from pacs_cloud.catalogue.names import GRAM, PREFIX_LIMIT
from pacs_cloud.catalogue.ordering import UNDATED, date_span, month_of, study_of
from pacs_cloud.catalogue.port import (
    Anchor,
    ByAccession,
    ByDate,
    ByName,
    ByPatient,
    NamePart,
    StudyPage,
)
from pacs_cloud.catalogue.records import StudyRecord
from pacs_cloud.catalogue.searchkeys import search_keys
from pacs_cloud.errors import InvalidRequest

HINTS_AT_ONCE = 10_000
"""Hints that one page reads at most, some 250 read units; then it ends short, and its
cursor goes on."""

STUDIES_AT_ONCE = 500
"""Studies that one page reads at most, matching or not, likewise."""

_SMALLEST_QUERY = 20
_FILTERED_QUERY = 400

Hints = AsyncIterator[tuple[str, bool]]
"""Places, newest first, and whether what the hint says matches."""


@dataclass(frozen=True, slots=True)
class Search:
    """One page of a search.

    Attributes:
        table: where.
        tenant: whose studies.
        anchor: what to start from.
        before: the place that the page begins behind.
        limit: studies at most.
        date_shards: how many partitions a month has.
        infix: whether names have trigram tokens.
    """

    table: Table
    tenant: str
    anchor: Anchor
    before: str
    limit: int
    date_shards: int
    infix: bool

    async def page(self) -> StudyPage:
        """Return the page."""
        hints = self._hints()
        studies: list[StudyRecord] = []
        examined = 0
        read = 0
        last: str | None = None
        upcoming = await anext(hints, None)
        while (
            upcoming is not None
            and len(studies) < self.limit
            and examined < HINTS_AT_ONCE
            and read < STUDIES_AT_ONCE
        ):
            places: list[str] = []
            wanted = min(self.limit - len(studies), GET_AT_ONCE)
            # Several hints to one place are never parted: the cursor goes behind them all.
            while upcoming is not None and (
                upcoming[0] == last or (len(places) < wanted and examined < HINTS_AT_ONCE)
            ):
                place, matches = upcoming
                if matches and place not in places[-1:]:
                    places.append(place)
                last = place
                examined += 1
                upcoming = await anext(hints, None)
            read += len(places)
            studies.extend(await self._read(places))
        return StudyPage(tuple(studies), last if upcoming is not None else None, examined)

    async def _read(self, places: list[str]) -> list[StudyRecord]:
        """Return the studies at `places` that are still there and match, newest first."""
        found = await self.table.get_many(
            items.study_key(self.tenant, study_of(place)) for place in places
        )
        studies = {
            study.study_instance_uid: study
            for study in (items.study_of(item) for item in found if "d" in item)
        }
        matching: list[StudyRecord] = []
        for place in places:
            study = studies.get(study_of(place))
            keys = search_keys(study)
            if study and keys and keys.place == place and keys.match(self.anchor):
                matching.append(study)
        return matching

    def _hints(self) -> Hints:
        match self.anchor:
            case ByPatient(patient_id, issuer):
                return self._of_patient(patient_id, issuer)
            case ByAccession(accession):
                partition = items.accession_partition(self.tenant, accession)
                return self._index("by_accession", "ga", "gak", partition)
            case ByName(part, text):
                return self._of_name(part, text)
            case ByDate(first, last, modality):
                return self._of_date(first, last, modality)

    async def _of_patient(self, patient_id: str, issuer: str | None) -> Hints:
        wanted = None if issuer is None else items.short(issuer)
        own = items.patient_partition(self.tenant, patient_id)
        other = items.other_patient_partition(self.tenant, patient_id)
        sources = [
            self._index("by_patient", "gp", "gpk", own),
            self._tokens(other, lambda _: True),
        ]
        async for hint, _ in _merged(sources):
            place, _, said = hint.partition("#")
            yield place, wanted is None or said == wanted

    def _of_name(self, part: NamePart, text: str) -> Hints:
        if part is not NamePart.INFIX:
            partition = items.name_partition(self.tenant, part, text[:PREFIX_LIMIT])
            if not text:
                return self._of_date("", "", "")
            return self._tokens(partition, lambda term: term.startswith(text))
        if len(text) < GRAM:
            raise InvalidRequest(f"a text inside a name has at least {GRAM} letters")
        if not self.infix:
            # No key leads there: walk through all, as far as a page's reads go.
            return self._of_date("", "", "")
        partition = items.name_partition(self.tenant, part, text[:GRAM])
        return self._tokens(partition, lambda term: text in term)

    async def _tokens(self, partition: str, matches: Callable[[str], bool]) -> Hints:
        async for item in self._newest(
            "pk = :p AND sk < :b", partition, ConsistentRead=True, ProjectionExpression="sk, x"
        ):
            terms = item.get("x", {}).get("SS")
            yield item["sk"]["S"], terms is None or any(map(matches, terms))

    async def _index(self, index: str, pk: str, sk: str, partition: str) -> Hints:
        async for item in self._newest(f"{pk} = :p AND {sk} < :b", partition, IndexName=index):
            yield item[sk]["S"], True

    async def _of_date(self, first: str, last: str, modality: str) -> Hints:
        floor, ceiling = date_span(first, last)
        top = min(ceiling, self.before)
        if floor >= top:
            return
        async for month in self._months(floor, top):
            shards = [
                self._month(items.date_partition(self.tenant, month, shard), floor, top, modality)
                for shard in range(self.date_shards)
            ]
            async for hint in _merged(shards) if len(shards) > 1 else shards[0]:
                yield hint

    async def _months(self, floor: str, top: str) -> AsyncIterator[str]:
        """Yield the months that have studies, newest first, those without a date last."""
        newest = month_of(top) if top[:6].isdigit() else top[:6]
        if top.startswith(" "):
            newest = ""
        oldest = floor[:6]
        undated = False
        async for item in self.table.query(
            "pk = :p",
            {":p": items.text(items.month_partition(self.tenant))},
            ConsistentRead=True,
            ScanIndexForward=False,
            ProjectionExpression="sk",
        ):
            month = item["sk"]["S"]
            if month == UNDATED:
                undated = not floor
            elif oldest <= month <= newest:
                yield month
        if undated:
            yield UNDATED

    async def _month(self, partition: str, floor: str, top: str, modality: str) -> Hints:
        # BETWEEN takes both ends in; the cursor's own place is left out here.
        async for item in self._newest(
            "gd = :p AND gdk BETWEEN :f AND :b",
            partition,
            {":f": items.text(floor or " ")},
            top=top,
            page=_FILTERED_QUERY if modality else None,
            IndexName="by_date",
            ProjectionExpression="gdk, mods",
        ):
            if item["gdk"]["S"] < top:
                modalities = item.get("mods", {}).get("SS", ())
                yield item["gdk"]["S"], not modality or modality in modalities

    def _newest(
        self,
        condition: str,
        partition: str,
        values: Item | None = None,
        *,
        top: str | None = None,
        page: int | None = None,
        **more: Any,
    ) -> AsyncIterator[Item]:
        said: Item = {
            ":p": items.text(partition),
            ":b": items.text(self.before if top is None else top),
            **(values or {}),
        }
        size = page or max(self.limit // self.date_shards + 1, _SMALLEST_QUERY)
        return self.table.query(condition, said, page=size, ScanIndexForward=False, **more)


async def _merged(sources: list[Hints]) -> Hints:
    """Yield the hints of all sources, newest first; of one place first what matches."""
    heads = [(await anext(source, None), source) for source in sources]
    while True:
        best = max((head for head, _ in heads if head is not None), default=None)
        if best is None:
            return
        yield best
        heads = [
            (await anext(source, None) if head == best else head, source) for head, source in heads
        ]
