"""A process's own spool directory: `spool/{n}/`, locked for as long as the process lives."""

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

from pacs_cloud.directories import lock_directory, sync_directory, take_numbered
from pacs_cloud.errors import StorageFull, Unavailable

QUARANTINE = "quarantine"
"""Under the spool: what could not be committed, for an admin; never removed."""

_PACK_SUFFIX = ".zip"
_ROOM_CACHE_S = 1.0


def unavailable(error: OSError) -> Unavailable:
    """Return this package's error for a failed write or sync of the spool."""
    reason = os.strerror(error.errno or errno.EIO)
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StorageFull(f"the spool's disk is full: {reason}")
    return Unavailable(f"the spool cannot be written: {reason}")


class SpoolDirectory:
    """One locked directory of spool files, each named `{pack_id}.zip`.

    The lock is `flock`'s: it goes with the process, however that ends.
    """

    def __init__(self, path: Path, lock_fd: int) -> None:
        """Take over `path`, whose lock `lock_fd` holds."""
        self.path = path
        self._lock_fd = lock_fd
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        self._room_checked = float("-inf")
        self._used = 0.0

    @property
    def fd(self) -> int:
        """Its descriptor, to sync the names in it."""
        return self._fd

    @property
    def spool(self) -> Path:
        """The directory of all processes' spools."""
        return self.path.parent

    def release(self) -> None:
        """Unlock: another process may take the directory over."""
        os.close(self._fd)
        os.close(self._lock_fd)

    def create(self, pack_id: str) -> tuple[Path, int]:
        """Return a new, empty spool file and its descriptor; `sync` makes its name durable.

        Raises:
            Unavailable: it cannot be created.
        """
        path = self.path / f"{pack_id}{_PACK_SUFFIX}"
        try:
            return path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise unavailable(error) from error

    def sync(self) -> None:
        """Make the names in the directory durable; raises OSError."""
        os.fsync(self._fd)

    def packs(self) -> list[Path]:
        """Return the spool files, oldest first."""
        return sorted(self.path.glob(f"*{_PACK_SUFFIX}"))

    def take_over(self, other: "SpoolDirectory") -> list[Path]:
        """Move another directory's files here, durably; return where they are now."""
        moved = [path.rename(self.path / path.name) for path in other.packs()]
        if moved:
            self.sync()
            other.sync()
        return moved

    def quarantine(self, path: Path) -> Path:
        """Put a spool file aside, durably; return where it is now.

        Moved back into a spool directory it is tried again.
        """
        folder = quarantine_folder(self.spool)
        moved = path.rename(folder / path.name)
        sync_directory(folder)
        self.sync()
        return moved

    def check_room(self, high_water: float) -> None:
        """Return while the disk is below its high-water mark, as seen within the last second.

        Raises:
            StorageFull: more than the part `high_water` of the disk is in use.
        """
        now = time.monotonic()
        if now - self._room_checked > _ROOM_CACHE_S:
            disk = os.statvfs(self.path)
            self._used = 1 - disk.f_bavail / disk.f_blocks if disk.f_blocks else 0.0
            self._room_checked = now
        if self._used > high_water:
            raise StorageFull(f"{self._used:.1%} of the spool's disk is in use")


def take_spool_directory(spool: Path) -> SpoolDirectory:
    """Return the first directory under `spool` that no process holds, locked; make it if needed.

    Raises:
        Unavailable: `spool` cannot be written.
    """
    try:
        return SpoolDirectory(*take_numbered(spool))
    except OSError as error:
        raise unavailable(error) from error


def abandoned_directories(spool: Path) -> Iterator[SpoolDirectory]:
    """Yield, locked, each directory with files whose process is gone; release it after use."""
    for path in sorted(spool.iterdir()):
        if path.name.isdigit() and any(path.glob(f"*{_PACK_SUFFIX}")):
            lock = lock_directory(path)
            if lock is not None:
                yield SpoolDirectory(path, lock)


def quarantine_folder(spool: Path) -> Path:
    """Return `spool/quarantine/`, which exists then."""
    folder = spool / QUARANTINE
    if not folder.is_dir():
        folder.mkdir(exist_ok=True)
        sync_directory(spool)
    return folder
