"""A key that is taken: by our own earlier try, or by something else?"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pacs_cloud.errors import Conflict, NotFound, Offline, Unavailable
from pacs_cloud.objectstore.port import ObjectInfo, ObjectStore

TRIES = 5


@dataclass(frozen=True, slots=True)
class Source:
    """What is being stored: its size, and a blocking read of (offset, length)."""

    size: int
    read: Callable[[int, int], bytes | memoryview]


async def claim(
    store: ObjectStore, key: str, source: Source, put: Callable[[], Awaitable[ObjectInfo]]
) -> ObjectInfo:
    """Return what `put` returns; where it finds `key` taken, what is there, if that is `source`.

    A put whose answer was lost, or that the client tried again, finds its own object.

    Raises:
        Conflict: `key` holds something else.
        Unavailable: the key is taken and free again, several times over.
    """
    for attempt in range(TRIES):
        try:
            return await put()
        except Conflict:
            if await _holds(store, key, source):
                return await store.head(key)
            # Gone again, or another writer has not finished (S3 answers 409).
            await asyncio.sleep(0.1 * 2**attempt)
    raise Unavailable(f"{key} comes and goes")


async def _holds(store: ObjectStore, key: str, source: Source) -> bool:
    """Return True when `key` holds `source`, False when there is no such key."""
    try:
        if (await store.head(key)).length_bytes != source.size:
            raise Conflict(f"{key} holds something else")
        offset = 0
        async for chunk in store.stream(key):
            ours = await asyncio.to_thread(source.read, offset, len(chunk))
            offset += len(chunk)
            if chunk != ours:
                raise Conflict(f"{key} holds something else")
    except NotFound:
        return False
    except Offline as error:
        raise Conflict(f"{key} is taken, and cold") from error
    return True
