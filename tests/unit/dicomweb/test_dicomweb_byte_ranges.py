"""Which bytes a Range asks for (RFC 9110 14)."""

import pytest
from starlette.requests import Request

from pacs_cloud.dicomweb.byte_ranges import asked_range

ETAG = '"mark"'


def request(method: str = "GET", **headers: str) -> Request:
    fields = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    return Request({"type": "http", "method": method, "headers": fields})


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=2-4", (2, 5)),
        ("bytes=7-", (7, 10)),
        ("bytes=7-99", (7, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-99", (0, 10)),
        ("BYTES=2-4", (2, 5)),
        ("bytes= 2-4 , ", (2, 5)),
        # What cannot be read, and several ranges: the whole.
        ("bytes=4-2", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=0-1,4-5", None),
        ("lines=0-1", None),
        ("bytes=0x1-2", None),
        (f"bytes=0-{'9' * 40}", None),
        ("", None),
    ],
)
def test_ranges(asked: str, expected: tuple[int, int] | None) -> None:
    assert asked_range(request(range=asked), ETAG, 10) == expected


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=99-100", "bytes=-0"])
def test_what_is_not_there_is_an_empty_range(asked: str) -> None:
    found = asked_range(request(range=asked), ETAG, 10)
    assert found is not None
    assert found[0] >= found[1]


def test_nothing_of_nothing() -> None:
    found = asked_range(request(range="bytes=0-"), ETAG, 0)
    assert found is not None
    assert found[0] >= found[1]


@pytest.mark.parametrize(
    ("condition", "is_heeded"),
    [
        (ETAG, True),
        (f" {ETAG} ", True),
        ('"other"', False),
        (f"W/{ETAG}", False),  # a weak mark never matches strongly
        ("Wed, 25 Nov 2026 03:00:00 GMT", False),
    ],
)
def test_if_range(condition: str, *, is_heeded: bool) -> None:
    found = asked_range(request(range="bytes=2-4", if_range=condition), ETAG, 10)
    assert found == ((2, 5) if is_heeded else None)


def test_a_range_means_something_to_get_alone() -> None:
    assert asked_range(request("HEAD", range="bytes=2-4"), ETAG, 10) is None
