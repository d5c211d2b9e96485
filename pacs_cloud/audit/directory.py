"""A process's own directory of journals, `audit/{n}/`, locked for as long as the process lives."""

import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pacs_cloud.errors import StorageFull, Unavailable

OUTBOX: Final = "outbox"
"""Within a tenant's folder: parts that are sealed, and not sent to the syslog server yet."""
SENT: Final = "sent"
"""Within a tenant's folder: how far each file was sent."""
_LOCK_NAME: Final = "lock"
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def is_full(error: OSError) -> bool:
    """Return whether there is no room for what should be written."""
    return error.errno in _FULL


def unavailable(error: OSError) -> Unavailable:
    """Return this package's error for a journal that cannot be written."""
    reason = os.strerror(error.errno or errno.EIO)
    if is_full(error):
        return StorageFull(f"the disk of the audit trail is full: {reason}")
    return Unavailable(f"the audit trail cannot be written: {reason}")


class JournalDirectory:
    """One locked directory, with a folder for each tenant.

    The lock is `flock`'s: it goes with the process, however that ends.
    """

    def __init__(self, path: Path, lock_fd: int) -> None:
        """Take over `path`, whose lock `lock_fd` holds."""
        self.path = path
        self._lock_fd = lock_fd

    def release(self) -> None:
        """Unlock: another process may take the directory over. Again: nothing happens."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def tenants(self) -> list[str]:
        """Return whose journals are in it."""
        return sorted(path.name for path in self.path.iterdir() if path.is_dir())

    def folder(self, tenant: str) -> Path:
        """Return a tenant's folder, which exists then, durably; raises OSError."""
        folder = self.path / tenant
        # What a crash has left of it, too.
        for path in (folder, folder / OUTBOX, folder / SENT):
            path.mkdir(mode=0o700, exist_ok=True)
        sync_directory(folder)
        sync_directory(self.path)
        return folder


def take_directory(root: Path) -> JournalDirectory:
    """Return the first directory under `root` that no process holds, locked; make it if needed.

    Raises:
        Unavailable: `root` cannot be written.
    """
    try:
        new = [path for path in root.parents if not path.exists()]
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = 0
        while (directory := _lock(root / str(number), create=True)) is None:
            number += 1
        for path in (root, root.parent, *(path.parent for path in new)):
            sync_directory(path)
    except OSError as error:
        raise unavailable(error) from error
    return directory


def abandoned_directories(root: Path) -> Iterator[JournalDirectory]:
    """Yield, locked, each directory with parts in it whose process is gone; release it after use.

    Raises:
        OSError: one cannot be read.
    """
    for path in journal_directories(root):
        if any(path.glob("*/*.jsonl")) or any(path.glob(f"*/{OUTBOX}/*.jsonl")):
            directory = _lock(path, create=False)
            if directory is not None:
                yield directory


def journal_directories(root: Path) -> list[Path]:
    """Return the directories under `root`, of living processes and dead ones."""
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.name.isdigit())


def sync_directory(path: Path) -> None:
    """Make the names in `path` durable; raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _lock(path: Path, *, create: bool) -> JournalDirectory | None:
    if create:
        path.mkdir(mode=0o700, exist_ok=True)
    fd = os.open(path / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
            return None
        raise
    return JournalDirectory(path, fd)
