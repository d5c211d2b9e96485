"""A response as pieces: bytes at hand, slices of objects, and what must be made first.

Neighbouring slices of one object become one ranged read, with the bytes at hand
put between them: a whole series, or many frames, costs one request per pack.
"""

import asyncio
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Sequence,
)
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias, cast

from pacs_cloud.objectstore.port import CHUNK_BYTES, ObjectStore

MAX_GAP_BYTES: Final = 64 << 10
"""What is read and dropped between two slices rather than asked for apart."""
_MAX_RUN_PIECES: Final = 4096
_BEGUN_AHEAD: Final = 4
_SEEN_AHEAD: Final = 64


@dataclass(frozen=True, slots=True)
class Slice:
    """Bytes `start` to `end` (half-open) of an object."""

    key: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Made:
    """Bytes that are computed when their turn comes, as a large transcoded instance.

    Attributes:
        chunks: makes them.
        length_bytes: how many there will be, None where that is not known.
    """

    chunks: Callable[[], AsyncIterator[bytes]]
    length_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Later:
    """A few megabytes that are computed, a little ahead of their turn."""

    load: Callable[[], Coroutine[None, None, bytes]]


Piece: TypeAlias = bytes | Slice | Made | Later
_Coming: TypeAlias = "bytes | Slice | Made | asyncio.Task[bytes]"
"""A piece whose turn comes: what comes later has been begun."""


def length_of(pieces: Iterable[Piece]) -> int | None:
    """Return how many bytes the pieces have together; None where that is yet to be seen."""
    total = 0
    for piece in pieces:
        length = _length_of(piece)
        if length is None:
            return None
        total += length
    return total


def cut(pieces: Iterable[Piece], start: int, end: int) -> Iterator[Piece]:
    """Yield what holds bytes `start` to `end` (half-open) of pieces whose lengths are known."""
    position = 0
    for piece in pieces:
        length = _length_of(piece)
        assert length is not None
        first, last = max(start - position, 0), min(end - position, length)
        position += length
        if first >= last:
            continue
        if isinstance(piece, bytes):
            yield piece[first:last]
        elif isinstance(piece, Slice):
            yield Slice(piece.key, piece.start + first, piece.start + last)
        else:
            assert isinstance(piece, Made)
            yield Made(partial(_cut_chunks, piece, first, last), last - first)


async def _cut_chunks(piece: Made, start: int, end: int) -> AsyncIterator[bytes]:
    position = 0
    async for chunk in piece.chunks():
        first, last = max(start - position, 0), min(end - position, len(chunk))
        position += len(chunk)
        if first < last:
            yield chunk[first:last]
        if position >= end:
            return


def _length_of(piece: Piece) -> int | None:
    match piece:
        case bytes():
            return len(piece)
        case Slice():
            return piece.end - piece.start
        case Made():
            return piece.length_bytes
        case Later():
            return None


def stream(objects: ObjectStore, pieces: Iterable[Piece]) -> AsyncGenerator[bytes]:
    """Yield the pieces' bytes in large chunks, at constant memory.

    Raises:
        NotFound, Offline, Corrupt, Unavailable: as `ObjectStore.get`.
        PacsError: as what makes a piece.
    """
    if isinstance(pieces, tuple) and not any(isinstance(piece, Later) for piece in pieces):
        return _streamed(objects, cast("tuple[_Coming, ...]", pieces))
    return _begun_ahead(objects, pieces)


async def _begun_ahead(objects: ObjectStore, pieces: Iterable[Piece]) -> AsyncGenerator[bytes]:
    ahead = _Ahead(pieces)
    try:
        async for chunk in _streamed(objects, ahead):
            yield chunk
    finally:
        await ahead.aclose()


async def _streamed(objects: ObjectStore, pieces: "Iterable[_Coming]") -> AsyncGenerator[bytes]:
    run: list[bytes | Slice] = []
    last: Slice | None = None
    for piece in pieces:
        if isinstance(piece, Slice):
            if last is not None and not (_is_neighbour(last, piece) and len(run) < _MAX_RUN_PIECES):
                async for chunk in _read_run(objects, run):
                    yield chunk
                run = []
            last = piece
        if isinstance(piece, (bytes, Slice)):
            run.append(piece)
            continue
        # What is at hand goes out with the first made bytes: should these fail, nothing
        # has been sent that would hide it.
        at_hand = b""
        if last is None:
            at_hand = b"".join(one for one in run if isinstance(one, bytes))
        else:
            async for chunk in _read_run(objects, run):
                yield chunk
        run, last = [], None
        if isinstance(piece, asyncio.Task):
            at_hand += await piece
        else:
            async for chunk in piece.chunks():
                yield at_hand + chunk if at_hand else chunk
                at_hand = b""
        if at_hand:
            yield at_hand
    async for chunk in _read_run(objects, run):
        yield chunk


class _Ahead:
    """Pieces in their order, those that come `Later` begun before it is their turn."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._rest = iter(pieces)
        self._seen: deque[_Coming] = deque()
        self._begun: set[asyncio.Task[bytes]] = set()

    def __iter__(self) -> "Iterator[_Coming]":
        while True:
            while len(self._begun) < _BEGUN_AHEAD and len(self._seen) < _SEEN_AHEAD:
                piece = next(self._rest, None)
                if piece is None:
                    break
                if isinstance(piece, Later):
                    piece = asyncio.create_task(piece.load())
                    self._begun.add(piece)
                self._seen.append(piece)
            if not self._seen:
                return
            piece = self._seen.popleft()
            yield piece
            if isinstance(piece, asyncio.Task):
                self._begun.discard(piece)

    async def aclose(self) -> None:
        """Give up what was begun."""
        for task in self._begun:
            task.cancel()
        await asyncio.gather(*self._begun, return_exceptions=True)


def _is_neighbour(before: Slice, after: Slice) -> bool:
    return before.key == after.key and 0 <= after.start - before.end <= MAX_GAP_BYTES


async def _read_run(objects: ObjectStore, run: Sequence[bytes | Slice]) -> AsyncIterator[bytes]:
    slices = [piece for piece in run if isinstance(piece, Slice) and piece.end > piece.start]
    if not slices:
        if joined := b"".join(piece for piece in run if isinstance(piece, bytes)):
            yield joined
        return
    key, start, end = slices[0].key, slices[0].start, slices[-1].end
    if end - start <= CHUNK_BYTES:
        whole = memoryview(await objects.get(key, start, end))
        yield b"".join(
            piece if isinstance(piece, bytes) else whole[piece.start - start : piece.end - start]
            for piece in run
        )
        return
    cutter = _Cutter(run, start)
    async for chunk in objects.stream(key, start, end):
        if out := cutter.cut(chunk):
            yield out
    if out := cutter.rest():
        yield out


class _Cutter:
    """Takes one read's chunks and puts out the run: gaps dropped, bytes at hand put in."""

    def __init__(self, run: Sequence[bytes | Slice], start: int) -> None:
        self._run = run
        self._next = 0
        self._position = start

    def cut(self, chunk: bytes) -> bytes:
        """Return what the run makes of `chunk`, the read's next bytes."""
        view = memoryview(chunk)
        begin, end = self._position, self._position + len(chunk)
        out: list[bytes | memoryview] = []
        while self._next < len(self._run):
            piece = self._run[self._next]
            if isinstance(piece, bytes):
                out.append(piece)
            else:
                if piece.start >= end and piece.end > piece.start:
                    break
                part = view[max(piece.start - begin, 0) : max(piece.end - begin, 0)]
                if len(part) == len(chunk):
                    out.append(chunk)
                elif part:
                    out.append(part)
                if piece.end > end:
                    break
            self._next += 1
        self._position = end
        return out[0] if len(out) == 1 and isinstance(out[0], bytes) else b"".join(out)

    def rest(self) -> bytes:
        """Return the bytes at hand behind the last slice."""
        return b"".join(piece for piece in self._run[self._next :] if isinstance(piece, bytes))
