"""A response as pieces: bytes at hand, slices of objects, and what must be made first.

Neighbouring slices of one object become one ranged read, with the bytes at hand
put between them: a whole series, or many frames, costs one request per pack.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from pacs_cloud.objectstore.port import CHUNK_BYTES, ObjectStore

MAX_GAP_BYTES: Final = 64 << 10
"""What is read and dropped between two slices rather than asked for apart."""
_MAX_RUN_PIECES: Final = 4096


@dataclass(frozen=True, slots=True)
class Slice:
    """Bytes `start` to `end` (half-open) of an object."""

    key: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Made:
    """Bytes that are computed when their turn comes, as a decompressed instance."""

    chunks: Callable[[], AsyncIterator[bytes]]


Piece: TypeAlias = bytes | Slice | Made


def length_of(pieces: Iterable[Piece]) -> int | None:
    """Return how many bytes the pieces have together; None where some are yet to be made."""
    total = 0
    for piece in pieces:
        if isinstance(piece, Made):
            return None
        total += len(piece) if isinstance(piece, bytes) else piece.end - piece.start
    return total


async def stream(objects: ObjectStore, pieces: Iterable[Piece]) -> AsyncGenerator[bytes]:
    """Yield the pieces' bytes in large chunks, at constant memory.

    Raises:
        NotFound, Offline, Corrupt, Unavailable: as `ObjectStore.get`.
    """
    run: list[bytes | Slice] = []
    last: Slice | None = None
    for piece in pieces:
        if isinstance(piece, Slice):
            if last is not None and not (_is_neighbour(last, piece) and len(run) < _MAX_RUN_PIECES):
                async for chunk in _read_run(objects, run):
                    yield chunk
                run = []
            last = piece
        if not isinstance(piece, Made):
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
        async for chunk in piece.chunks():
            yield at_hand + chunk if at_hand else chunk
            at_hand = b""
        if at_hand:
            yield at_hand
    async for chunk in _read_run(objects, run):
        yield chunk


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
