"""Where the tiers of a file store lie: below its root, or in directories of their own.

    {root}/.tier/{CLASS}        the tier: a directory, or a link to one elsewhere
    {root}/.tier/recalled/…     until when cold objects can be read
    {root}/.tier/lock           shared by removals, held alone while an object changes its tier
    {elsewhere}/.tier           says which class a directory elsewhere is for

A key has no component that begins with a dot, so no object's name is one of these.
What a name in `.tier` leads to must say so itself: the empty directory on which
nothing is mounted must not be taken for a tier that has lost everything.
"""

import errno
import fcntl
import os
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock

from pacs_cloud.directories import sync_directory
from pacs_cloud.errors import InvalidRequest, Unavailable
from pacs_cloud.objectstore.partials import locked
from pacs_cloud.objectstore.storage_classes import StorageClass, class_named
from pacs_cloud.objectstore.tree import DurableTree, unavailable

FOLDER = ".tier"
RECALLED = "recalled"
_LOCK = "lock"


class TierFolders:
    """The tiers' directories under one root; every call blocks on the disk."""

    def __init__(self, root: Path, elsewhere: Mapping[StorageClass, Path]) -> None:
        """Open none yet.

        Args:
            root: the store's.
            elsewhere: the tiers that lie in a directory of their own, which exists.

        Raises:
            InvalidRequest: one that is given here is not where that tier's objects lie.
            Unavailable: its directory is not there.
        """
        self._root = root
        self._all = root / FOLDER
        self._trees: dict[str, DurableTree] = {}
        self._opening = Lock()
        for storage_class, directory in elsewhere.items():
            self._settle(storage_class, directory)

    def close(self) -> None:
        """Let go of every directory."""
        with self._opening:
            for tree in self._trees.values():
                tree.close()
            self._trees.clear()

    def path(self, storage_class: StorageClass, key: str) -> str:
        """Return where the file of `key` is while it lies in this class."""
        if storage_class is StorageClass.STANDARD:
            return f"{self._root}/{key}"
        return f"{self._all}/{storage_class}/{key}"

    @staticmethod
    def link_text(storage_class: StorageClass, key: str) -> str:
        """Return what the link says that stands for `key` while it lies in this class."""
        return f"{'../' * key.count('/')}{FOLDER}/{storage_class}/{key}"

    def linked_class(self, key: str) -> StorageClass | None:
        """Return the class that the link at `key` says; None where it is none of ours."""
        try:
            text = os.readlink(f"{self._root}/{key}")  # noqa: PTH115  the path is a str
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.EINVAL}:  # EINVAL: no link
                return None
            raise
        named = class_named(text.partition(f"{FOLDER}/")[2].partition("/")[0])
        if named is None or text != self.link_text(named, key):
            return None
        return named

    def in_use(self) -> list[StorageClass]:
        """Return the classes that have a directory."""
        try:
            names = [place.name for place in self._all.iterdir()]
        except FileNotFoundError:
            return []
        return [named for name in names if (named := class_named(name)) is not None]

    def tree(self, storage_class: StorageClass) -> DurableTree:
        """Return the tier's tree, made where it is missing; raises Unavailable."""
        self.check(storage_class)
        return self._tree(storage_class)

    def recalled(self) -> DurableTree:
        """Return the tree of what is recalled."""
        return self._tree(RECALLED)

    def recalled_path(self, key: str) -> Path:
        """Return where it is written until when `key` can be read."""
        return self._all / RECALLED / key

    def check(self, storage_class: StorageClass) -> None:
        """Raise Unavailable where the tier lies elsewhere, and what is there is not it."""
        place = self._all / storage_class
        if place.is_symlink() and _said_by(place) != storage_class:
            raise Unavailable(f"{storage_class} is not at {place.readlink()}: is it mounted?")

    @contextmanager
    def shared(self) -> Generator[None]:
        """Keep every object in its tier for the time of the block."""
        with self._held(fcntl.LOCK_SH):
            yield

    @contextmanager
    def alone(self) -> Generator[None]:
        """Be the only one of all processes that moves, recalls or removes."""
        with self._held(fcntl.LOCK_EX):
            yield

    @contextmanager
    def _held(self, how: int) -> Generator[None]:
        self._all.mkdir(mode=0o750, exist_ok=True)
        lock = locked(self._all / _LOCK, how)
        try:
            yield
        finally:
            del lock

    def _tree(self, name: str) -> DurableTree:
        with self._opening:
            tree = self._trees.get(name)
            if tree is None:
                opened = DurableTree(self._all / name)
                try:
                    # Made by somebody who may have been killed before he synced it.
                    sync_directory(self._root)
                    sync_directory(self._all)
                except OSError as error:
                    raise unavailable(name, error) from error
                tree = self._trees[name] = opened
            return tree

    def _settle(self, storage_class: StorageClass, directory: Path) -> None:
        """Make `directory` the tier's, where it is not yet."""
        place = self._all / storage_class
        if not directory.is_absolute() or directory.resolve().is_relative_to(self._root.resolve()):
            raise InvalidRequest(f"{storage_class}={directory} is no path outside the store")
        with self.alone():
            known = place.readlink() if place.is_symlink() else None
            if known == directory:
                return  # `check` sees to the rest: a NAS that is down must not stop the start
            if known is None and place.exists():
                raise InvalidRequest(
                    f"{place} is a directory: move what it holds to {directory}, and remove it"
                )
            if not directory.is_dir():
                raise Unavailable(f"{storage_class}={directory} is not there: is it mounted?")
            said = _said_by(directory)
            if known is None and said is None:
                with closing(DurableTree(directory)) as tree:
                    tree.write(FOLDER, f"{storage_class}\n".encode())
            elif said != storage_class:
                raise InvalidRequest(
                    f"{storage_class} lies at {known or 'its default'}, and {directory}"
                    f" is for {said or 'nothing yet'}"
                )
            with closing(DurableTree(self._all)) as tree:
                tree.point(storage_class, str(directory))


def _said_by(directory: Path) -> str | None:
    try:
        return (directory / FOLDER).read_text("ascii", "replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
