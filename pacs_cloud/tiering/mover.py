"""Packs on their way to the class they are due in: the store moves, the catalogue follows.

The object goes first. The catalogue says of a pack where it lies only once the store
says so, so that a crash on the way leaves a pack that is in a colder class than its
record, as a bucket's own rules do: the next look at it asks the store, and notes it.
Nothing is moved up: what lies colder than it is due stays there.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from pacs_cloud.catalogue.pack_facts import note_packs
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.errors import (
    Conflict,
    Corrupt,
    Denied,
    InvalidRequest,
    NotFound,
    Offline,
    Unavailable,
)
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.objectstore.storage_classes import class_named, is_colder
from pacs_cloud.telemetry import hashed
from pacs_cloud.tiering.planning import LastRead, Move, moves_of
from pacs_cloud.tiering.policy import Policy

log = logging.getLogger(__name__)

STUDIES_AT_ONCE: Final = 8
"""A move is a few requests that wait for a store, and an archive has many to make."""


class Fate(StrEnum):
    """What became of a move."""

    MOVED = "moved"
    """The pack lies where it is due, or colder, and the catalogue says so."""
    ASKED = "asked"
    """The store's own lifecycle will move it, within a day or two."""
    LEFT = "left"
    """It could not be moved now: locked, being changed, to be recalled first, in a class
    that is none of ours, or there is no such class here."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A move, and what became of it.

    Attributes:
        move: which.
        fate: what became of it.
        lies_in: the class that it is in now, as far as the store said.
        reason: why it was left; "" otherwise.
    """

    move: Move
    fate: Fate
    lies_in: str
    reason: str = ""


async def move_due(
    objects: ObjectStore,
    catalogue: Catalogue,
    policies: Sequence[Policy],
    *,
    now_us: int,
    last_read_us: LastRead,
    least_bytes: int,
    tenant: str | None = None,
) -> AsyncIterator[Moved]:
    """Carry out every move that is due, study by study; yield what became of each.

    Args:
        objects: where packs lie.
        catalogue: what they are of.
        policies: those that can be carried out, in their order.
        now_us: microseconds since 1970 UTC.
        last_read_us: when a study was read last.
        least_bytes: smaller packs stay where they are.
        tenant: whose; None: everybody's.

    Raises:
        Unavailable: a store cannot be reached; what was yielded stands.
    """
    waiting: list[Sequence[Move]] = []
    async for state in catalogue.export(tenant):
        due = moves_of(
            state, policies, now_us=now_us, last_read_us=last_read_us, least_bytes=least_bytes
        )
        if due:
            waiting.append(due)
        if len(waiting) == STUDIES_AT_ONCE:
            async for moved in _carry_out_each(objects, catalogue, waiting, now_us):
                yield moved
            waiting = []
    async for moved in _carry_out_each(objects, catalogue, waiting, now_us):
        yield moved


async def _carry_out_each(
    objects: ObjectStore, catalogue: Catalogue, studies: Sequence[Sequence[Move]], now_us: int
) -> AsyncIterator[Moved]:
    """Move packs of several studies at once; raises when all have ended."""
    ended = await asyncio.gather(
        *(_carry_out(objects, catalogue, due, now_us) for due in studies), return_exceptions=True
    )
    failed: list[BaseException] = []
    for one in ended:
        if isinstance(one, BaseException):
            failed.append(one)
            continue
        for moved in one:
            yield moved
    if failed:
        raise failed[0]


async def _carry_out(
    objects: ObjectStore, catalogue: Catalogue, due: Sequence[Move], now_us: int
) -> list[Moved]:
    """Move packs of one study, then note where they lie in one change."""
    done: list[Moved] = []
    try:
        for move in due:
            done.append(await _moved(objects, move))  # noqa: PERF401  kept where one fails
    except Unavailable:
        await _note(catalogue, done, now_us)
        raise
    await _note(catalogue, done, now_us)
    return done


async def _note(catalogue: Catalogue, done: Sequence[Moved], now_us: int) -> None:
    """Write what the store said of a study's packs into their records, where that is news."""
    lie_in = {
        one.move.pack.pack_id: one.lies_in
        for one in done
        if one.lies_in != one.move.pack.storage_class
    }
    if not lie_in:
        return

    def noted(pack: PackRecord) -> PackRecord:
        lies_in = lie_in.get(pack.pack_id, pack.storage_class)
        if lies_in == pack.storage_class:
            return pack
        # A readable copy goes with the stay that it was of.
        until_us = min(pack.recalled_until_us, now_us)
        return replace(pack, storage_class=lies_in, recalled_until_us=until_us)

    study = done[0].move.pack
    await note_packs(catalogue, study.tenant, study.study_instance_uid, noted, now_us=now_us)


async def _moved(objects: ObjectStore, move: Move) -> Moved:
    pack = move.pack
    key = PackKey(pack.tenant, pack.study_instance_uid, pack.series_instance_uid, pack.pack_id)
    lies_in = pack.storage_class
    try:
        lies_in = (await objects.head(key.pack)).storage_class
        known = class_named(lies_in)
        if known is None:
            return Moved(move, Fate.LEFT, lies_in, f"it lies in {lies_in}, which no policy names")
        if known is move.to or is_colder(move.to, known):
            # Also where it is there already: a move that was killed is finished.
            lies_in = (await objects.move(key.pack, move.to)).storage_class
        is_asked = is_colder(move.to, class_named(lies_in) or move.to)
        return Moved(move, Fate.ASKED if is_asked else Fate.MOVED, lies_in)
    except (Conflict, Corrupt, Denied, InvalidRequest, NotFound, Offline) as error:
        # NotFound: purged or repacked meanwhile; a pack that is lost is fsck's to find.
        # InvalidRequest: the store has no such class.
        log.warning(
            "pack_not_moved",
            extra={
                "study": hashed(pack.study_instance_uid),
                "pack": pack.pack_id,
                "error": type(error).__name__,
            },
        )
        return Moved(move, Fate.LEFT, lies_in, _reason(error))


def _reason(error: Exception) -> str:
    if isinstance(error, Offline):
        return f"{error}: it moves once `recall start` has brought it back"
    return str(error)
