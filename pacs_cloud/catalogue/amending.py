"""Changes of what amends a study: in its own record first, then in those of its packs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from pacs_cloud.catalogue.amendment_entries import AmendmentEntry
from pacs_cloud.catalogue.changing import Wanted, change_packs
from pacs_cloud.catalogue.judging import LoadTable
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.races import next_rev
from pacs_cloud.catalogue.records import StudyState
from pacs_cloud.dicom.amendment import Amendment, of_series


@dataclass(frozen=True, slots=True)
class Standing:
    """What shall stand over a study.

    Attributes:
        amendments: all of them, in order.
        last_us: when the ledger was told of its amendments last; 0 never.
        entry: what the ledger has to be told first, at the time of the change; None: it
            says all of it.
    """

    amendments: tuple[Amendment, ...]
    last_us: int = 0
    entry: AmendmentEntry | None = None


PlanAmendments = Callable[[StudyState], Awaitable[Standing]]
"""Returns what shall stand over a study, by the ledger as it is behind that state."""

RecordEntry = Callable[[AmendmentEntry], Awaitable[None]]
"""Writes an entry to the ledger; returns when it is durable."""


async def change_amendments(
    catalogue: Catalogue,
    tenant: str,
    study_instance_uid: str,
    plan: PlanAmendments,
    *,
    load_table: LoadTable,
    record: RecordEntry,
    now_us: int,
) -> bool:
    """Have a study show what `plan` says; return whether anything changed.

    Repeatable. The study's own record has its amendments from the first change on, so
    that whatever is committed meanwhile gets them too; where it has many packs they follow,
    40 at a time, and its attributes with them.

    Args:
        catalogue: where the study is.
        tenant: whose.
        study_instance_uid: which study; where there is none nothing is done.
        plan: asked again whenever the study has changed meanwhile.
        load_table: returns the table of a committed pack.
        record: writes to the ledger, before the catalogue shows it.
        now_us: microseconds since 1970 UTC.

    Raises:
        Corrupt, NotFound: a pack's table cannot be read.
        Unavailable: a store cannot be reached, or the study keeps changing.
    """
    is_changed = False

    async def intend(state: StudyState, attempt: int) -> Wanted:
        nonlocal is_changed
        standing = await plan(state)
        rev = next_rev(state.study, max(now_us + attempt, standing.last_us + 1))
        if standing.entry is not None:
            await record(replace(standing.entry, entered_us=rev))
        packs = {
            pack.pack_id: replace(pack, amendments=amendments)
            for pack in state.packs
            if (amendments := of_series(standing.amendments, pack.series_instance_uid))
            != pack.amendments
        }
        study = replace(state.study, amendments=standing.amendments)
        is_due = study != state.study
        is_changed |= is_due or bool(packs)
        return Wanted(rev, study, packs, is_due=is_due)

    await change_packs(catalogue, tenant, study_instance_uid, intend, load_table)
    return is_changed
