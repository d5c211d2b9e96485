"""A recorded program's files are replayed as they were, and cut as a power failure would."""

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from crash import recorder
from crash.disk import (
    at_random,
    names_survive,
    nothing_survives,
    removals_survive,
    sizes_survive,
)
from crash.replay import Replay, Unmodelled
from crash.strace_log import Began, Ended, read_calls
from patience import PATIENCE_S

PROGRAM = """
import os, sqlite3, sys, threading
root = sys.argv[1]

def sync(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)

def pack():
    os.mkdir(root + "/spool"); os.mkdir(root + "/objects"); sync(root)
    fd = os.open(root + "/spool/p", os.O_CREAT | os.O_RDWR, 0o600)
    os.writev(fd, [b"ab", b"cd"]); os.lseek(fd, 1, os.SEEK_SET); os.write(fd, b"B")
    os.pwritev(fd, [b"e", b"f"], 4); os.ftruncate(fd, 5); os.fdatasync(fd); sync(root + "/spool")
    other = os.dup(fd); os.close(fd); os.pwrite(other, b"z" * 9_000_000, 5); os.close(other)
    folder = os.open(root + "/objects", os.O_RDONLY | os.O_DIRECTORY)
    os.mkdir("deep", dir_fd=folder); os.rename("deep", "deeper", src_dir_fd=folder, dst_dir_fd=folder)
    os.link(root + "/spool/p", "p", dst_dir_fd=folder); os.fsync(folder)
    named = os.open(root + "/spool/p", os.O_RDONLY)
    os.link(f"/proc/self/fd/{named}", "again", dst_dir_fd=folder); os.close(named); os.close(folder)
    os.unlink(root + "/spool/p")
    if os.fork() == 0:
        with open(root + "/child", "ab") as file: file.write(b"from the child")
        os.rename(root + "/child", root + "/renamed"); os._exit(0)
    os.wait()

def rows():
    db = sqlite3.connect(root + "/db", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL"); db.execute("PRAGMA synchronous=FULL")
    db.execute("PRAGMA wal_autocheckpoint=8")
    db.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, x BLOB)")
    for n in range(60):
        db.execute("INSERT INTO t VALUES (?, zeroblob(3000))", (n,))
        # From here on the row is promised.
        os.mkdir(f"{root}/promised-{n}")
    db.close()

threads = [threading.Thread(target=pack), threading.Thread(target=rows)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


LOSSES = (nothing_survives, removals_survive, names_survive, sizes_survive, at_random(7))


def record(program: str, folder: Path) -> tuple[Path, Path]:
    """Run `program` traced; return the directory it filled, and its trace."""
    if (reason := recorder.unavailable()) is not None:
        pytest.skip(reason)
    root, log = folder / "root", folder / "strace.log"
    root.mkdir()
    command = recorder.command_line([sys.executable, "-c", program, str(root)], log)
    subprocess.run(command, check=True, timeout=PATIENCE_S)
    return root, log


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return record(PROGRAM, tmp_path_factory.mktemp("traced"))


def test_the_replayed_tree_is_the_real_one(traced: tuple[Path, Path]) -> None:
    root, log = traced
    replay = Replay(root)
    with log.open() as lines:
        cuts = list(replay.run(read_calls(lines)))
    real = {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }
    assert replay.disk.seen_files() == real
    assert real["objects/p"][:6] == b"aBcdez"
    assert real["renamed"] == b"from the child"
    assert len(cuts) > 100


def test_sqlite_keeps_what_it_committed(traced: tuple[Path, Path], tmp_path: Path) -> None:
    """Proves the model on a program known to survive power cuts."""
    root, log = traced
    replay = Replay(root)
    checked = 0
    with log.open() as lines:
        for cut in replay.run(read_calls(lines)):
            promised = sum(name.startswith("promised-") for name in replay.disk.root.seen)
            if cut.after != "mkdir" or promised % 6 != 1:
                continue
            for number, loss in enumerate(LOSSES):
                survived = tmp_path / f"cut-{cut.number}-{number}"
                survived.mkdir()
                replay.disk.after_cut(loss).write_to(survived)
                db = sqlite3.connect(survived / "db")
                try:
                    (rows,) = db.execute("SELECT count(*) FROM t").fetchone()
                    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                finally:
                    db.close()
                assert rows >= promised
                checked += 1
    assert checked == 10 * len(LOSSES)


def test_a_commit_that_does_not_sync_is_caught(tmp_path: Path) -> None:
    """The model can fail a program: SQLite told not to sync loses what it promised."""
    root, log = record(PROGRAM.replace("synchronous=FULL", "synchronous=OFF"), tmp_path)
    survived = tmp_path / "survived"
    survived.mkdir()
    replay = Replay(root)
    with log.open() as lines:
        for _ in replay.run(read_calls(lines)):
            pass
    replay.disk.after_cut(nothing_survives).write_to(survived)
    db = sqlite3.connect(survived / "db")
    try:
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        rows = db.execute("SELECT count(*) FROM t").fetchone()[0] if tables else 0
    finally:
        db.close()
    assert rows < 60


def test_a_writable_mapping_is_refused(tmp_path: Path) -> None:
    root, log = record(
        "import mmap, sys\n"
        "f = open(sys.argv[1] + '/m', 'w+b'); f.truncate(4096); mmap.mmap(f.fileno(), 4096)",
        tmp_path,
    )
    with log.open() as lines, pytest.raises(Unmodelled, match="mapped"):
        list(Replay(root).run(read_calls(lines)))


def strace(*lines: str) -> list[Began | Ended]:
    """Return calls as strace would log them, with its strings in hex."""

    def hexed(found: re.Match[str]) -> str:
        return '"' + "".join(f"\\x{byte:02x}" for byte in found[1].encode()) + '"'

    logged = (re.sub(r'"([^"]*)"', hexed, line) for line in lines)
    return list(read_calls(f"{line[:2]} 1700000000.000001 {line[3:]}" for line in logged))


def after_the_last(moments: list[Began | Ended], root: Path) -> Path:
    """Return where that stands which a cut after `moments` leaves for sure."""
    replay = Replay(root)
    for _ in replay.run(moments):
        pass
    survived = root / "survived"
    survived.mkdir()
    replay.disk.after_cut(nothing_survives).write_to(survived)
    return survived


def test_a_directory_that_another_thread_found_is_there_though_its_maker_has_not_returned(
    tmp_path: Path,
) -> None:
    root = str(tmp_path)
    moments = strace(
        f'10 mkdirat(3<{root}>, "a", 0750 <unfinished ...>',
        f'11 mkdirat(4<{root}>, "a", 0750) = -1 EEXIST (File exists)',
        f'11 openat(4<{root}>, "a", O_RDONLY|O_DIRECTORY) = 5<{root}/a>',
        f"11 fsync(4<{root}>) = 0",
        f'11 openat(AT_FDCWD, "{root}/a/f", O_RDWR|O_CREAT, 0640) = 6<{root}/a/f>',
        f"11 fsync(5<{root}/a>) = 0",
        "10 <... mkdirat resumed>) = 0",
    )
    survived = after_the_last(moments, tmp_path)
    assert (survived / "a" / "f").exists()


def test_a_sync_counts_whichever_process_makes_it(tmp_path: Path) -> None:
    """A descriptor sent to another process has a number there that means something else."""
    root = str(tmp_path)
    moments = strace(
        f'10 openat(AT_FDCWD, "{root}/f", O_RDWR|O_CREAT, 0640) = 5<{root}/f>',
        f'10 openat(AT_FDCWD, "{root}/g", O_RDWR|O_CREAT, 0640) = 6<{root}/g>',
        f'10 write(5<{root}/f>, "ab", 2) = 2',
        f'10 write(6<{root}/g>, "cd", 2) = 2',
        "10 vfork() = 11",
        f"11 fdatasync(5<{root}/g>) = 0",
        f"11 fsync(6<{root}>) = 0",
    )
    survived = after_the_last(moments, tmp_path)
    assert (survived / "g").read_bytes() == b"cd"
    assert (survived / "f").read_bytes() == b""


def test_a_number_that_is_being_closed_may_be_another_thread_s_already(tmp_path: Path) -> None:
    """The kernel frees it at once, and may let the thread that closes it return much later."""
    root = str(tmp_path)
    moments = strace(
        "10 clone3({flags=CLONE_VM|CLONE_FILES}, 88) = 11",
        f'10 openat(AT_FDCWD, "{root}/f", O_RDWR|O_CREAT, 0640) = 5<{root}/f>',
        f"10 close(5<{root}/f> <unfinished ...>",
        f'11 openat(AT_FDCWD, "{root}/g", O_RDWR|O_CREAT, 0640) = 5<{root}/g>',
        "10 <... close resumed>) = 0",
        f'11 write(5<{root}/g>, "cd", 2) = 2',
        f'11 linkat(AT_FDCWD, "/proc/self/fd/5", 4<{root}>, "h", AT_SYMLINK_FOLLOW) = 0',
        f"11 fdatasync(5<{root}/g>) = 0",
        f"11 fsync(4<{root}>) = 0",
    )
    survived = after_the_last(moments, tmp_path)
    assert (survived / "h").read_bytes() == b"cd"


def test_a_thread_that_is_killed_as_it_enters_a_call_made_none(tmp_path: Path) -> None:
    """strace cannot ask any more what the call was."""
    root = str(tmp_path)
    moments = strace(
        f'10 openat(AT_FDCWD, "{root}/f", O_RDWR|O_CREAT, 0640) = 5<{root}/f>',
        "11 ???( <unfinished ...>",
        f"10 fsync(4<{root}>) = 0",
        "10 exit_group(0) = ?",
        "11 <... ??? resumed>) = ?",
        "11 +++ exited with 0 +++",
    )
    survived = after_the_last(moments, tmp_path)
    assert (survived / "f").exists()
