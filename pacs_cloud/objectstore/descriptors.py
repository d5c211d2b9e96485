"""File descriptors that several threads use and a bounded cache keeps open."""

import os
from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, Protocol, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Descriptor:
    """A file descriptor that closes with its last reference.

    A cache may drop one while another thread still reads from it; closing it
    then would let the kernel give its number to another file.
    """

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        os.close(self.number)


class Holds(Protocol):
    """Anything that holds one descriptor."""

    @property
    def descriptor(self) -> Descriptor:
        """The one that stays open."""
        ...


Held = TypeVar("Held", bound=Holds | Descriptor)


class OpenCache(Generic[Key, Held]):
    """The descriptors used last, `limit` at most; safe between threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: OrderedDict[Key, Held] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Key) -> Held | None:
        """Return what is held under `key`, which is then the last to go."""
        with self._lock:
            held = self._held.get(key)
            if held is not None:
                self._held.move_to_end(key)
            return held

    def put(self, key: Key, held: Held) -> None:
        """Hold `held` under `key`; the one that was used longest ago may go."""
        with self._lock:
            self._held[key] = held
            self._held.move_to_end(key)
            gone = self._held.popitem(last=False) if len(self._held) > self._limit else None
        del gone  # closes outside the lock, when nobody uses it

    def drop(self, key: Key) -> None:
        """Hold nothing under `key`."""
        with self._lock:
            gone = self._held.pop(key, None)
        del gone

    def clear(self) -> None:
        """Hold nothing."""
        with self._lock:
            gone = list(self._held.values())
            self._held.clear()
        del gone
