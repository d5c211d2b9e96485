"""What only the SQLite catalogue can do wrong."""

import asyncio
import multiprocessing
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from catalogue_samples import NOW_US, SERIES, TENANT, Shelf, attributes, instance, pack, uids
from pacs_cloud.catalogue import sqlite_schema, sqlite_search
from pacs_cloud.catalogue.port import ByDate, ByName, NamePart
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.catalogue.sqlite_schema import MIGRATIONS
from pacs_cloud.errors import Conflict, Unavailable


async def fill(shelf: Shelf, count: int) -> None:
    for number in range(count):
        study = f"1.2.840.99.{number}"
        await shelf.commit(
            pack(
                [instance(f"{study}.1.1")],
                study=study,
                series=f"{study}.1",
                common=attributes(
                    patient_name=("SMITH^JOHN", "SMITHERS^ANNA", "LEE^JOAN")[number % 3],
                    date=("20240101", "20230101", "20230202", "")[number % 4],
                ),
            )
        )


@pytest.mark.parametrize("sorted_at_most", [0, 1, 3, 2000])
async def test_a_frequent_name_is_found_by_either_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sorted_at_most: int
) -> None:
    monkeypatch.setattr(sqlite_search, "_SORTED_AT_MOST", sorted_at_most)
    async with SqliteCatalogue(tmp_path / "c.sqlite") as catalogue:
        await fill(Shelf(catalogue), 24)
        everything = [
            study
            for study in (await catalogue.studies(TENANT, ByDate())).studies
            if study.attributes["00100010"]["Value"][0]["Alphabetic"] != "LEE^JOAN"
        ]
        parts = (NamePart.NAME, "SMITH"), (NamePart.INFIX, "MITH"), (NamePart.SOUND, "SMT")
        for part, text in parts:
            found = []
            cursor = None
            while True:
                page = await catalogue.studies(TENANT, ByName(part, text), after=cursor, limit=5)
                found.extend(page.studies)
                cursor = page.cursor
                if cursor is None:
                    break
            assert found == everything


async def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "c.sqlite"
    async with SqliteCatalogue(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_commit_survives_a_reopening(tmp_path: Path) -> None:
    async with SqliteCatalogue(tmp_path / "c.sqlite") as catalogue:
        await fill(Shelf(catalogue), 3)
        before = [state async for state in catalogue.export()]
    async with SqliteCatalogue(tmp_path / "c.sqlite") as catalogue:
        assert [state async for state in catalogue.export()] == before


DUMP = "SELECT * FROM study_name ORDER BY 1, 2, 3, 4, 5", "SELECT id, names FROM study"


def dumped(connection: sqlite3.Connection) -> list[list[tuple[object, ...]]]:
    return [connection.execute(query).fetchall() for query in DUMP]


def to_version_1(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM study_name WHERE part = 2")
    connection.execute("UPDATE study SET names = substr(names, 1, instr(names, char(28)) - 1)")
    connection.execute("PRAGMA user_version = 1")
    connection.commit()


async def test_a_file_of_version_1_learns_how_names_sound(tmp_path: Path) -> None:
    async with SqliteCatalogue(tmp_path / "c.sqlite") as catalogue:
        await fill(Shelf(catalogue), 3)
    connection = sqlite3.connect(tmp_path / "c.sqlite")
    current = dumped(connection)
    to_version_1(connection)
    assert dumped(connection) != current
    async with SqliteCatalogue(tmp_path / "c.sqlite"):
        pass
    assert dumped(connection) == current
    connection.close()


async def test_an_upgrade_lets_others_write_and_can_be_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_schema, "_STUDIES_AT_ONCE", 1)
    path = tmp_path / "c.sqlite"
    async with SqliteCatalogue(path) as catalogue:
        await fill(Shelf(catalogue), 5)
    connection = sqlite3.connect(path, timeout=0)
    current = dumped(connection)
    to_version_1(connection)
    slices: list[int] = []

    def stopped() -> None:
        # Nobody is locked out between two slices, and nobody takes the file for upgraded.
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("COMMIT")
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        slices.append(1)
        if len(slices) == 3:
            raise Unavailable("the process was killed")

    with pytest.raises(Unavailable, match="killed"):
        SqliteCatalogue(path, stopped)

    others: list[SqliteCatalogue] = []

    def beside() -> None:
        if not others:
            others.append(SqliteCatalogue(path))

    async with SqliteCatalogue(path, beside), others[0]:
        assert dumped(connection) == current
    connection.close()


async def test_a_file_that_another_process_is_making_is_waited_for_without_a_word(
    tmp_path: Path,
) -> None:
    path = tmp_path / "c.sqlite"
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    done = threading.Timer(0.3, connection.execute, ["COMMIT"])
    done.start()
    told: list[int] = []
    async with SqliteCatalogue(path, lambda: told.append(1)):
        assert not told
    done.join()
    connection.close()


async def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    async with SqliteCatalogue(tmp_path / "c.sqlite"):
        pass
    connection = sqlite3.connect(tmp_path / "c.sqlite")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(Unavailable, match="newer"):
        SqliteCatalogue(tmp_path / "c.sqlite")


async def test_what_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "c.sqlite").write_bytes(b"not a database" * 1000)
    with pytest.raises(Unavailable):
        SqliteCatalogue(tmp_path / "c.sqlite")


async def test_one_failed_write_spares_its_group(tmp_path: Path) -> None:
    async with SqliteCatalogue(tmp_path / "c.sqlite") as catalogue:
        file = catalogue._file
        await file.write(lambda connection: connection.execute("CREATE TABLE t (x UNIQUE)"))

        def work(connection: sqlite3.Connection, value: int) -> int:
            connection.execute("INSERT INTO t VALUES (?)", (value,))
            if value == 3:
                raise Conflict("no")
            if value == 4:
                connection.execute("INSERT INTO t VALUES (1)")
            return value

        results = await asyncio.gather(
            *(
                file.write(lambda connection, value=value: work(connection, value))
                for value in range(6)
            ),
            return_exceptions=True,
        )
        assert results[:3] == [0, 1, 2]
        assert isinstance(results[3], Conflict)
        assert isinstance(results[4], Unavailable)
        assert results[5] == 5
        rows = file.reading.execute("SELECT x FROM t ORDER BY x").fetchall()
        assert rows == [(0,), (1,), (2,), (5,)]


async def test_a_closed_catalogue_says_so(tmp_path: Path) -> None:
    catalogue = SqliteCatalogue(tmp_path / "c.sqlite")
    await catalogue.close()
    await catalogue.close()
    with pytest.raises(Unavailable):
        await catalogue.studies(TENANT, ByDate())
    with pytest.raises(Unavailable):
        await catalogue.forget_events(["x"])
    with pytest.raises(Unavailable):
        await catalogue.ready()


def _racer(path: Path, number: int) -> None:
    async def run() -> None:
        async with SqliteCatalogue(path) as catalogue:
            shelf = Shelf(catalogue)
            for at in range(12):
                await shelf.commit(
                    pack(
                        [instance(f"{SERIES}.{number}.{at}", received_us=NOW_US + at)],
                        common=attributes(patient_name=f"N{number}"),
                    ),
                )

    asyncio.run(run())


async def test_processes_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    context = multiprocessing.get_context("spawn")
    racers = [context.Process(target=_racer, args=(path, number)) for number in range(3)]
    for racer in racers:
        racer.start()
    for racer in racers:
        await asyncio.to_thread(racer.join, 120)
        assert racer.exitcode == 0
    async with SqliteCatalogue(path) as catalogue:
        state = await catalogue.study(TENANT, "1.2.840.99.1")
        assert state is not None
        assert state.study.instance_count == 36
        assert len(state.packs) == 36
        found = await catalogue.find_uids(
            TENANT, [uid for number in range(3) for uid in uids(f"{SERIES}.{number}", 12, 0)]
        )
        assert len(found) == 36


async def test_an_upgrade_waits_for_another_that_goes_on_and_for_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_schema, "_PATIENCE_S", 0.25)
    monkeypatch.setattr(sqlite_schema, "_TOLD_AFTER_S", 0.0)
    path = tmp_path / "c.sqlite"
    async with SqliteCatalogue(path) as catalogue:
        await fill(Shelf(catalogue), 2)
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    current = dumped(connection)
    to_version_1(connection)
    waits = 0

    def slice_by_slice() -> None:
        nonlocal waits
        if connection.in_transaction:
            waits += 1
            connection.execute("UPDATE study SET rev = rev + 1")
            connection.execute("COMMIT")
            if waits < 6:
                connection.execute("BEGIN IMMEDIATE")

    connection.execute("BEGIN IMMEDIATE")
    async with SqliteCatalogue(path, slice_by_slice):
        assert waits == 6
        assert dumped(connection) == current
    connection.execute("PRAGMA user_version = 1")
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked"):
        SqliteCatalogue(path)
    connection.close()
