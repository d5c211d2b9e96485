"""The studies a plan leads to, newest first, within a budget of records read."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

from pacs_cloud.catalogue.port import Anchor, Catalogue
from pacs_cloud.catalogue.records import StudyRecord, UidRef
from pacs_cloud.errors import TooBroad
from pacs_cloud.query.planner import FromAnchor, FromStudies, FromUids, Plan

_MAX_PAGE = 1000


class Budget:
    """How many records one search may still read, and whether it needs to."""

    def __init__(self, limit: int) -> None:
        """Allow `limit` records."""
        self._limit = limit
        self._left = limit
        self._is_enough = False
        self.left_unread = False
        """Whether something was not read because it was not needed any more."""

    def spend(self, records: int) -> None:
        """Count `records` as read; raises TooBroad when it is too much."""
        self._left -= records
        if self._left < 0:
            raise TooBroad(
                f"This search would read more than {self._limit} records. Give a patient ID, an "
                "accession number, the beginning of a patient's name, a study date range or a UID."
            )

    def suffice(self) -> None:
        """Let the search end where it would have to read on."""
        self._is_enough = True

    def may_read_on(self) -> bool:
        """Tell whether to read on; else something is left unread."""
        self.left_unread = self.left_unread or self._is_enough
        return not self._is_enough


@dataclass(frozen=True, slots=True)
class Candidate:
    """A study that may match.

    Attributes:
        study: its record.
        refs: the packs that hold the UIDs asked for, None where any may.
        only: the series that the caller sees; None: all. `study` is as if there were no others.
    """

    study: StudyRecord
    refs: frozenset[UidRef] | None
    only: frozenset[str] | None = None


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
        if not study.instance_count:
            continue  # all of it was deleted
        narrowed = refs[study.study_instance_uid] if are_instances else None
        yield Candidate(study, narrowed)


async def _pages(
    catalogue: Catalogue, tenant: str, anchor: Anchor, budget: Budget, want: int
) -> AsyncGenerator[Candidate]:
    size = min(max(want, 1), _MAX_PAGE)
    cursor: str | None = None
    while True:
        page = await catalogue.studies(tenant, anchor, after=cursor, limit=size)
        budget.spend(max(page.examined, 1))
        cursor = page.cursor
        for study in page.studies:
            yield Candidate(study, None)
        if cursor is None or not budget.may_read_on():
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
