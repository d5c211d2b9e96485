"""The catalogue's SQLite tables, and how an older file becomes a current one."""

import sqlite3
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


def _create(connection: sqlite3.Connection) -> None:
    for statement in _TABLES.split(";"):
        if statement.strip():
            connection.execute(statement)


_STUDIES_AT_ONCE = 1000


def _add_sounds(connection: sqlite3.Connection) -> None:
    """Let studies be found by how their patients' names sound."""
    after = 0
    while rows := connection.execute(
        "SELECT id, tenant, place, names FROM study WHERE id > ? AND names IS NOT NULL"
        " ORDER BY id LIMIT ?",
        (after, _STUDIES_AT_ONCE),
    ).fetchall():
        for study, tenant, place, names in rows:
            sounds = sounds_of(groups_in(names))
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
        after = rows[-1][0]


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_create, _add_sounds)
"""What brings a file from version n to n + 1, each in one transaction with its number.

A step must leave what the version before it reads and writes in place, so that
processes of both run side by side during an upgrade; a column is dropped one
release after the last code that reads it.
"""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file to the current version; whoever comes first does it, others wait.

    Raises:
        Unavailable: a newer release wrote the file.
    """
    while True:
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if version > len(MIGRATIONS):
                raise Unavailable(
                    f"the catalogue file is of version {version}, this release knows"
                    f" {len(MIGRATIONS)}: start a newer one"
                )
            if version == len(MIGRATIONS):
                connection.execute("COMMIT")
                return
            MIGRATIONS[version](connection)
            connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
