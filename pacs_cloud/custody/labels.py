"""Labels of studies, and the catalogue made to know them.

Each change is an object at `labels/{tenant}/{ss}/{study}/{time}-{added|removed}.json`, written
once and never removed; what was added and not removed since stands. The catalogue has a
study's labels in its record, so that searches leave out what nobody may see without a read
more, and keeps that record when the study loses its packs: what comes back is labelled.
"""

from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import orjson

from pacs_cloud.catalogue.changing import Wanted, change_packs
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.races import next_rev
from pacs_cloud.catalogue.recompute import empty_study
from pacs_cloud.catalogue.records import StudyChange, StudyState
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.custody.walk import LABELS
from pacs_cloud.errors import Conflict, NotFound
from pacs_cloud.objectstore.entries import VERSION, Entries
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.security.labels import label_of


@dataclass(frozen=True, slots=True)
class LabelEntry:
    """One change of a study's labels.

    Attributes:
        tenant: whose.
        study_instance_uid: which study.
        labels: which, in order.
        is_added: whether they were added, rather than removed.
        reason: why, in the words of whoever did it.
        who: who did it.
        entered_us: when, microseconds since 1970 UTC; later than all before it.
    """

    tenant: str
    study_instance_uid: str
    labels: tuple[str, ...]
    is_added: bool
    reason: str
    who: str
    entered_us: int

    @property
    def key(self) -> str:
        """Where it lies."""
        what = "added" if self.is_added else "removed"
        return _ENTRIES.key(self.tenant, self.study_instance_uid, self.entered_us, what)


def standing_labels(entries: Iterable[LabelEntry]) -> frozenset[str]:
    """Return the labels that a study has by all that was entered about them."""
    labels: set[str] = set()
    for one in sorted(entries, key=lambda one: one.entered_us):
        (labels.update if one.is_added else labels.difference_update)(one.labels)
    return frozenset(labels)


async def label_entries(
    objects: ObjectStore, tenant: str, study_instance_uid: str
) -> list[LabelEntry]:
    """Return all that was entered about a study's labels, oldest first; raises Corrupt."""
    return await read_labels(objects, await _ENTRIES.keys(objects, tenant, study_instance_uid))


async def read_labels(objects: ObjectStore, keys: Iterable[str]) -> list[LabelEntry]:
    """Return the entries under these keys.

    Raises:
        Corrupt: one cannot be read: nobody may take that for none.
    """
    return [await _ENTRIES.read(objects, key) for key in keys]


async def labelled(objects: ObjectStore, tenant: str) -> AsyncIterator[list[LabelEntry]]:
    """Yield what was entered, study by study, of those that have a label; raises Corrupt."""
    async for _, keys in _ENTRIES.by_study(objects, tenant):
        entries = await read_labels(objects, keys)
        if standing_labels(entries):
            yield entries


async def change_labels(
    objects: ObjectStore,
    catalogue: Catalogue,
    tenant: str,
    study_instance_uid: str,
    labels: Collection[str],
    *,
    is_added: bool,
    reason: str,
    who: str,
    now_us: int,
) -> frozenset[str]:
    """Add labels to a study, or remove them; return those that it has then.

    It is durable first, and the catalogue follows. Repeatable: where that died, again.

    Args:
        objects: the store.
        catalogue: the catalogue.
        tenant: whose.
        study_instance_uid: which study.
        labels: which; of those that it has, or has not, already nothing is entered.
        is_added: whether to add them.
        reason: why.
        who: who does it.
        now_us: microseconds since 1970 UTC.

    Raises:
        InvalidRequest: a text is no label.
        NotFound: there is no such study.
        Corrupt: an entry cannot be read.
        Unavailable: a store cannot be reached, or the study keeps changing.
    """
    names = tenant, study_instance_uid
    asked = {label_of(one) for one in labels}
    if not await catalogue.studies_by_uid(tenant, [study_instance_uid]):
        raise NotFound("There is no such study.")
    has = standing_labels(await label_entries(objects, *names))
    changed = tuple(sorted(asked - has if is_added else asked & has))

    def entry_at(entered_us: int) -> LabelEntry:
        return LabelEntry(*names, changed, is_added, reason, who, entered_us)

    if changed:
        await _ENTRIES.enter(objects, *names, entry_at, now_us=now_us)
    return await follow_labels(objects, catalogue, *names, now_us=now_us)


async def follow_labels(
    objects: ObjectStore, catalogue: Catalogue, tenant: str, study_instance_uid: str, *, now_us: int
) -> frozenset[str]:
    """Have the catalogue know a study's labels; return them. Raises as `change_labels`.

    Where a purge has removed the study meanwhile it gets a record again that has them, for
    what comes later.
    """
    names = tenant, study_instance_uid

    async def intend(state: StudyState, attempt: int) -> Wanted:
        # Read behind the state: who enters something later changes the state's `rev`.
        labels = standing_labels(await label_entries(objects, *names))
        rev = next_rev(state.study, now_us + attempt)
        study = replace(state.study, labels=labels)
        return Wanted(rev, study, {}, is_due=study != state.study)

    while True:
        await change_packs(catalogue, *names, intend, partial(load_table, objects, catalogue))
        entries = await label_entries(objects, *names)
        labels = standing_labels(entries)
        if not labels or await catalogue.studies_by_uid(tenant, [study_instance_uid]):
            return labels
        with suppress(Conflict):  # it has come back
            rev = max(now_us, entries[-1].entered_us + 1)
            study = empty_study(*names, rev, labels=labels)
            await catalogue.commit(StudyChange(*names, before=None, after=study))


def _encode(entry: LabelEntry) -> bytes:
    fields = {
        "version": VERSION,
        "tenant": entry.tenant,
        "study": entry.study_instance_uid,
        "labels": entry.labels,
        "added": entry.is_added,
        "reason": entry.reason,
        "who": entry.who,
        "entered_us": entry.entered_us,
    }
    return orjson.dumps(fields)


def _entry_of(fields: dict[str, Any]) -> LabelEntry:
    return LabelEntry(
        tenant=str(fields["tenant"]),
        study_instance_uid=str(fields["study"]),
        labels=tuple(map(str, fields["labels"])),
        is_added=fields["added"] is True,
        reason=str(fields["reason"]),
        who=str(fields["who"]),
        entered_us=int(fields["entered_us"]),
    )


_ENTRIES: Final = Entries(LABELS, "a label", _encode, _entry_of)
