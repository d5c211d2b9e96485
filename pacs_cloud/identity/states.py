"""What changes in place, kept as numbered objects: `{tree}{tenant}/{id}/{number}.json`.

The last number counts, and nobody changes what somebody else has changed meanwhile
(`objectstore/numbered`). Each write has a token of its own in it, and those of the writes
before it: an object that is equal counts as written by whoever asks, and of two that decide
the same only one may win; and who is told that somebody went on can see whether that was
from there.
"""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import orjson
from pydantic import TypeAdapter

from pacs_cloud.errors import Conflict, Corrupt, Unavailable
from pacs_cloud.objectstore.numbered import read_last, write_next
from pacs_cloud.objectstore.port import ObjectStore

_VERSION: Final = 1
_TRIES: Final = 20
_WRITES: Final = 16
"""Tokens of writes in a state: so many may follow until a writer looks whether it has won."""
_KEPT: Final = 4096
_AT_ONCE: Final = 16

T = TypeVar("T")
V = TypeVar("V")


class States(Generic[T]):
    """The states of one kind, of one tenant."""

    def __init__(
        self,
        objects: ObjectStore,
        folder: str,
        kind: type[T],
        now_us: Callable[[], int],
        *,
        keep_s: float = 0,
    ) -> None:
        """Keep them in objects below `folder`.

        Args:
            objects: the store.
            folder: `users/{tenant}/`.
            kind: a frozen dataclass of what JSON can say, grants and all.
            now_us: tells the time, microseconds since 1970 UTC.
            keep_s: for how long `kept` believes what was read.
        """
        self._objects = objects
        self._folder = folder
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)
        self._now_us = now_us
        self._keep_us = round(keep_s * 1_000_000)
        self._known: OrderedDict[str, tuple[int, T]] = OrderedDict()
        self._kept: OrderedDict[str, tuple[int, T | None]] = OrderedDict()

    async def read(self, name: str) -> T | None:
        """Return the state of that name as it is now, None where there is none.

        Raises:
            Corrupt: it cannot be read: nobody may take that for none.
        """
        found = await self._read(name)
        return found.state if found else None

    async def kept(self, name: str) -> T | None:
        """Return the same as it was `keep_s` ago, or since."""
        now_us = self._now_us()
        if self._is_kept(name, now_us):
            return self._kept[name][1]
        return await self.kept_anew(name)

    async def kept_anew(self, name: str) -> T | None:
        """Return the state as `read` does; `kept` believes it from now on."""
        now_us, state = self._now_us(), await self.read(name)
        _keep(self._kept, name, (now_us, state))
        return state

    def remembered(self, name: str) -> T | None:
        """Return what `kept` would without a look at the store; None where it would need one."""
        return self._kept[name][1] if self._is_kept(name, self._now_us()) else None

    def _is_kept(self, name: str, now_us: int) -> bool:
        kept = self._kept.get(name)
        # A clock that went back makes nothing last longer.
        return kept is not None and kept[0] <= now_us < kept[0] + self._keep_us

    async def change(self, name: str, changed: Callable[[T | None], T | None]) -> T | None:
        """Write what `changed` makes of the state as it is; return that.

        Args:
            name: which.
            changed: called again where somebody was faster; None: nothing is to be written.

        Raises:
            Unavailable: somebody was faster again and again.
            Corrupt: what is there cannot be read.
        """
        for _ in range(_TRIES):
            found = await self._read(name)
            new = changed(found.state if found else None)
            if new is None:
                return None
            token = secrets.token_hex(8)
            number, writes = (found.number, found.writes) if found else (0, [])
            data = self._bytes(new, [token, *writes][:_WRITES])
            with suppress(Conflict):  # which may mean that somebody has gone on from ours
                await write_next(self._objects, self._place(name), number + 1, data)
            found = await self._read(name)
            if found is None or token not in found.writes:
                continue
            _keep(self._kept, name, (self._now_us(), found.state))
            return new
        raise Unavailable("too many change the same thing at once; try again")

    async def numbers(self) -> dict[str, int]:
        """Return the number of the last object of each state there is."""
        found: dict[str, int] = {}
        async for info in self._objects.list(self._folder):
            name, slash, last = info.key.removeprefix(self._folder).partition("/")
            try:
                found[name] = int(last.removesuffix(".json"), 16)
            except ValueError as error:
                raise Corrupt(f"{info.key} is no state of this kind") from error
            if not slash:
                raise Corrupt(f"{info.key} is no state of this kind")
        return found

    async def all(self, *, readable: bool = False) -> dict[str, T]:
        """Return every state, by name; only those that changed since are read.

        Args:
            readable: leave out what cannot be read, where that opens nothing to anybody.

        Raises:
            Corrupt: one cannot be read.
        """
        numbers = await self.numbers()
        # None is ever removed: a listing of files has missed what it does not tell any more.
        names = sorted({*numbers, *self._known})
        reading = asyncio.Semaphore(_AT_ONCE)

        async def found(name: str) -> T | None:
            known = self._known.get(name)
            if known is not None and known[0] == numbers.get(name):
                return known[1]
            async with reading:
                try:
                    return await self.read(name)
                except Corrupt:
                    if not readable:
                        raise
                    return None

        states = await asyncio.gather(*map(found, names))
        return {name: state for name, state in zip(names, states, strict=True) if state is not None}

    async def _read(self, name: str) -> "_Found[T] | None":
        last = await read_last(self._objects, self._place(name))
        if last is None:
            # A listing of files may miss the last one while it is being replaced.
            last = await read_last(self._objects, self._place(name))
        if last is None:
            return None
        found = self._found(name, *last)
        _keep(self._known, name, (found.number, found.state))
        return found

    def _place(self, name: str) -> str:
        return f"{self._folder}{name}/"

    def _bytes(self, state: T, writes: list[str]) -> bytes:
        plain = self._adapter.dump_python(state, mode="json")
        return orjson.dumps({"version": _VERSION, "writes": writes, "state": plain})

    def _found(self, name: str, number: int, data: bytes) -> "_Found[T]":
        what = f"{self._place(name)} holds what"
        try:
            fields: dict[str, Any] = orjson.loads(data)
            if fields["version"] != _VERSION:
                raise Corrupt(f"{what} is of a version that is not known here")
            state = self._adapter.validate_python(fields["state"])
            # What this release does not know may be what bounds a grant.
            if not _is_within(fields["state"], self._adapter.dump_python(state, mode="json")):
                raise Corrupt(f"{what} a newer release has written")
            return _Found(number, state, [str(one) for one in fields["writes"]])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Corrupt(f"{what} cannot be read") from error


@dataclass(frozen=True, slots=True)
class _Found(Generic[T]):
    """A state as it lies in the store."""

    number: int
    state: T
    writes: list[str]


def _is_within(said: Any, known: Any) -> bool:
    """Return whether every field that is said is known, in whatever depth."""
    if isinstance(said, dict) and isinstance(known, dict):
        return all(name in known and _is_within(said[name], known[name]) for name in said)
    if isinstance(said, list) and isinstance(known, list):
        return len(said) == len(known) and all(map(_is_within, said, known))
    return not isinstance(said, dict | list)


def _keep(kept: OrderedDict[str, V], name: str, value: V) -> None:
    kept[name] = value
    kept.move_to_end(name)
    if len(kept) > _KEPT:
        kept.popitem(last=False)
