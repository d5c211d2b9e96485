"""Web processes as they run: several on one port with one truth, and one that is told to stop."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest
from dicomweb_archive import BOUNDARY, multipart
from http_wire import Response, Wire, request, wire

from crash.archive import running
from dicomweb_samples import make_instance
from pacs_cloud.bootstrap.ports import Reservation
from pacs_cloud.bootstrap.services import open_stores
from pacs_cloud.bootstrap.web_role import serve_web
from pacs_cloud.settings import Address, Settings
from patience import PATIENCE_S

HEALTH = request("/healthz")
STUDIES = "/dicom-web/studies"
SERIES = f"{STUDIES}/1.2.3.1/series/1.2.3.1.1"
INSTANCE = f"{SERIES}/instances/1.2.3.4.1"
MOST_CONNECTIONS = 200


def server_of(connection: Wire, pids: set[int]) -> int:
    """Return which process holds the other end of a connection."""
    host, port = connection.writer.get_extra_info("peername")
    own = connection.writer.get_extra_info("sockname")[1]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local, remote = (int(fields[at].split(":")[1], 16) for at in (1, 2))
        if (local, remote) == (port, own):
            socket = f"socket:[{fields[9]}]"
            for pid in pids:
                for entry in Path(f"/proc/{pid}/fd").iterdir():
                    if entry.is_symlink() and os.readlink(entry) == socket:
                        return pid
    raise AssertionError(f"nobody at {host} holds the connection")


async def ask(connection: Wire, target: str, *fields: str, method: str = "GET") -> Response:
    await connection.send(request(target, *fields, method=method))
    return await connection.response(method)


async def store(connection: Wire, file: bytes) -> Response:
    body = multipart(file)
    head = request(
        STUDIES,
        f'content-type: multipart/related; type="application/dicom"; boundary={BOUNDARY}',
        f"content-length: {len(body)}",
        method="POST",
    )
    await connection.send(head + body)
    return await connection.response()


async def test_two_processes_share_a_port_and_what_one_changes_the_other_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACS_WEB_PROCESSES", "2")
    monkeypatch.setenv("PACS_CONFLICT_POLICY", "replace")
    monkeypatch.setenv("PACS_HTTP_DELETE", "true")
    with running(tmp_path / "data", log=tmp_path / "log") as archive:
        async with AsyncExitStack() as stack:
            pids = archive.web_pids
            assert len(pids) == 2
            by_pid: dict[int, Wire] = {}
            for _ in range(MOST_CONNECTIONS):
                connection = await stack.enter_async_context(wire(archive.http))
                assert (await ask(connection, "/healthz")).status == 200
                by_pid.setdefault(server_of(connection, pids), connection)
                if len(by_pid) == 2:
                    break
            one, other = by_pid.values()

            for writer, reader, name in ((one, other, "Doe^Jane"), (other, one, "Doe^John")):
                # Both have read it before: what they keep of it is in the way now.
                before = [await ask(each, f"{SERIES}/metadata") for each in (one, other)]
                stored = await store(writer, make_instance("1.2.3.4.1", PatientName=name))
                assert stored.status in {200, 202}, stored
                response = await ask(reader, STUDIES)
                (row,) = response.json()
                assert row["00100010"]["Value"] == [{"Alphabetic": name}]
                for coding in ("identity", "gzip"):
                    response = await ask(
                        reader,
                        f"{SERIES}/metadata",
                        f"accept-encoding: {coding}",
                        f"if-none-match: {before[1].headers.get('etag', 'none')}",
                    )
                    assert response.status == 200
                (header,) = (await ask(reader, f"{SERIES}/metadata")).json()
                assert header["00100010"]["Value"] == [{"Alphabetic": name}]
                assert (await ask(reader, f"{INSTANCE}/frames/1")).status == 200

            assert (await ask(one, INSTANCE, method="DELETE")).status in {200, 204}
            for target in (f"{INSTANCE}/frames/1", f"{SERIES}/metadata", INSTANCE):
                assert (await ask(other, target)).status == 410
            assert (await ask(other, STUDIES)).status == 204


async def test_a_process_told_to_stop_finishes_what_it_has_begun(
    tmp_path: Path,
) -> None:
    # Longer than the buffers of both sockets: it is under way until it is read.
    file = make_instance("1.2.3.4.1", rows=3500)
    with running(tmp_path / "data", log=tmp_path / "log") as archive:
        async with (
            wire(archive.http) as idle,
            wire(archive.http) as half,
            wire(archive.http) as slow,
        ):
            assert (await store(idle, file)).status == 200
            await slow.send(request(INSTANCE, "accept: application/dicom"))
            head = (await slow.reader.readuntil(b"\r\n\r\n")).decode().lower()
            assert head.startswith("http/1.1 200 ")
            assert f"content-length: {len(file)}" in head
            assert (await ask(half, "/readyz")).status == 200
            ask_readiness = request("/readyz")
            await half.send(ask_readiness[:20])
            assert (await ask(idle, "/healthz")).status == 200

            for pid in archive.web_pids:
                os.kill(pid, signal.SIGTERM)
            assert await idle.rest() == b""
            await half.send(ask_readiness[20:])
            readiness = await half.response()
            assert readiness.status == 503
            assert readiness.headers["connection"] == "close"
            assert await half.rest() == b""
            assert await slow.reader.readexactly(len(file)) == file
            assert await slow.rest() == b""


async def test_a_stopping_process_accepts_nobody_any_more(tmp_path: Path) -> None:
    file = make_instance("1.2.3.4.1", rows=3500)
    with running(tmp_path / "data", log=tmp_path / "log") as archive:
        async with wire(archive.http) as slow:
            assert (await store(slow, file)).status == 200
            await slow.send(request(INSTANCE, "accept: application/dicom"))
            await slow.reader.readuntil(b"\r\n\r\n")
            os.kill(archive._leader(), signal.SIGTERM)
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    try:
                        async with wire(archive.http) as late:
                            await ask(late, "/healthz")
                    except ConnectionRefusedError:
                        break
                    except (ConnectionError, asyncio.IncompleteReadError):
                        pass
            assert await slow.reader.readexactly(len(file)) == file


async def test_where_what_is_done_meanwhile_fails_nobody_is_listened_to_any_more(
    tmp_path: Path,
) -> None:
    with closing(Reservation(Address(host="127.0.0.1", port=0))) as reservation:
        where, url = reservation.address, f"http://{reservation.address}"
        settings = Settings.model_validate({"data": tmp_path, "no_auth": True, "http": where})
        async with open_stores(settings, create=True) as stores, AsyncExitStack() as connections:
            with pytest.raises(ExceptionGroup, match="unhandled"):
                async with serve_web(settings, stores):
                    idle = await connections.enter_async_context(wire(url))
                    assert (await ask(idle, "/healthz")).status == 200
                    raise ZeroDivisionError
            assert await idle.rest() == b""
            with pytest.raises(ConnectionRefusedError):
                await connections.enter_async_context(wire(url))
