"""Bytes that have to wait beside an instance: an unnamed file on the spool's disk."""

import asyncio
import os
import tempfile
import threading
from pathlib import Path

from pacs_cloud.ingest.directory import SpoolDirectory, unavailable

_STAGE_BYTES = 1 << 20


class SideFile:
    """A file without a name, so that nothing of it outlives whoever holds it, or the process.

    STOW-RS brings an instance's bulk data after its metadata and in any order: it waits
    here until the instance can be written from the first element to the last.
    """

    def __init__(self, directory: SpoolDirectory, high_water: float) -> None:
        """Begin an empty file; raises Unavailable, StorageFull.

        Args:
            directory: on whose disk.
            high_water: the part of that disk in use above which nothing is taken.
        """
        directory.check_room(high_water)
        self._directory = directory
        self._high_water = high_water
        self._stage = bytearray()
        self._flushed_bytes = 0
        # Whoever is cancelled leaves a thread behind: it must never meet another's descriptor.
        self._lock = threading.Lock()
        try:
            self._fd = _open_unnamed(directory.path)
        except OSError as error:
            raise unavailable(error) from error

    @property
    def length_bytes(self) -> int:
        """How much was appended."""
        return self._flushed_bytes + len(self._stage)

    async def append(self, view: bytes | memoryview) -> None:
        """Append bytes, which are copied; raises Unavailable, StorageFull."""
        self._stage += view
        if len(self._stage) >= _STAGE_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Return when all that was appended can be read; raises Unavailable, StorageFull."""
        if not self._stage:
            return
        self._directory.check_room(self._high_water)
        stage, self._stage = self._stage, bytearray()
        try:
            await asyncio.to_thread(self._write, stage, self._flushed_bytes)
        except OSError as error:
            raise unavailable(error) from error
        self._flushed_bytes += len(stage)

    def put(self, data: bytes) -> int:
        """Append `data` behind what was flushed, and return where it begins.

        It blocks, so call it on a thread, and not while anything is appended otherwise.

        Raises:
            Unavailable: the disk failed; StorageFull: it is full.
        """
        self._directory.check_room(self._high_water)
        offset = self._flushed_bytes
        try:
            self._write(data, offset)
        except OSError as error:
            raise unavailable(error) from error
        self._flushed_bytes += len(data)
        return offset

    def overwrite(self, offset: int, data: bytes) -> None:
        """Write `data` over flushed bytes; blocks, so call it on a thread.

        Raises:
            Unavailable: the disk failed.
        """
        assert offset + len(data) <= self._flushed_bytes, "only what is there is written over"
        try:
            self._write(data, offset)
        except OSError as error:
            raise unavailable(error) from error

    def read(self, offset: int, length: int) -> bytes:
        """Return flushed bytes, fewer at the end; blocks, so call it on a thread.

        Raises:
            Unavailable: the disk failed.
        """
        try:
            with self._lock:
                return os.pread(self._fd, length, offset)
        except OSError as error:
            raise unavailable(error) from error

    def close(self) -> None:
        """Give the space back; nothing may be used after it."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _write(self, data: bytes | bytearray, offset: int) -> None:
        view = memoryview(data)
        with self._lock:
            while view:
                written = os.pwrite(self._fd, view, offset)
                offset += written
                view = view[written:]


def _open_unnamed(folder: Path) -> int:
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:  # a file system without O_TMPFILE: named for a moment
        fd, name = tempfile.mkstemp(dir=folder)
        Path(name).unlink()
        return fd
