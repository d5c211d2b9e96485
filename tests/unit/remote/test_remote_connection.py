"""A connection to whoever answers: bounded, whatever that is."""

from pathlib import Path

import pytest

from pacs_cloud.errors import InvalidRequest, PacsError, TooManyRequests, Unavailable
from pacs_cloud.remote import connection as remote_connection
from pacs_cloud.remote.address import Remote
from pacs_cloud.remote.connection import Connection, open_connection
from unit.remote.hostile import KEY, answer, asking

BEGUN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"


async def fetched(connection: Connection) -> object:
    async with connection.ask("GET", "/studies") as reply:
        return await reply.json()


async def test_the_key_goes_along_and_the_answer_comes_back() -> None:
    async with asking(answer(b"[1]")) as (connection, server):
        assert await fetched(connection) == [1]
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert server.asked[0].headers["accept-encoding"] == "identity"
    assert server.asked[0].line == "GET /dicom-web/studies HTTP/1.1"


@pytest.mark.parametrize("where", ["https://evil.example/", "/dicom-web/studies/", "//evil/"])
async def test_no_redirect_is_followed(where: str) -> None:
    async with asking(answer(b"", "307 Temporary Redirect", location=where)) as (
        connection,
        server,
    ):
        with pytest.raises(Unavailable, match="307"):
            await fetched(connection)
    assert len(server.asked) == 1


async def test_a_pause_is_made_where_one_is_asked_for() -> None:
    busy = answer(b"", "429 Too Many Requests", retry_after="0")
    async with asking(busy, answer(b"[]")) as (connection, server):
        assert await fetched(connection) == []
    assert len(server.asked) == 2


async def test_nobody_waits_for_ever() -> None:
    busy = answer(b"", "429 Too Many Requests", retry_after="3600")
    async with asking(busy) as (connection, server):
        with pytest.raises(TooManyRequests, match="1:00:00"):
            await fetched(connection)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 50_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n[",
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: -1\r\n\r\n[]",
        answer(b"[]", content_encoding="gzip"),
        answer(b"[]", content_type="text/html"),
        answer(b"[" * 100_000),
        answer(b"{"),
        answer(b"\xff\xfe"),
        answer(b"[" + b"1," * (5 << 20) + b"1]"),
    ],
    ids=range(12),
)
async def test_what_is_no_answer_is_an_error_of_one_line(said: bytes) -> None:
    async with asking(said, hangs_up=True) as (connection, _):
        with pytest.raises(PacsError) as caught:
            await fetched(connection)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


async def test_an_answer_without_end_is_left() -> None:
    async with asking(BEGUN, goes_on=b"10000\r\n" + b" " * 65536 + b"\r\n") as (connection, _):
        with pytest.raises(Unavailable, match="8 MiB"):
            await fetched(connection)


async def test_a_refusal_without_end_is_left() -> None:
    begun = BEGUN.replace(b"200 OK", b"403 No")
    async with asking(begun, goes_on=b"10000\r\n" + b" " * 65536 + b"\r\n") as (connection, _):
        with pytest.raises(PacsError, match="403"):
            await fetched(connection)


async def test_headers_without_end_are_left() -> None:
    """Of interim answers (1xx) there may be many, of time there is not."""
    go_on = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    async with asking(go_on, goes_on=go_on, limit_s=0.3) as (connection, _):
        with pytest.raises(Unavailable, match="in time"):
            await fetched(connection)


async def test_an_answer_that_stops_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_connection, "_IDLE_S", 0.1)
    async with asking(BEGUN) as (connection, _):
        with pytest.raises(Unavailable, match="in time"):
            await fetched(connection)


async def test_an_answer_that_drips_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes within its time; all of them would take for ever."""
    monkeypatch.setattr(remote_connection, "_IDLE_S", 0.2)
    async with asking(BEGUN, goes_on=b"1\r\n \r\n", pause_s=0.05) as (connection, _):
        with pytest.raises(Unavailable, match="too slowly"):
            await fetched(connection)


async def test_nobody_there_is_said_so() -> None:
    async with asking(answer()) as (connection, server):
        here = server.url
    async with open_connection(Remote(here, KEY)) as connection:
        with pytest.raises(Unavailable, match="cannot be reached") as caught:
            await fetched(connection)
    assert KEY not in str(caught.value)


def test_what_is_no_certificate_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no")
    for name in ("ca.pem", "none.pem"):
        with pytest.raises(InvalidRequest, match=name):
            open_connection(Remote("https://pacs.example/dicom-web", KEY, tmp_path / name))
