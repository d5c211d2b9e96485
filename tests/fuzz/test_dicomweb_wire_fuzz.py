"""Whatever bytes a connection brings: HTTP comes back, or nothing; and the next one is served."""

import asyncio
import contextlib
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pacs_cloud.bootstrap.http_limits import ConnectionLimits, Drain
from pacs_cloud.bootstrap.web_role import HttpServer, server_config

LIMITS = ConnectionLimits(max_header_bytes=2048, max_header_fields=20, max_pipelined=4)
GOOD = b"GET /good HTTP/1.1\r\nHost: a\r\n\r\n"
FRAGMENTS = [
    GOOD,
    b"POST / HTTP/1.1\r\n",
    b"HEAD /a HTTP/1.1\r\n",
    b"GET / HTTP/1.0\r\n",
    b"CONNECT a:80 HTTP/1.1\r\n",
    b"CONNECT http://a/ HTTP/1.1\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"Host: a\r\n",
    b"Connection: upgrade\r\nUpgrade: h2c\r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"X: " + b"a" * 700 + b"\r\n",
    b"\r\n",
    b"\n",
    b"5\r\nabcde\r\n",
    b"0\r\n\r\n",
    b"0\r\nA: b\r\n\r\n",
    b"0\r\n",
    b"abcde",
    b"\0",
    b"HTTP/1.1 200 OK\r\n\r\n",
]
ANSWERS = re.compile(rb"(HTTP/1\.1 [1-5][0-9]{2} [^\r\n]*\r\n(?:[a-z0-9-]+: [^\r\n]*\r\n)*\r\n)")


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer `/good` at once, and anything else once its body is read."""
    length = 0
    while scope["path"] != "/good":
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length += len(message["body"])
        if not message["more_body"]:
            break
    body = b"x" * min(length, 100)
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Runner:
    """A server on a loop of its own, for tests that are not coroutines."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.faults: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.faults.append(context))
        config = server_config(echo, LIMITS, Drain(), host="127.0.0.1", port=0)
        self.server = HttpServer(config)
        self.task = self.loop.create_task(self.server.serve())
        self.loop.run_until_complete(self.server.has_started.wait())
        self.port = self.server.servers[0].sockets[0].getsockname()[1]

    def say(self, chunks: list[bytes]) -> bytes:
        return self.loop.run_until_complete(self._say(chunks))

    async def _say(self, chunks: list[bytes]) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        said = b""
        try:
            for chunk in chunks:
                writer.write(chunk)
                await writer.drain()
                await asyncio.sleep(0)
            # A client that ends its side is gone: first what it would have been told.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    while chunk := await reader.read(65536):
                        said += chunk
            writer.write_eof()
            return said + await reader.read()
        except OSError:
            return said
        finally:
            writer.transport.abort()

    def close(self) -> None:
        self.server.should_exit = True
        self.loop.run_until_complete(self.task)
        self.loop.close()


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    made = Runner()
    yield made
    made.close()


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chunks=st.lists(
        st.one_of(
            st.lists(st.sampled_from(FRAGMENTS), max_size=12).map(b"".join),
            st.binary(max_size=100),
        ),
        max_size=8,
    )
)
def test_any_bytes_get_http_or_nothing_and_the_next_client_is_served(
    runner: Runner, caplog: pytest.LogCaptureFixture, chunks: list[bytes]
) -> None:
    said = runner.say(chunks)
    assert ANSWERS.match(said) or not said, said
    for head in ANSWERS.findall(said):
        assert not head.startswith(b"HTTP/1.1 500"), chunks
    assert not runner.faults
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR], caplog.text
    assert len(runner.server.server_state.connections) <= 1


def test_a_client_is_served_after_all_of_that(runner: Runner) -> None:
    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", runner.port)
        writer.write(GOOD)
        line = await reader.readline()
        writer.transport.abort()
        return line

    assert runner.loop.run_until_complete(ask()) == b"HTTP/1.1 200 OK\r\n"
