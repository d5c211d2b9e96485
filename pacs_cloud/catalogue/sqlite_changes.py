"""What the SQLite catalogue writes; each function runs inside a transaction."""

import sqlite3
from collections.abc import Collection, Iterable, Sequence

from pacs_cloud.catalogue import codec, uidrefs
from pacs_cloud.catalogue.ordering import packed
from pacs_cloud.catalogue.port import NamePart
from pacs_cloud.catalogue.records import StagedPack, StudyChange, UidRef
from pacs_cloud.catalogue.searchkeys import SearchKeys, search_keys
from pacs_cloud.catalogue.sqlite_search import PARTS, infix_text, names_text, year_of
from pacs_cloud.errors import Conflict

INDEX_LIMIT_BYTES = 4 << 20
"""A frame over this stays in the object: a row of many pages is slow to reach."""

_KEY_TABLES = ("study_patient", "study_accession", "study_modality", "study_name")
_STUDY_TABLES = ("series", "pack")
_STAGED_TABLES = ("staged_table", "staged_headers")
_TENANT_TABLES = ("uid", "event", "conflict", *_KEY_TABLES)
_MERGE_WROTE = 2
"""Of FTS5's "merge": where fewer rows were changed there was nothing to do."""


def stage(connection: sqlite3.Connection, pack: StagedPack) -> None:
    """Write a pack's index and UID keys."""
    names = (pack.tenant, pack.study_instance_uid, pack.series_instance_uid, pack.pack_id)
    connection.execute(
        "INSERT OR IGNORE INTO staged (tenant, study, series, pack_id) VALUES (?, ?, ?, ?)", names
    )
    staged = _staged(connection, names)
    for table, frame in zip(_STAGED_TABLES, (pack.table, pack.headers), strict=True):
        if len(frame) <= INDEX_LIMIT_BYTES:
            connection.execute(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", (staged, frame))  # nosec B608 # noqa: S608  a constant
    connection.executemany(
        "INSERT OR REPLACE INTO uid (tenant, key, staged, suffixes) VALUES (?, ?, ?, ?)",
        [
            (pack.tenant, entry.key, staged, entry.suffixes)
            for entry in uidrefs.entries(pack.series_instance_uid, pack.sop_instance_uids)
        ],
    )


def unstage(
    connection: sqlite3.Connection, tenant: str, ref: UidRef, sop_instance_uids: Sequence[str]
) -> None:
    """Remove a pack's index and UID keys."""
    names = (tenant, ref.study_instance_uid, ref.series_instance_uid, ref.pack_id)
    staged = _staged(connection, names)
    if staged is None:
        return
    keys = sorted({key for uid in sop_instance_uids for key in uidrefs.keys_of(uid)})
    connection.executemany(
        "DELETE FROM uid WHERE tenant = ? AND key = ? AND staged = ?",
        [(tenant, key, staged) for key in (ref.series_instance_uid, *keys)],
    )
    for table in _STAGED_TABLES:
        connection.execute(f"DELETE FROM {table} WHERE staged = ?", (staged,))  # nosec B608 # noqa: S608  a constant
    connection.execute("DELETE FROM staged WHERE id = ?", (staged,))


def _staged(connection: sqlite3.Connection, names: tuple[str, str, str, str]) -> int | None:
    row = connection.execute(
        "SELECT id FROM staged WHERE tenant = ? AND study = ? AND series = ? AND pack_id = ?",
        names,
    ).fetchone()
    return row[0] if row else None


def apply(connection: sqlite3.Connection, change: StudyChange) -> None:
    """Make `change`.

    Raises:
        Conflict: the study is not as it was read.
    """
    names = (change.tenant, change.study_instance_uid)
    row = connection.execute(
        "SELECT id, rev FROM study WHERE tenant = ? AND uid = ?", names
    ).fetchone()
    if (row[1] if row else None) != (change.before.rev if change.before else None):
        raise Conflict("the study has changed since it was read")
    keys = search_keys(change.after)
    place = packed(keys.place) if keys else None
    text = names_text(keys.names) if keys else None
    study: int | None = row[0] if row else None
    if change.after is not None:
        record = codec.encode_study(change.after)
        study = connection.execute(
            "INSERT INTO study (tenant, uid, rev, place, names, record) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (tenant, uid) DO UPDATE SET rev = excluded.rev,"
            " place = excluded.place, names = excluded.names, record = excluded.record"
            " RETURNING id",
            (*names, change.after.rev, place, text, record),
        ).fetchone()[0]
    if study is not None:
        _index(connection, study, change.tenant, search_keys(change.before), keys)
        _put_parts(connection, study, change)
        if change.after is None:
            for table in _STUDY_TABLES:
                connection.execute(f"DELETE FROM {table} WHERE study = ?", (study,))  # nosec B608 # noqa: S608  a constant
            connection.execute("DELETE FROM study WHERE id = ?", (study,))
    connection.executemany(
        "INSERT OR REPLACE INTO conflict VALUES (?, ?, ?, ?)",
        [
            (one.tenant, one.pack_id, one.conflict_id, codec.encode_conflict(one))
            for one in change.conflicts
        ],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO event VALUES (?, ?, ?)",
        [(one.event_id, one.tenant, codec.encode_event(one)) for one in change.events],
    )


def _put_parts(connection: sqlite3.Connection, study: int, change: StudyChange) -> None:
    connection.executemany(
        "DELETE FROM series WHERE study = ? AND uid = ?",
        [(study, uid) for uid in change.drop_series],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO series VALUES (?, ?, ?)",
        [(study, one.series_instance_uid, codec.encode_series(one)) for one in change.put_series],
    )
    connection.executemany(
        "DELETE FROM pack WHERE study = ? AND series = ? AND pack_id = ?",
        [(study, ref.series_instance_uid, ref.pack_id) for ref in change.drop_packs],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO pack VALUES (?, ?, ?, ?)",
        [
            (study, one.series_instance_uid, one.pack_id, codec.encode_pack(one))
            for one in change.put_packs
        ],
    )


def _index(
    connection: sqlite3.Connection,
    study: int,
    tenant: str,
    before: SearchKeys | None,
    after: SearchKeys | None,
) -> None:
    """Change what the study is found by; most commits change nothing of it."""
    old, new = _key_rows(study, tenant, before), _key_rows(study, tenant, after)
    for table, columns in (
        ("study_patient", "tenant = ? AND patient_id = ? AND place = ? AND issuer = ?"),
        ("study_accession", "tenant = ? AND accession = ? AND place = ?"),
        ("study_modality", "tenant = ? AND modality = ? AND place = ?"),
        ("study_name", "tenant = ? AND part = ? AND year = ? AND text = ? AND place = ?"),
    ):
        gone, come = old[table] - new[table], new[table] - old[table]
        connection.executemany(
            f"DELETE FROM {table} WHERE {columns}",  # nosec B608 # noqa: S608  constants
            [row[:-1] for row in gone],
        )
        for row in come:
            marks = ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO {table} VALUES ({marks})", row)  # nosec B608 # noqa: S608  constants
    was = infix_text(names_text(before.names)) if before else ""
    now = infix_text(names_text(after.names)) if after else ""
    if was != now:
        if was:
            forget_infix(connection, [(study, was)])
        if now:
            connection.execute("INSERT INTO study_infix (rowid, text) VALUES (?, ?)", (study, now))


def forget_infix(connection: sqlite3.Connection, rows: Iterable[tuple[int, str]]) -> None:
    """Take texts out of the trigram index, which keeps no copy to know them by."""
    connection.executemany(
        "INSERT INTO study_infix (study_infix, rowid, text) VALUES ('delete', ?, ?)", rows
    )


def _key_rows(
    study: int, tenant: str, keys: SearchKeys | None
) -> dict[str, set[tuple[object, ...]]]:
    if keys is None:
        return {table: set() for table in _KEY_TABLES}
    place = packed(keys.place)
    names = (
        (PARTS[NamePart.NAME], keys.names.groups),
        (PARTS[NamePart.GIVEN], keys.names.givens),
        (PARTS[NamePart.SOUND], keys.names.sounds),
    )
    return {
        "study_patient": {
            (tenant, patient.patient_id, place, patient.issuer, study) for patient in keys.patients
        },
        "study_accession": (
            {(tenant, keys.accession_number, place, study)} if keys.accession_number else set()
        ),
        "study_modality": {(tenant, modality, place, study) for modality in keys.modalities},
        "study_name": {
            (tenant, part, year_of(place), text, place, study)
            for part, texts in names
            for text in texts
        },
    }


def forget_events(connection: sqlite3.Connection, event_ids: Collection[str]) -> None:
    """Remove events."""
    connection.executemany(
        "DELETE FROM event WHERE event_id = ?", [(event_id,) for event_id in event_ids]
    )


def merge_names(connection: sqlite3.Connection, pages: int) -> bool:
    """Merge some of the names' index; return whether there is more to do.

    What was taken from it lies in it, beside a note of that, until both meet in a merge.

    Args:
        connection: in a transaction.
        pages: about how many to write; negative of the first: then it all becomes one.
    """
    before = connection.total_changes
    connection.execute("INSERT INTO study_infix (study_infix, rank) VALUES ('merge', ?)", (pages,))
    return connection.total_changes - before >= _MERGE_WROTE


def wipe(connection: sqlite3.Connection, tenant: str | None) -> None:
    """Remove everything, of one tenant or of all."""
    if tenant is None:
        for table in ("study", "staged", *_STUDY_TABLES, *_STAGED_TABLES, *_TENANT_TABLES):
            connection.execute(f"DELETE FROM {table}")  # nosec B608 # noqa: S608  constants
        connection.execute("INSERT INTO study_infix (study_infix) VALUES ('delete-all')")
        return
    texts = connection.execute(
        "SELECT id, names FROM study WHERE tenant = ? AND names IS NOT NULL", (tenant,)
    )
    forget_infix(
        connection, [(study, infix_text(names)) for study, names in texts if infix_text(names)]
    )
    for table in _STUDY_TABLES:
        connection.execute(
            f"DELETE FROM {table} WHERE study IN (SELECT id FROM study WHERE tenant = ?)",  # nosec B608 # noqa: S608  a constant
            (tenant,),
        )
    for table in _STAGED_TABLES:
        connection.execute(
            f"DELETE FROM {table} WHERE staged IN (SELECT id FROM staged WHERE tenant = ?)",  # nosec B608 # noqa: S608  a constant
            (tenant,),
        )
    for table in ("study", "staged", *_TENANT_TABLES):
        connection.execute(f"DELETE FROM {table} WHERE tenant = ?", (tenant,))  # nosec B608 # noqa: S608  a constant
