"""What answers mean, and that nothing in them reaches a terminal as it came."""

from datetime import UTC, datetime

import orjson
import pytest

from pacs_cloud.errors import (
    Conflict,
    Denied,
    InvalidRequest,
    NotAcceptable,
    NotFound,
    PacsError,
    TooManyRequests,
    Unavailable,
    Unidentified,
)
from pacs_cloud.remote.answers import refusal, retry_after_s
from pacs_cloud.remote.words import LONGEST, one_line, without_controls

NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
KEY = "pacs_0123456789abcdef_secret"


def refused(status: int, body: bytes = b"", **headers: str) -> PacsError:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return refusal("pacs.example", status, fields, body, key=KEY, now=NOW)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, Unavailable),
        (400, InvalidRequest),
        (401, Unidentified),
        (403, Denied),
        (404, NotFound),
        (406, NotAcceptable),
        (409, Conflict),
        (413, InvalidRequest),
        (418, Unavailable),
        (429, TooManyRequests),
        (500, Unavailable),
        (503, Unavailable),
        (799, Unavailable),
    ],
)
def test_each_status_is_an_error_of_one_line(status: int, kind: type[PacsError]) -> None:
    error = refused(status)
    assert type(error) is kind or isinstance(error, TooManyRequests)
    assert str(error).startswith(f"pacs.example answers {status}")
    assert "\n" not in str(error)


def test_a_problems_detail_is_told_without_what_moves_a_cursor() -> None:
    body = orjson.dumps({"detail": "No \x1b[2J\x07room\r\nfor \u202emore \x9b1m"})
    said = str(refused(503, body, content_type="application/problem+json", retry_after="60"))
    assert said == (
        "pacs.example answers 503 Service Unavailable: No [2Jroom for more 1m"
        " (worth trying again in 60 s)"
    )
    assert "room" not in str(refused(503, body, content_type="text/html"))


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"detail": 5}', b"[" * 100_000, b'"x"', b'{"detail": {"a": 1}}'],
)
def test_what_is_no_problem_has_no_detail(body: bytes) -> None:
    said = str(refused(500, body, content_type="application/problem+json"))
    assert said == "pacs.example answers 500 Internal Server Error"


def test_the_key_is_never_repeated() -> None:
    body = orjson.dumps({"detail": f"unknown: {KEY}"})
    assert KEY not in str(refused(401, body, content_type="application/json"))
    assert KEY not in str(refused(302, location=f"https://evil.example/?{KEY}"))


def test_where_a_redirect_leads_is_told_and_not_more() -> None:
    said = str(refused(302, location="https://else\x1b[2J.example/"))
    assert "https://else[2J.example/" in said
    assert "not followed" in said


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", None),
        ("5", 5),
        ("-5", None),
        ("1e9", None),
        ("９", None),
        ("9" * 60, 366 * 86_400),
        ("Mon, 04 May 2026 10:01:00 GMT", 60),
        ("Mon, 04 May 2026 09:00:00 GMT", 0),
        ("soon", None),
        ("Mon, 99 May 2026 09:00:00 GMT", None),
    ],
)
def test_when_to_come_again(text: str, seconds: int | None) -> None:
    assert retry_after_s(text, NOW) == seconds


def test_long_words_are_cut() -> None:
    assert len(one_line("x" * 10**6)) == LONGEST + 1
    assert one_line(" a\n\t b ") == "a b"


def test_values_keep_their_lines_and_lose_their_controls() -> None:
    assert without_controls("A^B \u00e9\u5c71") == "A^B \u00e9\u5c71"
    assert without_controls("a\r\n\tb\x1b]0;x\x07\x00\x7f\x85\x9bc") == "a\r\n\tb]0;xc"
