"""What a hostile or broken HTTP client meets: bounds on bytes, on time and on connections."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from dicomweb_archive import BOUNDARY, Running, multipart, served
from http_wire import Wire, request, wire

from dicomweb_samples import make_instance
from pacs_cloud.bootstrap.http_limits import ConnectionLimits, Drain
from pacs_cloud.dicomweb.app import HttpOptions
from patience import PATIENCE_S

HEALTH = request("/healthz")
STUDIES = "/dicom-web/studies"
CHUNKED_STORE = request(
    STUDIES,
    f'content-type: multipart/related; type="application/dicom"; boundary={BOUNDARY}',
    "transfer-encoding: chunked",
    method="POST",
)
SMALL = ConnectionLimits(max_header_bytes=4096, max_pipelined=3)
NEVER = 1e6
"""A time limit, in seconds, that no test reaches."""


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Running]:
    async with served(tmp_path, limits=SMALL) as running:
        yield running


async def assert_refused(connection: Wire, status: int) -> None:
    """Assert that a problem comes, and that the connection then ends."""
    response = await connection.response()
    assert response.status == status, response
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["connection"] == "close"
    assert response.json()["status"] == status
    assert await connection.rest() == b""


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", 400),  # TLS
        (b"GET /healthz\r\n\r\n", 505),  # HTTP/0.9
        (b"GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"FOO /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /heal\0thz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /heal\xffthz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET healthz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /heal thz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: a\0\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\nHost: a\n\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx", 400),
        (
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            400,
        ),
        (
            (
                b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
            400,
        ),
        (
            (
                b"POST /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                b"Content-Length: 3\r\n\r\n0\r\n\r\n"
            ),
            400,
        ),
        (b"POST /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (
            b"POST /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            501,
        ),
        (b"POST /healthz HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ],
)
async def test_what_is_no_http_gets_a_problem_and_no_more(
    archive: Running, raw: bytes, status: int
) -> None:
    async with wire(archive.url) as connection:
        await connection.send(raw)
        await assert_refused(connection, status)


@pytest.mark.parametrize(
    "start",
    [
        b"GET /",  # a target without end
        b"GET / HTTP/1.1\r\nHost: a\r\nX: ",  # a field without end
        b"GET / HTTP/1.1\r\nHost: a\r\n",  # a field's name without end
    ],
)
async def test_a_header_without_end_is_cut_off(archive: Running, start: bytes) -> None:
    async with wire(archive.url) as connection:
        await connection.send(start)
        await connection.send(*[b"a" * 16384] * 40)
        await assert_refused(connection, 431)


async def test_lines_before_a_request_are_not_taken_without_end(archive: Running) -> None:
    async with wire(archive.url) as connection:
        await connection.send(b"\r\n", HEALTH)
        assert (await connection.response()).status == 200
        await connection.send(*[b"\r\n" * 8192] * 40)
        await assert_refused(connection, 431)


async def test_a_header_of_many_fields_is_refused(archive: Running) -> None:
    async with wire(archive.url) as connection:
        await connection.send(request("/healthz", *["a: b"] * 1000))
        await assert_refused(connection, 431)


async def test_a_long_header_at_once_is_refused_with_its_id(archive: Running) -> None:
    async with wire(archive.url) as connection:
        await connection.send(request("/healthz", f"x-long: {'a' * 70_000}", "x-request-id: mine"))
        response = await connection.response()
        assert response.status == 431
        assert response.headers["x-request-id"] == "mine"


async def test_a_long_target_is_414(archive: Running) -> None:
    async with wire(archive.url) as connection:
        await connection.send(request("/" + "a" * 70_000))
        assert (await connection.response()).status == 414


async def test_a_trailer_without_end_is_cut_off(archive: Running) -> None:
    async with wire(archive.url) as connection:
        await connection.send(
            CHUNKED_STORE,
            b"1\r\n-\r\n0\r\nX: ",
        )
        await connection.send(*[b"a" * 16384] * 40)
        await assert_refused(connection, 431)


async def test_a_trailer_is_no_header(archive: Running) -> None:
    body = multipart(make_instance("1.2.3.4.1"))
    async with wire(archive.url) as connection:
        await connection.send(
            CHUNKED_STORE,
            b"%x\r\n%b\r\n0\r\nAccept: text/html\r\n\r\n" % (len(body), body),
        )
        assert (await connection.response()).status == 200


async def test_a_malformed_chunk_is_400_and_stores_nothing(archive: Running) -> None:
    async with wire(archive.url) as connection:
        await connection.send(
            CHUNKED_STORE,
            b"3\r\n--a\r\nzz\r\n",
        )
        await assert_refused(connection, 400)
    assert (await archive.client.get("/studies")).status_code == 204


async def test_requests_in_a_pipeline_are_answered_in_order(archive: Running) -> None:
    async with wire(archive.url) as connection:
        await connection.send(HEALTH + request("/nowhere") + HEALTH)
        statuses = [(await connection.response()).status for _ in range(3)]
        assert statuses == [200, 404, 200]
        await connection.send(HEALTH)
        assert (await connection.response()).status == 200


async def test_a_pipeline_is_cut_off_behind_the_requests_it_may_hold(archive: Running) -> None:
    async with wire(archive.url) as connection:
        await connection.send(HEALTH * 1000)
        answers = [await connection.response() for _ in range(4)]
        assert [answer.status for answer in answers] == [200] * 4
        assert answers[-1].headers["connection"] == "close"
        assert await connection.rest() == b""


async def test_garbage_behind_a_request_does_not_disturb_its_answer(archive: Running) -> None:
    async with wire(archive.url) as connection:
        await connection.send(HEALTH + b"\0\0\0\0")
        response = await connection.response()
        assert (response.status, response.body) == (200, b"ok\n")
        assert await connection.rest() == b""


async def test_an_early_answer_to_a_long_body_arrives_and_ends_the_connection(
    tmp_path: Path,
) -> None:
    async with (
        served(tmp_path, options=HttpOptions(max_body_bytes=1000)) as archive,
        wire(archive.url) as connection,
    ):
        await connection.send(
            request(
                STUDIES,
                f"content-type: multipart/related; boundary={BOUNDARY}",
                "content-length: 50000000",
                method="POST",
            )
        )
        # More than the socket's buffers hold: somebody must be reading.
        await connection.send(*[b"x" * (1 << 20)] * 20)
        response = await connection.response()
        assert response.status == 413
        assert response.headers["connection"] == "close"
        assert await connection.rest() == b""


async def test_a_body_nobody_asked_for_does_not_hold_the_connection(archive: Running) -> None:
    async with wire(archive.url) as connection:
        await connection.send(request("/healthz", "content-length: 1000"), b"x")
        response = await connection.response()
        assert response.status == 200
        assert response.headers["connection"] == "close"
        assert await connection.rest() == b""


async def test_a_connection_that_says_nothing_is_closed(tmp_path: Path) -> None:
    async with (
        served(tmp_path, limits=ConnectionLimits(header_s=0.05)) as archive,
        wire(archive.url) as connection,
    ):
        assert await connection.rest() == b""


@pytest.mark.parametrize("before", [b"", HEALTH])
async def test_a_header_that_dribbles_is_408(tmp_path: Path, before: bytes) -> None:
    async with (
        served(tmp_path, limits=ConnectionLimits(header_s=0.5)) as archive,
        wire(archive.url) as connection,
    ):
        await connection.send(before)
        if before:
            assert (await connection.response()).status == 200
        await connection.send(b"G", b"E", b"T", b" ", b"/")
        await assert_refused(connection, 408)


async def test_a_reader_that_takes_nothing_is_left(tmp_path: Path) -> None:
    async with served(tmp_path, limits=ConnectionLimits(stalled_s=0.1)) as archive:
        stored = await archive.store(make_instance("1.2.3.4.1", rows=3000))
        assert stored.status_code == 200
        connections = archive.server.server_state.connections
        others = set(connections)
        async with wire(archive.url) as connection:
            connection.writer.transport.pause_reading()
            one = f"{STUDIES}/1.2.3.1/series/1.2.3.1.1/instances/1.2.3.4.1"
            await connection.send(request(one, "accept: application/dicom"))
            async with asyncio.timeout(PATIENCE_S):
                while not connections - others:
                    await asyncio.sleep(0.01)
                while connections - others:
                    await asyncio.sleep(0.01)
        assert (await archive.client.get("/studies")).status_code == 200


async def test_connections_over_the_limit_get_503_and_the_probes_go_on(tmp_path: Path) -> None:
    limits = ConnectionLimits(max_connections=2, header_s=NEVER)
    async with served(tmp_path, limits=limits) as archive:
        async with wire(archive.url) as first, wire(archive.url) as second:
            for connection in (first, second):
                await connection.send(HEALTH)
                assert (await connection.response()).status == 200
            async with wire(archive.url) as third:
                await third.send(request(STUDIES))
                response = await third.response()
                assert response.status == 503
                assert response.headers["retry-after"] == "5"
                assert response.headers["connection"] == "close"
                assert await third.rest() == b""
            async with wire(archive.url) as third:
                await third.send(HEALTH)
                assert (await third.response()).status == 200
                assert await third.rest() == b""
            # Those who were there before are served as ever.
            await first.send(request(STUDIES))
            assert (await first.response()).status == 204
        async with wire(archive.url) as again:
            await again.send(request(STUDIES))
            assert (await again.response()).status == 204


async def test_far_too_many_connections_are_closed_at_once(tmp_path: Path) -> None:
    limits = ConnectionLimits(max_connections=1, header_s=NEVER)
    async with (
        served(tmp_path, limits=limits) as archive,
        wire(archive.url),
        wire(archive.url),
        wire(archive.url) as third,
    ):
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await third.send(HEALTH)
            await third.response()


async def test_http_1_0_without_a_host_is_answered_once(archive: Running) -> None:
    await archive.store(make_instance("1.2.3.4.1"))
    async with wire(archive.url) as connection:
        await connection.send(f"GET {STUDIES} HTTP/1.0\r\n\r\n".encode())
        response = await connection.response()
        assert response.status == 200
        (row,) = response.json()
        assert row["00081190"]["Value"] == [f"{archive.url}/studies/1.2.3.1"]
        assert await connection.rest() == b""


async def test_a_target_in_absolute_form_outranks_the_host_field(archive: Running) -> None:
    await archive.store(make_instance("1.2.3.4.1"))
    async with wire(archive.url) as connection:
        await connection.send(request(f"http://viewer.example:81{STUDIES}"))
        (row,) = (await connection.response()).json()
        assert row["00081190"]["Value"] == [f"http://viewer.example:81{STUDIES}/1.2.3.1"]
        await connection.send(request("http://viewer.example"))
        assert (await connection.response()).status == 404


async def test_another_protocol_that_is_offered_is_not_taken(archive: Running) -> None:
    fields = ("Connection: upgrade", "Upgrade: h2c")
    body = multipart(make_instance("1.2.3.4.1"))
    async with wire(archive.url) as connection:
        await connection.send(request("/healthz", *fields) + HEALTH)
        assert [(await connection.response()).status for _ in range(2)] == [200, 200]
        await connection.send(
            request(
                STUDIES,
                *fields,
                f'content-type: multipart/related; type="application/dicom"; boundary={BOUNDARY}',
                f"content-length: {len(body)}",
                method="POST",
            )
            + body
            + HEALTH
        )
        assert [(await connection.response()).status for _ in range(2)] == [200, 200]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{STUDIES}%2F1.2.3", 400),
        (f"{STUDIES}/1.2.3%2fseries", 400),
        (f"{STUDIES}/1.2%5C3", 400),
        (f"{STUDIES}/../../healthz", 404),
        (f"{STUDIES}/1.2.3/series/1.2/instances/1.2/bulkdata/../../../../etc/passwd", 404),
        (f"{STUDIES}/%FF%FE", 400),
        (f"{STUDIES}/1.2.3%00", 400),
        (f"//evil.example{STUDIES}", 404),
        ("/dicom-web", 404),
        ("/", 404),
    ],
)
async def test_odd_paths_name_nothing(archive: Running, path: str, status: int) -> None:
    async with wire(archive.url) as connection:
        await connection.send(request(path), HEALTH)
        response = await connection.response()
        assert response.status == status
        assert response.headers["content-type"] == "application/problem+json"
        assert (await connection.response()).status == 200


async def test_answers_while_draining_are_the_last_of_their_connection(tmp_path: Path) -> None:
    drain = Drain()
    async with served(tmp_path, drain=drain) as archive, wire(archive.url) as connection:
        await connection.send(HEALTH)
        assert "connection" not in (await connection.response()).headers
        drain.has_begun = True
        await connection.send(HEALTH)
        response = await connection.response()
        assert response.status == 200
        assert response.headers["connection"] == "close"
        assert await connection.rest() == b""
