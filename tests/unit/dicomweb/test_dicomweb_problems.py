"""Errors as HTTP answers, and what the outermost edge does with those nobody expected."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Any, cast

import orjson
import pytest
from starlette.exceptions import HTTPException

from pacs_cloud import errors
from pacs_cloud.dicomweb import problems, responses
from pacs_cloud.dicomweb.callers import Door, everybody_is
from pacs_cloud.dicomweb.edge import Edge
from pacs_cloud.dicomweb.media import UnsupportedMedia
from pacs_cloud.dicomweb.responses import Bytes, Stream
from pacs_cloud.dicomweb.security_headers import SecurityHeaders
from pacs_cloud.dicomweb.strange_pages import StrangePages
from pacs_cloud.identity.user import LockedOut
from pacs_cloud.security.caller import system
from pacs_cloud.security.witness import NOBODY

ANY_PAGE = StrangePages(None, "", ())
OPEN = Door(everybody_is(system("default")), NOBODY, "default", ())


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (errors.InvalidRequest("what"), 400, None),
        (errors.TooBroad("narrow it"), 413, None),
        (problems.BodyTooLarge("big"), 413, None),
        (problems.BodyTooSlow("slow"), 408, None),
        (UnsupportedMedia("odd"), 415, None),
        (errors.InvalidUid("no uid"), 400, None),
        (errors.InvalidInstance("bad"), 400, None),
        (errors.NotFound("none"), 404, None),
        (errors.Gone("deleted"), 410, None),
        (errors.NotAcceptable("other form"), 406, None),
        (errors.Conflict("secret"), 409, None),
        (errors.Denied("secret"), 403, None),
        (errors.Unidentified("secret"), 401, None),
        (LockedOut(10_500_000, 0), 429, "11"),
        (errors.Offline("secret"), 503, "3600"),
        (errors.NeverRestored("secret"), 503, "86400"),
        (errors.StorageFull("secret"), 503, "60"),
        (errors.Unavailable("secret"), 503, "5"),
        (errors.Corrupt("secret"), 500, None),
        (errors.PacsError("secret"), 500, None),
    ],
)
def test_every_error_has_a_status(
    error: errors.PacsError, status: int, retry_after: str | None
) -> None:
    answer = problems.of_error(error)
    body = orjson.loads(answer.content)
    assert (answer.status, body["status"]) == (status, status)
    assert answer.fields["content-type"] == "application/problem+json"
    assert answer.fields["cache-control"] == "no-store"
    assert answer.fields.get("retry-after") == retry_after
    # What a store or a table says of itself is nobody's business outside.
    assert "secret" not in answer.content.decode()


def test_no_error_of_ours_is_forgotten() -> None:
    kinds: list[type[errors.PacsError]] = [errors.PacsError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    forgotten = {
        kind.__name__
        for kind in kinds
        if kind.__module__.startswith(("pacs_cloud.errors", "pacs_cloud.dicomweb"))
        and problems.of_error(kind("x")).status == 500
    }
    assert forgotten == {"PacsError", "Corrupt"}


def test_routing_keeps_its_headers() -> None:
    answer = problems.of_http(HTTPException(405, headers={"Allow": "GET"}))
    assert (answer.status, answer.fields["Allow"]) == (405, "GET")


async def ask(app: Any, **scope: Any) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    full = {
        "type": "http",
        "scheme": "http",
        "method": "GET",
        "headers": [],
        "query_string": b"",
        **scope,
    }
    await Edge(app, 100, ANY_PAGE, OPEN, SecurityHeaders(has_origins=False))(full, receive, send)
    return sent


async def test_an_error_nobody_expected_is_500_without_its_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(*_: object) -> None:
        raise ValueError("Doe^Jane")

    with caplog.at_level(logging.ERROR):
        start, body = await ask(app)
    assert start["status"] == 500
    assert b"Doe" not in body["body"]
    (record,) = caplog.records
    assert record.getMessage() == "request_failed"
    assert record.__dict__["error"] == "ValueError"
    assert "Doe" not in str(record.__dict__)
    assert record.exc_info is None


async def test_a_stream_that_fails_on_the_way_is_left_unfinished(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def chunks() -> AsyncGenerator[bytes]:
        yield b"first"
        raise errors.Unavailable("gone")

    with caplog.at_level(logging.ERROR):
        sent = await ask(Stream(chunks(), "a/b", length_bytes=100))
    assert [message.get("body") for message in sent] == [None, b"first"]
    assert sent[-1]["more_body"]
    assert caplog.records[0].__dict__["has_started"]


async def test_a_stream_that_fails_at_once_has_a_status() -> None:
    async def chunks() -> AsyncGenerator[bytes]:
        raise errors.NotFound("no such pack")
        yield b""

    start, _ = await ask(Stream(chunks(), "a/b"))
    assert start["status"] == 404


async def test_a_long_stream_ends_when_its_reader_has_gone() -> None:
    given = 0

    async def chunks() -> AsyncGenerator[bytes]:
        nonlocal given
        for _ in range(1000):
            given += 1
            yield b"x"
            await asyncio.sleep(0)

    await ask(Stream(chunks(), "a/b"))
    assert given < 10


async def test_a_reader_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "_STALLED_S", 0.01)
    is_closed = False

    async def chunks() -> AsyncGenerator[bytes]:
        nonlocal is_closed
        try:
            while True:
                yield b"x"
        finally:
            is_closed = True

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    async def receive() -> Any:
        await asyncio.Event().wait()

    scope = {"type": "http", "method": "GET", "headers": [], "query_string": b""}
    await Edge(
        cast("Any", Stream(chunks(), "a/b")),
        100,
        ANY_PAGE,
        OPEN,
        SecurityHeaders(has_origins=False),
    )(scope, receive, send)
    assert is_closed


async def test_a_header_over_the_limit_is_431() -> None:
    start, _ = await ask(Bytes(b"", "a/b"), headers=[(b"x", b"y" * 100)])
    assert start["status"] == 431
