"""A rebuild that is killed leaves the archive as it was, and is gone on with."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.catalogue.sqlite_beside import beside, take_place
from pacs_cloud.custody.export import digest
from pacs_cloud.objectstore.local import LocalObjectStore
from patience import PATIENCE_S
from unit.custody.custody_packs import Clock, Sample, commit, fill, make_pack, put

STUDIES = 6


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """An archive at rest."""
    data = tmp_path / "data"
    async with (
        LocalObjectStore(data / "objects") as objects,
        SqliteCatalogue(data / "catalogue.sqlite") as catalogue,
    ):
        clock = Clock()
        await fill(objects, catalogue, clock=clock)
        for n in range(STUDIES - 3):
            made = make_pack(clock, "default", f"1.5.{n}", f"1.5.{n}.1", [Sample(f"1.5.{n}.1.1")])
            await put(objects, made)
            await commit(objects, catalogue, made, clock)
    return data


def pacs(*words: str | Path) -> tuple[dict[str, Any], str]:
    done = subprocess.run(
        [sys.executable, "-m", "pacs_cloud", *map(str, words), "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    return json.loads(done.stdout), done.stderr


def kill_after(data: Path, studies: int) -> None:
    command = [sys.executable, "-m", "crash.rebuild_child", str(data), str(studies)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, check=False, timeout=PATIENCE_S, env=env)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("studies", [1, STUDIES])
def test_the_catalogue_before_counts_until_the_new_one_is_whole(data: Path, studies: int) -> None:
    before, _ = pacs("catalogue", "hash", "--data", data)
    kill_after(data, studies)
    assert beside(data / "catalogue.sqlite").exists()
    assert pacs("catalogue", "hash", "--data", data)[0] == before

    said, told = pacs("rebuild", "--resume", "--data", data)
    assert told.splitlines()[0].startswith("going on with the rebuild that was interrupted: 27 pa")
    assert said["begins"] == "going-on"
    assert (said["equal"], said["hash"]) == (True, before["hash"])
    assert said["kept"] > 0
    assert pacs("catalogue", "hash", "--data", data)[0] == before
    assert [path.name for path in data.glob("catalogue*")] == ["catalogue.sqlite"]


def test_without_a_word_it_begins_again(data: Path) -> None:
    kill_after(data, 2)
    said, told = pacs("rebuild", "--data", data)
    assert "interrupted before (--resume would go on with it)" in told.splitlines()[0]
    assert (said["begins"], said["kept"], said["equal"]) == ("anew-again", 0, True)


def _lose(path: Path) -> None:
    for one in path.parent.glob(f"{path.name}*"):
        one.unlink()


def _tear(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[: 3 * 4096] = b"\xff" * (3 * 4096)
    path.write_bytes(content)


def _tear_the_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "words"), [(_lose, ()), (_lose, ("--resume",)), (_tear, ()), (_tear_the_middle, ())]
)
def test_a_file_that_is_gone_or_torn_is_replaced(
    data: Path, damage: Callable[[Path], None], words: tuple[str, ...]
) -> None:
    before, _ = pacs("catalogue", "hash", "--data", data)
    damage(data / "catalogue.sqlite")
    said, _ = pacs("rebuild", *words, "--data", data)
    assert said["begins"] == ("nothing-left" if words else "anew")
    assert (said["hash"], said["hash_before"], said["equal"]) == (before["hash"], None, None)
    assert pacs("catalogue", "hash", "--data", data)[0] == before


def test_what_was_torn_of_an_interrupted_rebuild_is_made_anew(data: Path) -> None:
    kill_after(data, 3)
    made = beside(data / "catalogue.sqlite")
    made.with_name(f"{made.name}-wal").unlink()  # it would heal the file
    made.write_bytes(b"\xff" * 9000)
    said, _ = pacs("rebuild", "--resume", "--data", data)
    assert (said["begins"], said["equal"]) == ("unreadable", True)


async def test_a_log_that_was_left_is_not_played_into_the_new_file(tmp_path: Path) -> None:
    """As a killed archive leaves one: it is of another file of the same name."""
    path = tmp_path / "catalogue.sqlite"
    clock = Clock()
    async with LocalObjectStore(tmp_path / "objects") as objects:
        async with SqliteCatalogue(path) as catalogue:
            await fill(objects, catalogue, clock=clock)
            log = path.with_name(f"{path.name}-wal").read_bytes()
        async with SqliteCatalogue(beside(path)) as made:
            await fill(objects, made, clock=clock)
            before = await digest(made)
    assert log
    path.with_name(f"{path.name}-wal").write_bytes(log)
    path.write_bytes(b"\xff" * 9000)
    take_place(beside(path), path)
    async with SqliteCatalogue(path) as catalogue:
        assert await digest(catalogue) == before
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
