"""The rolling re-read: every pack's every byte, once in so many days, whatever restarts.

Packs are read in the order of their keys, and what is behind is written down every now
and then (`round`): a reader that dies repeats a few packs, and none is left out.
"""

from collections.abc import AsyncIterator
from typing import Final

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.custody.fixity.findings import Found, OpenFindings
from pacs_cloud.custody.fixity.pace import Pace
from pacs_cloud.custody.fixity.reading import Progress, Reader, Reread
from pacs_cloud.custody.fixity.round import TURN_US, Round, read_round, write_round
from pacs_cloud.custody.stored_pack import key_of
from pacs_cloud.custody.walk import PACKS, objects_of_study
from pacs_cloud.errors import NotFound
from pacs_cloud.objectstore.port import ObjectStore

_DAY_US: Final = 86_400_000_000
_SPARE: Final = 10
"""A tenth of the days is left over, for what an archive grows and a reader stands still."""


async def tend_fixity(
    objects: ObjectStore,
    catalogue: Catalogue,
    *,
    now_us: int,
    fixity_days: float,
    rate_bytes_s: float | None = None,
) -> Reread:
    """Read what is due; to be called again within `TURN_US`, by one worker at a time.

    May be cancelled at any time. A worker that was away reads what it has missed, as fast
    as `rate_bytes_s` lets it, and no more at a time than a turn holds.

    Args:
        objects: the store.
        catalogue: the catalogue.
        now_us: microseconds since 1970 UTC.
        fixity_days: every pack is read once in so many days.
        rate_bytes_s: the most that is read in a second; None: as fast as the store gives.

    Raises:
        Corrupt: the state of the re-read cannot be read.
        Unavailable: the store or the catalogue cannot be reached.
    """
    round_us = max(round(fixity_days * _DAY_US) * (_SPARE - 1) // _SPARE, 1)
    reader = Reader(objects, catalogue, now_us, Pace(rate_bytes_s))
    at = await read_round(objects)
    total = Reread()
    if at is None or (at.is_over and now_us >= at.started_us + round_us):
        await reader.forget_removed()
        at = await _begin(objects, at, now_us)
    if not at.is_over:
        due_bytes = at.due_bytes(now_us + TURN_US, round_us)
        if rate_bytes_s is not None:
            most_bytes = round(rate_bytes_s * TURN_US / 1e6)
            due_bytes = most_bytes if due_bytes is None else min(due_bytes, most_bytes)
        total += await reader.read_on(at, due_bytes)
    return total


async def reread(
    objects: ObjectStore,
    catalogue: Catalogue,
    *,
    now_us: int,
    limit_bytes: int | None = None,
    rate_bytes_s: float | None = None,
    progress: Progress | None = None,
) -> Reread:
    """Read the packs with findings again, then on from where the round is to its end.

    Where no round is under way a new one begins.

    Args:
        objects: the store.
        catalogue: the catalogue.
        now_us: microseconds since 1970 UTC.
        limit_bytes: how much of the round to read, ended with a whole pack; None: all.
        rate_bytes_s: as `tend_fixity`.
        progress: called as bytes come.

    Raises:
        Corrupt, Unavailable: as `tend_fixity`.
    """
    reader = Reader(objects, catalogue, now_us, Pace(rate_bytes_s), progress)
    at = await read_round(objects)
    if at is None or at.is_over:
        at = await _begin(objects, at, now_us)
    left = max(at.total_bytes - at.length_bytes, 1)
    limit_bytes = left if limit_bytes is None else limit_bytes
    reader.total_bytes = min(left, limit_bytes)
    total = await reader.read_found()
    # What came in since the round began is read too: it ends with the listing.
    return total + await reader.read_on(at, limit_bytes if limit_bytes < left else None)


async def reread_study(
    objects: ObjectStore,
    catalogue: Catalogue,
    tenant: str,
    study_instance_uid: str,
    *,
    now_us: int,
    rate_bytes_s: float | None = None,
    progress: Progress | None = None,
) -> Reread:
    """Read all packs of one study; the round stays where it is. Arguments as `reread`.

    Raises:
        NotFound: there is no such study.
        Unavailable: the store or the catalogue cannot be reached.
    """
    reader = Reader(objects, catalogue, now_us, Pace(rate_bytes_s), progress)
    found = await objects_of_study(objects, tenant, study_instance_uid)
    records = await catalogue.packs(tenant, study_instance_uid)
    if not records and not found.packs:
        raise NotFound("There is no such study.")
    keys = {*found.packs, *map(key_of, records)}
    reader.total_bytes = sum(info.length_bytes for info in found.packs.values())
    ordered = sorted(keys, key=lambda key: key.pack_id)
    return await reader.read_all((key, found.packs.get(key)) for key in ordered)


async def open_findings(objects: ObjectStore) -> AsyncIterator[Found]:
    """Yield what the re-read has found and what is not known to be mended; raises Corrupt."""
    kept = OpenFindings(objects)
    await kept.load()
    async for found in kept.read():
        yield found


async def _begin(objects: ObjectStore, last: Round | None, now_us: int) -> Round:
    """Begin a round: count what it has before it."""
    packs = length_bytes = 0
    async for info in objects.list(PACKS):
        packs += 1
        length_bytes += info.length_bytes
    # Later than the one before, also where that was begun by another clock.
    started_us = max(now_us, last.started_us + 1) if last else now_us
    number = last.number if last else 0
    return await write_round(objects, Round(started_us, packs, length_bytes, number=number))
