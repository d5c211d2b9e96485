"""One study, its objects against its records."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import fields

from pacs_cloud.catalogue.aggregate import add_to_series, add_to_study, summarise
from pacs_cloud.catalogue.decisions import Decision, standing
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import (
    HiddenReason,
    PackRecord,
    SeriesRecord,
    StudyRecord,
    StudyState,
)
from pacs_cloud.custody.deep import check_bytes, check_findable
from pacs_cloud.custody.findings import REBUILD, Finding, FindingKind, Severity, about_pack
from pacs_cloud.custody.ledger import read_decisions
from pacs_cloud.custody.ledger_check import against_ledger
from pacs_cloud.custody.pack_check import PackReport, check_pack
from pacs_cloud.custody.repack.ledger import Merge
from pacs_cloud.custody.stored_pack import read_stored_pack
from pacs_cloud.custody.walk import StudyObjects
from pacs_cloud.errors import Corrupt, NotFound, Offline
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
        self._decisions: list[Decision] = []
        self._decided: Mapping[str, Mapping[str, HiddenReason]] = {}

    async def run(self) -> AsyncIterator[Finding]:
        """Yield what is wrong with the study."""
        found = self._found
        state = await self._catalogue.study(found.tenant, found.study_instance_uid)
        records = {_key_of(record): record for record in state.packs} if state else {}
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
            for finding in self._compare(state):
                yield finding

    async def _ledger(self) -> AsyncIterator[tuple[Finding | None, list[Decision]]]:
        """Yield a finding for each decision that cannot be read; then all that can."""
        decisions: list[Decision] = []
        for info in self._found.ledger:
            try:
                decisions += await read_decisions(self._objects, info.key)
            except (Corrupt, NotFound) as error:
                yield (
                    Finding(
                        FindingKind.LEDGER,
                        Severity.ERROR,
                        str(error),
                        "restore the object from an earlier version or a backup",
                        tenant=self._found.tenant,
                        key=info.key,
                        study_instance_uid=self._found.study_instance_uid,
                    ),
                    [],
                )
        yield None, decisions

    def _fold(self, key: PackKey, record: PackRecord, table: PackIndex) -> list[Finding]:
        """Add a pack to what the study's records should be; return instances shown twice."""
        self._replaced.update(table.replaces)
        visible = {one.sop_instance_uid for one in table.instances} - record.hidden.keys()
        contribution = summarise(table, visible)
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
        async for finding in check_findable(self._catalogue, key, report.table):
            yield finding
        if report.pack is not None:
            async for finding in check_bytes(self._objects, key, report.pack):
                yield finding

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
        elif table is not None and self._is_purged(table):
            severity, detail, repair = (
                Severity.WARNING,
                "a pack of which everything was deleted for good",
                "start the archive: it removes what a purge has left",
            )
        return about_pack(key, FindingKind.ORPHAN, severity, detail, repair, object_key=key.pack)

    async def _table_of_orphan(self, key: PackKey) -> PackIndex | None:
        try:
            return (await read_stored_pack(self._objects, key.pack)).table
        except (Corrupt, NotFound, Offline):
            return None

    def _is_purged(self, table: PackIndex) -> bool:
        """Return whether the ledger says that nothing of an orphan is wanted any more."""
        hidden = self._decided.get(table.pack_id, {})
        uids = {one.sop_instance_uid for one in table.instances}
        return bool(uids) and all(hidden.get(uid) is HiddenReason.PURGED for uid in uids)

    def _is_settled(self, info: ObjectInfo) -> bool:
        return info.modified_us <= self._settled_us

    def _compare(self, state: StudyState) -> list[Finding]:
        """Return how the study's records differ from what its visible instances give."""
        findings: list[Finding] = []
        differing = _differing(self._study, state.study, ignore={"rev"})
        if differing:
            findings.append(self._aggregate(f"the study's {differing} are not", ""))
        series = {one.series_instance_uid: one for one in state.series}
        for uid in sorted({*series, *self._series}):
            differing = _differing(self._series.get(uid), series.get(uid), ignore=set())
            if differing:
                findings.append(self._aggregate(f"a series' {differing} are not", uid))
        return findings

    def _aggregate(self, what: str, series_instance_uid: str) -> Finding:
        return Finding(
            FindingKind.AGGREGATE,
            Severity.ERROR,
            f"{what} what its visible instances give",
            REBUILD,
            tenant=self._found.tenant,
            study_instance_uid=self._found.study_instance_uid,
            series_instance_uid=series_instance_uid,
        )


def unknown_key(info: ObjectInfo) -> Finding:
    """Return the finding that `info` is none of this archive's objects."""
    return Finding(
        FindingKind.UNKNOWN_KEY,
        Severity.WARNING,
        "an object whose key is none of this archive's",
        "find out who wrote it; this archive never reads it",
        key=info.key,
    )


def _differing(
    given: StudyRecord | SeriesRecord | None,
    kept: StudyRecord | SeriesRecord | None,
    *,
    ignore: set[str],
) -> str:
    """Return the names of the fields that differ, "" when none does; never their values."""
    if given is None or kept is None:
        return "" if given is kept else "records"
    names = [one.name for one in fields(kept) if one.compare and one.name not in ignore]
    return ", ".join(name for name in names if getattr(given, name) != getattr(kept, name))


def _key_of(record: PackRecord) -> PackKey:
    return PackKey(
        record.tenant, record.study_instance_uid, record.series_instance_uid, record.pack_id
    )
