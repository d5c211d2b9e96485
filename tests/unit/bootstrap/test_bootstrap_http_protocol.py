"""What our protocol takes for granted of uvicorn's and of the parser, as they are installed.

A new version that changes one of these names or habits fails here, by name, before a
hostile client finds it.
"""

import inspect

import httptools
import pytest
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from pacs_cloud.bootstrap.http_exchange import Exchange
from pacs_cloud.bootstrap.http_limits import ConnectionLimits
from pacs_cloud.bootstrap.http_protocol import HttpProtocol

OWN = {"close"}
"""Public methods of ours that uvicorn does not know."""


def test_every_method_we_replace_is_one_of_uvicorns() -> None:
    ours = {name for name, _ in inspect.getmembers(HttpProtocol, inspect.isfunction)}
    ours &= set(vars(HttpProtocol))
    for name in ours:
        if name in OWN or (name.startswith("_") and name not in vars(HttpToolsProtocol)):
            assert name not in vars(HttpToolsProtocol), f"uvicorn has a {name} of its own now"
        else:
            theirs = inspect.signature(getattr(HttpToolsProtocol, name))
            mine = inspect.signature(getattr(HttpProtocol, name))
            if name != "__init__":
                assert list(mine.parameters) == list(theirs.parameters), name


def test_the_names_we_read_of_a_connection_are_there() -> None:
    source = inspect.getsource(HttpToolsProtocol)
    for name in (
        "access_log",
        "access_logger",
        "app",
        "connections",
        "cycle",
        "expect_100_continue",
        "flow",
        "headers",
        "logger",
        "loop",
        "parser",
        "pipeline",
        "root_path",
        "scope",
        "server_state",
        "timeout_keep_alive",
        "timeout_keep_alive_task",
        "transport",
        "url",
    ):
        assert f"self.{name}" in source, name
    assert "self.pipeline.appendleft((self.cycle, app))" in source
    assert "self.pipeline.pop()" in source
    assert "def _unset_keepalive_if_required" in source


def test_an_exchange_is_made_and_left_as_uvicorn_does() -> None:
    made = inspect.signature(RequestResponseCycle.__init__)
    source = inspect.getsource(httptools_impl.HttpToolsProtocol.on_headers_complete)
    for name in made.parameters:
        assert name == "self" or f"{name}=" in source, name
    body = inspect.getsource(RequestResponseCycle)
    for name in ("disconnected", "more_body", "response_started", "waiting_for_100_continue"):
        assert f"self.{name}" in body, name
    # Only these are asked of the transport, so that `Outlet` can stand for it.
    asked = {
        word.split("self.transport.")[1].split("(")[0]
        for word in body.split()
        if "self.transport." in word
    }
    assert asked == {"write", "close", "is_closing"}
    assert issubclass(Exchange, RequestResponseCycle)


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\0\r\n\r\n",
        b"GET /\xc3\xa4 HTTP/1.1\r\n\r\n",
    ],
)
def test_the_parser_refuses_what_it_is_trusted_to_refuse(raw: bytes) -> None:
    class Nothing:
        pass

    with pytest.raises(httptools.HttpParserError):
        httptools.HttpRequestParser(Nothing()).feed_data(raw)


def test_the_defaults_are_bounds() -> None:
    limits = ConnectionLimits()
    assert limits.max_header_bytes <= 64 << 10
    assert limits.max_header_fields <= 1000
    assert limits.header_s <= 60
