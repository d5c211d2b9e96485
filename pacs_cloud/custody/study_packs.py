"""The packs of one study as the buckets alone tell them, and their way into the catalogue."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from pacs_cloud.catalogue.commit import commit_pack
from pacs_cloud.catalogue.decisions import Decision
from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import HiddenReason, StagedPack, UidRef
from pacs_cloud.custody.findings import Finding, FindingKind, Severity, about_pack
from pacs_cloud.custody.ledger import record_decision
from pacs_cloud.custody.repack.ledger import Merge
from pacs_cloud.custody.stored_pack import load_table, read_index_blob, staged_pack, table_of
from pacs_cloud.custody.unreadable import UNREADABLE
from pacs_cloud.errors import Denied, Offline, PacsError
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.objectstore.port import ObjectInfo, ObjectStore
from pacs_cloud.pack.index import PackIndex

INSTANCES_KEPT = 10_000
"""Of so many of a study's instances the rows stay in memory, read and ready."""

_READS_AT_ONCE = 8


@dataclass(slots=True)
class StudyPacks:
    """The packs of one study.

    Attributes:
        blobs: by key, the bytes of `index.zst`: compressed, since a study may have many.
        merges: what merged packs among them say they were merged from.
        problems: packs whose index cannot be read.
    """

    blobs: dict[PackKey, bytes] = field(default_factory=dict[PackKey, bytes])
    merges: list[Merge] = field(default_factory=list[Merge])
    problems: list[Finding] = field(default_factory=list[Finding])
    _tables: dict[PackKey, PackIndex] = field(default_factory=dict[PackKey, PackIndex])
    _kept: int = 0

    def add(self, key: PackKey, blob: bytes) -> None:
        """Add a pack; raises Corrupt."""
        table = table_of(key, blob)
        if table.replaces:
            self.merges.append(Merge.of(table))
        self.blobs[key] = blob
        if self._kept + len(table.instances) <= INSTANCES_KEPT:
            self._kept += len(table.instances)
            self._tables[key] = table

    def table(self, key: PackKey) -> PackIndex:
        """Return a pack's table."""
        return self._tables.get(key) or table_of(key, self.blobs[key])

    def staged(self, key: PackKey) -> tuple[PackIndex, StagedPack]:
        """Return a pack's table, and the pack as it is staged; raises Corrupt."""
        table = self.table(key)
        return table, staged_pack(table, self.blobs[key])


async def read_study_packs(objects: ObjectStore, keys: Iterable[PackKey]) -> StudyPacks:
    """Return the indexes of the packs under `keys`."""
    packs = StudyPacks()
    keys = iter(keys)
    while some := list(islice(keys, _READS_AT_ONCE)):
        blobs = await asyncio.gather(*(_index_of(objects, key) for key in some))
        for key, blob in zip(some, blobs, strict=True):
            try:
                if isinstance(blob, PacsError):
                    raise blob
                packs.add(key, blob)
            except UNREADABLE as error:
                packs.problems.append(unreadable(key, error))
    return packs


async def _index_of(objects: ObjectStore, key: PackKey) -> bytes | PacsError:
    try:
        return await read_index_blob(objects, key)
    except UNREADABLE as error:
        return error


def unreadable(key: PackKey, error: PacsError) -> Finding:
    """Return the finding that the index of a pack cannot be read."""
    if isinstance(error, Offline):
        kind, detail, repair = (
            FindingKind.COLD,
            "the pack's index object is missing, and the pack itself is in a cold tier",
            "recall the pack (`pacs-cloud recall`), and run this again once it has arrived",
        )
    elif isinstance(error, Denied):
        kind, detail, repair = (
            FindingKind.DENIED,
            f"the store does not let the pack's index be read: {error}",
            "see what the store lets us do, and run this again",
        )
    else:
        kind, detail, repair = (
            FindingKind.DAMAGED,
            f"the pack's index cannot be read: {error}",
            "restore the pack or its index object from an earlier version or a backup",
        )
    return about_pack(key, kind, Severity.ERROR, detail, repair, object_key=key.pack)


def without_pack(key: PackKey) -> Finding:
    """Return the finding that there is an index object, and no pack."""
    return about_pack(
        key,
        FindingKind.INDEX_ORPHAN,
        Severity.ERROR,
        "an index object without its pack: its instances cannot be brought back",
        "restore the pack from an earlier version or a backup",
        object_key=key.index,
    )


def left_out(tenant: str, study_instance_uid: str, error: PacsError) -> Finding:
    """Return the finding that nothing of a study comes back: what is said of it is unreadable."""
    is_denied = isinstance(error, Denied)
    return Finding(
        FindingKind.DENIED if is_denied else FindingKind.LEDGER,
        Severity.ERROR,
        f"nothing of the study is brought back, since what it hides cannot be told: {error}",
        "see what the store lets us do, and run this again before the archive is started"
        if is_denied
        else "restore the object from an earlier version or a backup, and run this again before"
        " the archive is started",
        tenant=tenant,
        study_instance_uid=study_instance_uid,
    )


class Committing:
    """Commits packs that lie in the store already."""

    def __init__(
        self, objects: ObjectStore, catalogue: Catalogue, policy: ConflictPolicy, now_us: int
    ) -> None:
        self._objects = objects
        self._catalogue = catalogue
        self._policy = policy
        self._now_us = now_us

    async def commit(
        self,
        key: PackKey,
        blob: bytes,
        info: ObjectInfo,
        decided: Mapping[str, HiddenReason] | None,
        *,
        last_decided_us: int,
        told: Mapping[str, Mapping[str, HiddenReason]] | None = None,
    ) -> PackIndex:
        """Make the pack under `key` visible; return its table.

        Args:
            key: which pack.
            blob: the bytes of its `index.zst`.
            info: what the store says of its object.
            decided: what the ledger hides of it; None has it judged like a newcomer.
            last_decided_us: of the study's ledger: what is decided from now on must be
                later, also where the clock that took the last decision was ahead.
            told: what commits have told the ledger last (`commit_pack`).

        Raises:
            Corrupt: its index cannot be read.
            Unavailable: the store or the catalogue cannot be reached.
        """
        table = table_of(key, blob)
        await commit_pack(
            self._catalogue,
            table,
            staged_pack(table, blob),
            info.length_bytes,
            policy=self._policy,
            now_us=max(self._now_us, last_decided_us + 1),
            load_table=self._load_table,
            record_decision=self._record_decision,
            decided=decided,
            told=told,
        )
        return table

    async def _load_table(self, tenant: str, ref: UidRef) -> PackIndex:
        return await load_table(self._objects, self._catalogue, tenant, ref)

    async def _record_decision(self, decision: Decision) -> None:
        await record_decision(self._objects, decision)
