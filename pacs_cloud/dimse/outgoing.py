"""Stored instances made ready to be sent: the next ones are read while the last ones go out.

Instances that lie side by side in a pack are read together; longer ones are
streamed, so that memory stays bounded whatever their size. What the peer does
not take as it is stored is decompressed. What amendments touch is sent as they show it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pacs_cloud.dicom.uid import EXPLICIT_LE, IMPLICIT_LE
from pacs_cloud.dimse.fragments import Source
from pacs_cloud.dimse.negotiation import Context
from pacs_cloud.errors import PacsError
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.retrieve.pieces import MAX_GAP_BYTES, stream

RUN_BYTES: Final = 4 << 20
"""What is read at a time; a longer instance is streamed. Twice as much is held."""
_DECOMPRESSED_BYTES: Final = 16 << 20
"""What of a decompressed instance is held before it is sent: a broken codestream
among that costs the one instance, a later one the association."""
FALLBACKS: Final = (EXPLICIT_LE, IMPLICIT_LE)
"""What an instance is decompressed to, the better one first."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One instance on its way.

    Attributes:
        located: which.
        context: in which presentation context, or None for none.
        source: its data set in that context's transfer syntax.
        problem: why there is no source; "" where there is.
    """

    located: Located
    context: Context | None
    source: Source
    problem: str = ""


class Routes:
    """In which of an association's contexts each instance can go."""

    def __init__(self, contexts: Iterable[Context], archive: Archive) -> None:
        self._archive = archive
        self._contexts: dict[tuple[str, str], Context] = {}
        for context in contexts:
            if context.invokes:
                key = (context.abstract_syntax, context.transfer_syntax)
                self._contexts.setdefault(key, context)

    def find(self, located: Located) -> Context | None:
        """Return the context for an instance as it is stored, else for one decompressed."""
        instance = located.instance
        stored = instance.transfer_syntax_uid
        wanted = (stored, *FALLBACKS) if self._archive.transcoder.decodes(located) else (stored,)
        for syntax in wanted:
            if (context := self._contexts.get((instance.sop_class_uid, syntax))) is not None:
                return context
        return None


async def outgoing(
    archive: Archive, instances: Sequence[Located], routes: Routes
) -> AsyncGenerator[Outgoing]:
    """Yield every instance in its order, ready or with its problem."""
    runs = _runs(instances, routes)
    loop = asyncio.get_running_loop()
    first = next(runs, None)
    reading = None if first is None else loop.create_task(_read(archive, first))
    try:
        while reading is not None:
            ready = await reading
            following = next(runs, None)
            reading = None if following is None else loop.create_task(_read(archive, following))
            for one in ready:
                try:
                    yield one
                finally:
                    await _let_go(one)
    finally:
        if reading is not None:
            reading.cancel()
            await asyncio.wait([reading])
            if not reading.cancelled() and reading.exception() is None:
                for one in reading.result():
                    await _let_go(one)


@dataclass(frozen=True, slots=True)
class _Run:
    """What is read at a time: neighbours in one pack, or one instance."""

    members: list[tuple[Located, Context | None]]


def _runs(instances: Sequence[Located], routes: Routes) -> Iterator[_Run]:
    run: list[tuple[Located, Context | None]] = []
    for located in instances:
        context = routes.find(located)
        if run and not _continues(run, located, context):
            yield _Run(run)
            run = []
        run.append((located, context))
    if run:
        yield _Run(run)


def _continues(
    run: list[tuple[Located, Context | None]], located: Located, context: Context | None
) -> bool:
    (first, _), (last, last_context) = run[0], run[-1]
    begin, before, here = first.data_set(), last.data_set(), located.data_set()
    return (
        _goes_as_stored(last, last_context)
        and _goes_as_stored(located, context)
        and before.key == here.key
        and 0 <= here.start - before.end <= MAX_GAP_BYTES
        and here.end - begin.start <= RUN_BYTES
    )


def _goes_as_stored(located: Located, context: Context | None) -> bool:
    return context is not None and context.transfer_syntax == located.instance.transfer_syntax_uid


async def _read(archive: Archive, run: _Run) -> list[Outgoing]:
    if len(run.members) == 1:
        return [await _read_one(archive, *run.members[0])]
    begin, end = run.members[0][0].data_set().start, run.members[-1][0].data_set().end
    key = run.members[0][0].key
    try:
        together = memoryview(await archive.objects.get(key, begin, end))
    except PacsError:
        # One of them may be at fault: each tells for itself.
        return [await _read_one(archive, *member) for member in run.members]
    ready: list[Outgoing] = []
    for located, context in run.members:
        place = located.data_set()
        stored = together[place.start - begin : place.end - begin]
        try:
            source = await archive.files.applied(located, stored)
        except PacsError as error:
            ready.append(_unreadable(located, context, error))
        else:
            ready.append(Outgoing(located, context, source))
    return ready


async def _read_one(archive: Archive, located: Located, context: Context | None) -> Outgoing:
    if context is None:
        return Outgoing(located, None, b"", "the peer takes it in no transfer syntax we have")
    place = located.data_set()
    try:
        if not _goes_as_stored(located, context):
            parts = archive.transcoder.data_set(located, context.transfer_syntax)
            return Outgoing(located, context, await _begun(parts))
        if place.end - place.start > RUN_BYTES:
            pieces = await archive.files.data_set(located)
            return Outgoing(located, context, stream(archive.objects, pieces))
        stored = await archive.objects.get(place.key, place.start, place.end)
        return Outgoing(located, context, await archive.files.applied(located, stored))
    except PacsError as error:
        return _unreadable(located, context, error)


def _unreadable(located: Located, context: Context | None, error: PacsError) -> Outgoing:
    return Outgoing(located, context, b"", f"it cannot be read: {type(error).__name__}")


async def _begun(parts: AsyncIterator[bytes]) -> Source:
    """Return a decompressed data set whole, or a long one with its beginning at hand."""
    at_hand: list[bytes] = []
    length = 0
    async for part in parts:
        at_hand.append(part)
        length += len(part)
        if length > _DECOMPRESSED_BYTES:
            return _Begun(at_hand, parts)
    return b"".join(at_hand)


class _Begun:
    """The bytes at hand, then the rest, once."""

    def __init__(self, at_hand: list[bytes], rest: AsyncIterator[bytes]) -> None:
        self._at_hand = at_hand
        self._rest = rest

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        at_hand, self._at_hand = self._at_hand, []
        at_hand.reverse()
        while at_hand:
            yield at_hand.pop()
        async for part in self._rest:
            yield part

    async def aclose(self) -> None:
        """Read no further."""
        self._at_hand.clear()
        if isinstance(self._rest, AsyncGenerator):
            await self._rest.aclose()


async def _let_go(one: Outgoing) -> None:
    """Give back what a source holds, a decoder's place or a connection, sent or not."""
    if isinstance(one.source, _Begun | AsyncGenerator):
        await one.source.aclose()
