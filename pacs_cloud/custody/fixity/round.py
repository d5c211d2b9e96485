"""How far the rolling re-read has come: small objects under `fixity/`, so that it outlives all.

`fixity/at/{number}.json` says what of the round under way is behind it (`numbered`).
"""

from dataclasses import asdict, dataclass, replace

import orjson

from pacs_cloud.custody.walk import FIXITY
from pacs_cloud.errors import Conflict, Corrupt
from pacs_cloud.objectstore.numbered import read_last, write_next
from pacs_cloud.objectstore.port import ObjectStore

TURN_US = 600_000_000
"""A worker reads for ten minutes, then it may be another's turn."""

_AT = f"{FIXITY}at/"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Round:
    """One reading of all packs, in the order of their keys.

    Attributes:
        started_us: when it began, microseconds since 1970 UTC.
        total_packs: how many there were then.
        total_bytes: of their objects.
        after: the key of the last pack that is behind it; "" at its beginning.
        packs: how many are behind it, cold ones too.
        length_bytes: of their objects.
        cold: packs of these that need recall: they were passed over.
        read: packs of these that were read to their end.
        read_bytes: of their objects.
        is_over: whether all are behind it.
        number: of the object that says so; 0 before the first.
    """

    started_us: int
    total_packs: int
    total_bytes: int
    after: str = ""
    packs: int = 0
    length_bytes: int = 0
    cold: int = 0
    read: int = 0
    read_bytes: int = 0
    is_over: bool = False
    number: int = 0

    def due_bytes(self, now_us: int, round_us: int) -> int | None:
        """Return how much more should be behind it at `now_us`; None: all that is left.

        `round_us` is how long it shall take; what came in since it began is read then, too.
        """
        elapsed_us = max(now_us - self.started_us, 0)
        if elapsed_us >= round_us:
            return None
        return max(self.total_bytes * elapsed_us // round_us - self.length_bytes, 0)


async def read_round(objects: ObjectStore) -> Round | None:
    """Return the round under way, or the last one; None before the first.

    Raises:
        Corrupt: what says so cannot be read.
    """
    found = await read_last(objects, _AT)
    return None if found is None else _decode(found[1])


async def write_round(objects: ObjectStore, after: Round) -> Round:
    """Write how far the round has come; return what counts from now on.

    Where another reader has written meanwhile, that is whoever of the two is further.
    """
    while True:
        mine = replace(after, number=after.number + 1)
        data = orjson.dumps({"version": _VERSION, **asdict(mine)})
        try:
            await write_next(objects, _AT, mine.number, data)
        except Conflict:
            theirs = await read_round(objects)
            if theirs is not None and _place(theirs) >= _place(after):
                return theirs
            after = replace(after, number=max(theirs.number if theirs else 0, after.number))
            continue
        return mine


def _place(one: Round) -> tuple[int, bool, str]:
    return one.started_us, one.is_over, one.after


def _decode(data: bytes) -> Round:
    try:
        fields = orjson.loads(data)
        if fields.pop("version") != _VERSION:
            raise Corrupt("the state of a re-read is of a version that is not known here")
        return Round(**fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Corrupt("the state of a re-read cannot be read") from error
