"""A catalogue file that is made beside the one in use, and takes its place once it is whole.

Until then the one in use stays as it is, whatever stops the making.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from pacs_cloud.catalogue.sqlite_file import translated
from pacs_cloud.errors import Unavailable

_COMPANIONS = ("-wal", "-shm")
_NOT_TORN = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL})
"""With these there is nothing wrong with a file."""
_WAIT_S = 1.0
"""How long for somebody who has a file open that nobody should."""


def beside(path: Path) -> Path:
    """Return where the file is made that shall take the place of `path`."""
    return path.with_name(f"{path.name}.rebuilding")


def discard(path: Path) -> None:
    """Remove a catalogue file with what belongs to it; raises Unavailable."""
    try:
        _remove_log(path)
        path.unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable(f"{path} cannot be removed: {error.strerror}") from error


def take_place(made: Path, path: Path) -> None:
    """Let the closed file `made` be the file at `path`, durably; nobody has either open.

    A log that was left beside `path` would be played into the new file: it is written
    into the old one before, or removed where that cannot be read.

    Raises:
        Unavailable: the disk refuses or is full, or somebody has `path` open; `path` is as
            before, or its log is written into it.
    """
    with translated():
        _empty_log(made)
    try:
        _remove_log(made)
        _sync(made)
        _give_up_log(path)
        _remove_log(path)
        # Behind the new name no log of the old file may come back.
        _sync(path.parent)
        made.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise Unavailable(f"{made} cannot take the place of {path}: {error}") from error


def _give_up_log(path: Path) -> None:
    """Write what a file's log holds into the file, unless that cannot be read any more."""
    try:
        _empty_log(path)
    except UnicodeDecodeError:
        return  # a torn file, whose own names cannot be read
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) in _NOT_TORN:
            raise Unavailable(f"{path} cannot be given up: {error}") from error


def _remove_log(path: Path) -> None:
    for name in _COMPANIONS:
        path.with_name(path.name + name).unlink(missing_ok=True)


def _empty_log(path: Path) -> None:
    if not path.exists():
        return
    with closing(sqlite3.connect(path, isolation_level=None, timeout=_WAIT_S)) as connection:
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise Unavailable(f"{path} is in use")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
