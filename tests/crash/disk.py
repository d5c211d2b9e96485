"""A model of a file system that loses power: what was written, and what of it is sure to stay.

Strict POSIX, no journal's favours: a file's bytes stay after its fsync or
fdatasync, a name (made, renamed, removed) after an fsync of its directory,
and nothing else. Whether any other change survived is the cut's choice (`Loss`).
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path, PurePosixPath
from typing import TypeAlias

PAGE_BYTES = 4096


class Change(Enum):
    """A change that no sync covers yet."""

    NAME_ADDED = auto()
    NAME_REMOVED = auto()
    NAME_REPLACED = auto()
    SIZE = auto()
    PAGE = auto()


Loss: TypeAlias = Callable[[Change], bool]
"""Whether an unsynced change survives the cut."""

NAMES = {Change.NAME_ADDED, Change.NAME_REMOVED, Change.NAME_REPLACED}


def nothing_survives(change: Change) -> bool:
    """Lose everything that was not synced."""
    del change
    return False


def removals_survive(change: Change) -> bool:
    """Lose everything unsynced but removals: old names are gone, new ones never came."""
    return change is Change.NAME_REMOVED


def names_survive(change: Change) -> bool:
    """Keep names and lose contents: files are there and empty."""
    return change in NAMES


def sizes_survive(change: Change) -> bool:
    """Keep names and sizes and lose contents: files are full of zeros."""
    return change in NAMES or change is Change.SIZE


def at_random(seed: int) -> Loss:
    """Let each unsynced change survive or not, by `seed`."""
    dice = random.Random(seed)
    return lambda _: dice.random() < 0.5


@dataclass(eq=False, slots=True)
class File:
    """A file's contents: as programs see them, and as the disk is sure to have them."""

    seen: bytearray = field(default_factory=bytearray)
    kept: bytes = b""
    kept_at: int = 0

    def after_cut(self, loss: Loss) -> bytes:
        """Return what a cut leaves of it."""
        if self.seen == self.kept:
            return self.kept
        old, new = len(self.kept), len(self.seen)
        left = bytearray(self.kept)
        if new != old and loss(Change.SIZE):
            del left[new:]
            left.extend(bytes(new - len(left)))
        for start in range(0, min(len(left), new), PAGE_BYTES):
            page = self.seen[start : start + PAGE_BYTES]
            if left[start : start + PAGE_BYTES] != page and loss(Change.PAGE):
                stop = min(start + len(page), len(left))
                left[start:stop] = page[: stop - start]
        return bytes(left)


@dataclass(eq=False, slots=True)
class Directory:
    """A directory's names: as programs see them, and as the disk is sure to have them."""

    seen: "dict[str, Node]" = field(default_factory=dict)
    kept: "dict[str, Node]" = field(default_factory=dict)
    kept_at: int = 0
    moved: "dict[str, tuple[Directory, str, Node]]" = field(default_factory=dict)
    """Names that went by a rename, and where to."""


Node: TypeAlias = File | Directory


@dataclass(frozen=True, slots=True)
class Sync:
    """A sync under way: what it will have made sure of once it returns."""

    node: Node
    contents: "bytes | dict[str, Node]"
    began: int


class Disk:
    """One directory tree, `root`, empty and safe at the start."""

    def __init__(self) -> None:
        self.root = Directory()
        self._clock = 0

    # names

    def find(self, path: str) -> Node | None:
        """Return what programs see at `path`, relative to the root; None for nothing."""
        node: Node | None = self.root
        for name in PurePosixPath(path).parts:
            if not isinstance(node, Directory):
                return None
            node = node.seen.get(name)
        return node

    def create(self, path: str) -> File:
        """Return the file at `path`, made where there was none."""
        folder, name = self._parent(path)
        node = folder.seen.setdefault(name, File())
        assert isinstance(node, File), f"{path} is a directory"
        return node

    def make_directory(self, path: str) -> None:
        folder, name = self._parent(path)
        assert name not in folder.seen, f"{path} exists"
        folder.seen[name] = Directory()

    def remove(self, path: str) -> None:
        folder, name = self._parent(path)
        assert name in folder.seen, f"{path} is not there"
        del folder.seen[name]

    def rename(self, old: str, new: str) -> None:
        from_folder, from_name = self._parent(old)
        to_folder, to_name = self._parent(new)
        assert from_name in from_folder.seen, f"{old} is not there"
        node = from_folder.seen.pop(from_name)
        to_folder.seen[to_name] = node
        from_folder.moved[from_name] = (to_folder, to_name, node)

    def link(self, old: str, new: str) -> None:
        self.name(self.find(old), new)

    def name(self, node: Node | None, new: str) -> None:
        folder, name = self._parent(new)
        assert isinstance(node, File), f"what shall be {new} is not a file"
        assert name not in folder.seen, f"{new} exists"
        folder.seen[name] = node

    def _parent(self, path: str) -> tuple[Directory, str]:
        pure = PurePosixPath(path)
        folder = self.find(str(pure.parent))
        assert isinstance(folder, Directory), f"{pure.parent} is not a directory"
        return folder, pure.name

    # contents

    @staticmethod
    def write(file: File, offset: int, data: bytes) -> None:
        gap = offset - len(file.seen)
        if gap > 0:
            file.seen.extend(bytes(gap))
        file.seen[offset : offset + len(data)] = data

    @staticmethod
    def resize(file: File, length: int) -> None:
        del file.seen[length:]
        file.seen.extend(bytes(length - len(file.seen)))

    # durability

    def begin_sync(self, node: Node) -> Sync:
        """Return a sync that covers what had been written before it began."""
        self._clock += 1
        contents = bytes(node.seen) if isinstance(node, File) else dict(node.seen)
        return Sync(node, contents, self._clock)

    @staticmethod
    def end_sync(sync: Sync) -> None:
        """Make sure of what `sync` covers, unless a later one already did."""
        if sync.began > sync.node.kept_at:
            sync.node.kept_at = sync.began
            sync.node.kept = sync.contents  # pyright: ignore[reportAttributeAccessIssue]

    def after_cut(self, loss: Loss) -> "Survivors":
        """Return what a power cut in this moment leaves."""
        return _Cut(loss).survivors(self.root)

    def seen_files(self) -> Mapping[str, bytes]:
        """Return every file as programs see it."""
        return {path: data for path, (_, data) in self.after_cut(lambda _: True).files.items()}


class _Cut:
    """One power cut: what is asked twice is answered alike."""

    def __init__(self, loss: Loss) -> None:
        self._loss = loss
        self._names: dict[tuple[int, str], Node | None] = {}
        self._contents: dict[int, bytes] = {}
        self._files: dict[str, tuple[int, bytes]] = {}
        self._directories: list[str] = []

    def survivors(self, root: Directory) -> "Survivors":
        self._walk(root, "")
        return Survivors(tuple(self._directories), self._files)

    def _walk(self, folder: Directory, path: str) -> None:
        for name in sorted({*folder.kept, *folder.seen}):
            node = self._named(folder, name)
            below = f"{path}{name}"
            if isinstance(node, Directory):
                self._directories.append(below)
                self._walk(node, below + "/")
            elif node is not None:
                if id(node) not in self._contents:
                    self._contents[id(node)] = node.after_cut(self._loss)
                self._files[below] = (id(node), self._contents[id(node)])

    def _named(self, folder: Directory, name: str) -> Node | None:
        """Return what `name` in `folder` stands for afterwards."""
        place = (id(folder), name)
        if place not in self._names:
            self._names[place] = self._choose(folder, name)
        return self._names[place]

    def _choose(self, folder: Directory, name: str) -> Node | None:
        old, new = folder.kept.get(name), folder.seen.get(name)
        if old is new:
            return old
        if old is None:
            return new if self._loss(Change.NAME_ADDED) else None
        if new is not None:
            return new if self._loss(Change.NAME_REPLACED) else old
        to_folder, to_name, node = folder.moved.get(name, (None, "", None))
        if to_folder is not None and node is old:
            # A rename is one step of every file system's journal: never neither name.
            return None if self._named(to_folder, to_name) is node else old
        return None if self._loss(Change.NAME_REMOVED) else old


@dataclass(frozen=True, slots=True)
class Survivors:
    """A tree after a power cut; files with one number are one file under several names."""

    directories: tuple[str, ...]
    files: Mapping[str, tuple[int, bytes]]

    def write_to(self, target: Path) -> None:
        """Write the tree into the empty directory `target`."""
        for path in self.directories:
            (target / path).mkdir()
        first: dict[int, Path] = {}
        for path, (number, data) in self.files.items():
            if number in first:
                (target / path).hardlink_to(first[number])
            else:
                (target / path).write_bytes(data)
                first[number] = target / path

    def without(self, *folders: str) -> "Survivors":
        """Return the tree without the files below `folders`, each with its slash."""
        kept = {path: one for path, one in self.files.items() if not path.startswith(folders)}
        return Survivors(self.directories, kept)

    def fingerprint(self) -> int:
        """Return a number that differs, in one run, for different trees."""
        return hash(
            (self.directories, tuple((path, data) for path, (_, data) in self.files.items()))
        )
