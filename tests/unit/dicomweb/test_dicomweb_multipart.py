"""Multipart bodies, cut anywhere."""

import pytest

from pacs_cloud.dicomweb.multipart import (
    MAX_PREAMBLE_BYTES,
    MultipartReader,
    MultipartWriter,
    PartBegins,
    PartBytes,
)
from pacs_cloud.errors import InvalidRequest


def read(
    body: bytes, boundary: str = "b", *, step: int = 1 << 30
) -> list[tuple[dict[str, str], bytes]]:
    reader = MultipartReader(boundary, max_parts=10)
    parts: list[tuple[dict[str, str], bytes]] = []
    is_open = False
    for at in range(0, len(body), step):
        for event in reader.feed(body[at : at + step]):
            if isinstance(event, PartBegins):
                assert not is_open
                is_open = True
                parts.append((event.headers, b""))
            elif isinstance(event, PartBytes):
                assert is_open
                headers, content = parts[-1]
                parts[-1] = headers, content + bytes(event.view)
            else:
                is_open = False
    reader.finish()
    assert not is_open
    return parts


BODIES = {
    "one part": (b"--b\r\nA: 1\r\n\r\nx\r\n--b--", [({"a": "1"}, b"x")]),
    "preamble and epilogue": (
        b"hello\r\n--b\r\n\r\nx\r\n--b--\r\nbye\r\n--b\r\n\r\nno\r\n--b--",
        [({}, b"x")],
    ),
    "padding behind the boundary": (b"--b \t \r\n\r\nx\r\n--b--", [({}, b"x")]),
    "empty content": (b"--b\r\nA: 1\r\n\r\n\r\n--b--", [({"a": "1"}, b"")]),
    "no content at all": (b"--b\r\nA: 1\r\n\r\n--b--", [({"a": "1"}, b"")]),
    "no header and no content": (b"--b\r\n\r\n--b\r\n\r\nx\r\n--b--", [({}, b""), ({}, b"x")]),
    "line ends in the content": (
        b"--b\r\n\r\n\r\n\r\n-\r\n--\r\n\r\n--b--",
        [({}, b"\r\n\r\n-\r\n--\r\n")],
    ),
    "what only looks like a boundary": (
        b"--b\r\n\r\n\r\n--bc\r\n\r\n--b-\r\n\r\n--b x\r\n--b--",
        [({}, b"\r\n--bc\r\n\r\n--b-\r\n\r\n--b x")],
    ),
    "several headers": (
        b"--b\r\nContent-Type:a/b\r\nX :  y \r\nX: z\r\n\r\nx\r\n--b--",
        [({"content-type": "a/b", "x": "y"}, b"x")],
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_parts_are_the_same_however_the_body_is_cut(name: str) -> None:
    body, expected = BODIES[name]
    for step in (*range(1, len(body) + 1),):
        assert read(body, step=step) == expected, step


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "cut off"),
        (b"--b\r\n\r\nx", "cut off"),
        (b"--b\r\n\r\nx\r\n--b", "cut off"),
        (b"--other\r\n\r\nx\r\n--other--", "cut off"),
        (b"--b\n\nx\n--b--\n", "CRLF"),
        (b"--b\r\n\r\nx\r\n--b\n", "CRLF"),
        (b"--b\r\nno colon\r\n\r\nx\r\n--b--", "Name: value"),
        (b"--b\r\nA: 1\r\n folded\r\n\r\nx\r\n--b--", "Name: value"),
        (b"--b\r\n" + b"A: 1\r\n" * 2000, "8 KiB"),
        (b"--b\r\nA: " + b"x" * 9000, "8 KiB"),
        (b"x" * (MAX_PREAMBLE_BYTES + 100), "does not begin"),
        (b"--b\r\n\r\n\r\n" * 12, "too many parts"),
    ],
)
def test_what_is_no_multipart_body(body: bytes, says: str) -> None:
    for step in (1 << 30, 7, 1):
        with pytest.raises(InvalidRequest, match=says):
            read(body, step=step)


@pytest.mark.parametrize("boundary", ["", "x" * 71, "a\r\nb", "ends with space ", "ä", 'a"b'])
def test_what_is_no_boundary(boundary: str) -> None:
    with pytest.raises(InvalidRequest):
        MultipartReader(boundary)


def test_a_boundary_may_have_any_of_its_characters() -> None:
    boundary = "a'()+_,-./:=? b"
    body = f"--{boundary}\r\n\r\nx\r\n--{boundary}--".encode()
    assert read(body, boundary) == [({}, b"x")]


def test_nothing_but_the_last_bytes_is_held_back() -> None:
    reader = MultipartReader("boundary")
    list(reader.feed(b"--boundary\r\n\r\n"))
    taken = sum(
        len(event.view)
        for _ in range(100)
        for event in reader.feed(b"x" * 1000)
        if isinstance(event, PartBytes)
    )
    assert 100_000 - 20 < taken <= 100_000


def test_what_the_writer_writes_the_reader_reads() -> None:
    writer = MultipartWriter("application/dicom")
    body = (
        writer.begin("application/dicom; transfer-syntax=1.2", length_bytes=3)
        + b"one"
        + writer.begin("application/dicom", location="http://h/x")
        + b"two"
        + writer.end()
    )
    assert read(body, writer.boundary) == [
        ({"content-type": "application/dicom; transfer-syntax=1.2", "content-length": "3"}, b"one"),
        ({"content-type": "application/dicom", "content-location": "http://h/x"}, b"two"),
    ]
    assert writer.content_type == (
        f'multipart/related; type="application/dicom"; boundary={writer.boundary}'
    )


def test_boundaries_differ() -> None:
    assert MultipartWriter("a/b").boundary != MultipartWriter("a/b").boundary
