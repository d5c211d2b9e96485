"""Objects of a file store that left STANDARD: a link has their name, a tier their file.

Nothing has to be searched: the link says where, a listing meets it in key order, and
an object in STANDARD is read as if there were no tiers. At every moment, after a
power cut too, the name leads to a whole file: that is synced in its new tier first,
then the name is replaced in one step and synced, and only then the old file goes.
"""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from pacs_cloud.errors import Conflict, Corrupt, NotFound, Offline
from pacs_cloud.objectstore.descriptors import Descriptor
from pacs_cloud.objectstore.port import Availability
from pacs_cloud.objectstore.reading import OPEN_FLAGS, OpenFile
from pacs_cloud.objectstore.storage_classes import (
    RecallSpeed,
    StorageClass,
    check_recall,
    is_colder,
    needs_recall,
)
from pacs_cloud.objectstore.tier_folders import TierFolders
from pacs_cloud.objectstore.tree import DurableTree

DAY_US = 86_400_000_000
_TRIES = 20

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Placed:
    """Where an object lies.

    Attributes:
        storage_class: the tier.
        named: the status of what has the key's name: the file itself in STANDARD, else a link.
        status: the file's.
    """

    storage_class: StorageClass
    named: os.stat_result
    status: os.stat_result


@dataclass(frozen=True, slots=True)
class Recalled:
    """When a cold object can be read, microseconds since 1970 UTC."""

    ready_us: int = 0
    until_us: int = 0


class Tiers:
    """The objects of one root, wherever they lie; every call blocks on the disk.

    Any number of processes may share the root. A recall is a small file, so that it
    holds for all of them and survives their end; until it runs out, no other begins.
    """

    def __init__(
        self,
        tree: DurableTree,
        folders: TierFolders,
        *,
        recall_delay_us: int,
        now_us: Callable[[], int],
    ) -> None:
        self._tree = tree
        self._folders = folders
        self._recall_delay_us = recall_delay_us
        self._now_us = now_us

    def close(self) -> None:
        """Let go of every directory."""
        self._folders.close()

    def find(self, key: str) -> Placed:
        """Return where `key` lies.

        Raises:
            NotFound: no such object.
            Unavailable: it lies in a tier that is not there.
        """
        return self._settled(key, lambda: self._look(key))

    def open(self, key: str) -> tuple[OpenFile, StorageClass]:
        """Return the file of `key`, open, and its tier.

        Raises:
            NotFound, Unavailable: as `find`.
            Offline: it must be recalled first.
            OSError: the disk refuses.
        """
        return self._settled(key, lambda: self._open(key))

    def availability(
        self, key: str, storage_class: StorageClass
    ) -> tuple[Availability, int | None]:
        """Return whether an object of this class can be read, and until when it was recalled."""
        if not needs_recall(storage_class):
            return Availability.ONLINE, None
        recalled, now_us = self._recalled(key), self._now_us()
        if now_us >= recalled.until_us:
            return Availability.OFFLINE, None
        if now_us < recalled.ready_us:
            return Availability.RESTORING, None
        return Availability.ONLINE, recalled.until_us

    def move(self, key: str, to: StorageClass) -> Placed:
        """Bring `key` into a tier; return where it lies then. See the port."""
        for _ in range(_TRIES):
            placed = self.find(key)
            if placed.storage_class is to:
                self._tidy(key, to)
                return placed
            if not is_colder(to, placed.storage_class):  # down it goes as it is, as by lifecycle
                self._check_online(key, placed.storage_class)
            if to is StorageClass.STANDARD:
                self._move_back(key, placed)
            else:
                self._move_out(key, placed, to)
        raise Conflict(f"{key} is moved and moved again")

    def recall(self, key: str, days: int, speed: RecallSpeed) -> Placed:
        """Begin a recall unless there is one; return where `key` lies. See the port."""
        placed = self.find(key)
        check_recall(placed.storage_class, days, speed)
        if self.availability(key, placed.storage_class)[0] is not Availability.OFFLINE:
            return placed
        with self._folders.alone():
            placed = self._look(key)
            if self.availability(key, placed.storage_class)[0] is Availability.OFFLINE:
                ready_us = self._now_us() + self._recall_delay_us
                tree = self._folders.recalled()
                tree.remove(key)  # one that has run out
                tree.write(key, f"{ready_us} {ready_us + days * DAY_US}\n".encode())
        return placed

    def remove(self, key: str) -> None:
        """Remove `key` and what any tier has of it; absent is fine."""
        with self._folders.shared():
            linked = self._folders.linked_class(key)
            if linked is not None:
                # Synced even where an earlier try removed it already.
                self._folders.tree(linked).remove(key)
            self._drop(key, StorageClass.STANDARD)
            self._forget_recall(key)
            self._tree.remove(key)

    def _named(self, key: str) -> os.stat_result:
        try:
            return os.lstat(self._folders.path(StorageClass.STANDARD, key))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFound(f"no object {key}") from error

    def _settled(self, key: str, look: Callable[[], Result]) -> Result:
        """Return what `look` finds; where that is nothing, once more while nobody moves.

        Between two steps of it the object may have been moved on.
        """
        try:
            return look()
        except NotFound:
            self._named(key)
            with self._folders.shared():
                return look()

    def _look(self, key: str) -> Placed:
        named = self._named(key)
        if stat.S_ISREG(named.st_mode):
            return Placed(StorageClass.STANDARD, named, named)
        placed = self._linked(key, named) if stat.S_ISLNK(named.st_mode) else None
        if placed is None:
            raise NotFound(f"no object {key}")
        return placed

    def _open(self, key: str) -> tuple[OpenFile, StorageClass]:
        placed = self._look(key)
        self._check_online(key, placed.storage_class)
        try:
            path = self._folders.path(placed.storage_class, key)
            descriptor = Descriptor(os.open(path, OPEN_FLAGS))
        except FileNotFoundError as error:
            raise NotFound(f"no object {key}") from error
        status = os.fstat(descriptor.number)
        named = status if placed.storage_class is StorageClass.STANDARD else placed.named
        return OpenFile(descriptor, status, named), placed.storage_class

    def _linked(self, key: str, named: os.stat_result) -> Placed | None:
        """Return where the link at `key` leads, None where no object of ours is."""
        linked = self._folders.linked_class(key)
        if linked is None:
            return None
        try:
            status = os.lstat(self._folders.path(linked, key))
        except (FileNotFoundError, NotADirectoryError):
            self._folders.check(linked)
            return None
        return Placed(linked, named, status) if stat.S_ISREG(status.st_mode) else None

    def _check_online(self, key: str, storage_class: StorageClass) -> None:
        availability, _ = self.availability(key, storage_class)
        if availability is not Availability.ONLINE:
            raise Offline(f"{key} is in {storage_class}, {availability}")

    def _recalled(self, key: str) -> Recalled:
        try:
            ready, until = self._folders.recalled_path(key).read_text("ascii").split()
            return Recalled(int(ready), int(until))
        except (FileNotFoundError, NotADirectoryError):
            return Recalled()
        except ValueError:
            return Recalled()  # a bad disk's: it is worth no more than none, and made anew

    def _forget_recall(self, key: str) -> None:
        if self._folders.recalled_path(key).exists():
            self._folders.recalled().remove(key)

    def _move_out(self, key: str, placed: Placed, to: StorageClass) -> None:
        """Give the object a file in another tier, then point its name there."""
        tree = self._folders.tree(to)
        source = self._folders.path(placed.storage_class, key)
        try:
            written = tree.place(key, source)
        except NotFound:
            return  # moved or removed meanwhile
        if written.st_size != placed.status.st_size:
            tree.remove(key)
            raise Corrupt(f"{key} has {placed.status.st_size} bytes, {written.st_size} in {to}")
        with self._folders.alone():
            if not self._lies_in(key, placed.storage_class):
                if not self._lies_in(key, to):
                    tree.remove(key)
                return
            if not os.path.lexists(self._folders.path(to, key)):
                return  # others moved it away and back, and tidied
            if needs_recall(to):
                self._forget_recall(key)  # of an earlier stay there
            self._tree.point(key, self._folders.link_text(to, key))
            self._drop(key, to)
            if not needs_recall(to):
                self._forget_recall(key)

    def _move_back(self, key: str, placed: Placed) -> None:
        """Give the object's name back to its file."""
        source = self._folders.path(placed.storage_class, key)
        with suppress(NotFound), self._tree.spare(key, source) as path, self._folders.alone():
            if self._lies_in(key, placed.storage_class):
                self._tree.replace(key, path)
                self._drop(key, StorageClass.STANDARD)
                self._forget_recall(key)

    def _tidy(self, key: str, storage_class: StorageClass) -> None:
        """Remove what a move that was killed left of `key` in other tiers."""
        if not self._left_behind(key, storage_class):
            return
        with self._folders.alone():
            if self._lies_in(key, storage_class):
                # Its name may not have been synced.
                self._tree.sync(key)
                self._drop(key, storage_class)

    def _drop(self, key: str, kept: StorageClass) -> None:
        """Remove the files that `key` has in any tier but this one (and STANDARD).

        A tier that is not there is passed over: only a move that was killed leaves any.
        """
        for storage_class in self._left_behind(key, kept):
            self._folders.tree(storage_class).remove(key)

    def _left_behind(self, key: str, kept: StorageClass) -> list[StorageClass]:
        return [
            one
            for one in self._folders.in_use()
            if one is not kept and os.path.lexists(self._folders.path(one, key))
        ]

    def _lies_in(self, key: str, storage_class: StorageClass) -> bool:
        """Tell so; the caller is alone."""
        try:
            return self._look(key).storage_class is storage_class
        except NotFound:
            return False
