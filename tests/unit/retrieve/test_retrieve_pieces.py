"""Pieces become a response's bytes with as few reads as possible."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pacs_cloud.errors import NotAcceptable, NotFound
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.port import CHUNK_BYTES
from pacs_cloud.retrieve.pieces import MAX_GAP_BYTES, Made, Piece, Slice, length_of, stream

CONTENT = {
    "packs/a": random.Random(1).randbytes(5 * CHUNK_BYTES + 17),
    "packs/b": random.Random(2).randbytes(1000),
}


class CountingStore(LocalObjectStore):
    """Counts ranged reads."""

    reads = 0

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        self.reads += 1
        return await super().get(key, start, end)

    def stream(self, *args: object, **options: object) -> AsyncIterator[bytes]:
        self.reads += 1
        return super().stream(*args, **options)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[CountingStore]:
    async with CountingStore(tmp_path) as objects:
        for key, content in CONTENT.items():
            await objects.put_new(key, content)
        yield objects


def made(*chunks: bytes) -> Made:
    async def give() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return Made(give)


def expected(pieces: list[Piece], made_bytes: dict[int, bytes]) -> bytes:
    out = b""
    for at, piece in enumerate(pieces):
        if isinstance(piece, bytes):
            out += piece
        elif isinstance(piece, Slice):
            out += CONTENT[piece.key][piece.start : piece.end]
        else:
            out += made_bytes[at]
    return out


async def gathered(store: CountingStore, pieces: list[Piece]) -> bytes:
    return b"".join([chunk async for chunk in stream(store, pieces)])


async def test_any_pieces_give_their_bytes(store: CountingStore) -> None:
    dice = random.Random(3)
    for _ in range(300):
        pieces: list[Piece] = []
        made_bytes: dict[int, bytes] = {}
        position = 0
        for at in range(dice.randrange(12)):
            kind = dice.randrange(6)
            if kind == 0:
                pieces.append(dice.randbytes(dice.randrange(50)))
            elif kind == 1:
                made_bytes[at] = dice.randbytes(dice.randrange(50))
                pieces.append(made(made_bytes[at]))
            else:
                key = dice.choice(["packs/a", "packs/a", "packs/b"])
                size = len(CONTENT[key])
                start = min(size, position + dice.choice([0, 10, MAX_GAP_BYTES + 1]))
                if dice.random() < 0.2:
                    start = dice.randrange(size)
                end = min(size, start + dice.choice([0, 1, 100, CHUNK_BYTES, 2 * CHUNK_BYTES]))
                pieces.append(Slice(key, start, end))
                position = end
        wanted = expected(pieces, made_bytes)
        assert await gathered(store, pieces) == wanted
        if not made_bytes:
            assert length_of(pieces) == len(wanted)


async def test_neighbours_are_one_read(store: CountingStore) -> None:
    pieces: list[Piece] = []
    for number in range(100):
        pieces += [b"--part", Slice("packs/a", number * 30_000, number * 30_000 + 29_000)]
    pieces.append(b"--end")
    assert await gathered(store, pieces) == expected(pieces, {})
    assert store.reads == 1


async def test_a_wide_gap_another_object_or_a_step_back_is_another_read(
    store: CountingStore,
) -> None:
    pieces: list[Piece] = [
        Slice("packs/a", 0, 10),
        Slice("packs/a", 11 + MAX_GAP_BYTES, 12 + MAX_GAP_BYTES),
        Slice("packs/b", 0, 10),
        Slice("packs/b", 5, 10),
    ]
    assert await gathered(store, pieces) == expected(pieces, {})
    assert store.reads == 4


async def test_a_small_run_is_one_chunk(store: CountingStore) -> None:
    pieces: list[Piece] = [b"head", Slice("packs/b", 0, 100), b"tail"]
    assert len([chunk async for chunk in stream(store, pieces)]) == 1


async def test_chunks_stay_small_whatever_is_read(store: CountingStore) -> None:
    chunks = [chunk async for chunk in stream(store, [b"x", Slice("packs/a", 0, 5 * CHUNK_BYTES)])]
    assert len(chunks) >= 5
    assert max(map(len, chunks)) <= CHUNK_BYTES + 1


async def test_nothing_is_sent_before_what_is_made_succeeds(store: CountingStore) -> None:
    async def fail() -> AsyncIterator[bytes]:
        raise NotAcceptable("no decoder")
        yield b""

    sent: list[bytes] = []
    with pytest.raises(NotAcceptable):
        async for chunk in stream(store, [b"head", Made(fail)]):
            sent.append(chunk)  # noqa: PERF401 - what came before the failure counts
    assert sent == []


async def test_a_missing_object_is_found_out_before_anything_is_sent(
    store: CountingStore,
) -> None:
    sent: list[bytes] = []
    for end in (10, 2 * CHUNK_BYTES):
        with pytest.raises(NotFound):
            async for chunk in stream(store, [b"head", Slice("packs/none", 0, end)]):
                sent.append(chunk)  # noqa: PERF401 - what came before the failure counts
    assert sent == []


async def test_the_length_of_what_is_yet_to_be_made_is_not_known() -> None:
    assert length_of([b"x", made(b"y")]) is None
    await asyncio.sleep(0)
