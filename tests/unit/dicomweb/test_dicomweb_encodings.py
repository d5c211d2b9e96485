"""Content codings: what a client accepts, and that what is encoded comes out as it went in."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest
import zstandard
from starlette.requests import Request

from pacs_cloud.dicomweb.encodings import Coding, coding_for, encode, encode_stream, encoded
from pacs_cloud.dicomweb.responses import Answer, Bytes, Stream
from pacs_cloud.errors import InvalidRequest, NotAcceptable

LONG = b'{"00080018":{"vr":"UI","Value":["1.2.3"]}},' * 20_000


def asking(*fields: str, method: str = "GET") -> Request:
    headers = [(b"accept-encoding", field.encode()) for field in fields]
    return Request({"type": "http", "method": method, "headers": headers})


@pytest.mark.parametrize(
    ("fields", "coding"),
    [
        ([], Coding.IDENTITY),
        ([""], Coding.IDENTITY),
        (["br"], Coding.IDENTITY),
        (["gzip"], Coding.GZIP),
        (["x-gzip"], Coding.GZIP),
        (["GZip;Q=1.000"], Coding.GZIP),
        (["zstd"], Coding.ZSTD),
        (["gzip, deflate, br, zstd"], Coding.ZSTD),
        (["gzip, deflate"], Coding.GZIP),
        (["gzip", "zstd"], Coding.ZSTD),
        (["gzip;q=1, zstd;q=0.5"], Coding.GZIP),
        (["gzip;q=0, zstd;q=0"], Coding.IDENTITY),
        (["gzip;q=0.001"], Coding.GZIP),
        (["gzip;q=0.5, identity"], Coding.IDENTITY),
        (["*"], Coding.IDENTITY),
        (["gzip, *"], Coding.GZIP),
        (["identity;q=0, *"], Coding.ZSTD),
        (["identity;q=0, gzip;q=0.1"], Coding.GZIP),
        (["*;q=0, gzip"], Coding.GZIP),
        (["*;q=0, identity"], Coding.IDENTITY),
    ],
)
def test_the_best_liked_coding_is_chosen(fields: list[str], coding: Coding) -> None:
    assert coding_for(asking(*fields)) is coding


@pytest.mark.parametrize("field", ["identity;q=0", "*;q=0", "br, identity;q=0"])
def test_nothing_that_is_acceptable_is_406(field: str) -> None:
    with pytest.raises(NotAcceptable):
        coding_for(asking(field))


@pytest.mark.parametrize("field", ["gzip;q=2", "gzip;level=9", "gzip q=1", "ä", "x," * 1000])
def test_a_malformed_field_is_refused(field: str) -> None:
    with pytest.raises(InvalidRequest):
        coding_for(asking(field))


def decoded(body: bytes, coding: Coding) -> bytes:
    if coding is Coding.GZIP:
        return gzip.decompress(body)
    return zstandard.ZstdDecompressor().decompressobj().decompress(body)


@pytest.mark.parametrize("coding", [Coding.GZIP, Coding.ZSTD])
async def test_what_is_encoded_comes_out_as_it_went_in(coding: Coding) -> None:
    for content in (b"x", LONG):
        body = await encode(content, coding)
        assert decoded(body, coding) == content
    assert len(body) < len(LONG) // 50
    assert await encode(b"x", Coding.IDENTITY) == b"x"

    async def chunks() -> AsyncIterator[bytes]:
        for chunk in (b"[", LONG, b"", b"]"):
            yield chunk

    stream = b"".join([chunk async for chunk in encode_stream(chunks(), coding)])
    assert decoded(stream, coding) == b"[" + LONG + b"]"


async def sent(answer: Answer, method: str) -> tuple[dict[str, str], bytes]:
    messages = []

    async def send(message: dict) -> None:
        messages.append(message)

    async def receive() -> dict:
        await asyncio.Event().wait()
        raise AssertionError

    await answer({"type": "http", "method": method}, receive, send)
    start, *rest = messages
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return headers, b"".join(message["body"] for message in rest)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_encoded_answer_says_so(method: str) -> None:
    async def whole(request: Request) -> Answer:
        return Bytes(LONG, "application/json")

    headers, body = await sent(await encoded(whole)(asking("gzip", method=method)), method)
    assert headers["content-encoding"] == "gzip"
    assert headers["vary"] == "accept, accept-encoding"
    if method == "GET":
        assert gzip.decompress(body) == LONG
        assert headers["content-length"] == str(len(body))
    else:
        assert "content-length" not in headers


async def test_a_mark_of_other_bytes_is_weak() -> None:
    async def marked(request: Request) -> Answer:
        return Bytes(LONG, "application/json", headers={"etag": '"x"'})

    async def unchanged(request: Request) -> Answer:
        return Answer(status=304, headers={"etag": '"x"'})

    for handler in (marked, unchanged):
        headers, _ = await sent(await encoded(handler)(asking("gzip")), "GET")
        assert headers["etag"] == 'W/"x"'
        headers, _ = await sent(await encoded(handler)(asking()), "GET")
        assert headers["etag"] == '"x"'


async def test_a_stream_is_encoded_as_it_goes_and_its_length_is_not_said() -> None:
    async def streamed(request: Request) -> Answer:
        async def chunks() -> AsyncIterator[bytes]:
            yield LONG

        return Stream(chunks(), "application/json", length_bytes=len(LONG))

    headers, body = await sent(await encoded(streamed)(asking("zstd")), "GET")
    assert headers["content-encoding"] == "zstd"
    assert "content-length" not in headers
    assert decoded(body, Coding.ZSTD) == LONG


async def test_short_and_empty_answers_stay_as_they_are() -> None:
    async def short(request: Request) -> Answer:
        return Bytes(b"[]", "application/json")

    async def empty(request: Request) -> Answer:
        return Answer(status=204)

    for handler in (short, empty):
        headers, _ = await sent(await encoded(handler)(asking("gzip")), "GET")
        assert "content-encoding" not in headers
        assert headers["vary"] == "accept, accept-encoding"
