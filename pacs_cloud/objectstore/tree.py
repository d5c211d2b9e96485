"""Names in a tree of directories that would survive a power cut."""

import errno
import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pacs_cloud.directories import sync_directory
from pacs_cloud.errors import Conflict, NotFound, StorageFull, Unavailable
from pacs_cloud.objectstore.descriptors import Descriptor, OpenCache
from pacs_cloud.objectstore.partials import Partials
from pacs_cloud.objectstore.same_file import READ_BYTES, equal_or_gone, exists

OPEN_DIRECTORIES = 256
_TRIES = 100
# The ways in which file systems say that this file cannot have another name here.
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS}
_FULL = {errno.ENOSPC, errno.EDQUOT}

Parents = tuple[str, ...]


def unavailable(key: str, error: OSError) -> Unavailable:
    """Return `error` in this package's words."""
    kind = StorageFull if error.errno in _FULL else Unavailable
    return kind(f"{key}: {error.strerror or error}")


class DurableTree:
    """Files under `root` with write-once names; every call blocks on the disk.

    A directory that is held open here is known to be durable, with all above it.
    Any process may remove it once it is empty; the kernel then refuses new names
    in it (ENOENT), so that the descriptor never stands for another directory.
    """

    def __init__(self, root: Path) -> None:
        _make_root(root)
        self.root = root
        self._top = Descriptor(_open_directory(str(root)))
        self._directories: OpenCache[Parents, Descriptor] = OpenCache(OPEN_DIRECTORIES)
        self._partials = Partials(root)

    def close(self) -> None:
        """Let go of every directory, and of files that were never finished."""
        self._directories.clear()
        self._partials.close()

    def write(self, key: str, data: bytes | memoryview) -> os.stat_result:
        """Write `data` under `key`.

        Raises:
            Conflict: `key` holds something else.
            Unavailable: the disk refuses (StorageFull: is full); nothing has been named.
        """
        try:
            with self._partials.new() as (path, number):
                _write_all(number, data)
                os.fdatasync(number)
                return self._name(path, key)
        except OSError as error:
            raise unavailable(key, error) from error

    def place(self, key: str, source: Path | str) -> os.stat_result:
        """Give the file at `source` the name `key` too, or copy it where that cannot be.

        Raises:
            NotFound: there is no file at `source`.
            Conflict, Unavailable: as `write`.
        """
        try:
            file = Descriptor(os.open(source, os.O_RDONLY | os.O_CLOEXEC))
            os.fdatasync(file.number)
            try:
                # The file that is open, whatever its path names by now: given a second
                # name, a symbolic link there would be the object.
                return self._name(f"/proc/self/fd/{file.number}", key)
            except OSError as error:
                if error.errno not in _NO_LINK:
                    raise
            with self._copy(file.number) as path:
                return self._name(path, key)
        except FileNotFoundError as error:
            raise NotFound(f"no file to store as {key}") from error
        except OSError as error:
            raise unavailable(key, error) from error

    def point(self, key: str, text: str) -> None:
        """Make `key`, which is there, a symbolic link of this text, in one step.

        Raises:
            Unavailable: the disk refuses; `key` is what it was, or the link.
        """
        try:
            with self._partials.free() as path:
                Path(path).symlink_to(text)
                self._rename(path, key)
        except OSError as error:
            raise unavailable(key, error) from error

    @contextmanager
    def spare(self, key: str, source: str) -> Generator[str]:
        """Give a path, which nobody lists, of the file at `source`: linked, else copied.

        Raises:
            NotFound: there is no file at `source`.
            Unavailable: the disk refuses.
        """
        with ExitStack() as stack:
            try:
                file = Descriptor(os.open(source, os.O_RDONLY | os.O_CLOEXEC))
                os.fdatasync(file.number)
                path = stack.enter_context(self._partials.free())
                try:
                    os.link(source, path, follow_symlinks=False)
                except OSError as error:
                    if error.errno not in _NO_LINK:
                        raise
                    path = stack.enter_context(self._copy(file.number))
            except FileNotFoundError as error:
                raise NotFound(f"no file to bring back as {key}") from error
            except OSError as error:
                raise unavailable(key, error) from error
            yield path

    def replace(self, key: str, path: str) -> None:
        """Make `key`, which is there, the file at `path` (of `spare`); raises as `point`."""
        try:
            self._rename(path, key)
        except OSError as error:
            raise unavailable(key, error) from error

    def sync(self, key: str) -> None:
        """Sync the name of `key`, which is there."""
        try:
            os.fsync(self._directory(tuple(key.split("/")[:-1]), key).number)
        except OSError as error:
            raise unavailable(key, error) from error

    def remove(self, key: str) -> None:
        """Remove `key` and the directories that it leaves empty; absent is fine."""
        *parents, name = key.split("/")
        try:
            self._remove(tuple(parents), name)
        except OSError as error:
            raise unavailable(key, error) from error

    @contextmanager
    def _copy(self, source: int) -> Generator[str]:
        """Give the path of a synced copy of the open file `source`."""
        with self._partials.new() as (path, number):
            offset = 0
            while chunk := os.pread(source, READ_BYTES, offset):
                _write_all(number, chunk)
                offset += len(chunk)
            status = os.fstat(source)
            os.utime(number, ns=(status.st_atime_ns, status.st_mtime_ns))
            os.fdatasync(number)
            yield path

    def _name(self, source: str, key: str) -> os.stat_result:
        """Give the synced file at `source` the name `key`, and sync the name."""
        *folders, name = key.split("/")
        parents = tuple(folders)
        # Of the file, not of the name: that may be removed again as soon as it is there.
        status = os.stat(source)  # noqa: PTH116  the path is a str
        for _ in range(_TRIES):
            directory = self._directory(parents, key)
            try:
                self._link(source, name, directory.number)
            except FileExistsError:
                if not equal_or_gone(source, name, directory.number, key):
                    continue
            except FileNotFoundError:
                if os.stat(source).st_nlink == 0:  # noqa: PTH116
                    raise
                self._directories.drop(parents)  # removed, being empty, by another process
                continue
            else:
                self._sync_name(parents, directory.number, name)
                return status
            # An earlier try's name, which may not have been synced.
            os.fsync(directory.number)
            with suppress(FileNotFoundError):
                return os.stat(name, dir_fd=directory.number, follow_symlinks=False)
        raise Unavailable(f"{key}: its directory is removed again and again")

    def _link(self, source: str, name: str, directory: int) -> None:
        try:
            os.link(source, name, dst_dir_fd=directory)
        except OSError as error:
            if error.errno not in _NO_LINK or not self._is_partial(source):
                raise
            # A file system without links. Renaming would replace an object
            # silently, so every process that names one here takes turns.
            with self._partials.alone():
                if exists(name, directory):
                    raise FileExistsError(errno.EEXIST, "exists", name) from error
                os.rename(source, name, dst_dir_fd=directory)

    def _rename(self, path: str, key: str) -> None:
        *folders, name = key.split("/")
        parents = tuple(folders)
        for _ in range(_TRIES):
            directory = self._directory(parents, key)
            try:
                os.rename(path, name, dst_dir_fd=directory.number)
            except FileNotFoundError:
                if not os.path.lexists(path):
                    raise
                self._directories.drop(parents)  # removed, and made again, by another process
            else:
                os.fsync(directory.number)
                return
        raise Unavailable(f"{key}: its directory is removed again and again")

    def _is_partial(self, source: str) -> bool:
        return source.startswith(f"{self.root}/.partial/")

    def _sync_name(self, parents: Parents, directory: int, name: str) -> None:
        try:
            os.fsync(directory)
        except OSError:
            # A second fsync could succeed without having written anything.
            self._directories.drop(parents)
            with suppress(OSError):
                os.unlink(name, dir_fd=directory)
            raise

    def _directory(self, parents: Parents, key: str) -> Descriptor:
        """Return the directory, made where missing, with every name above it synced."""
        held = self._directories.get(parents) if parents else self._top
        for _ in range(_TRIES):
            if held is not None:
                return held
            try:
                held = self._make(parents)
            except FileNotFoundError:
                # An empty directory above was removed between two of our steps.
                for depth in range(1, len(parents) + 1):
                    self._directories.drop(parents[:depth])
            except NotADirectoryError as error:
                raise Conflict(f"{key}: a part of the key is itself an object") from error
        raise Unavailable(f"{key}: its directory is removed again and again")

    def _make(self, parents: Parents) -> Descriptor:
        directory = self._top
        for depth, folder in enumerate(parents, 1):
            known = self._directories.get(parents[:depth])
            if known is None:
                with suppress(FileExistsError):
                    os.mkdir(folder, 0o750, dir_fd=directory.number)
                known = Descriptor(_open_directory(folder, dir_fd=directory.number))
                os.fsync(directory.number)
                self._directories.put(parents[:depth], known)
            directory = known
        return directory

    def _remove(self, parents: Parents, name: str) -> None:
        chain = [self._top]
        try:
            for folder in parents:
                chain.append(Descriptor(_open_directory(folder, dir_fd=chain[-1].number)))
        except (FileNotFoundError, NotADirectoryError):
            pass
        else:
            with suppress(FileNotFoundError, IsADirectoryError):
                os.unlink(name, dir_fd=chain[-1].number)
        os.fsync(chain[-1].number)
        for depth in range(len(chain) - 1, 0, -1):
            try:
                os.rmdir(parents[depth - 1], dir_fd=chain[depth - 1].number)
            except OSError as error:
                if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY}:
                    return
                if error.errno != errno.ENOENT:
                    raise
            self._directories.drop(parents[:depth])
            os.fsync(chain[depth - 1].number)


def _make_root(root: Path) -> None:
    missing = [path for path in (root, *root.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o750, exist_ok=True)
        sync_directory(path.parent)


def _open_directory(path: str, *, dir_fd: int | None = None) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(path, flags if dir_fd is not None else flags & ~os.O_NOFOLLOW, dir_fd=dir_fd)


def _write_all(number: int, data: bytes | memoryview) -> None:
    rest = memoryview(data).cast("B")
    while rest:
        rest = rest[os.write(number, rest) :]
