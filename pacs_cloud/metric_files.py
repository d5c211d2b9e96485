"""Numbers that several processes of one host count, and any of them can read.

Each process claims a slot in a folder that they share, `dimse-0`, and from then on writes what
it counts into mapped files of that slot, in the form of `prometheus_client`. Who is started
again in the place of a process that died takes over its slot and counts on; where none is left,
the first to come begins at 0. So there are as many files as processes, whatever befalls them.

A slot is held by a lock that ends with its process. Of a slot that nobody holds the live gauges
(of the modes `livesum` and `livemin`) are not read, for they told how things were with it. All
else is: counters, histograms and the gauges of mode `max` tell what has happened.
"""

import fcntl
import logging
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final

from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

from pacs_cloud.directories import is_held, take_lock

log = logging.getLogger(__name__)

_CLAIMING: Final = ".claiming"
_LIVE: Final = "gauge_live"
_RESERVED_BYTES: Final = {"histogram": 2 << 20, "counter": 2 << 20}
_RESERVED_OTHERWISE_BYTES: Final = 1 << 18
"""What is reserved on the disk at once: a mapped page that a full disk lacks would kill us."""


class SharedValue:
    """One number: in memory, and from `bind` on in the files of a slot, too.

    The signature is what `prometheus_client.values` asks of a class of values.
    """

    _multiprocess = False

    _lock: Final = Lock()
    _all: Final[list["SharedValue"]] = []
    _files: Final[dict[str, MmapedDict]] = {}
    slot: "Slot | None" = None
    """Where this process shares what it counts."""

    def __init__(
        self,
        typ: str,
        metric_name: str,
        name: str,
        labelnames: Sequence[str],
        labelvalues: Sequence[str],
        help_text: str,
        multiprocess_mode: str = "",
        **_more: object,
    ) -> None:
        self._kind = f"{typ}_{multiprocess_mode}" if typ == "gauge" else typ
        self._key = mmap_key(metric_name, name, list(labelnames), list(labelvalues), help_text)
        self._value = 0.0
        self._file: MmapedDict | None = None
        with self._lock:
            self._all.append(self)
            if self.slot is not None:
                with suppress(OSError):  # the disk is full by now: it is counted all the same
                    self.map_into(self.slot)

    def inc(self, amount: float) -> None:
        """Count."""
        with self._lock:
            self._value += amount
            if self._file is not None:
                self._file.write_value(self._key, self._value, 0.0)

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Set."""
        with self._lock:
            self._value = value
            if self._file is not None:
                self._file.write_value(self._key, value, timestamp or 0.0)

    def get(self) -> float:
        """Return what this process knows."""
        return self._value

    def set_exemplar(self, exemplar: object) -> None:
        """Keep none."""

    def get_exemplar(self) -> None:
        """Return none."""

    def map_into(self, slot: "Slot") -> None:
        """Go on where the slot's file is; the lock is the caller's. Raises OSError."""
        file = self._files.get(self._kind)
        if file is None:
            file = MmapedDict(str(slot.reserve(self._kind)))
            self._files[self._kind] = file
        if not self._kind.startswith("gauge"):
            self._value += file.read_value(self._key)[0]
        self._file = file
        file.write_value(self._key, self._value, 0.0)

    def unmap(self) -> None:
        """Keep the number in memory alone; the lock is the caller's."""
        self._file = None

    @classmethod
    def bind(cls, slot: "Slot") -> None:
        """Write all that is counted, and will be, into the files of `slot`; raises OSError."""
        with cls._lock:
            cls.slot = slot
            for value in cls._all:
                value.map_into(slot)

    @classmethod
    def unbind(cls) -> None:
        """Count in memory again."""
        with cls._lock:
            cls.slot = None
            for value in cls._all:
                value.unmap()
            for file in cls._files.values():
                file.close()
            cls._files.clear()


@dataclass(frozen=True, slots=True)
class Slot:
    """One process's place in the folder."""

    folder: Path
    name: str

    def reserve(self, kind: str) -> Path:
        """Return the file for one kind of numbers, with room on the disk; raises OSError."""
        path = self.folder / f"{kind}_{self.name}.db"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            room = _RESERVED_BYTES.get(kind, _RESERVED_OTHERWISE_BYTES)
            # What has grown has holes.
            os.posix_fallocate(fd, 0, max(room, os.fstat(fd).st_size))
        finally:
            os.close(fd)
        return path


@contextmanager
def counting_into(folder: Path, process: str) -> Generator[None]:
    """Share what this process counts with the others of `folder` while entered.

    Where the folder cannot be written nothing is shared, which is logged: it is no reason not
    to serve.

    Args:
        folder: made where it is missing.
        process: what it does, such as "web"; digits and letters.
    """
    fd = -1
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            slot, fd = _claim(folder, process)
            SharedValue.bind(slot)
        except OSError as error:
            SharedValue.unbind()
            log.warning("metrics_not_shared", extra={"reason": error.strerror})
        yield
    finally:
        SharedValue.unbind()
        if fd >= 0:
            os.close(fd)


def shared_families(kind: str = "") -> list[Metric] | None:
    """Return what all processes of this one's folder have counted; None where it shares nothing.

    Args:
        kind: "counter", "gauge" or "histogram": these alone; "": all.

    Raises:
        OSError: the folder cannot be read.
    """
    slot = SharedValue.slot
    if slot is None:
        return None
    with _claiming(slot.folder, fcntl.LOCK_SH):
        held = _held(slot.folder)
        files = [
            str(path)
            for path in slot.folder.glob(f"{kind}*.db")
            if not path.name.startswith(_LIVE) or path.stem.rpartition("_")[2] in held
        ]
        return list(MultiProcessCollector.merge(files))


def shared_processes() -> dict[str, int]:
    """Return the processes that count now: their slots' names and their process ids."""
    slot = SharedValue.slot
    if slot is None:
        return {}
    with _claiming(slot.folder, fcntl.LOCK_SH):
        return {
            name: int((slot.folder / f"{name}.lock").read_text() or 0)
            for name in sorted(_held(slot.folder))
        }


def _held(folder: Path) -> frozenset[str]:
    """Return the names of the slots that somebody holds."""
    return frozenset(path.stem for path in folder.glob("*.lock") if is_held(path))


def _claim(folder: Path, process: str) -> tuple[Slot, int]:
    """Return a slot that nobody holds, and the descriptor that holds it now; raises OSError."""
    with _claiming(folder, fcntl.LOCK_EX):
        locks = list(folder.glob("*.lock"))
        if not any(is_held(path) for path in locks):
            for path in (*locks, *folder.glob("*.db")):
                path.unlink()
        number = 0
        while True:
            slot = Slot(folder, f"{process}-{number}")
            if (fd := take_lock(folder / f"{slot.name}.lock")) is not None:
                break
            number += 1
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        for path in folder.glob(f"{_LIVE}*_{slot.name}.db"):
            path.unlink()
        return slot, fd


@contextmanager
def _claiming(folder: Path, how: int) -> Generator[None]:
    """Keep slots from being claimed (or looked at) meanwhile."""
    fd = os.open(folder / _CLAIMING, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, how)
        yield
    finally:
        os.close(fd)
