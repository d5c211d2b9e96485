"""Files that are being written: one folder per process, gone when the process is.

    .partial/lock            held while a process makes or sweeps folders
    .partial/{random}/lock   held for a process's life; who can take it may sweep
    .partial/{random}/{pid}-{n}   a file that nobody can list yet

A key has no component that begins with a dot, so no object lies here.
"""

import fcntl
import itertools
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from pacs_cloud.objectstore.descriptors import Descriptor

FOLDER = ".partial"
_LOCK = "lock"


class Partials:
    """This process's folder for files that are being written."""

    def __init__(self, root: Path) -> None:
        self._all = root / FOLDER
        self._own: Path | None = None
        self._held: Descriptor | None = None
        self._making = Lock()
        self._numbers = itertools.count()

    @contextmanager
    def new(self) -> Generator[tuple[str, int]]:
        """Give the path and descriptor of a new, empty file, gone when the block ends."""
        with self.free() as path:
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
            try:
                yield path, number
            finally:
                os.close(number)

    @contextmanager
    def free(self) -> Generator[str]:
        """Give a path that nothing has; what has it when the block ends is removed."""
        # The process's number keeps a forked child, which shares the folder, apart.
        path = f"{self._folder()}/{os.getpid()}-{next(self._numbers)}"
        try:
            yield path
        finally:
            with suppress(FileNotFoundError):  # renamed to its final name
                os.unlink(path)  # noqa: PTH108  the path is a str: this runs once per object

    @contextmanager
    def alone(self) -> Generator[None]:
        """Hold the lock that all processes of this root share."""
        self._all.mkdir(exist_ok=True)
        lock = locked(self._all / _LOCK, fcntl.LOCK_EX)
        try:
            yield
        finally:
            del lock

    def close(self) -> None:
        """Remove the folder."""
        with self._making:
            if self._own is not None:
                with self.alone():
                    _remove(self._own)
            self._own = self._held = None

    def _folder(self) -> Path:
        with self._making:
            if self._own is None:
                self._own, self._held = self._make()
            return self._own

    def _make(self) -> tuple[Path, Descriptor]:
        with self.alone():
            self._sweep()
            own = self._all / secrets.token_hex(8)
            own.mkdir()
            return own, locked(own / _LOCK, fcntl.LOCK_EX)

    def _sweep(self) -> None:
        """Remove the folders of processes that are gone."""
        for folder in self._all.iterdir():
            if folder.name == _LOCK:
                continue
            try:
                lock = locked(folder / _LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, FileNotFoundError, NotADirectoryError):
                continue
            _remove(folder)
            del lock


def locked(path: Path, how: int) -> Descriptor:
    """Return the file at `path`, locked until nobody refers to it; `how` is of flock(2)."""
    descriptor = Descriptor(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))
    fcntl.flock(descriptor.number, how)
    return descriptor


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink(missing_ok=True)
    folder.rmdir()
