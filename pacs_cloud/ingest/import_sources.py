"""Where an import reads from: a folder, a ZIP, or a prefix in an object store."""

import asyncio
import os
import stat
import threading
import zipfile
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar

from pacs_cloud.errors import Corrupt, InvalidRequest, NotFound, Offline
from pacs_cloud.objectstore.port import ObjectStore

T = TypeVar("T")

_PIECE_BYTES = 1 << 20
_LISTED_AT_A_TIME = 500


class UnreadableFile(Exception):
    """One file cannot be read; the others may be."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file of a source.

    Attributes:
        name: its path within the source.
        length_bytes: how long the source says it is.
        read: yields its bytes in pieces of about a MiB; raises UnreadableFile.
    """

    name: str
    length_bytes: int
    read: Callable[[], AsyncIterator[bytes]]


class ImportSource(Protocol):
    """Files to import."""

    @property
    def name(self) -> str:
        """What the packs' index says where they came from; no patient data."""
        ...

    def files(self) -> AsyncIterator[FoundFile]:
        """Yield the files, in a fixed order; may be called again.

        Raises:
            InvalidRequest: there is no such source.
        """
        ...


class FolderSource:
    """Every regular file in a folder and the folders in it; or one file alone."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def name(self) -> str:
        """The folder's last name."""
        return self._path.resolve().name

    async def files(self) -> AsyncIterator[FoundFile]:
        """Yield the files by name; links to folders are not followed."""
        walk = self._walk()
        while batch := await asyncio.to_thread(_next, walk, _LISTED_AT_A_TIME):
            for name, path, length_bytes in batch:
                yield FoundFile(
                    name, length_bytes, lambda path=path: _pieces(lambda: path.open("rb"))
                )

    def _walk(self) -> Iterator[tuple[str, Path, int]]:
        if self._path.is_file():
            yield self._path.name, self._path, self._path.stat().st_size
            return
        if not self._path.is_dir():
            raise InvalidRequest(f"no such file or folder: {self._path}")
        for folder, folders, names in os.walk(self._path):
            folders.sort()
            for name in sorted(names):
                path = Path(folder, name)
                try:
                    status = path.stat()
                except OSError:  # a dangling link: reading it says why it is refused
                    yield str(path.relative_to(self._path)), path, 0
                    continue
                if stat.S_ISREG(status.st_mode):  # a pipe would be read for ever
                    yield str(path.relative_to(self._path)), path, status.st_size


class ZipSource:
    """Every file in a ZIP, one of our own packs as well as any other."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def name(self) -> str:
        """The file's name."""
        return self._path.name

    async def files(self) -> AsyncIterator[FoundFile]:
        """Yield the files in the ZIP's order."""
        try:
            archive = await asyncio.to_thread(zipfile.ZipFile, self._path)
        except (OSError, zipfile.BadZipFile) as error:
            raise InvalidRequest(f"not a readable ZIP file: {self._path}") from error
        # The files outlive this generator: the last of them closes the archive.
        counting = threading.Lock()
        for info in archive.infolist():
            if not info.is_dir():
                yield FoundFile(
                    info.filename,
                    info.file_size,
                    partial(_pieces, partial(archive.open, info), counting),
                )


class PrefixSource:
    """Every object of a store under a prefix."""

    def __init__(self, objects: ObjectStore, prefix: str, name: str) -> None:
        """Read `objects`; `name` is what the packs' index calls them."""
        self._objects = objects
        self._prefix = prefix
        self.name = name

    async def files(self) -> AsyncIterator[FoundFile]:
        """Yield the objects in key order."""
        async for info in self._objects.list(self._prefix):
            yield FoundFile(
                info.key.removeprefix(self._prefix).lstrip("/"),
                info.length_bytes,
                partial(self._object, info.key),
            )

    async def _object(self, key: str) -> AsyncIterator[bytes]:
        try:
            async for piece in self._objects.stream(key):
                yield piece
        # Another program's bucket may also hold names that no archive of ours has.
        except (InvalidRequest, NotFound, Offline, Corrupt) as error:
            raise UnreadableFile(str(error)) from error


def _next(items: Iterator[T], count: int) -> list[T]:
    return list(islice(items, count))


async def _pieces(
    opened: Callable[[], IO[bytes]], lock: AbstractContextManager[Any] | None = None
) -> AsyncIterator[bytes]:
    """Yield what a file holds; `lock` guards its opening and closing (`ZipFile` counts those)."""
    guard = nullcontext() if lock is None else lock

    def begin() -> IO[bytes]:
        with guard:
            return opened()

    def end(file: IO[bytes]) -> None:
        with guard:
            file.close()

    try:
        file = await asyncio.to_thread(begin)
        try:
            while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
                yield piece
        finally:
            end(file)
    # zipfile raises RuntimeError for an encrypted member, NotImplementedError for an
    # unknown compression, and what its decompressors raise for a broken one.
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise UnreadableFile(str(error) or type(error).__name__) from error
