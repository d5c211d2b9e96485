"""What a request's header says about where it goes and where it ends."""

from http import HTTPStatus

import httptools
import pytest

from pacs_cloud.bootstrap.http_framing import Target, framing_fault, read_target

HOST = (b"host", b"archive")


@pytest.mark.parametrize(
    ("text", "target"),
    [
        (b"/a/b?c=d", Target(b"", "/a/b", b"/a/b", b"c=d")),
        (b"/a%20b", Target(b"", "/a b", b"/a%20b", b"")),
        (b"/%FF", Target(b"", "/\ufffd", b"/%FF", b"")),
        (b"//evil/a", Target(b"", "//evil/a", b"//evil/a", b"")),
        (b"http://h/a?b", Target(b"h", "/a", b"/a", b"b")),
        (b"http://h:81/a", Target(b"h:81", "/a", b"/a", b"")),
        (b"http://h", Target(b"h", "/", b"/", b"")),
        (b"*", Target(b"", "*", b"*", b"")),
    ],
)
def test_a_target_in_parts(text: bytes, target: Target) -> None:
    assert read_target(text) == target


def test_a_target_that_is_none() -> None:
    with pytest.raises(httptools.HttpParserInvalidURLError):
        read_target(b"archive:80")


@pytest.mark.parametrize(
    ("version", "headers", "fault"),
    [
        ("1.1", [HOST], None),
        ("1.1", [HOST, (b"transfer-encoding", b"Chunked")], None),
        ("1.0", [], None),
        ("1.0", [HOST], None),
        ("1.1", [], HTTPStatus.BAD_REQUEST),
        ("1.1", [HOST, HOST], HTTPStatus.BAD_REQUEST),
        ("1.0", [HOST, HOST], HTTPStatus.BAD_REQUEST),
        ("1.0", [(b"transfer-encoding", b"chunked")], HTTPStatus.BAD_REQUEST),
        ("1.1", [HOST, (b"transfer-encoding", b"gzip, chunked")], HTTPStatus.NOT_IMPLEMENTED),
        ("1.1", [HOST, (b"transfer-encoding", b"\x0bchunked")], HTTPStatus.NOT_IMPLEMENTED),
        ("0.9", [], HTTPStatus.HTTP_VERSION_NOT_SUPPORTED),
        ("2.0", [HOST], HTTPStatus.HTTP_VERSION_NOT_SUPPORTED),
    ],
)
def test_what_others_may_read_otherwise_is_refused(
    version: str, headers: list[tuple[bytes, bytes]], fault: HTTPStatus | None
) -> None:
    assert framing_fault(version, headers) is fault
