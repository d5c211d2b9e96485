"""The object store on a local file system: one file per object, synced before it is named."""

import asyncio
import errno
import os
import stat
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Self, TypeVar

from pacs_cloud.errors import Corrupt, NotFound, Unavailable
from pacs_cloud.objectstore.keys import check_key, check_prefix
from pacs_cloud.objectstore.payload import unchanging
from pacs_cloud.objectstore.port import CHUNK_BYTES, ObjectInfo, ObjectLock
from pacs_cloud.objectstore.ranges import check_range, check_suffix, end_within
from pacs_cloud.objectstore.reading import OpenFile, OpenFiles
from pacs_cloud.objectstore.storage_classes import RecallSpeed, StorageClass, needs_recall
from pacs_cloud.objectstore.tier_folders import TierFolders
from pacs_cloud.objectstore.tiers import Placed, Tiers
from pacs_cloud.objectstore.tree import DurableTree, unavailable
from pacs_cloud.objectstore.walk import walk

THREADS = 32
"""Enough that slow syncs do not keep reads waiting."""
LISTED_AT_A_TIME = 1000

Result = TypeVar("Result")


class LocalObjectStore:
    """Objects as files under `root`; any number of processes may share it.

    A put writes and syncs the bytes before they get their name, then syncs every
    directory with a new name. `put_file` gives the caller's file a second name
    (copies where the file system cannot), after syncing it once more: the caller
    must not write to it again. Tags serve lifecycle rules, which there are none of.
    A tier is a directory (`tiers`, `tier_folders`).
    """

    def __init__(
        self,
        root: Path,
        tiers: Mapping[StorageClass, Path] = MappingProxyType({}),
        *,
        recall_delay_s: float = 0,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        """Open it.

        Args:
            root: of the objects; made where it is missing.
            tiers: those that lie in a directory of their own, outside `root`.
            recall_delay_s: how long a recall takes, as a tape's or a cloud's does.
            now_us: the clock that recalls run by, microseconds since 1970 UTC.

        Raises:
            InvalidRequest: a directory in `tiers` is not where that tier's objects lie.
            Unavailable: the disk refuses, or a directory in `tiers` is not there.
        """
        self._tree = DurableTree(root)
        try:
            folders = TierFolders(root, tiers)
        except OSError as error:
            raise unavailable(str(root), error) from error
        delay_us = round(recall_delay_s * 1_000_000)
        self._tiers = Tiers(self._tree, folders, recall_delay_us=delay_us, now_us=now_us)
        self._files = OpenFiles(root)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="objects")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Finish what runs and let go of every file."""
        await asyncio.to_thread(self._threads.shutdown)
        self._files.close()
        self._tiers.close()
        self._tree.close()

    async def put_new(
        self, key: str, data: bytes | memoryview, *, tags: Mapping[str, str] | None = None
    ) -> ObjectInfo:
        """Write a small object; see the port."""
        del tags
        check_key(key)
        data = unchanging(data)
        return await self._run(lambda: self._told(key, self._tree.write(key, data)))

    async def put_file(
        self, key: str, path: Path, *, tags: Mapping[str, str] | None = None
    ) -> ObjectInfo:
        """Name the file at `path` `key` as well; see the port."""
        del tags
        check_key(key)
        return await self._run(lambda: self._told(key, self._tree.place(key, path)))

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Return a range; see the port."""
        check_range(start, end)
        return await self._read(
            check_key(key), lambda size: (start, end_within(key, size, start, end))
        )

    async def get_suffix(self, key: str, length_bytes: int) -> tuple[bytes, int]:
        """Return the object's end and its size; see the port."""
        check_suffix(length_bytes)
        file = await self._open(check_key(key))
        size = file.size
        return await self._read_open(key, file, max(0, size - length_bytes), size), size

    async def stream(
        self, key: str, start: int = 0, end: int | None = None, *, chunk_bytes: int = CHUNK_BYTES
    ) -> AsyncIterator[bytes]:
        """Yield a range in chunks; see the port."""
        check_range(start, end)
        file = await self._open(check_key(key))
        end = end_within(key, file.size, start, end)
        for offset in range(start, end, chunk_bytes):
            yield await self._read_open(key, file, offset, min(offset + chunk_bytes, end))

    async def head(self, key: str) -> ObjectInfo:
        """Return what the file system says of `key`; see the port."""
        check_key(key)
        return await self._run(lambda: self._info(key, self._tiers.find(key)))

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        """Yield objects in key order; see the port."""
        check_prefix(prefix)
        found = self._listed(prefix, after)
        while batch := await self._run(lambda: list(islice(found, LISTED_AT_A_TIME))):
            for info in batch:
                yield info

    async def delete(self, key: str) -> None:
        """Remove `key`; see the port."""
        check_key(key)
        self._files.drop(key)
        await self._run(lambda: self._tiers.remove(key))

    async def versions(self, prefix: str) -> AsyncIterator[str]:
        """Yield the keys below `prefix`: there is one version of each; see the port."""
        async for info in self.list(prefix):
            yield info.key

    async def lock_of(self, key: str) -> ObjectLock:
        """Return that nothing locks the object: a file can be removed; see the port."""
        await self.head(key)
        return ObjectLock()

    async def set_legal_hold(self, key: str, *, on: bool) -> bool:
        """Return that there are no locks; see the port."""
        del on
        await self.head(key)
        return False

    async def retain(self, key: str, until_us: int) -> bool:
        """Return that there are no locks; see the port."""
        del until_us
        await self.head(key)
        return False

    async def move(self, key: str, storage_class: StorageClass) -> ObjectInfo:
        """Bring the object into that tier, at once; see the port."""
        check_key(key)
        return await self._run(lambda: self._info(key, self._tiers.move(key, storage_class)))

    async def recall(self, key: str, days: int, speed: RecallSpeed) -> ObjectInfo:
        """Begin to make a cold object readable, whatever the `speed`; see the port."""
        check_key(key)
        return await self._run(lambda: self._info(key, self._tiers.recall(key, days, speed)))

    async def ready(self) -> None:
        """Return when the root can be read and written; raises Unavailable."""

        def check() -> None:
            if not os.access(self._tree.root, os.R_OK | os.W_OK | os.X_OK):
                raise Unavailable(f"no access to {self._tree.root}")

        await self._run(check)

    async def _read(self, key: str, place: Callable[[int], tuple[int, int]]) -> bytes:
        """Read in one hop to a thread at most; `place` turns a size into a range."""
        held = self._files.held(key)
        if held is not None:
            return await self._read_open(key, held, *place(held.size))

        def cold() -> bytes:
            file = self._opened(key)
            start, end = place(file.size)
            return _whole(key, file.read(start, end), end - start)

        return await self._run(cold)

    async def _open(self, key: str) -> OpenFile:
        return self._files.held(key) or await self._run(lambda: self._opened(key))

    async def _read_open(self, key: str, file: OpenFile, start: int, end: int) -> bytes:
        data = file.read_from_memory(start, end)
        if data is None:
            data = await self._run(lambda: file.read(start, end))
        return _whole(key, data, end - start)

    def _opened(self, key: str) -> OpenFile:
        try:
            return self._files.open(key)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise NotFound(f"no object {key}") from error
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise unavailable(key, error) from error
        # A link has its name.
        file, storage_class = self._tiers.open(key)
        if not needs_recall(storage_class):  # a recall runs out, which nobody would see
            self._files.keep(key, file)
        return file

    def _told(self, key: str, status: os.stat_result) -> ObjectInfo:
        """Return what a put or a listing found under `key`, a link's tier included."""
        if stat.S_ISLNK(status.st_mode):
            return self._info(key, self._tiers.find(key))
        return self._info(key, Placed(StorageClass.STANDARD, status, status))

    def _info(self, key: str, placed: Placed) -> ObjectInfo:
        availability, until_us = self._tiers.availability(key, placed.storage_class)
        return ObjectInfo(
            key,
            placed.status.st_size,
            placed.status.st_mtime_ns // 1000,
            storage_class=placed.storage_class.value,
            availability=availability,
            available_until_us=until_us,
        )

    def _listed(self, prefix: str, after: str) -> Iterator[ObjectInfo]:
        for key, status in walk(self._tree.root, prefix, after):
            with suppress(NotFound):  # it is no object, or went meanwhile
                yield self._told(key, status)

    async def _run(self, work: Callable[[], Result]) -> Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except OSError as error:
            raise unavailable(str(self._tree.root), error) from error


def _whole(key: str, data: bytes, length: int) -> bytes:
    if len(data) != length:
        raise Corrupt(f"{key} was cut: {length - len(data)} bytes are missing")
    return data
