"""The catalogue's SQLite tables, and how an older file becomes a current one."""

import sqlite3
import time
from collections.abc import Callable

from pacs_cloud.catalogue.names import sounds_of
from pacs_cloud.catalogue.port import NamePart
from pacs_cloud.catalogue.sqlite_search import PARTS, groups_in, sounds_text, year_of
from pacs_cloud.errors import Unavailable

PAGE_BYTES = 4096
"""SQLite's default: a commit touches some ten pages, and twice the size is twice the writing."""

_TABLES = """
CREATE TABLE study (
    id INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    uid TEXT NOT NULL,
    rev INTEGER NOT NULL,
    place BLOB,
    names TEXT,
    record BLOB NOT NULL,
    UNIQUE (tenant, uid)
);
CREATE INDEX study_by_place ON study (tenant, place, names);
CREATE TABLE study_modality (
    tenant TEXT NOT NULL, modality TEXT NOT NULL, place BLOB NOT NULL, study INTEGER NOT NULL,
    PRIMARY KEY (tenant, modality, place)
) WITHOUT ROWID;
CREATE TABLE study_patient (
    tenant TEXT NOT NULL, patient_id TEXT NOT NULL, place BLOB NOT NULL, issuer TEXT NOT NULL,
    study INTEGER NOT NULL,
    PRIMARY KEY (tenant, patient_id, place, issuer)
) WITHOUT ROWID;
CREATE TABLE study_accession (
    tenant TEXT NOT NULL, accession TEXT NOT NULL, place BLOB NOT NULL, study INTEGER NOT NULL,
    PRIMARY KEY (tenant, accession, place)
) WITHOUT ROWID;
CREATE TABLE study_name (
    tenant TEXT NOT NULL, part INTEGER NOT NULL, year BLOB NOT NULL, text TEXT NOT NULL,
    place BLOB NOT NULL, study INTEGER NOT NULL,
    PRIMARY KEY (tenant, part, year, text, place)
) WITHOUT ROWID;
CREATE VIRTUAL TABLE study_infix USING fts5(
    text, content='', detail='full', tokenize='trigram case_sensitive 1'
);
CREATE TABLE series (
    study INTEGER NOT NULL, uid TEXT NOT NULL, record BLOB NOT NULL,
    PRIMARY KEY (study, uid)
) WITHOUT ROWID;
CREATE TABLE pack (
    study INTEGER NOT NULL, series TEXT NOT NULL, pack_id TEXT NOT NULL, record BLOB NOT NULL,
    PRIMARY KEY (study, series, pack_id)
) WITHOUT ROWID;
CREATE TABLE staged (
    id INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL, study TEXT NOT NULL, series TEXT NOT NULL, pack_id TEXT NOT NULL,
    UNIQUE (tenant, study, series, pack_id)
);
CREATE TABLE staged_table (staged INTEGER PRIMARY KEY, frame BLOB NOT NULL);
CREATE TABLE staged_headers (staged INTEGER PRIMARY KEY, frame BLOB NOT NULL);
CREATE TABLE uid (
    tenant TEXT NOT NULL, key TEXT NOT NULL, staged INTEGER NOT NULL, suffixes TEXT NOT NULL,
    PRIMARY KEY (tenant, key, staged)
) WITHOUT ROWID;
CREATE TABLE event (event_id TEXT PRIMARY KEY, tenant TEXT NOT NULL, record BLOB NOT NULL)
    WITHOUT ROWID;
CREATE TABLE conflict (
    tenant TEXT NOT NULL, pack_id TEXT NOT NULL, conflict_id TEXT NOT NULL, record BLOB NOT NULL,
    PRIMARY KEY (tenant, pack_id, conflict_id)
) WITHOUT ROWID;
"""


Step = Callable[[sqlite3.Connection, int], int]
"""One slice of a step, in a transaction: from where it goes on to where the next does, 0 at its
end. Several processes may work on one step side by side, each from its own beginning."""


def _create(connection: sqlite3.Connection, _after: int) -> int:
    for statement in _TABLES.split(";"):
        if statement.strip():
            connection.execute(statement)
    return 0


_STUDIES_AT_ONCE = 1000
"""Their slice takes a small part of the time that other processes' writes wait for."""


def _add_sounds(connection: sqlite3.Connection, after: int) -> int:
    """Let studies be found by how their patients' names sound."""
    rows = connection.execute(
        "SELECT id, tenant, place, names FROM study WHERE id > ? AND names IS NOT NULL"
        " ORDER BY id LIMIT ?",
        (after, _STUDIES_AT_ONCE),
    ).fetchall()
    for study, tenant, place, names in rows:
        sounds = sounds_of(groups_in(names))
        if names.endswith(sounds_text(sounds)):
            continue  # another process was here
        connection.executemany(
            "INSERT OR IGNORE INTO study_name VALUES (?, ?, ?, ?, ?, ?)",
            [
                (tenant, PARTS[NamePart.SOUND], year_of(place), sound, place, study)
                for sound in sounds
            ],
        )
        connection.execute(
            "UPDATE study SET names = ? WHERE id = ?", (names + sounds_text(sounds), study)
        )
    return int(rows[-1][0]) if rows else 0


MIGRATIONS: tuple[Step, ...] = (_create, _add_sounds)
"""What brings a file from version n to n + 1, which its last slice says it has.

A step must leave what the version before it reads and writes in place, so that
processes of both run side by side during an upgrade; a column is dropped one
release after the last code that reads it. A step that was stopped begins again.

An older process that opens an upgraded file is refused. One that has it open already
goes on and does not know what was added: since `_add_sounds`, the studies it writes are
without sounds, no fuzzy search finds them, and no later change of them mends that; the
sounds of what it renames or removes stay behind, and may make a later commit of the same
study fail. So end every older process before the first newer one starts; where they
have run side by side, `pacs-cloud rebuild` makes the catalogue whole.
"""


_PATIENCE_S = 10.0
"""How long the file may be locked while nobody changes it."""
_RETRY_S = 0.1
_TOLD_AFTER_S = 2.0
"""Another process that makes a new file, or does little, is waited for without a word."""
_GAP_S = 0.005
"""Between two slices: who tries again every 0.1 s comes in before long."""


def migrate(connection: sqlite3.Connection, upgrading: Callable[[], None]) -> None:
    """Bring the file to the current version, slice by slice; others may do the same meanwhile.

    Args:
        connection: to the file.
        upgrading: called after each slice that is not the last of its step, and while
            another process has been at it for long.

    Raises:
        sqlite3.Error: the file cannot be used.
        Unavailable: a newer release wrote it.
    """
    patience_ms = int(connection.execute("PRAGMA busy_timeout").fetchone()[0])
    # Waiting as SQLite does it might not end while others go from slice to slice.
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        _upgrade(connection, upgrading)
    finally:
        connection.execute(f"PRAGMA busy_timeout = {patience_ms}")


def _upgrade(connection: sqlite3.Connection, upgrading: Callable[[], None]) -> None:
    step, after = 0, 0
    seen, seen_s = -1, 0.0
    began_s = time.monotonic()
    while (version := _version(connection)) < len(MIGRATIONS):
        if version != step:
            step, after = version, 0
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            state, now_s = _data_version(connection), time.monotonic()
            if state != seen:
                seen, seen_s = state, now_s
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or now_s - seen_s > _PATIENCE_S:
                raise
            if now_s - began_s > _TOLD_AFTER_S:
                upgrading()
            time.sleep(_RETRY_S)
            continue
        try:
            if _version(connection) == step:
                after = MIGRATIONS[step](connection, after)
                if not after:
                    connection.execute(f"PRAGMA user_version = {step + 1}")
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        if after:
            upgrading()
            time.sleep(_GAP_S)
    if version > len(MIGRATIONS):
        raise Unavailable(
            f"the catalogue file is of version {version}, this release knows"
            f" {len(MIGRATIONS)}: start a newer one"
        )


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _data_version(connection: sqlite3.Connection) -> int:
    """Return what changes whenever another connection has changed the file."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])
