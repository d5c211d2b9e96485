"""The packs of one study as the buckets alone tell them, and their way into the catalogue."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pacs_cloud.catalogue.commit import commit_pack
from pacs_cloud.catalogue.decisions import Decision
from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import HiddenReason, UidRef
from pacs_cloud.custody.findings import Finding, FindingKind, Severity, about_pack
from pacs_cloud.custody.ledger import record_decision
from pacs_cloud.custody.repack.ledger import Merge
from pacs_cloud.custody.stored_pack import load_table, read_index_blob, staged_pack, table_of
from pacs_cloud.errors import Corrupt, NotFound, Offline
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.objectstore.port import ObjectInfo, ObjectStore
from pacs_cloud.pack.index import PackIndex


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


async def read_study_packs(objects: ObjectStore, keys: Iterable[PackKey]) -> StudyPacks:
    """Return the indexes of the packs under `keys`."""
    packs = StudyPacks()
    for key in keys:
        try:
            blob = await read_index_blob(objects, key)
            merge = Merge.of(table_of(key, blob))
            if merge.replaces:
                packs.merges.append(merge)
            packs.blobs[key] = blob
        except (Corrupt, NotFound, Offline) as error:
            packs.problems.append(
                about_pack(
                    key,
                    FindingKind.DAMAGED,
                    Severity.ERROR,
                    f"the pack's index cannot be read: {error}",
                    "restore the pack or its index object from an earlier version or a backup",
                    object_key=key.pack,
                )
            )
    return packs


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
    ) -> PackIndex:
        """Make the pack under `key` visible; return its table.

        Args:
            key: which pack.
            blob: the bytes of its `index.zst`.
            info: what the store says of its object.
            decided: what the ledger hides of it; None has it judged like a newcomer.
            last_decided_us: of the study's ledger: what is decided from now on must be
                later, also where the clock that took the last decision was ahead.

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
        )
        return table

    async def _load_table(self, tenant: str, ref: UidRef) -> PackIndex:
        return await load_table(self._objects, self._catalogue, tenant, ref)

    async def _record_decision(self, decision: Decision) -> None:
        await record_decision(self._objects, decision)
