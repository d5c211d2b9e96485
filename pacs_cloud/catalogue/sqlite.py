"""The catalogue in one SQLite file, for one machine with any number of processes."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from pacs_cloud.catalogue import codec, sqlite_changes
from pacs_cloud.catalogue.ordering import place_of, unpacked
from pacs_cloud.catalogue.port import Anchor, ByAccession, ByPatient, StudyPage
from pacs_cloud.catalogue.records import (
    ConflictRecord,
    IndexFrames,
    OutboxEvent,
    PackRecord,
    SeriesRecord,
    StagedPack,
    StudyChange,
    StudyRecord,
    StudyState,
    UidRef,
)
from pacs_cloud.catalogue.searchkeys import stripped
from pacs_cloud.catalogue.sqlite_file import SqliteFile, one_moment, translated
from pacs_cloud.catalogue.sqlite_lookups import find_studies, find_uids
from pacs_cloud.catalogue.sqlite_search import find

_STATES_AT_ONCE = 100
_UIDS_INLINE = 20
"""So many UIDs are looked up at once on the event loop; more take a thread."""
_MERGED_PAGES = 200
"""So much of the names' index is written at a time: others write in between."""

_STUDIES_INLINE = 20
"""So many studies of a patient or an accession likewise."""


class SqliteCatalogue:
    """A `Catalogue` in the file at `path`, made where there is none.

    Reads by key take microseconds and run where they are called; searches and other
    long reads take a thread; all writes go through one thread, which groups them.
    """

    def __init__(self, path: Path, upgrading: Callable[[], None] = lambda: None) -> None:
        """Open the file; raises Unavailable.

        `upgrading` is called every now and then while an upgrade of the file takes long.
        """
        self._file = SqliteFile(path, upgrading)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Finish the writes that were begun, and let go of the file."""
        await self._file.close()

    async def forget_removed(self) -> bool:
        """Let go of the bytes of what was removed; see `KeepsRemoved`."""
        pages = -_MERGED_PAGES
        while await self._file.write(partial(sqlite_changes.merge_names, pages=pages)):
            pages = _MERGED_PAGES
        return await self._file.empty_log()

    async def stage(self, pack: StagedPack) -> None:
        """Write a pack's index and UID items, invisible until its commit; repeatable."""
        await self._file.write(lambda connection: sqlite_changes.stage(connection, pack))

    async def commit(self, change: StudyChange) -> None:
        """Apply `change` atomically; raises Conflict when the study has changed since."""
        await self._file.write(lambda connection: sqlite_changes.apply(connection, change))

    async def unstage(self, tenant: str, ref: UidRef, sop_instance_uids: Sequence[str]) -> None:
        """Remove the index and UID items of a pack."""
        await self._file.write(
            lambda connection: sqlite_changes.unstage(connection, tenant, ref, sop_instance_uids)
        )

    async def study(self, tenant: str, study_instance_uid: str) -> StudyState | None:
        """Return a study whole, consistent at one moment; None where there is none."""
        connection = self._file.reading
        with translated(), one_moment(connection):
            row = connection.execute(
                "SELECT id, rev, record FROM study WHERE tenant = ? AND uid = ?",
                (tenant, study_instance_uid),
            ).fetchone()
            return _state(connection, tenant, study_instance_uid, row) if row else None

    async def studies_by_uid(
        self, tenant: str, study_instance_uids: Sequence[str]
    ) -> tuple[StudyRecord, ...]:
        """Return those that exist, newest first."""
        uids = sorted(set(study_instance_uids))
        if len(uids) <= _UIDS_INLINE:
            with translated():
                found = find_studies(self._file.reading, tenant, uids)
        else:
            found = await self._file.read(partial(find_studies, tenant=tenant, uids=uids))
        return tuple(sorted(found, key=place_of, reverse=True))

    async def series(self, tenant: str, study_instance_uid: str) -> tuple[SeriesRecord, ...]:
        """Return a study's series, by UID."""
        with translated():
            rows = self._file.reading.execute(
                "SELECT r.uid, r.record FROM study AS s JOIN series AS r ON r.study = s.id"
                " WHERE s.tenant = ? AND s.uid = ? ORDER BY r.uid",
                (tenant, study_instance_uid),
            )
            return tuple(codec.decode_series(tenant, study_instance_uid, *row) for row in rows)

    async def packs(
        self, tenant: str, study_instance_uid: str, series_instance_uid: str | None = None
    ) -> tuple[PackRecord, ...]:
        """Return the committed packs of a study or one series, by series UID and pack id."""
        with translated():
            rows = self._file.reading.execute(
                "SELECT p.series, p.pack_id, p.record FROM study AS s"
                " JOIN pack AS p ON p.study = s.id WHERE s.tenant = ? AND s.uid = ?"
                " AND p.series = coalesce(?, p.series) ORDER BY p.series, p.pack_id",
                (tenant, study_instance_uid, series_instance_uid),
            )
            return tuple(codec.decode_pack(tenant, study_instance_uid, *row) for row in rows)

    async def index(self, tenant: str, ref: UidRef) -> IndexFrames | None:
        """Return a pack's index; None where it was over the limit or never staged."""
        with translated():
            row = self._file.reading.execute(
                "SELECT t.frame, h.frame FROM staged AS s"
                " JOIN staged_table AS t ON t.staged = s.id"
                " JOIN staged_headers AS h ON h.staged = s.id"
                " WHERE s.tenant = ? AND s.study = ? AND s.series = ? AND s.pack_id = ?",
                (tenant, ref.study_instance_uid, ref.series_instance_uid, ref.pack_id),
            ).fetchone()
        return IndexFrames(*row) if row else None

    async def table(self, tenant: str, ref: UidRef) -> bytes | None:
        """Return the table frame alone, as `index`, without paying for the headers."""
        with translated():
            row = self._file.reading.execute(
                "SELECT t.frame FROM staged AS s JOIN staged_table AS t ON t.staged = s.id"
                " WHERE s.tenant = ? AND s.study = ? AND s.series = ? AND s.pack_id = ?",
                (tenant, ref.study_instance_uid, ref.series_instance_uid, ref.pack_id),
            ).fetchone()
        return row[0] if row else None

    async def find_uids(
        self, tenant: str, uids: Collection[str]
    ) -> Mapping[str, tuple[UidRef, ...]]:
        """Return where each SOP or Series Instance UID was staged."""
        wanted = set(uids)
        if len(wanted) <= _UIDS_INLINE:
            with translated():
                return find_uids(self._file.reading, tenant, wanted)
        return await self._file.read(partial(find_uids, tenant=tenant, uids=wanted))

    async def studies(
        self, tenant: str, anchor: Anchor, *, after: str | None = None, limit: int = 100
    ) -> StudyPage:
        """Return up to `limit` studies that match `anchor`, newest first."""
        page = partial(_page, tenant=tenant, anchor=stripped(anchor), after=after)
        if isinstance(anchor, ByAccession | ByPatient):
            # Nearly always few: found here before a thread would have begun.
            with translated():
                few = page(self._file.reading, limit=min(limit, _STUDIES_INLINE))
            if few.cursor is None or limit <= _STUDIES_INLINE:
                return few
        return await self._file.read(partial(page, limit=limit))

    async def events(self, limit: int = 100) -> list[OutboxEvent]:
        """Return the oldest events that nobody has passed on."""
        with translated():
            rows = self._file.reading.execute(
                "SELECT record FROM event ORDER BY event_id LIMIT ?", (limit,)
            )
            return [codec.decode_event(record) for (record,) in rows]

    async def forget_events(self, event_ids: Collection[str]) -> None:
        """Remove events that have been passed on."""
        await self._file.write(
            lambda connection: sqlite_changes.forget_events(connection, event_ids)
        )

    async def conflicts(self, tenant: str, *, limit: int = 1000) -> list[ConflictRecord]:
        """Return the newest conflicts first."""
        with translated():
            rows = self._file.reading.execute(
                "SELECT record FROM conflict WHERE tenant = ?"
                " ORDER BY pack_id DESC, conflict_id DESC LIMIT ?",
                (tenant, limit),
            )
            return [codec.decode_conflict(record) for (record,) in rows]

    async def export(self, tenant: str | None = None) -> AsyncIterator[StudyState]:
        """Yield every study, by tenant and UID."""
        last = ("" if tenant is None else tenant, "")
        while states := await self._file.read(partial(_states, tenant=tenant, last=last)):
            for state in states:
                yield state
            last = (states[-1].study.tenant, states[-1].study.study_instance_uid)

    async def wipe(self, tenant: str | None = None) -> None:
        """Remove everything (of one tenant)."""
        await self._file.write(lambda connection: sqlite_changes.wipe(connection, tenant))

    async def ready(self) -> None:
        """Return when the catalogue answers; raises Unavailable."""
        with translated():
            self._file.reading.execute("SELECT 1 FROM study LIMIT 1").fetchone()


def _page(
    connection: sqlite3.Connection, *, tenant: str, anchor: Anchor, after: str | None, limit: int
) -> StudyPage:
    with one_moment(connection):
        rows = find(connection, tenant, anchor, after, limit + 1)
        found = rows.found[:limit]
        studies = tuple(
            codec.decode_study(
                tenant,
                *connection.execute(
                    "SELECT uid, rev, record FROM study WHERE id = ?", (study,)
                ).fetchone(),
            )
            for study, _ in found
        )
    cursor = unpacked(found[-1][1]) if found and len(rows.found) > limit else None
    return StudyPage(studies, cursor, max(rows.examined, len(rows.found)))


def _states(
    connection: sqlite3.Connection, *, tenant: str | None, last: tuple[str, str]
) -> list[StudyState]:
    with one_moment(connection):
        of_one = "tenant = ? AND uid > ?"
        of_all = "(tenant, uid) > (?, ?)"
        rows = connection.execute(
            "SELECT tenant, uid, id, rev, record FROM study"  # nosec B608 # noqa: S608  constants
            f" WHERE {of_all if tenant is None else of_one} ORDER BY tenant, uid LIMIT ?",
            (*last, _STATES_AT_ONCE),
        ).fetchall()
        return [_state(connection, owner, uid, tuple(row)) for owner, uid, *row in rows]


def _state(
    connection: sqlite3.Connection, tenant: str, uid: str, row: tuple[int, int, bytes]
) -> StudyState:
    study, rev, record = row
    series = connection.execute(
        "SELECT uid, record FROM series WHERE study = ? ORDER BY uid", (study,)
    )
    packs = connection.execute(
        "SELECT series, pack_id, record FROM pack WHERE study = ? ORDER BY series, pack_id",
        (study,),
    )
    return StudyState(
        codec.decode_study(tenant, uid, rev, record),
        tuple(codec.decode_series(tenant, uid, *one) for one in series),
        tuple(codec.decode_pack(tenant, uid, *one) for one in packs),
    )
