"""A process's own directory of journals, `audit/{n}/`, locked for as long as the process lives."""

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from pacs_cloud.directories import lock_directory, sync_directory, take_numbered
from pacs_cloud.errors import StorageFull, Unavailable

OUTBOX: Final = "outbox"
"""Within a tenant's folder: parts that are sealed, and not sent to the syslog server yet."""
SENT: Final = "sent"
"""Within a tenant's folder: how far each file was sent."""
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
        return JournalDirectory(*take_numbered(root, mode=0o700))
    except OSError as error:
        raise unavailable(error) from error


def abandoned_directories(root: Path) -> Iterator[JournalDirectory]:
    """Yield, locked, each directory with parts in it whose process is gone; release it after use.

    Raises:
        OSError: one cannot be read.
    """
    for path in journal_directories(root):
        if any(path.glob("*/*.jsonl")) or any(path.glob(f"*/{OUTBOX}/*.jsonl")):
            lock = lock_directory(path)
            if lock is not None:
                yield JournalDirectory(path, lock)


def journal_directories(root: Path) -> list[Path]:
    """Return the directories under `root`, of living processes and dead ones."""
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.name.isdigit())


def unsealed_us(root: Path) -> int:
    """Return when the part that waits longest to be sealed was written to last; 0: none waits.

    Raises:
        OSError: a directory cannot be read.
    """
    waiting: list[int] = []
    for directory in journal_directories(root):
        for path in directory.glob("*/*.jsonl"):
            with suppress(FileNotFoundError):  # sealed while we looked
                waiting.append(path.stat().st_mtime_ns // 1000)
    return min(waiting, default=0)
