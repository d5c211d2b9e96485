"""Objects that are numbered, of which the last one counts: a state that several writers share.

Keys are written once: whoever has seen number n, and writes n + 1, changes what nobody has
changed meanwhile. What is before the last one is removed, and the last one never is, so
that no number comes twice.
"""

from pacs_cloud.errors import Conflict, Corrupt, NotFound
from pacs_cloud.objectstore.port import ObjectStore


async def read_last(objects: ObjectStore, folder: str) -> tuple[int, bytes] | None:
    """Return the last object of `folder`, which ends in `/`, and its number; None without one.

    Raises:
        Corrupt: its key is no number.
    """
    last = await last_in(objects, folder)
    return (_number(folder, last[0]), last[1]) if last is not None else None


async def last_in(objects: ObjectStore, folder: str) -> tuple[str, bytes] | None:
    """Return the last object of `folder`, which ends in `/`, and its key; None without one."""
    while True:
        keys = [info.key async for info in objects.list(folder)]
        if not keys:
            return None
        try:
            return keys[-1], await objects.get(keys[-1])
        except NotFound:
            continue  # somebody has written the next one, and removed this


async def write_next(objects: ObjectStore, folder: str, number: int, data: bytes) -> None:
    """Write the object of that number, and remove those before it.

    Raises:
        Conflict: somebody else has, or went on from there. Whether that was from this very
            one, which counts then, only what is written can tell (as `identity.states` has it).
    """
    mine = _key(folder, number)
    await objects.put_new(mine, data)
    keys = [info.key async for info in objects.list(folder)]
    if keys and keys[-1] > mine:
        # It had been there, and was removed: its writer was away for so long.
        await objects.delete(mine)
        raise Conflict(f"{mine} is over")
    for key in keys:
        if key < mine:
            await objects.delete(key)


def _key(folder: str, number: int) -> str:
    return f"{folder}{number:016x}.json"


def _number(folder: str, key: str) -> int:
    try:
        return int(key.removeprefix(folder).removesuffix(".json"), 16)
    except ValueError as error:
        raise Corrupt(f"{key} is none of the numbered objects there") from error
