"""HTTP over TLS as a client sees it: what is spoken, what is refused, renewed certificates."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from http_wire import Wire, request

from http_certificates import write_certificate
from pacs_cloud.bootstrap.http_limits import ConnectionLimits, Drain
from pacs_cloud.bootstrap.http_tls import http_tls_listener, tls_of
from pacs_cloud.bootstrap.web_role import HttpServer, server_config
from pacs_cloud.dimse.tls import TlsContexts
from pacs_cloud.dimse.tls_listener import HandshakeLimits, TlsListener
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.settings import Settings

LONG = b"x" * 300_000


async def app(scope: Any, receive: Any, send: Any) -> None:
    body = scope["scheme"].encode() + LONG
    if scope["method"] == "POST":
        length = 0
        while True:
            message = await receive()
            length += len(message.get("body", b""))
            if not message.get("more_body"):
                break
        body = b"%d" % length
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@dataclass
class Tls:
    url: str
    port: int
    folder: Path
    clock: list[float]
    server: HttpServer
    opened: list[asyncio.StreamWriter] = field(default_factory=list)

    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.folder / "certificate.pem"))

    async def wire(self, context: ssl.SSLContext | None = None) -> Wire:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=context or self.trusting()
        )
        self.opened.append(writer)
        return Wire(reader, writer)


@pytest.fixture
async def tls(tmp_path: Path) -> AsyncIterator[Tls]:
    certificate, key = write_certificate(tmp_path)
    settings = Settings(data=tmp_path, http_tls_certificate=certificate, http_tls_key=key)
    contexts = tls_of(settings)
    assert contexts is not None
    clock = [0.0]
    contexts._now_s = lambda: clock[0]
    contexts._looked_s = 0.0
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    limits = ConnectionLimits(header_s=20)
    server = HttpServer(server_config(app, limits, Drain(), timeout_graceful_shutdown=5), contexts)
    task = asyncio.create_task(server.serve([listener]))
    await server.has_started.wait()
    tls = Tls(f"https://127.0.0.1:{port}", port, tmp_path, clock, server)
    yield tls
    for writer in tls.opened:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()
    server.should_exit = True
    await task


def test_without_a_certificate_http_is_plain(tmp_path: Path) -> None:
    assert tls_of(Settings(data=tmp_path)) is None
    with pytest.raises(InvalidRequest):
        tls_of(Settings(data=tmp_path, http_tls_certificate=tmp_path / "none.pem"))


async def test_a_client_is_served_on_one_connection(tls: Tls) -> None:
    async with httpx.AsyncClient(verify=tls.trusting()) as client:
        for _ in range(3):
            answer = await client.get(tls.url)
            assert answer.content == b"https" + LONG
        answer = await client.post(tls.url, content=LONG * 10)
        assert answer.content == b"%d" % len(LONG * 10)
    with pytest.raises(httpx.ConnectError):
        async with httpx.AsyncClient() as stranger:
            await stranger.get(tls.url)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_12_and_13_are_spoken_with_forward_secrecy(
    tls: Tls, version: ssl.TLSVersion
) -> None:
    context = tls.trusting()
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    wire = await tls.wire(context)
    connection = wire.writer.get_extra_info("ssl_object")
    assert connection.selected_alpn_protocol() == "http/1.1"
    assert connection.version() == version.name.replace("_", ".")
    name = connection.cipher()[0]
    assert name.startswith(("ECDHE-", "TLS_")), name
    assert "CBC" not in name


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
@pytest.mark.parametrize("weakness", ["version", "exchange", "protocol"])
async def test_what_is_weak_or_no_http_is_refused(tls: Tls, weakness: str) -> None:
    context = tls.trusting()
    if weakness == "version":
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
    elif weakness == "exchange":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AES256-GCM-SHA384:AES128-SHA256:@SECLEVEL=0")
    else:
        context.set_alpn_protocols(["acr-nema"])
        # OpenSSL for Python chooses nothing where nothing fits, and goes on without.
        wire = await tls.wire(context)
        assert wire.writer.get_extra_info("ssl_object").selected_alpn_protocol() is None
        return
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await tls.wire(context)


async def test_plain_http_gets_no_answer(tls: Tls) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", tls.port)
    writer.write(request("/"))
    with suppress(ConnectionError):
        assert b"HTTP" not in await reader.read()
    tls.opened.append(writer)


async def test_a_renewed_certificate_is_shown_without_a_new_start(tls: Tls) -> None:
    old = tls.trusting()
    before = await tls.wire()
    write_certificate(tls.folder, "renewed.test")
    tls.clock[0] += 10
    wire = await tls.wire()
    shown = wire.writer.get_extra_info("peercert")["subject"]
    assert shown == ((("commonName", "renewed.test"),),)
    with pytest.raises(ssl.SSLCertVerificationError):
        await tls.wire(old)
    # A connection that stands goes on, and files that are half written change nothing.
    await before.send(request("/"))
    assert (await before.response()).status == 200
    (tls.folder / "certificate.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    tls.clock[0] += 10
    unchecked = ssl.create_default_context()
    unchecked.check_hostname = False
    unchecked.verify_mode = ssl.CERT_NONE
    again = await tls.wire(unchecked)
    await again.send(request("/"))
    assert (await again.response()).status == 200


async def test_a_refusal_arrives_while_the_client_still_sends(tls: Tls) -> None:
    def talk() -> bytes:
        plain = socket.create_connection(("127.0.0.1", tls.port))
        with tls.trusting().wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
            # It reads only when it has sent all: a reset takes the answer away.
            for _ in range(200):
                connection.sendall(b"x" * 65_536)
            return connection.recv(65_536)

    answer = await asyncio.to_thread(talk)
    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_a_client_that_does_not_shake_hands_is_left(tls: Tls) -> None:
    [server] = tls.server.servers
    assert isinstance(server, TlsListener)
    silent = [await asyncio.open_connection("127.0.0.1", tls.port) for _ in range(3)]
    tls.opened += [writer for _, writer in silent]
    while len(server._handshakes) < 3:
        await asyncio.sleep(0.01)
    server._limits = HandshakeLimits(most=3, of_one_address=3)
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await tls.wire()
    for _, writer in silent:
        writer.transport.abort()
    while server._handshakes:
        await asyncio.sleep(0.01)
    assert not server._of_address
    wire = await tls.wire()
    await wire.send(request("/"))
    assert (await wire.response()).status == 200


async def test_a_handshake_has_its_time(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    settings = Settings(data=tmp_path, http_tls_certificate=certificate, http_tls_key=key)
    contexts = tls_of(settings)
    assert isinstance(contexts, TlsContexts)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    limits = HandshakeLimits(handshake_s=0.05)
    server = http_tls_listener(listener, contexts, asyncio.Protocol, limits)
    server.start(5)
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()
    assert listener.fileno() == -1
