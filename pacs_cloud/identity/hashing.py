"""Passwords hashed beside the event loop, two at a time: each takes 64 MiB while it lasts."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from pacs_cloud.security.passwords import Argon2id

_AT_ONCE: Final = 2
_THREADS: Final = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="passwords")
"""Of this process, whatever tenants it serves."""

R = TypeVar("R")


class Hashing:
    """Makes and checks hashes of one cost."""

    def __init__(self, argon2id: Argon2id) -> None:
        """Make hashes of that cost; older ones are told from it."""
        self._argon2id = argon2id

    async def hashed(self, password: str) -> str:
        """Return what is kept of a password that was accepted."""
        return await _beside(lambda: self._argon2id.hashed(password))

    async def is_right(self, kept: str, password: str) -> bool:
        """Return whether it is the password of which `kept` is kept; "" costs the same time."""
        return await _beside(lambda: self._argon2id.is_right(kept, password))

    def is_outdated(self, kept: str) -> bool:
        """Return whether it was made at another cost."""
        return self._argon2id.is_outdated(kept)


async def _beside(work: Callable[[], R]) -> R:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work)
