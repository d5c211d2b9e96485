"""How many associations each application entity has, over all processes of one machine.

A place is a file that is locked while it is taken: the kernel lets it go with the process,
however that ends, so that nothing has to be counted again after a crash.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from struct import Struct
from typing import Final

from pacs_cloud.directories import take_lock

_MINUTE_US: Final = 60_000_000
_COUNT: Final = Struct(">QQ")
"""A minute since 1970, and how many associations began in it."""


class Places:
    """The places of all entities, each of which has a name fit for a folder."""

    def __init__(self, folder: Path) -> None:
        """Keep them below `folder`, on a disk of this machine."""
        self._folder = folder

    def take(self, name: str, most: int) -> Callable[[], None] | None:
        """Take one of `most` places of `name`; return what gives it back, None where all are taken.

        Raises:
            OSError: the folder cannot be written.
        """
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(most):
            if (place := take_lock(folder / str(number))) is not None:
                return _once(place)
        return None

    def count(self, name: str, most_per_minute: int, now_us: int) -> bool:
        """Count one more association of `name`; return whether the minute has room for it.

        Args:
            name: whose.
            most_per_minute: how many may begin in one minute of the clock.
            now_us: microseconds since 1970 UTC.

        Raises:
            OSError: the folder cannot be written.
        """
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        file = _open(folder / "rate")
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            said = os.pread(file, _COUNT.size, 0)
            minute, begun = _COUNT.unpack(said) if len(said) == _COUNT.size else (0, 0)
            if minute != now_us // _MINUTE_US:
                minute, begun = now_us // _MINUTE_US, 0
            if begun >= most_per_minute:
                return False
            os.pwrite(file, _COUNT.pack(minute, begun + 1), 0)
            return True
        finally:
            os.close(file)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _once(place: int) -> Callable[[], None]:
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, place)
        return stack.pop_all().close
