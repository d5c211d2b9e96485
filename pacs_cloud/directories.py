"""Directories of this machine: names in them made durable, and locks that processes hold there."""

import errno
import fcntl
import os
from pathlib import Path
from typing import Final

_LOCK: Final = "lock"


def sync_directory(path: Path) -> None:
    """Make the names in `path` durable; raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def take_numbered(root: Path, *, mode: int = 0o777) -> tuple[Path, int]:
    """Return the first of `root/0`, `root/1`, … that no process holds, and what locks it.

    It is made where it is missing, with `root` and whatever is missing above; their names are
    durable then. The lock ends with its descriptor: with the process, however that ends.

    Raises:
        OSError: it cannot be written there.
    """
    new = [path for path in root.parents if not path.exists()]
    root.mkdir(mode=mode, parents=True, exist_ok=True)
    number = 0
    while True:
        path = root / str(number)
        path.mkdir(mode=mode, exist_ok=True)
        if (lock := lock_directory(path)) is not None:
            break
        number += 1
    for above in (root, root.parent, *(one.parent for one in new)):
        sync_directory(above)
    return path, lock


def lock_directory(path: Path) -> int | None:
    """Return the descriptor that locks a directory, None where a process holds it.

    Raises:
        OSError: it cannot be written there.
    """
    return take_lock(path / _LOCK)


def take_lock(path: Path) -> int | None:
    """Return the descriptor that holds the lock at `path`, None where a process holds it.

    Raises:
        OSError: it cannot be written there.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
            return None
        raise
    return fd


def is_held(path: Path) -> bool:
    """Tell whether a process holds the lock at `path`; nobody does where there is none.

    Raises:
        OSError: it cannot be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
