"""Packs whose commit never happened, adopted."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from pacs_cloud.catalogue.decisions import told_by_commits
from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import GONE, STAYS_HIDDEN, HiddenReason, StudyChange
from pacs_cloud.custody.corrections.ledger import follow_ledger
from pacs_cloud.custody.findings import Finding
from pacs_cloud.custody.labels import follow_labels
from pacs_cloud.custody.ledger import decided_by, decisions_of
from pacs_cloud.custody.orphan_findings import undecidable, unusable, waiting
from pacs_cloud.custody.pack_removal import remove_with_replaced
from pacs_cloud.custody.remembered import remembered
from pacs_cloud.custody.repack.sweep import KEPT_US, retire_merged
from pacs_cloud.custody.stored_pack import load_table, table_of
from pacs_cloud.custody.study_packs import Committing, read_study_packs
from pacs_cloud.custody.unreadable import UNREADABLE
from pacs_cloud.custody.walk import PACKS, objects_of_study
from pacs_cloud.errors import Conflict
from pacs_cloud.objectstore.keys import PackKey, parse_pack_key
from pacs_cloud.objectstore.port import ObjectInfo, ObjectStore
from pacs_cloud.telemetry import hashed

log = logging.getLogger(__name__)

GRACE_US = 3_600_000_000
"""How long a pack may be on its way into the catalogue: one hour."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did.

    Attributes:
        studies: how many were looked at.
        adopted: packs that are visible now.
        problems: packs that cannot be adopted, and why.
        after: where the next sweep goes on; "" when this one came to the end.
        removed: packs whose purge was stopped before they were removed, and what repacks
            have left.
    """

    studies: int
    adopted: int
    problems: tuple[Finding, ...]
    after: str
    removed: int = 0


async def adopt_orphans(
    objects: ObjectStore,
    catalogue: Catalogue,
    *,
    policy: ConflictPolicy,
    now_us: int,
    grace_us: int = GRACE_US,
    kept_us: int = KEPT_US,
    after: str = "",
    limit: int = 10_000,
    tenant: str | None = None,
) -> Swept:
    """Commit the packs that lie in the store and are not in the catalogue.

    An orphan is left alone while it is younger than the grace, when the ledger says that
    all of it was deleted, and when something that was said of its study cannot be read. It
    is removed when the ledger says that all of it was purged, and when a merged pack has its
    instances, or it is a merged pack that was never committed (`repack.sweep`). A study
    that has lost its record gets its labels, corrections and erasures before its packs.

    Args:
        objects: the store.
        catalogue: where they become visible.
        policy: for other content under a SOP Instance UID that is already there.
        now_us: microseconds since 1970 UTC.
        grace_us: see `GRACE_US`; 0 before anything is received.
        kept_us: see `repack.sweep.KEPT_US`.
        after: where the sweep before this one ended.
        limit: how many studies to look at.
        tenant: whose; None: everybody's.

    Raises:
        Unavailable: the store or the catalogue cannot be reached.
    """
    studies = adopted = removed = 0
    problems: list[Finding] = []
    below = PACKS if tenant is None else f"{PACKS}{tenant}/"
    async for packs in _by_study(objects, below, after):
        if studies == limit:
            return Swept(studies, adopted, tuple(problems), after, removed)
        studies += 1
        after = packs[-1].key
        found = {key: info for info in packs if (key := parse_pack_key(info.key)) is not None}
        some = await adopt_in_study(
            objects,
            catalogue,
            found,
            policy=policy,
            now_us=now_us,
            grace_us=grace_us,
            kept_us=kept_us,
        )
        adopted += some.adopted
        removed += some.removed
        problems += some.problems
    return Swept(studies, adopted, tuple(problems), "", removed)


async def adopt_in_study(
    objects: ObjectStore,
    catalogue: Catalogue,
    found: Mapping[PackKey, ObjectInfo],
    *,
    policy: ConflictPolicy,
    now_us: int,
    grace_us: int,
    kept_us: int,
) -> Swept:
    """Do the same with one study; `found` are all its pack objects.

    Other arguments, and what is raised, as `adopt_orphans`.
    """
    orphans = await _orphans(catalogue, found, now_us - grace_us)
    if not orphans:
        return Swept(1, 0, (), "")
    committing = Committing(objects, catalogue, policy, now_us)
    return await _adopt(
        objects, catalogue, committing, found, orphans, now_us=now_us, kept_us=kept_us
    )


async def _by_study(
    objects: ObjectStore, below: str, after: str
) -> AsyncIterator[list[ObjectInfo]]:
    """Yield the pack objects behind `after`, study by study; keys of no study apart."""
    packs: list[ObjectInfo] = []
    async for info in objects.list(below, after=after):
        if packs and _study_of(packs[-1].key) != _study_of(info.key):
            yield packs
            packs = []
        packs.append(info)
    if packs:
        yield packs


def _study_of(key: str) -> list[str]:
    return key.split("/")[:4]


async def _orphans(
    catalogue: Catalogue, found: Mapping[PackKey, ObjectInfo], settled_us: int
) -> list[PackKey]:
    if not found:
        return []
    first = next(iter(found))
    records = await catalogue.packs(first.tenant, first.study_instance_uid)
    known = {record.pack_id for record in records}
    return [
        key
        for key, info in sorted(found.items(), key=lambda item: item[0].pack_id)
        if key.pack_id not in known and info.modified_us <= settled_us
    ]


async def _adopt(
    objects: ObjectStore,
    catalogue: Catalogue,
    committing: Committing,
    found: Mapping[PackKey, ObjectInfo],
    orphans: list[PackKey],
    *,
    now_us: int,
    kept_us: int,
) -> Swept:
    """Adopt or remove the orphans of one study."""
    packs = await read_study_packs(objects, found)
    names = orphans[0].tenant, orphans[0].study_instance_uid
    try:
        decisions = await decisions_of(objects, *names)
        if not await _remember(objects, catalogue, *names, now_us=now_us):
            return Swept(1, 0, tuple(waiting(key) for key in orphans), "")
        retired = await retire_merged(
            objects,
            catalogue,
            {key: found[key] for key in orphans},
            packs,
            decisions,
            now_us=now_us,
            kept_us=kept_us,
        )
    except UNREADABLE as error:
        return Swept(1, 0, tuple(undecidable(key, error) for key in orphans), "")
    decided, told = decided_by(decisions), told_by_commits(decisions)
    adopted, removed = 0, retired.removed
    left: list[Finding] = []
    for key in orphans:
        blob = packs.blobs.get(key)
        if blob is None or key in retired.keys:
            continue
        table = table_of(key, blob)
        uids = {one.sop_instance_uid for one in table.instances}
        hidden = decided.hidden.get(key.pack_id, {})
        deleted = {uid for uid, why in hidden.items() if why in GONE}
        stays = not STAYS_HIDDEN.isdisjoint(hidden.values())
        try:
            if uids <= {uid for uid, why in hidden.items() if why is HiddenReason.PURGED}:
                # Its purge was stopped between catalogue and store.
                await remove_with_replaced(objects, catalogue, key, uids)
                removed += 1
            elif not uids <= deleted:
                # A decision without its commit was a try that lost or died: it is taken again,
                # unless it is a deletion or a rejection, which only a ledger may take back, or
                # that of a merged pack, which is proven to have been committed.
                await committing.commit(
                    key,
                    blob,
                    found[key],
                    hidden if stays or table.merged_rev is not None else None,
                    last_decided_us=decided.last_us,
                    told=told,
                )
                adopted += 1
                _log_adopted(key, len(uids))
        except UNREADABLE as error:
            # The next sweep tries again; what lies behind it must not wait for that.
            left.append(unusable(key, error))
    ids = {key.pack_id for key in orphans}
    about_orphans = tuple(one for one in packs.problems if one.pack_id in ids)
    return Swept(1, adopted, (*about_orphans, *retired.problems, *left), "", removed)


async def _remember(
    objects: ObjectStore, catalogue: Catalogue, tenant: str, study_instance_uid: str, *, now_us: int
) -> bool:
    """Give a study that has lost its record one with its labels, corrections and erasures.

    Without it its packs would show more than they should. Raises as `remembered`.

    Returns:
        Whether the record knows them all: one that a newcomer has made hears of erasures from
        whoever tends these.
    """
    names = tenant, study_instance_uid
    study = await remembered(objects, await objects_of_study(objects, *names))
    if study is None:
        return True
    if not await catalogue.studies_by_uid(tenant, [study_instance_uid]):
        with suppress(Conflict):  # it has one meanwhile
            after = replace(study, rev=now_us)
            await catalogue.commit(StudyChange(*names, before=None, after=after))
    # A pack that came in since may have made the record, and known of none of them.
    load = partial(load_table, objects, catalogue)
    await follow_ledger(objects, catalogue, *names, load_table=load, now_us=now_us)
    await follow_labels(objects, catalogue, *names, now_us=now_us)
    records = await catalogue.studies_by_uid(tenant, [study_instance_uid])
    return all(record.erased == study.erased for record in records)


def _log_adopted(key: PackKey, instances: int) -> None:
    log.warning(
        "orphan_adopted",
        extra={
            "tenant": key.tenant,
            "study": hashed(key.study_instance_uid),
            "pack": key.pack_id,
            "instances": instances,
        },
    )
