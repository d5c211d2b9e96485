"""One study, its objects against its records."""

from collections.abc import AsyncIterator, Collection, Mapping

from pacs_cloud.catalogue.aggregate import add_to_series, add_to_study, contribution_of
from pacs_cloud.catalogue.decisions import Decision, standing
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.recompute import empty_study, is_remembered
from pacs_cloud.catalogue.records import (
    GONE,
    HiddenReason,
    PackRecord,
    SeriesRecord,
    StudyRecord,
    StudyState,
)
from pacs_cloud.custody.aggregate_check import against_packs
from pacs_cloud.custody.corrections.check import against_entries
from pacs_cloud.custody.corrections.ledger import is_amendment_key, read_entry
from pacs_cloud.custody.deep import check_bytes, check_findable
from pacs_cloud.custody.erasure.entries import read_erasures, tombstones
from pacs_cloud.custody.findings import (
    REBUILD,
    Finding,
    FindingKind,
    Severity,
    about_pack,
    unknown_key,
)
from pacs_cloud.custody.labels import read_labels, standing_labels
from pacs_cloud.custody.ledger import read_decisions
from pacs_cloud.custody.ledger_check import OF_THE_TRASH, against_ledger
from pacs_cloud.custody.pack_check import PackReport, check_pack
from pacs_cloud.custody.repack.ledger import Merge
from pacs_cloud.custody.stored_pack import key_of, read_stored_pack
from pacs_cloud.custody.unreadable import UNREADABLE
from pacs_cloud.custody.walk import StudyObjects
from pacs_cloud.errors import Denied, NotFound
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.objectstore.port import ObjectInfo, ObjectStore
from pacs_cloud.pack.index import PackIndex


class StudyCheck:
    """Checks one study; one pack's table is in memory at a time."""

    def __init__(
        self,
        objects: ObjectStore,
        catalogue: Catalogue,
        found: StudyObjects,
        *,
        deep: bool,
        settled_us: int,
    ) -> None:
        """Check what `found` says of a study.

        Args:
            objects: where its objects are.
            catalogue: where its records are.
            found: what the store lists of it.
            deep: whether every byte is read.
            settled_us: objects that are younger may still be on their way into the
                catalogue, microseconds since 1970 UTC.
        """
        self._objects = objects
        self._catalogue = catalogue
        self._found = found
        self._deep = deep
        self._settled_us = settled_us
        self._series: dict[str, SeriesRecord] = {}
        self._study: StudyRecord | None = None
        self._shown: dict[str, set[str]] = {}
        self._replaced: set[str] = set()
        self._staged: set[str] = set()
        self._decisions: list[Decision] = []
        self._decided: Mapping[str, Mapping[str, HiddenReason]] = {}

    async def run(self) -> AsyncIterator[Finding]:
        """Yield what is wrong with the study."""
        found = self._found
        state = await self._catalogue.study(found.tenant, found.study_instance_uid)
        records = {key_of(record): record for record in state.packs} if state else {}
        decided: Mapping[str, Mapping[str, HiddenReason]] | None = {}
        settled: Mapping[str, Mapping[str, HiddenReason]] = {}
        async for finding, decisions in self._ledger():
            if finding is not None:
                yield finding
                decided = None
            elif decided is not None:
                # A decision is written before its commit: a later one may be on its way.
                rev = state.study.rev if state else 0
                decided = standing(one for one in decisions if one.decided_us <= rev)
                self._decisions, self._decided = decisions, standing(decisions)
                settled_us = max(rev, self._settled_us)
                settled = standing(one for one in decisions if one.decided_us <= settled_us)
        whole = True
        try:
            for finding in await self._remember(state):
                yield finding
        except UNREADABLE as error:
            whole = False
            yield self._unreadable(str(error))
        for key, record in sorted(records.items(), key=lambda item: item[1].pack_id):
            report = await check_pack(
                self._objects, self._catalogue, key, record, found.packs.get(key)
            )
            for finding in report.findings:
                yield finding
            if decided is not None:
                for finding in against_ledger(key, record, decided, settled):
                    yield finding
            if report.table is None:
                whole = False
                continue
            for finding in self._fold(key, record, report.table):
                yield finding
            if self._deep:
                async for finding in self._look_deeper(key, report):
                    yield finding
        for key, info in sorted(found.packs.items(), key=lambda item: item[0].pack_id):
            if key not in records and (orphan := await self._orphan(key, info)) is not None:
                yield orphan
        for key, info in sorted(found.indexes.items(), key=lambda item: item[0].pack_id):
            if key not in found.packs and key not in records and self._is_settled(info):
                yield about_pack(
                    key,
                    FindingKind.INDEX_ORPHAN,
                    Severity.WARNING,
                    "an index object without its pack",
                    "remove it, once no spool can bring the pack any more",
                    object_key=key.index,
                )
        for info in found.strange:
            yield unknown_key(info)
        if whole and state is not None:
            for finding in against_packs(state, self._study, self._series):
                yield finding

    async def _remember(self, state: StudyState | None) -> list[Finding]:
        """Let the study's record begin with what it has of no pack; raises Corrupt, NotFound.

        Returns:
            How its corrections are not what the ledger says.
        """
        found = self._found
        keys = [info.key for info in found.erasures]
        erased = tombstones(await read_erasures(self._objects, keys))
        keys = [info.key for info in found.labels]
        labels = standing_labels(await read_labels(self._objects, keys))
        amendments = state.study.amendments if state else ()
        names = found.tenant, found.study_instance_uid
        study = empty_study(*names, 0, erased=erased, amendments=amendments, labels=labels)
        if is_remembered(study):
            self._study = study
        keys = [info.key for info in found.ledger if is_amendment_key(info.key)]
        entries = [await read_entry(self._objects, key) for key in keys]
        return against_entries(*names, state, entries, settled_us=self._settled_us)

    def _unreadable(self, detail: str, key: str = "") -> Finding:
        return Finding(
            FindingKind.LEDGER,
            Severity.ERROR,
            detail,
            "restore the object from an earlier version or a backup",
            tenant=self._found.tenant,
            key=key,
            study_instance_uid=self._found.study_instance_uid,
        )

    async def _ledger(self) -> AsyncIterator[tuple[Finding | None, list[Decision]]]:
        """Yield a finding for each decision that cannot be read; then all that can."""
        decisions: list[Decision] = []
        for info in self._found.ledger:
            try:
                decisions += await read_decisions(self._objects, info.key)
            except UNREADABLE as error:
                detail = str(error).removeprefix(f"{info.key}: ")
                yield self._unreadable(detail, info.key), []
        yield None, decisions

    def _fold(self, key: PackKey, record: PackRecord, table: PackIndex) -> list[Finding]:
        """Add a pack to what the study's records should be; return instances shown twice."""
        self._replaced.update(table.replaces)
        visible = {one.sop_instance_uid for one in table.instances} - record.hidden.keys()
        contribution = contribution_of(record, table)
        before = self._series.get(key.series_instance_uid)
        after = add_to_series(before, contribution)
        if after is not None:
            self._series[key.series_instance_uid] = after
        self._study = add_to_study(self._study, contribution, rev=0, new_series=before is None)
        shown = self._shown.setdefault(key.series_instance_uid, set())
        doubled = shown & visible
        shown |= visible
        if not doubled:
            return []
        return [
            about_pack(
                key,
                FindingKind.DOUBLE,
                Severity.ERROR,
                f"{len(doubled)} of its instances are visible in another pack of the series too",
                REBUILD,
            )
        ]

    async def _look_deeper(self, key: PackKey, report: PackReport) -> AsyncIterator[Finding]:
        assert report.table is not None
        async for finding in check_findable(
            self._catalogue, key, report.table, self._may_be_staged
        ):
            if finding.kind is FindingKind.STAGED:
                if finding.pack_id in self._staged:
                    continue  # another pack of the series has told
                self._staged.add(finding.pack_id)
            yield finding
        if report.pack is not None:
            async for finding in check_bytes(self._objects, key, report.pack):
                yield finding

    async def _may_be_staged(self, key: PackKey) -> bool:
        """Return whether there is, or may be on its way, anything of a pack that is staged."""
        if key in self._found.packs or key in self._found.indexes:
            return True
        # Its objects come first: they may be younger than the listing.
        for one in (key.index, key.pack):
            try:
                return bool(await self._objects.head(one))
            except NotFound:
                continue
            except Denied:
                return True
        return any(
            pack.pack_id == key.pack_id
            for pack in await self._catalogue.packs(key.tenant, key.study_instance_uid)
        )

    async def _orphan(self, key: PackKey, info: ObjectInfo) -> Finding | None:
        """Return a finding unless the pack was merged into another, or may still be on its way."""
        if key.pack_id in self._replaced or not self._is_settled(info):
            return None
        # It may have been committed after the study was read.
        packs = await self._catalogue.packs(
            key.tenant, key.study_instance_uid, key.series_instance_uid
        )
        if any(pack.pack_id == key.pack_id for pack in packs):
            return None
        table = await self._table_of_orphan(key)
        severity, detail, repair = (
            Severity.ERROR,
            "a pack that the catalogue does not know",
            "start the archive: it adopts packs whose commit never happened",
        )
        if table is not None and not Merge.of(table).is_proven(self._decisions):
            severity, detail, repair = (
                Severity.WARNING,
                "a merged pack that was never committed",
                "start the archive: it removes what a repack has left",
            )
        elif table is not None and self._is_all(table, {HiddenReason.PURGED}):
            severity, detail, repair = (
                Severity.WARNING,
                "a pack of which everything was deleted for good",
                "start the archive: it removes what a purge has left",
            )
        elif table is not None and self._is_all(table, GONE):
            severity, detail, repair = (
                Severity.WARNING,
                "a pack that the catalogue does not know: what is left of it is in the trash",
                OF_THE_TRASH,
            )
        return about_pack(key, FindingKind.ORPHAN, severity, detail, repair, object_key=key.pack)

    async def _table_of_orphan(self, key: PackKey) -> PackIndex | None:
        try:
            return (await read_stored_pack(self._objects, key.pack)).table
        except UNREADABLE:
            return None

    def _is_all(self, table: PackIndex, reasons: Collection[HiddenReason]) -> bool:
        """Return whether the ledger hides all of an orphan for these reasons."""
        hidden = self._decided.get(table.pack_id, {})
        uids = {one.sop_instance_uid for one in table.instances}
        return bool(uids) and all(hidden.get(uid) in reasons for uid in uids)

    def _is_settled(self, info: ObjectInfo) -> bool:
        return info.modified_us <= self._settled_us
