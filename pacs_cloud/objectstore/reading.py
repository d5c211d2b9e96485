"""Ranged reads of files that are written once: inline from memory, else in a thread."""

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from pacs_cloud.objectstore.descriptors import Descriptor, OpenCache

OPEN_FILES = 256
OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
INLINE_BYTES = 1 << 20
"""The most that is read on the event loop: 0.1 ms, where a thread costs 0.1 ms more."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """An object's file, open for reading.

    Attributes:
        descriptor: open until nobody refers to it.
        status: what the file system says; its size never changes.
        named: the status of what has the object's name: `status` itself, or a link's.
    """

    descriptor: Descriptor
    status: os.stat_result
    named: os.stat_result

    @property
    def size(self) -> int:
        """The object's length in bytes."""
        return self.status.st_size

    def read(self, start: int, end: int) -> bytes:
        """Return the range, waiting for the disk; shorter where the file was cut."""
        data = os.pread(self.descriptor.number, end - start, start)
        if len(data) in {0, end - start}:
            return data
        # One call reads 2 GiB at most.
        parts = [data]
        start += len(data)
        while start < end and (data := os.pread(self.descriptor.number, end - start, start)):
            parts.append(data)
            start += len(data)
        return b"".join(parts)

    def read_from_memory(self, start: int, end: int) -> bytes | None:
        """Return the range when the page cache holds all of it, else None; never waits."""
        length = end - start
        if length > INLINE_BYTES:
            return None
        scratch = _scratch()[:length]
        try:
            got = os.preadv(self.descriptor.number, [scratch], start, os.RWF_NOWAIT)
        except OSError:
            # EAGAIN: not in memory. EOPNOTSUPP: the file system cannot tell.
            # A failing disk says so again in the thread.
            return None
        return bytes(scratch) if got == length else None


_threads = threading.local()


def _scratch() -> memoryview:
    """Return this thread's buffer: a new one per read costs ten times the read."""
    buffer: memoryview | None = getattr(_threads, "buffer", None)
    if buffer is None:
        buffer = _threads.buffer = memoryview(bytearray(INLINE_BYTES))
    return buffer


class OpenFiles:
    """The files under `root` that were read last, kept open."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._cache: OpenCache[str, OpenFile] = OpenCache(OPEN_FILES)

    def held(self, key: str) -> OpenFile | None:
        """Return the open file when its name still stands; does not touch the disk.

        The number of its links would not tell: a spool's name may outlive the object's.
        """
        held = self._cache.get(key)
        if held is None:
            return None
        try:
            now = os.lstat(f"{self._root}/{key}")
            named = held.named
            same = os.path.samestat(now, named) and (
                named is held.status or now.st_ctime_ns == named.st_ctime_ns
            )
        except OSError:
            same = False
        if same:
            return held
        self._cache.drop(key)
        return None

    def open(self, key: str) -> OpenFile:
        """Return the file, opened when it is not; waits for the disk.

        Raises:
            FileNotFoundError, NotADirectoryError, IsADirectoryError: no such object.
            OSError: the disk refuses; ELOOP: a link has the object's name.
        """
        held = self.held(key)
        if held is None:
            descriptor = Descriptor(os.open(f"{self._root}/{key}", OPEN_FLAGS))
            status = os.fstat(descriptor.number)
            held = OpenFile(descriptor, status, status)
            if held.status.st_mode & 0o170000 != 0o100000:
                raise IsADirectoryError(key)
            self._cache.put(key, held)
        return held

    def keep(self, key: str, file: OpenFile) -> None:
        """Keep a file open that a link leads to."""
        self._cache.put(key, file)

    def drop(self, key: str) -> None:
        """Keep `key` open no longer."""
        self._cache.drop(key)

    def close(self) -> None:
        """Keep nothing open."""
        self._cache.clear()
