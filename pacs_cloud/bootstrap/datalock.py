"""The lock that tells whether a data directory is in use."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from pacs_cloud.errors import Conflict, Unavailable

LOCK_NAME = "pacs.lock"


@contextmanager
def share_data(data: Path) -> Generator[None]:
    """Hold `data` (created where missing) in use, together with any others that do.

    Raises:
        Conflict: `fsck` or `rebuild` has it to itself.
        Unavailable: it cannot be created or written.
    """
    with _locked(data, fcntl.LOCK_SH, f"{data} is being checked or rebuilt"):
        yield


@contextmanager
def own_data(data: Path) -> Generator[None]:
    """Hold `data` alone.

    Raises:
        Conflict: a process of this archive is using it.
        Unavailable: it cannot be created or written.
    """
    with _locked(data, fcntl.LOCK_EX, f"{data} is in use; stop the archive that runs on it first"):
        yield


@contextmanager
def _locked(data: Path, kind: int, taken: str) -> Generator[None]:
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = os.open(data / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unavailable(f"cannot use data directory {data}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(taken) from error
        yield
    finally:
        os.close(lock)
