"""Stores and catalogues whose process dies at one call."""

import inspect
from collections.abc import AsyncIterator
from typing import Any

from pacs_cloud.errors import Denied
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.port import CHUNK_BYTES


class Died(Exception):
    """The process is no more."""


class Fuse:
    """Burns at one call of whatever is behind it, and from then on at each."""

    def __init__(self, at: int, *, answers: bool) -> None:
        """Burn at call number `at`, before it is made, or once it is made if `answers`."""
        self._left = at
        self._answers = answers
        self.is_burnt = False

    def before(self) -> bool:
        """Raise where the process is dead; return whether it dies after this call."""
        self._left -= 1
        if self._left >= 0:
            return False
        if self.is_burnt or not self._answers:
            self.is_burnt = True
            raise Died
        self.is_burnt = True
        return True


class Mortal:
    """A store or a catalogue behind a fuse."""

    def __init__(self, real: Any, fuse: Fuse) -> None:
        self._real = real
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._real, name)
        fuse = self._fuse

        async def call(*args: Any, **options: Any) -> Any:
            dies = fuse.before()
            answer = await verb(*args, **options)
            if dies:
                raise Died
            return answer

        async def walk(*args: Any, **options: Any) -> AsyncIterator[Any]:
            dies = fuse.before()
            async for one in verb(*args, **options):
                yield one
                if dies:
                    raise Died
            if dies:
                raise Died

        return walk if inspect.isasyncgenfunction(verb) else call


class Refusing(LocalObjectStore):
    """Does not let some objects be read, as a bucket's policy may."""

    refused: frozenset[str] = frozenset()

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        if key in self.refused:
            raise Denied(f"{key} may not be read")
        return await super().get(key, start, end)

    async def get_suffix(self, key: str, length_bytes: int) -> tuple[bytes, int]:
        if key in self.refused:
            raise Denied(f"{key} may not be read")
        return await super().get_suffix(key, length_bytes)

    async def stream(
        self, key: str, start: int = 0, end: int | None = None, *, chunk_bytes: int = CHUNK_BYTES
    ) -> AsyncIterator[bytes]:
        if key in self.refused:
            raise Denied(f"{key} may not be read")
        async for chunk in super().stream(key, start, end, chunk_bytes=chunk_bytes):
            yield chunk
