"""A request's body as it comes: too long, too slow, cut off, and the URLs above it."""

import asyncio

import pytest
from starlette.requests import ClientDisconnect, Request

from pacs_cloud.dicomweb.problems import BodyTooLarge, BodyTooSlow
from pacs_cloud.dicomweb.requests import body_of, root_url
from pacs_cloud.errors import InvalidRequest

NEVER_S = 1000.0


def bringing(*chunks: bytes, pause_s: float = 0, length: int | None = None) -> Request:
    left = list(chunks)

    async def receive() -> dict:
        await asyncio.sleep(pause_s)
        if not left:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    headers = [] if length is None else [(b"content-length", str(length).encode())]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


async def taken(request: Request, **limits: float) -> bytes:
    given = {"max_bytes": 1000, "idle_s": NEVER_S, **limits}
    return b"".join([chunk async for chunk in body_of(request, **given)])


async def test_a_body_comes_in_its_chunks() -> None:
    assert await taken(bringing(b"ab", b"", b"c")) == b"abc"


async def test_a_body_over_the_limit_is_refused_before_and_while_it_comes() -> None:
    with pytest.raises(BodyTooLarge):
        await taken(bringing(b"", length=1001))
    with pytest.raises(BodyTooLarge):
        await taken(bringing(b"a" * 600, b"a" * 600))


async def test_a_body_that_stops_is_too_slow() -> None:
    with pytest.raises(BodyTooSlow, match="stopped"):
        await taken(bringing(b"a", pause_s=NEVER_S), idle_s=0.01)


async def test_a_body_that_dribbles_is_too_slow() -> None:
    # Never idle for long, and yet it would take an hour.
    dribble = bringing(*[b"a"] * 1000, pause_s=0.002)
    with pytest.raises(BodyTooSlow, match="slowly"):
        await taken(dribble, idle_s=0.05, least_bytes_per_s=1 << 20)


async def test_a_body_that_is_quick_enough_on_average_is_taken() -> None:
    bursts = bringing(b"a" * 500, *[b""] * 20, b"a" * 500, pause_s=0.002)
    assert len(await taken(bursts, idle_s=NEVER_S, least_bytes_per_s=1)) == 1000


async def test_our_own_pauses_do_not_count() -> None:
    count = 0
    body = body_of(bringing(*[b"a"] * 5), max_bytes=1000, idle_s=0.2, least_bytes_per_s=1 << 20)
    async for _ in body:
        await asyncio.sleep(0.05)
        count += 1
    assert count == 5


async def test_a_client_that_goes_is_no_end_of_a_body() -> None:
    async def receive() -> dict:
        return {"type": "http.disconnect"}

    request = Request({"type": "http", "method": "POST", "headers": []}, receive)
    with pytest.raises(ClientDisconnect):
        await taken(request)


def at(server: tuple[str, int], *headers: tuple[bytes, bytes]) -> Request:
    return Request(
        {
            "type": "http",
            "method": "GET",
            "scheme": "http",
            "root_path": "/dicom-web",
            "server": server,
            "headers": list(headers),
        }
    )


def test_a_request_without_host_is_answered_by_the_sockets_address() -> None:
    assert root_url(at(("127.0.0.1", 8042))) == "http://127.0.0.1:8042/dicom-web"
    assert root_url(at(("::1", 8042))) == "http://[::1]:8042/dicom-web"


@pytest.mark.parametrize("host", [b"a b", b"a/b", b'a"b', b"a\\b", b"a@b", "ä".encode()])
def test_a_malformed_host_is_refused(host: bytes) -> None:
    with pytest.raises(InvalidRequest):
        root_url(at(("127.0.0.1", 8042), (b"host", host)))
