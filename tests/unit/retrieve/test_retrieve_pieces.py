"""Pieces become a response's bytes with as few reads as possible."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from retrieve_making import CountingStore

from pacs_cloud.errors import NotAcceptable, NotFound
from pacs_cloud.objectstore.port import CHUNK_BYTES
from pacs_cloud.retrieve.pieces import (
    MAX_GAP_BYTES,
    Later,
    Made,
    Piece,
    Slice,
    cut,
    length_of,
    stream,
)

CONTENT = {
    "packs/a": random.Random(1).randbytes(5 * CHUNK_BYTES + 17),
    "packs/b": random.Random(2).randbytes(1000),
}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[CountingStore]:
    async with CountingStore(tmp_path) as objects:
        for key, content in CONTENT.items():
            await objects.put_new(key, content)
        yield objects


def made(*chunks: bytes, length: int | None = None) -> Made:
    async def give() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return Made(give, length)


def later(content: bytes) -> Later:
    async def give() -> bytes:
        await asyncio.sleep(0)
        return content

    return Later(give)


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
            kind = dice.randrange(7)
            if kind == 0:
                pieces.append(dice.randbytes(dice.randrange(50)))
            elif kind == 1:
                made_bytes[at] = dice.randbytes(dice.randrange(50))
                pieces.append(made(made_bytes[at]))
            elif kind == 2:
                made_bytes[at] = dice.randbytes(dice.randrange(50))
                pieces.append(later(made_bytes[at]))
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


async def test_any_cut_of_pieces_gives_its_bytes(store: CountingStore) -> None:
    chunks = [bytes([n]) * n for n in range(1, 9)]
    whole = b"".join(chunks)
    pieces: list[Piece] = [
        b"head",
        Slice("packs/b", 3, 40),
        made(*chunks, length=len(whole)),
        b"",
        Slice("packs/b", 100, 100),
        Slice("packs/b", 500, 510),
        b"tail",
    ]
    everything = await gathered(store, pieces)
    assert length_of(pieces) == len(everything)
    for start in range(len(everything)):
        for end in range(start, len(everything) + 1, 3):
            some = list(cut(pieces, start, end))
            assert length_of(some) == end - start
            assert await gathered(store, some) == everything[start:end]


async def test_what_comes_later_is_begun_a_little_ahead(store: CountingStore) -> None:
    begun: list[int] = []
    gates = [asyncio.Event() for _ in range(12)]

    def waiting(number: int) -> Later:
        async def give() -> bytes:
            begun.append(number)
            await gates[number].wait()
            return bytes([number])

        return Later(give)

    pieces: list[Piece] = []
    for number in range(12):
        pieces += [b"-", waiting(number)]
    chunks = stream(store, pieces)
    first = asyncio.ensure_future(anext(chunks))
    for _ in range(50):
        await asyncio.sleep(0)
    assert begun == [0, 1, 2, 3]
    gates[0].set()
    assert await first == b"-\x00"
    for gate in gates[1:]:
        gate.set()
    assert b"".join([chunk async for chunk in chunks]) == b"".join(
        b"-" + bytes([number]) for number in range(1, 12)
    )
    assert begun == list(range(12))


async def test_what_was_begun_is_given_up_with_its_stream(store: CountingStore) -> None:
    given_up: list[int] = []

    def endless(number: int) -> Later:
        async def give() -> bytes:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                given_up.append(number)
                raise
            return b""

        return Later(give)

    chunks = stream(store, [later(b"x"), endless(1), endless(2)])
    assert await anext(chunks) == b"x"
    await chunks.aclose()
    assert sorted(given_up) == [1, 2]


async def test_a_failure_ahead_of_its_turn_waits_for_it(store: CountingStore) -> None:
    async def fail() -> bytes:
        raise NotAcceptable("no decoder")

    chunks = stream(store, [later(b"x"), b"head", Later(fail), later(b"y")])
    assert await anext(chunks) == b"x"
    with pytest.raises(NotAcceptable):
        await anext(chunks)


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
