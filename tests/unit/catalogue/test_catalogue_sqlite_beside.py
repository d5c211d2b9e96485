"""A new catalogue file takes the place of the old one, or leaves it as it was."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.catalogue.sqlite_beside import beside, take_place
from pacs_cloud.errors import Unavailable


def filled(path: Path, word: str) -> sqlite3.Connection:
    """Return a file with a log, open."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=0)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (word TEXT)")
    connection.execute("INSERT INTO t VALUES (?)", (word,))
    return connection


def words(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [word for (word,) in connection.execute("SELECT word FROM t")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A catalogue file, with another one beside it."""
    path = tmp_path / "catalogue.sqlite"
    filled(beside(path), "new").close()
    return path


def test_a_file_that_somebody_reads_keeps_its_log(path: Path) -> None:
    with closing(filled(path, "old")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM t").fetchall()
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute("INSERT INTO t VALUES ('later')")
            with pytest.raises(Unavailable, match="in use"):
                take_place(beside(path), path)
        reader.execute("COMMIT")
        assert words(path) == ["old", "later"]
    take_place(beside(path), path)
    assert words(path) == ["new"]


def test_where_the_disk_is_full_the_old_file_keeps_its_log(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect

    class Full(sqlite3.Connection):
        def execute(self, sql: str, *more: object) -> sqlite3.Cursor:  # type: ignore[override]
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

    def full(name: Path, **options: object) -> sqlite3.Connection:
        factory = Full if name == path else sqlite3.Connection
        return connect(name, factory=factory, **options)  # type: ignore[call-overload]

    with closing(filled(path, "old")):
        monkeypatch.setattr(sqlite3, "connect", full)
        with pytest.raises(Unavailable, match="full"):
            take_place(beside(path), path)
        monkeypatch.undo()
        assert words(path) == ["old"]
    assert beside(path).exists()


@pytest.mark.parametrize("torn", [b"\xff" * 9000, None])
def test_a_torn_file_is_replaced(path: Path, torn: bytes | None) -> None:
    filled(path, "old").close()
    if torn is None:
        # What SQLite says of it holds its own name of the table, which is no text any more.
        content = path.read_bytes()
        torn = content.replace(b"CREATE TABLE t (word TEXT)", b"CREATE TABL\xf9 t (word TEXT)")
        assert torn != content
    path.write_bytes(torn)
    take_place(beside(path), path)
    assert words(path) == ["new"]


async def test_a_torn_file_cannot_be_used(tmp_path: Path) -> None:
    """Also where what SQLite says of it is no text."""
    path = tmp_path / "catalogue.sqlite"
    filled(path, "old").close()
    content = path.read_bytes()
    path.write_bytes(content.replace(b"CREATE TABLE t", b"CREATE TABL\xf9 t"))
    with pytest.raises(Unavailable):
        async with SqliteCatalogue(path):
            pass
