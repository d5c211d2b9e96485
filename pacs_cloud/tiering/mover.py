"""Packs on their way to the class they are due in: the store moves, the catalogue follows.

The object goes first. The catalogue says of a pack where it lies only once the store
says so, so that a crash on the way leaves a pack that is in a colder class than its
record, as a bucket's own rules do: the next look at it asks the store, and notes it.
Nothing is moved up: what lies colder than it is due stays there.

Before a pack goes where it has to be recalled from, its series gets a thumbnail that stays
hot: without one the pack stays, and the next look tries again. A pinned study stays, and
what was asked of the store before it was pinned is taken back.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.errors import (
    Conflict,
    Corrupt,
    Denied,
    InvalidRequest,
    NotFound,
    Offline,
    PacsError,
    Unavailable,
)
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.objectstore.storage_classes import class_named, is_colder, needs_recall
from pacs_cloud.telemetry import hashed
from pacs_cloud.tiering.keeping import KeepThumbnail, keep_none
from pacs_cloud.tiering.lying import note_where
from pacs_cloud.tiering.pins import pin_of
from pacs_cloud.tiering.planning import LastRead, Move, moves_of
from pacs_cloud.tiering.policy import Policy
from pacs_cloud.tiering.recall.marks import key_of
from pacs_cloud.tiering.staying import stay

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
    that is none of ours, there is no such class here, or its thumbnail could not be kept."""
    PINNED = "pinned"
    """It stays, as its study is pinned."""


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
    keep: KeepThumbnail = keep_none,
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
        keep: keeps a thumbnail of what goes where it has to be recalled from.

    Raises:
        Unavailable: a store cannot be reached; what was yielded stands.
    """
    waiting: list[_Study] = []
    async for state in catalogue.export(tenant):
        due = moves_of(
            state, policies, now_us=now_us, last_read_us=last_read_us, least_bytes=least_bytes
        )
        if due:
            waiting.append(_Study(objects, catalogue, now_us, keep, due))
        if len(waiting) == STUDIES_AT_ONCE:
            async for moved in _each(waiting):
                yield moved
            waiting = []
    async for moved in _each(waiting):
        yield moved


async def _each(studies: Sequence["_Study"]) -> AsyncIterator[Moved]:
    """Move packs of several studies at once; raises when all have ended."""
    ended = await asyncio.gather(*(one.carry_out() for one in studies), return_exceptions=True)
    failed: list[BaseException] = []
    for one in ended:
        if isinstance(one, BaseException):
            failed.append(one)
            continue
        for moved in one:
            yield moved
    if failed:
        raise failed[0]


@dataclass(frozen=True, slots=True)
class _Study:
    """The moves that are due of one study."""

    objects: ObjectStore
    catalogue: Catalogue
    now_us: int
    keep: KeepThumbnail
    due: Sequence[Move]
    _unkept: dict[str, str] = field(default_factory=dict[str, str])
    """Why a series has no thumbnail, by its UID; "" where it has one."""

    async def carry_out(self) -> list[Moved]:
        """Move packs, then note where they lie in one change."""
        tenant, study = self.due[0].pack.tenant, self.due[0].pack.study_instance_uid
        # Looked at now: the plan may be hours old.
        try:
            pin = await pin_of(self.objects, tenant, study, now_us=self.now_us)
        except Corrupt as error:  # nobody may take that for none
            return [Moved(one, Fate.LEFT, one.pack.storage_class, str(error)) for one in self.due]
        done: list[Moved] = []
        try:
            for move in self.due:
                moved = await self._moved(replace(move, is_pinned=pin is not None))
                done.append(moved)
            if pin is None and any(one.fate is Fate.ASKED for one in done):
                done = await self._looked_at_again(done)
        except Unavailable:
            await self._note(done)
            raise
        await self._note(done)
        return done

    async def _looked_at_again(self, done: Sequence[Moved]) -> list[Moved]:
        """Take back what was asked for, where the study was pinned meanwhile.

        Who pins writes the pin, then takes back what was asked for: one of the two sees both.
        """
        pack = self.due[0].pack
        names = pack.tenant, pack.study_instance_uid
        try:
            if await pin_of(self.objects, *names, now_us=self.now_us) is None:
                return list(done)
        except Corrupt as error:  # nobody may take that for none
            self._log(self.due[0], error)
        return [
            await self._moved(replace(one.move, is_pinned=True)) if one.fate is Fate.ASKED else one
            for one in done
        ]

    async def _note(self, done: Sequence[Moved]) -> None:
        """Write what the store said of the packs into their records, where that is news."""
        lie_in = {
            one.move.pack.pack_id: one.lies_in
            for one in done
            if one.lies_in != one.move.pack.storage_class
        }
        if lie_in:
            pack = done[0].move.pack
            names = pack.tenant, pack.study_instance_uid
            await note_where(self.catalogue, *names, lie_in, now_us=self.now_us)

    async def _moved(self, move: Move) -> Moved:
        pack, key = move.pack, key_of(move.pack).pack
        lies_in = pack.storage_class
        try:
            if move.is_pinned:
                return Moved(move, Fate.PINNED, await stay(self.objects, pack))
            lies_in = (await self.objects.head(key)).storage_class
            known = class_named(lies_in)
            if known is None:
                reason = f"it lies in {lies_in}, which no policy names"
                return Moved(move, Fate.LEFT, lies_in, reason)
            if needs_recall(move.to) and not needs_recall(lies_in):
                unkept = await self._thumbnail(move)
                if unkept:
                    return Moved(move, Fate.LEFT, lies_in, unkept)
            if known is move.to or is_colder(move.to, known):
                # Also where it is there already: a move that was killed is finished.
                lies_in = (await self.objects.move(key, move.to)).storage_class
            is_asked = is_colder(move.to, class_named(lies_in) or move.to)
            return Moved(move, Fate.ASKED if is_asked else Fate.MOVED, lies_in)
        except (Conflict, Corrupt, Denied, InvalidRequest, NotFound, Offline) as error:
            # NotFound: purged or repacked meanwhile; a pack that is lost is fsck's to find.
            # InvalidRequest: the store has no such class.
            self._log(move, error)
            return Moved(move, Fate.LEFT, lies_in, _reason(error))

    async def _thumbnail(self, move: Move) -> str:
        """Keep a thumbnail of a pack's series; return why that could not be, "" where it was."""
        pack = move.pack
        series = pack.series_instance_uid
        if series not in self._unkept:
            names = pack.tenant, pack.study_instance_uid, series
            try:
                await self.keep(*names, (pack.pack_id,))
            except PacsError as error:
                self._log(move, error)
                self._unkept[series] = f"no thumbnail of its series could be kept: {error}"
            else:
                self._unkept[series] = ""
        return self._unkept[series]

    def _log(self, move: Move, error: Exception) -> None:
        log.warning(
            "pack_not_moved",
            extra={
                "study": hashed(move.pack.study_instance_uid),
                "pack": move.pack.pack_id,
                "error": type(error).__name__,
            },
        )


def _reason(error: Exception) -> str:
    if isinstance(error, Offline):
        return f"{error}: it moves once `recall start` has brought it back"
    return str(error)
