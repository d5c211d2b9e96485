"""Turns: of several workers on one store one at a time does what goes over all of an archive.

Whose turn it is stands in `turns/{work}/{number}.json` (`numbered`). Who has it says so
again every now and then; who sees one that has said nothing for `PATIENCE_S`, by a clock
of its own, takes it over, where it was. So no two clocks are compared, but for when a
round is due again: a few minutes more or less there do no harm.

Two may believe to have a turn for a moment, where one was held up for long: what is done
in turns must bear that, and the first that says so again finds that it has lost it.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Final

import orjson

from pacs_cloud.errors import Conflict, Corrupt, PacsError
from pacs_cloud.objectstore.numbered import read_last, write_next
from pacs_cloud.objectstore.port import ObjectStore

log = logging.getLogger(__name__)

TURNS: Final = "turns/"
PATIENCE_S: Final = 600.0
"""After so long without a word whoever has a turn is taken for dead."""
LOOK_S: Final = 300.0
"""How long a worker rests at most between two looks whether it is its turn."""
_SAID_AGAIN: Final = 4
"""So many times within the patience of others: words get lost."""
_SKEW_US: Final = 900_000_000
"""A round that began this much later than now was begun by a clock that is wrong."""
_LET_GO_S: Final = 3.0
"""A worker that is told to stop waits no longer for the store."""
_VERSION: Final = 1

Clock = Callable[[], float]
"""Seconds, of a clock that never goes back."""


class State(StrEnum):
    """What there is to say of a round of some work."""

    HELD = "held"
    """Somebody is at it."""
    FREE = "free"
    """Somebody was, and has let it go before its end."""
    OVER = "over"
    """It is done."""


@dataclass(frozen=True, slots=True)
class Word:
    """What the last object says.

    Attributes:
        number: of the object; 0 before the first.
        by: whose word it is, unlike any other worker's name.
        state: of the round.
        began_us: when the round began, by whose clock began it, microseconds since 1970 UTC.
        place: how far it has come, in words of the work; "" at its beginning.
    """

    number: int = 0
    by: str = ""
    state: State = State.OVER
    began_us: int = 0
    place: str = ""


class Turn:
    """A turn that this worker has."""

    def __init__(self, objects: ObjectStore, folder: str, word: Word) -> None:
        """Have the turn of which `word` is to be the first word."""
        self._objects = objects
        self._folder = folder
        self._word = word
        self._writing = asyncio.Lock()
        self.is_lost = False

    @property
    def place(self) -> str:
        """How far the round has come, whoever was at it."""
        return self._word.place

    async def reach(self, place: str) -> None:
        """Write down how far the round has come; raises Conflict where the turn is lost."""
        await self.say(State.HELD, place)

    async def say(self, state: State, place: str | None = None) -> None:
        """Write the next word.

        Raises:
            Conflict: the turn is lost.
            Unavailable: the store cannot be reached.
        """
        async with self._writing:
            place = self._word.place if place is None else place
            word = replace(self._word, state=state, place=place)
            try:
                self._word = await self._written(word)
            except Conflict:
                last = await _read(self._objects, self._folder)
                if last.by != word.by:
                    self.is_lost = True
                    raise
                # Its own last word: it was stopped, or the answer lost, behind it.
                self._word = await self._written(replace(word, number=last.number))

    async def _written(self, word: Word) -> Word:
        word = replace(word, number=word.number + 1)
        data = orjson.dumps({"version": _VERSION, **asdict(word)})
        await write_next(self._objects, self._folder, word.number, data)
        return word


Work = Callable[[Turn], Awaitable[None]]
"""Does a round, from the turn's place on; may be cancelled at any time."""


class Turns:
    """The turns of one worker."""

    def __init__(
        self,
        objects: ObjectStore,
        now_us: Callable[[], int],
        *,
        clock: Clock | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Have no turn yet.

        Args:
            objects: the store.
            now_us: tells the time, microseconds since 1970 UTC.
            clock: None: the event loop's.
            patience_s: see `PATIENCE_S`; the same for all workers of a store.
        """
        self._objects = objects
        self._now_us = now_us
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._patience_s = patience_s
        self._name = str(uuid.uuid4())
        self._seen: dict[str, tuple[int, float]] = {}

    async def take(self, name: str, work: Work, *, every_s: float, at_once: bool = False) -> float:
        """Do a round of `work` where one is due, and nobody is at it.

        Args:
            name: of the work, a part of a key: two workers do the same by the same name.
            work: what is to be done. Where the turn is lost meanwhile it is cancelled.
            every_s: from the beginning of one round to that of the next.
            at_once: whether a round is due however long ago the last was, and whoever has
                the turn is dead.

        Returns:
            After how many seconds it is time to look again.

        Raises:
            PacsError: from the work; the turn is let go then.
            Corrupt: what says whose turn it is cannot be read.
            Unavailable: the store cannot be reached.
        """
        folder = f"{TURNS}{name}/"
        last = await _read(self._objects, folder)
        rest_s = 0.0 if at_once else self._rest_s(name, last, every_s)
        if rest_s > 0:
            return rest_s
        is_new = at_once or last.state is State.OVER
        turn = Turn(
            self._objects,
            folder,
            replace(
                last,
                by=self._name,
                began_us=self._now_us() if is_new else last.began_us,
                place="" if is_new else last.place,
            ),
        )
        began_s = self._clock()
        try:
            await turn.say(State.HELD)
        except Conflict:
            return LOOK_S  # another worker was first
        if last.state is State.HELD:
            log.warning("turn_taken_over", extra={"work": name})
        try:
            await self._done(turn, work)
        except Conflict:
            if not turn.is_lost:
                raise
        if turn.is_lost:
            log.warning("turn_lost", extra={"work": name})
            return LOOK_S
        return min(max(every_s - (self._clock() - began_s), 1.0), LOOK_S)

    def _rest_s(self, name: str, last: Word, every_s: float) -> float:
        """Return after how long the turn may be this worker's; 0: now."""
        if last.state is State.OVER:
            age_us = self._now_us() - last.began_us
            is_due = not -_SKEW_US <= age_us < every_s * 1e6
            return 0.0 if is_due or not last.number else min(every_s - age_us / 1e6, LOOK_S)
        if last.state is State.FREE:
            return 0.0
        number, since_s = self._seen.get(name, (0, 0.0))
        if number != last.number:
            self._seen[name] = last.number, self._clock()
            return min(self._patience_s, LOOK_S)
        left_s = since_s + self._patience_s - self._clock()
        return min(max(left_s, 0.0), LOOK_S)

    async def _done(self, turn: Turn, work: Work) -> None:
        """Do the work, saying so all the while; it is stopped where the turn is lost."""
        working = asyncio.ensure_future(work(turn))
        saying = asyncio.create_task(self._say_again(turn))
        is_done = False
        try:
            await asyncio.wait({working, saying}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
                is_done = True
        finally:
            for one in (working, saying):
                one.cancel()
            await asyncio.wait({working, saying})
            with suppress(PacsError, TimeoutError):
                async with asyncio.timeout(_LET_GO_S):
                    await turn.say(State.OVER if is_done else State.FREE)

    async def _say_again(self, turn: Turn) -> None:
        """Say again and again who has the turn; return where it is lost."""
        while True:
            await asyncio.sleep(self._patience_s / _SAID_AGAIN)
            try:
                await turn.say(State.HELD)
            except Conflict:
                return
            except PacsError:
                continue  # others are patient, and the next word may get through


async def _read(objects: ObjectStore, folder: str) -> Word:
    found = await read_last(objects, folder)
    if found is None:
        return Word()
    number, data = found
    try:
        fields = orjson.loads(data)
        if fields.pop("version") != _VERSION:
            raise Corrupt(f"{folder} is of a version that is not known here")
        word = Word(**fields)
        return replace(word, number=number, state=State(word.state))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Corrupt(f"what lies last in {folder} cannot be read") from error
