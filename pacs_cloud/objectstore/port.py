"""The object store's port: a few verbs over write-once keys."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from pacs_cloud.objectstore.storage_classes import RecallSpeed, StorageClass

CHUNK_BYTES = 1 << 20
"""What `stream` yields at a time, unless told: large enough to keep a socket busy."""


class Availability(StrEnum):
    """Whether a `get` would answer now."""

    ONLINE = "online"
    """It would, or the object is cold and its restored copy is there."""
    RESTORING = "restoring"
    """The object is in a cold tier, and a recall is under way."""
    OFFLINE = "offline"
    """The object is in a cold tier, and nobody has asked for it."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store says of one object.

    Attributes:
        key: its name.
        length_bytes: its size.
        modified_us: when it was written, microseconds since 1970 UTC; as returned
            by a put, the writer's clock.
        etag: the store's own version mark, opaque; "" where it has none.
        storage_class: "STANDARD" where the store knows no other.
        availability: exact from `head`; a listing cannot tell a recalled object,
            and calls every one in a cold class offline.
        available_until_us: when the restored copy of a cold object goes, as `head`
            tells it, microseconds since 1970 UTC; None: there is none, or it stays.
    """

    key: str
    length_bytes: int
    modified_us: int
    etag: str = ""
    storage_class: str = "STANDARD"
    availability: Availability = Availability.ONLINE
    available_until_us: int | None = None


@dataclass(frozen=True, slots=True)
class ObjectLock:
    """What keeps one object from being removed, whoever asks (S3 Object Lock).

    Attributes:
        is_held: by a legal hold, until that is cleared.
        until_us: until a date, microseconds since 1970 UTC; 0: by none that is to come.
    """

    is_held: bool = False
    until_us: int = 0

    def __bool__(self) -> bool:
        return self.is_held or self.until_us > 0


class ObjectStore(Protocol):
    """Objects under keys that are written once and never reused.

    A key is what `keys.check_key` accepts, else `InvalidRequest`. Every verb
    raises `Unavailable` when the store cannot be reached (after its own bounded
    retries) or its bucket is missing, and `Denied` when it refuses the caller.
    What a write returns is durable: it would survive a power cut. `tags` serve
    lifecycle rules; a store without such rules has no use for them and keeps none.
    """

    async def put_new(
        self, key: str, data: bytes | memoryview, *, tags: Mapping[str, str] | None = None
    ) -> ObjectInfo:
        """Write a small object.

        Raises:
            Conflict: `key` exists and holds something else. An equal object under
                the same key is our own earlier try and counts as written.
        """
        ...

    async def put_file(
        self, key: str, path: Path, *, tags: Mapping[str, str] | None = None
    ) -> ObjectInfo:
        """Place the finished file at `path` under `key`; the file stays where it is.

        A file store links it (copies where it cannot); S3 uploads it, in parts
        above 64 MiB, at constant memory. The caller removes `path` after the commit.

        Raises:
            NotFound: there is no file at `path`.
            Conflict: as `put_new`.
        """
        ...

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Return bytes `start` to `end` (half-open; None: to the end).

        An empty range within the object is b"".

        Raises:
            NotFound: no such key.
            Offline: the object is in a cold tier and not restored.
            Corrupt: the object ends before `end`, or before `start`.
            InvalidRequest: `start` is negative, or behind `end`.
        """
        ...

    async def get_suffix(self, key: str, length_bytes: int) -> tuple[bytes, int]:
        """Return the last `length_bytes` (all, where it is shorter) and the object's size."""
        ...

    def stream(
        self, key: str, start: int = 0, end: int | None = None, *, chunk_bytes: int = CHUNK_BYTES
    ) -> AsyncIterator[bytes]:
        """Yield the range in chunks; raises as `get`, at the first chunk."""
        ...

    async def head(self, key: str) -> ObjectInfo:
        """Return what the store says of `key`; raises NotFound."""
        ...

    def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        """Yield the objects whose key starts with `prefix` and sorts behind `after`, in key order.

        `modified_us`, `etag` and `storage_class` may be what a listing gives cheaply.
        """
        ...

    async def delete(self, key: str) -> None:
        """Remove `key` (all its versions where the store keeps any); no error when absent."""
        ...

    def versions(self, prefix: str) -> AsyncIterator[str]:
        """Yield the key of every version there is below `prefix`, in no order.

        Once for each: of what was written over, and of what only seems to be removed,
        with what the store keeps to say so. Nothing is left of a key that is not yielded.
        """
        ...

    async def lock_of(self, key: str) -> ObjectLock:
        """Return what locks the object as it is now; of a store that has no locks, nothing.

        Raises:
            NotFound: no such key.
        """
        ...

    async def set_legal_hold(self, key: str, *, on: bool) -> bool:
        """Set or clear the legal hold of the object; return whether the store has locks.

        Where it has none, nothing is done. Setting twice is once.

        Raises:
            NotFound: no such key.
        """
        ...

    async def retain(self, key: str, until_us: int) -> bool:
        """Lock the object until then; return whether the store has locks.

        Where it has none, nothing is done, nor where the object is locked for as long already,
        or the time is over: no lock is ever made shorter.

        Args:
            key: which object.
            until_us: microseconds since 1970 UTC; what is less than a second is rounded up.

        Raises:
            NotFound: no such key.
        """
        ...

    async def move(self, key: str, storage_class: StorageClass) -> ObjectInfo:
        """Ask that the object lie in `storage_class`; return what is true of it now.

        Done where the answer's `storage_class` is the one asked for. Else the store's
        own lifecycle will do it, within a day or two: asking again then tells. The
        object keeps its key, bytes and tags, can be read (where its classes let it)
        at every moment, and whoever asks for what is so already changes nothing.

        Raises:
            NotFound: no such key.
            Offline: it lies in a class that must be recalled first, and has not been
                (to go up, or where the store has to copy it).
            Conflict: it changed meanwhile, several times over; or it has no room for
                the tag that its lifecycle goes by.
            Corrupt: a copy did not hold what was copied, and is gone again.
            Denied: it is locked where it lies, by retention or a legal hold.
            InvalidRequest: the store has no such class.
        """
        ...

    async def recall(self, key: str, days: int, speed: RecallSpeed) -> ObjectInfo:
        """Begin to make a cold object readable for `days`; return what is true of it now.

        Nothing happens where it can be read, or a recall is under way; of any
        number of callers one begins it.

        Raises:
            NotFound: no such key.
            InvalidRequest: `days` is less than 1, or its class has no such `speed`, or no
                room for it now.
            NeverRestored: the store has cold classes, and brings nothing back.
        """
        ...

    async def ready(self) -> None:
        """Return when the store answers; raises Unavailable or Denied."""
        ...
