"""A study's amendments as its ledger has them, and the catalogue made to follow."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from pacs_cloud.catalogue.amending import Standing, change_amendments
from pacs_cloud.catalogue.amendment_entries import AmendmentEntry, standing_amendments
from pacs_cloud.catalogue.judging import LoadTable
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.recompute import empty_study
from pacs_cloud.catalogue.records import StudyChange, StudyState
from pacs_cloud.custody.ledger import Gets
from pacs_cloud.errors import Conflict, Corrupt
from pacs_cloud.objectstore.keys import decision_key, ledger_prefix
from pacs_cloud.objectstore.naming import naming
from pacs_cloud.objectstore.port import ObjectStore

_MADE, _UNDONE = "amend", "amend-undone"
_TIME_DIGITS = 16

Decide = Callable[[StudyState, Sequence[AmendmentEntry]], AmendmentEntry | None]
"""Returns what a study's ledger shall be told, by the study and what the ledger says; None:
nothing."""


def is_amendment_key(key: str) -> bool:
    """Return whether an object of a study's ledger is about an amendment."""
    name = key.rpartition("/")[2]
    return name[_TIME_DIGITS:].startswith(f"-{_MADE}-")


async def read_entry(objects: Gets, key: str) -> AmendmentEntry:
    """Return the entry under `key`.

    Raises:
        NotFound: there is no such object.
        Corrupt: it cannot be read, or says something else than its key. Names it.
    """
    data = await objects.get(key)
    with naming(key):
        entry = AmendmentEntry.from_json(data)
        if key != _key(entry):
            raise Corrupt("an amendment's entry says something else than its key")
    return entry


async def entries_of(
    objects: ObjectStore, tenant: str, study_instance_uid: str
) -> list[AmendmentEntry]:
    """Return every entry about one study's amendments; raises Corrupt."""
    keys = [info.key async for info in objects.list(ledger_prefix(tenant, study_instance_uid))]
    return [await read_entry(objects, key) for key in keys if is_amendment_key(key)]


async def follow_ledger(
    objects: ObjectStore,
    catalogue: Catalogue,
    tenant: str,
    study_instance_uid: str,
    *,
    load_table: LoadTable,
    now_us: int,
    decide: Decide = lambda _state, _entries: None,
) -> bool:
    """Have a study show the amendments of its ledger; return whether that changed anything.

    Repeatable, and beside whatever else changes the study: what the ledger has been told
    of an amendment is never taken back but by another entry. Where a purge has removed the
    study behind that, it gets a record again that has its amendments, for what comes later.

    Args:
        objects: the store, with the ledger.
        catalogue: the catalogue.
        tenant: whose.
        study_instance_uid: which study; of one that is not there the ledger is told nothing.
        load_table: returns the table of a committed pack.
        now_us: microseconds since 1970 UTC.
        decide: what the ledger shall be told first.

    Raises:
        Corrupt, NotFound: an entry, or a pack's table, cannot be read.
        Unavailable: a store cannot be reached, or the study keeps changing.
    """

    async def plan(state: StudyState) -> Standing:
        # Read behind the state: whatever is told after both changes the state's `rev`.
        entries = await entries_of(objects, tenant, study_instance_uid)
        entry = decide(state, entries)
        last_us = max((one.entered_us for one in entries), default=0)
        told = entries if entry is None else [*entries, replace(entry, entered_us=last_us + 1)]
        return Standing(standing_amendments(told), last_us, entry)

    async def record(entry: AmendmentEntry) -> None:
        await objects.put_new(_key(entry), entry.to_json())

    names = tenant, study_instance_uid
    is_changed = False
    while True:
        is_changed |= await change_amendments(
            catalogue, *names, plan, load_table=load_table, record=record, now_us=now_us
        )
        if await catalogue.studies_by_uid(tenant, [study_instance_uid]):
            return is_changed
        entries = await entries_of(objects, *names)
        amendments = standing_amendments(entries)
        if not amendments:
            return is_changed
        rev = max(now_us, *(one.entered_us + 1 for one in entries))
        study = empty_study(*names, rev, amendments=amendments)
        with suppress(Conflict):  # it has come back
            await catalogue.commit(StudyChange(*names, before=None, after=study))


def _key(entry: AmendmentEntry) -> str:
    kind = _UNDONE if entry.amendment is None else _MADE
    names = entry.tenant, entry.study_instance_uid, entry.entered_us
    return decision_key(*names, f"{kind}-{entry.correction_id}")
