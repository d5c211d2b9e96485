"""Encoded bodies: decoded in pieces, and stopped when they grow too much."""

import gzip
import zlib
from collections.abc import AsyncIterator, Callable

import pytest

from pacs_cloud.dicomweb.media import UnsupportedMedia
from pacs_cloud.dicomweb.problems import BodyTooLarge
from pacs_cloud.dicomweb.stow_coding import decoding
from pacs_cloud.errors import InvalidRequest

CONTENT = bytes(range(256)) * 5000


async def chunks(body: bytes, step: int) -> AsyncIterator[bytes]:
    for at in range(0, len(body), step):
        yield body[at : at + step]


async def decoded(coding: str, body: bytes, *, limit: int = 1 << 30, step: int = 1000) -> bytes:
    found = decoding(coding, limit)
    assert found is not None
    return b"".join([part async for part in found.decoded(chunks(body, step))])


@pytest.mark.parametrize("step", [1, 1000, 1 << 20])
@pytest.mark.parametrize(
    ("coding", "encode"),
    [("gzip", gzip.compress), (" X-GZip ", gzip.compress), ("deflate", zlib.compress)],
)
async def test_what_was_encoded_is_decoded(
    coding: str, encode: Callable[[bytes], bytes], step: int
) -> None:
    assert await decoded(coding, encode(CONTENT), step=step) == CONTENT


async def test_members_follow_each_other() -> None:
    body = gzip.compress(b"one, ") + gzip.compress(b"") + gzip.compress(b"two")
    for step in (1, 7, len(body)):
        assert await decoded("gzip", body, step=step) == b"one, two"


@pytest.mark.parametrize("coding", ["", "identity", " Identity "])
def test_plain_bodies_need_nothing(coding: str) -> None:
    assert decoding(coding, 1) is None


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, deflate", "compress"])
def test_other_codings_are_not_taken(coding: str) -> None:
    with pytest.raises(UnsupportedMedia):
        decoding(coding, 1)


@pytest.mark.parametrize(
    "body",
    [b"", b"plain", gzip.compress(CONTENT)[:-9], gzip.compress(CONTENT) + b"more", b"\x1f\x8b"],
)
async def test_broken_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        await decoded("gzip", body)


async def test_a_body_over_the_limit_is_stopped() -> None:
    with pytest.raises(BodyTooLarge):
        await decoded("gzip", gzip.compress(CONTENT), limit=len(CONTENT) - 1)


async def test_a_bomb_is_stopped_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pacs_cloud.dicomweb.stow_coding._FREE_BYTES", 16 << 20)
    squeezer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(1 << 20)
    bomb = b"".join([squeezer.compress(zeros) for _ in range(64)]) + squeezer.flush()
    found = decoding("gzip", 64 << 30)
    assert found is not None
    given, longest = 0, 0
    with pytest.raises(BodyTooLarge):
        async for part in found.decoded(chunks(bomb, 65_536)):
            given += len(part)
            longest = max(longest, len(part))
    assert longest <= 256 << 10
    assert given < 32 << 20


@pytest.mark.parametrize(
    ("coding", "encode"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
@pytest.mark.parametrize("content", [b"", b"x"])
@pytest.mark.parametrize("step", [7, 1 << 18])
async def test_members_that_hold_next_to_nothing_are_refused(
    coding: str, encode: Callable[[bytes], bytes], content: bytes, step: int
) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        member = encode(content)
        pieces = member * (step // len(member) + 1)
        while taken < 1 << 20:
            taken += len(pieces)
            yield pieces

    found = decoding(coding, 64 << 30)
    assert found is not None
    with pytest.raises(InvalidRequest, match="members"):
        async for _ in found.decoded(endless()):
            pass
    assert taken < 1 << 19


async def test_many_members_of_some_size_are_decoded() -> None:
    content = bytes(range(256)) * 4
    assert await decoded("gzip", gzip.compress(content) * 5000, step=60_000) == content * 5000


async def test_empty_members_among_others_are_decoded() -> None:
    body = gzip.compress(CONTENT) + gzip.compress(b"") * 900 + gzip.compress(b"end")
    assert await decoded("gzip", body) == CONTENT + b"end"
