"""The studies a plan leads to, newest first, within a budget of records read."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

from pacs_cloud.catalogue.port import Anchor, Catalogue
from pacs_cloud.catalogue.records import StudyRecord, UidRef
from pacs_cloud.errors import TooBroad
from pacs_cloud.query.planner import FromAnchor, FromStudies, FromUids, Plan

_MAX_PAGE = 1000


class Budget:
    """How many records one search may still read."""

    __slots__ = ("_left", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._left = limit

    def spend(self, records: int) -> None:
        """Count `records` as read; raises TooBroad when it is too much."""
        self._left -= records
        if self._left < 0:
            raise TooBroad(
                f"This search would read more than {self.limit} records. Give a patient ID, an "
                "accession number, the beginning of a patient's name, a study date range or a UID."
            )


@dataclass(frozen=True, slots=True)
class Candidate:
    """A study that may match.

    Attributes:
        study: its record.
        refs: the packs that hold the UIDs asked for, None where any may.
        is_last_read: the next candidate costs another read of the catalogue.
    """

    study: StudyRecord
    refs: frozenset[UidRef] | None
    is_last_read: bool


async def candidates(
    catalogue: Catalogue, tenant: str, plan: Plan, budget: Budget, *, want: int
) -> AsyncGenerator[Candidate]:
    """Yield every study that may match, newest first.

    Args:
        catalogue: where they are.
        tenant: whose.
        plan: where to start.
        budget: spent by what is read.
        want: how many the caller is likely to need: the size of the first page.

    Raises:
        TooBroad: the budget is spent.
    """
    if isinstance(plan, FromAnchor):
        async for candidate in _pages(catalogue, tenant, plan.anchor, budget, want):
            yield candidate
        return
    if isinstance(plan, FromStudies):
        refs: Mapping[str, frozenset[UidRef]] = {}
        uids = plan.study_instance_uids
        budget.spend(len(uids))
    else:
        refs = await _studies_of(catalogue, tenant, plan.uids, budget)
        uids = tuple(refs)
    are_instances = isinstance(plan, FromUids) and plan.are_instances
    for study in await catalogue.studies_by_uid(tenant, uids):
        narrowed = refs[study.study_instance_uid] if are_instances else None
        yield Candidate(study, narrowed, is_last_read=False)


async def _pages(
    catalogue: Catalogue, tenant: str, anchor: Anchor, budget: Budget, want: int
) -> AsyncGenerator[Candidate]:
    size = min(max(want, 1), _MAX_PAGE)
    cursor: str | None = None
    while True:
        page = await catalogue.studies(tenant, anchor, after=cursor, limit=size)
        budget.spend(max(page.examined, 1))
        cursor = page.cursor
        last = len(page.studies) - 1
        for number, study in enumerate(page.studies):
            yield Candidate(study, None, is_last_read=number == last and cursor is not None)
        if cursor is None:
            return
        # What the first page did not satisfy is filtered hard: read on in larger steps.
        size = min(size * 2, _MAX_PAGE)


async def _studies_of(
    catalogue: Catalogue, tenant: str, uids: tuple[str, ...], budget: Budget
) -> Mapping[str, frozenset[UidRef]]:
    found = await catalogue.find_uids(tenant, uids)
    by_study: dict[str, set[UidRef]] = {}
    for refs in found.values():
        for ref in refs:
            by_study.setdefault(ref.study_instance_uid, set()).add(ref)
    budget.spend(len(uids) + len(by_study))
    return {study: frozenset(refs) for study, refs in by_study.items()}
