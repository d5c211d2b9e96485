"""DICOM over TLS (PS3.15 B.12), spoken with DCMTK, pynetdicom, and OpenSSL by itself."""

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from dimse_archive import encoded, instance
from dimse_wire import (
    CT,
    EXPLICIT,
    IMPLICIT,
    Store,
    Wire,
    data_pdu,
    eventually,
    repertoire,
    store_rq,
    wire_to,
)
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import CTImageStorage, Verification

from dimse_certificates import Authority, Pair
from pacs_cloud.dimse.associate import AssociateRequest
from pacs_cloud.dimse.gate import Admission, Remote
from pacs_cloud.dimse.limits import Limits
from pacs_cloud.dimse.negotiation import Proposal
from pacs_cloud.dimse.requestor import Instance, Peer, PeerTls, connect, echo, store
from pacs_cloud.dimse.server import Endpoint, Server, ServerSettings
from pacs_cloud.dimse.tls import ClientCertificates, TlsContexts, TlsFiles, TlsPeer
from pacs_cloud.dimse.verification import VERIFICATION
from pacs_cloud.errors import InvalidRequest, Unavailable
from patience import PATIENCE_S

PROPOSALS = (Proposal(VERIFICATION, (IMPLICIT,)), Proposal(CT, (EXPLICIT,)))


class Doorman:
    """Lets everybody in, and remembers where they were."""

    def __init__(self) -> None:
        self.came: list[Remote] = []

    async def admit(self, request: AssociateRequest, remote: Remote, /) -> Admission:
        self.came.append(remote)
        return Admission()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def ours(authority: Authority) -> Pair:
    return authority.pair("pacs.example.org")


@pytest.fixture(scope="module")
def theirs(authority: Authority) -> Pair:
    return authority.pair("ct1.example.org")


@asynccontextmanager
async def serving_tls(
    authority: Authority,
    pair: Pair,
    clients: ClientCertificates = ClientCertificates.REQUIRED,
    *,
    kept: Store | None = None,
    gate: Doorman | None = None,
    limits: Limits | None = None,
    most: int = 100,
    plain: bool = False,
) -> AsyncIterator[Server]:
    files = TlsFiles(pair.certificate, pair.key, authority.path)
    server = Server(
        ServerSettings(
            repertoire(kept or Store()),
            Endpoint() if plain else None,
            (Endpoint(), TlsContexts(files, clients)),
            gate or Doorman(),
            limits or Limits(),
            most,
            quiet_s=0.05,
        )
    )
    await server.start()
    try:
        yield server
    finally:
        await server.stop(0)


def calling_with(authority: Authority, pair: Pair | None, name: str = "") -> PeerTls:
    files = TlsFiles(pair and pair.certificate, pair and pair.key, authority.path)
    return PeerTls(TlsContexts(files), name)


def peer_at(server: Server, tls: PeerTls | None) -> Peer:
    return Peer("PACS", *server.tls_address, tls)


# DCMTK


async def dcmtk_run(*command: str) -> subprocess.CompletedProcess[bytes]:
    return await asyncio.to_thread(
        subprocess.run, command, capture_output=True, timeout=PATIENCE_S, check=False
    )


def as_dcmtk(pair: Pair, authority: Authority) -> list[str]:
    return ["+tls", str(pair.key), str(pair.certificate), "+cf", str(authority.path)]


@pytest.mark.parametrize("profile", ["+py", "+px", "+pz"])
async def test_dcmtk_echoes_by_each_profile(
    profile: str, dcmtk: Callable[[str], str], authority: Authority, ours: Pair, theirs: Pair
) -> None:
    doorman = Doorman()
    async with serving_tls(authority, ours, gate=doorman) as server:
        host, port = server.tls_address
        command = [dcmtk("echoscu"), *as_dcmtk(theirs, authority), profile, host, str(port)]
        done = await dcmtk_run(*command)
        assert done.returncode == 0, done.stderr
    (came,) = doorman.came
    assert came == Remote(
        "127.0.0.1", TlsPeer(theirs.sha256, frozenset({"ct1.example.org", "127.0.0.1"}))
    )


async def test_dcmtk_stores(
    dcmtk: Callable[[str], str], tmp_path: Path, authority: Authority, ours: Pair, theirs: Pair
) -> None:
    kept = Store()
    for number in range(3):
        # Long ones go through several buffers, ours and TLS's.
        one = instance(number, PixelData=os.urandom(700_000))
        one.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
    async with serving_tls(authority, ours, kept=kept) as server:
        host, port = server.tls_address
        command = [dcmtk("storescu"), *as_dcmtk(theirs, authority), "+sd", host, str(port)]
        done = await dcmtk_run(*command, str(tmp_path))
        assert done.returncode == 0, done.stderr
    assert [sink.completed for sink in kept.sinks] == [True] * 3
    assert min(len(sink.data) for sink in kept.sinks) > 700_000


async def test_dcmtk_with_another_authoritys_or_an_expired_certificate(
    dcmtk: Callable[[str], str], tmp_path: Path, authority: Authority, ours: Pair
) -> None:
    stranger = Authority(tmp_path, "stranger").pair("ct1.example.org")
    expired = authority.pair("old.example.org", valid=False)
    doorman = Doorman()
    async with serving_tls(authority, ours, gate=doorman) as server:
        host, port = server.tls_address
        for pair in (stranger, expired):
            done = await dcmtk_run(dcmtk("echoscu"), *as_dcmtk(pair, authority), host, str(port))
            assert done.returncode != 0
        await eventually(lambda: not server._connections)
    assert doorman.came == []


async def test_dcmtk_does_not_take_our_certificate_of_another_authority(
    dcmtk: Callable[[str], str], tmp_path: Path, authority: Authority, ours: Pair, theirs: Pair
) -> None:
    other = Authority(tmp_path, "other")
    async with serving_tls(authority, ours) as server:
        host, port = server.tls_address
        done = await dcmtk_run(dcmtk("echoscu"), *as_dcmtk(theirs, other), host, str(port))
        assert done.returncode != 0


# pynetdicom


def as_pynetdicom(authority: Authority, pair: Pair | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.path))
    context.check_hostname = False
    if pair is not None:
        context.load_cert_chain(pair.certificate, pair.key)
    return context


def _close(association: Any) -> None:
    """Close what pynetdicom leaves open where TLS does not come to be."""
    left = association.dul.socket
    if left is not None and left.socket is not None:
        left.socket.close()


async def they_echo(server: Server, context: ssl.SSLContext | None) -> bool:
    def talk() -> bool:
        ae = AE("THEIRS")
        ae.add_requested_context(Verification)
        ae.connection_timeout = ae.acse_timeout = ae.network_timeout = 5
        more = {} if context is None else {"tls_args": (context, "pacs.example.org")}
        association = ae.associate(*server.tls_address, **more)
        if not association.is_established:
            _close(association)
            return False
        status = association.send_c_echo()
        association.release()
        return status.Status == 0

    return await asyncio.to_thread(talk)


@pytest.mark.parametrize(
    ("clients", "has_one", "comes_in"),
    [
        (ClientCertificates.REQUIRED, True, True),
        (ClientCertificates.REQUIRED, False, False),
        (ClientCertificates.WANTED, True, True),
        (ClientCertificates.WANTED, False, True),
        (ClientCertificates.NONE, True, True),
        (ClientCertificates.NONE, False, True),
    ],
)
async def test_pynetdicom_with_and_without_a_certificate(
    clients: ClientCertificates,
    has_one: bool,
    comes_in: bool,
    authority: Authority,
    ours: Pair,
    theirs: Pair,
) -> None:
    doorman = Doorman()
    async with serving_tls(authority, ours, clients, gate=doorman) as server:
        context = as_pynetdicom(authority, theirs if has_one else None)
        assert await they_echo(server, context) == comes_in
        await eventually(lambda: not server._connections)
    seen = theirs.sha256 if has_one and clients is not ClientCertificates.NONE else ""
    assert [one.tls and one.tls.certificate for one in doorman.came] == [seen] * comes_in


async def test_nothing_below_tls_1_2_and_no_weak_suite(
    authority: Authority, ours: Pair, theirs: Pair
) -> None:
    async with serving_tls(authority, ours) as server:
        for suites, version in (
            ("ALL:@SECLEVEL=0", ssl.TLSVersion.TLSv1_1),
            ("AES128-GCM-SHA256", ssl.TLSVersion.TLSv1_2),
            ("ECDHE-RSA-AES128-SHA", ssl.TLSVersion.TLSv1_2),
            ("ECDHE-RSA-AES128-SHA256", ssl.TLSVersion.TLSv1_2),
            ("DHE-RSA-AES128-GCM-SHA256", ssl.TLSVersion.TLSv1_2),
        ):
            context = as_pynetdicom(authority, theirs)
            context.set_ciphers(suites)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                context.minimum_version = ssl.TLSVersion.TLSv1
                context.maximum_version = version
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection(*server.tls_address, ssl=context)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = as_pynetdicom(authority, theirs)
            context.maximum_version = context.minimum_version = version
            assert await they_echo(server, context)


async def test_we_store_over_tls_to_pynetdicom(
    authority: Authority, ours: Pair, theirs: Pair
) -> None:
    got: list[int] = []

    def take(event: evt.Event) -> int:
        got.append(len(event.dataset.PixelData))
        return 0

    ae = AE("THEIRS")
    ae.supported_contexts = AllStoragePresentationContexts
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.path))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(theirs.certificate, theirs.key)
    server = ae.start_server(
        ("127.0.0.1", 0),
        block=False,
        evt_handlers=[(evt.EVT_C_STORE, take)],
        ssl_context=context,
    )
    try:
        where = "127.0.0.1", server.server_address[1]
        tls = calling_with(authority, ours, "ct1.example.org")
        association = await connect(Peer("THEIRS", *where, tls), "OURS", PROPOSALS[1:])
        one = Instance(
            CTImageStorage, "1.2.3.1", EXPLICIT, encoded(instance(1, PixelData=bytes(900_000)))
        )
        assert (await store(association, one)).status == 0
        await association.release()
        assert got == [900_000]
        # Its name, its authority, and that it speaks TLS at all are looked at.
        wrong = [
            calling_with(authority, ours, "mr1.example.org"),
            PeerTls(TlsContexts(TlsFiles(ours.certificate, ours.key))),
        ]
        for tls in wrong:
            with pytest.raises(Unavailable, match="SSLCertVerificationError"):
                await connect(Peer("THEIRS", *where, tls), "OURS", PROPOSALS)
        # Without a certificate of ours it lets us go, at once or with our first word.
        with pytest.raises(Unavailable):
            await connect(Peer("THEIRS", *where, calling_with(authority, None)), "OURS", PROPOSALS)
    finally:
        server.shutdown()


# By hand


async def test_ours_to_ours_and_an_orderly_end(
    authority: Authority, ours: Pair, theirs: Pair
) -> None:
    kept = Store()
    async with serving_tls(authority, ours, kept=kept, plain=True) as server:
        association = await connect(
            peer_at(server, calling_with(authority, theirs)), "OURS", PROPOSALS
        )
        assert (await echo(association)).status == 0
        data = os.urandom(3_000_000)
        assert (await store(association, Instance(CT, "1.2.3", EXPLICIT, data))).status == 0
        await association.release()
        assert bytes(kept.sinks[0].data) == data
        await eventually(lambda: not server._connections)
        # The plain door is another one, which knows of no TLS.
        plain = await connect(Peer("PACS", *server.address), "OURS", PROPOSALS)
        assert (await echo(plain)).status == 0
        await plain.release()


async def test_plain_words_at_the_tls_door_and_tls_at_the_plain_one(
    authority: Authority, ours: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    doorman = Doorman()
    async with serving_tls(authority, ours, gate=doorman, plain=True) as server:
        wire = Wire(*await asyncio.open_connection(*server.tls_address))
        assert await wire.associate(VERIFICATION) == 0
        await wire.close()
        with pytest.raises(Unavailable):
            await connect(
                Peer("PACS", *server.address, calling_with(authority, ours)), "OURS", PROPOSALS
            )
        await eventually(lambda: not server._connections)
        assert server.associations == 0
        async with wire_to(server) as plain:
            assert await plain.associate(VERIFICATION) == 2
    assert [one.tls for one in doorman.came] == [None]
    (refused,) = [one for one in caplog.records if one.message == "tls_refused"]
    assert refused.__dict__["address"] == "127.0.0.1"


async def test_who_never_shakes_hands_is_let_go(authority: Authority, ours: Pair) -> None:
    async with serving_tls(authority, ours, limits=Limits(tls_s=0.2)) as server:
        reader, writer = await asyncio.open_connection(*server.tls_address)
        writer.write(b"\x16\x03\x01")
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(ConnectionResetError):
                if await reader.read() == b"":
                    raise ConnectionResetError
        writer.close()
        await eventually(lambda: not server._connections)


async def test_who_shakes_hands_and_says_nothing_is_let_go(
    authority: Authority, ours: Pair, theirs: Pair
) -> None:
    async with serving_tls(authority, ours, limits=Limits(artim_s=0.2)) as server:
        context = calling_with(authority, theirs).contexts.current()
        reader, writer = await asyncio.open_connection(*server.tls_address, ssl=context)
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises((ConnectionError, ssl.SSLError)):
                if await reader.read() == b"":
                    raise ConnectionResetError
        writer.close()
        await eventually(lambda: not server._connections)


async def test_handshakes_of_one_address_are_bounded(authority: Authority, ours: Pair) -> None:
    async with serving_tls(authority, ours) as server:
        open_ones = [await asyncio.open_connection(*server.tls_address) for _ in range(40)]
        await eventually(lambda: len(server._connections) == 32)
        for _, writer in open_ones:
            writer.close()
        await eventually(lambda: not server._connections)


async def test_a_stop_waits_for_no_handshake(authority: Authority, ours: Pair) -> None:
    async with serving_tls(authority, ours) as server:
        reader, writer = await asyncio.open_connection(*server.tls_address)
        await eventually(lambda: server._connections)
        await server.stop(0)
        assert await reader.read() == b""
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*server.tls_address)


async def test_a_renewed_certificate_counts_for_new_connections(
    authority: Authority, theirs: Pair, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mine = Authority(tmp_path)
    first, second = mine.pair("first.example.org"), mine.pair("second.example.org")
    certificate, key = tmp_path / "current.pem", tmp_path / "current.key"
    shutil.copy(first.certificate, certificate)
    shutil.copy(first.key, key)
    now_s = 0.0
    contexts = TlsContexts(
        TlsFiles(certificate, key, authority.path), ClientCertificates.REQUIRED, lambda: now_s
    )
    server = Server(ServerSettings(repertoire(Store()), None, (Endpoint(), contexts)))
    await server.start()
    call = [TlsFiles(theirs.certificate, theirs.key, mine.path)]

    async def is_called(name: str) -> bool:
        tls = PeerTls(TlsContexts(call[0]), name)
        try:
            association = await connect(peer_at(server, tls), "OURS", PROPOSALS)
        except Unavailable:
            return False
        await association.release()
        return True

    try:
        tls = PeerTls(TlsContexts(call[0]), "first.example.org")
        kept_up = await connect(peer_at(server, tls), "OURS", PROPOSALS)
        # The certificate first: with the key of before it is no pair, and is not taken.
        shutil.copy(second.certificate, certificate)
        now_s = 2.0
        assert await is_called("first.example.org")
        assert "tls_files_not_taken" in [one.message for one in caplog.records]
        shutil.copy(second.key, key)
        now_s = 4.0
        assert await is_called("second.example.org")
        assert not await is_called("first.example.org")
        assert (await echo(kept_up)).status == 0
        await kept_up.release()
    finally:
        await server.stop(0)


def test_contexts_are_those_of_the_profile(authority: Authority, ours: Pair) -> None:
    files = TlsFiles(ours.certificate, ours.key, authority.path)
    for clients in (None, *ClientCertificates):
        context = TlsContexts(files, clients).current()
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.options & (ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION)
        for suite in context.get_ciphers():
            assert suite["aead"]
            assert suite["protocol"] == "TLSv1.3" or suite["name"].startswith("ECDHE-")
        assert context.check_hostname == (clients is None)
        # A session that is resumed would not show its certificate again.
        assert clients is None or context.num_tickets == 0


def test_files_that_are_no_good_are_named(authority: Authority, ours: Pair, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_bytes(b"")
    other = authority.pair("other.example.org")
    for files, word in (
        (TlsFiles(empty, None, authority.path), "empty.pem"),
        (TlsFiles(ours.certificate, other.key, authority.path), "KEY_VALUES_MISMATCH"),
        (TlsFiles(ours.certificate, ours.key, empty), "empty.pem"),
        (TlsFiles(tmp_path / "none.pem", None, authority.path), "No such file"),
    ):
        with pytest.raises(InvalidRequest, match=word):
            TlsContexts(files, ClientCertificates.REQUIRED)


async def test_a_device_certificate_may_stand_for_itself(
    tmp_path: Path, authority: Authority, ours: Pair, theirs: Pair
) -> None:
    """Whose authority nobody knows is believed where its own certificate is in the file."""
    files = TlsFiles(ours.certificate, ours.key, theirs.certificate)
    contexts = TlsContexts(files, ClientCertificates.REQUIRED)
    server = Server(ServerSettings(repertoire(Store()), None, (Endpoint(), contexts)))
    await server.start()
    try:
        for pair, comes_in in ((theirs, True), (authority.pair("mr1.example.org"), False)):
            tls = calling_with(authority, pair)
            try:
                association = await connect(peer_at(server, tls), "OURS", PROPOSALS)
            except Unavailable:
                assert not comes_in
            else:
                assert comes_in
                await association.release()
    finally:
        await server.stop(0)


async def test_an_address_that_is_taken(authority: Authority, ours: Pair) -> None:
    files = TlsFiles(ours.certificate, ours.key, authority.path)
    contexts = TlsContexts(files, ClientCertificates.REQUIRED)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = Endpoint("127.0.0.1", taken.getsockname()[1])
        server = Server(ServerSettings(repertoire(Store()), Endpoint(), (where, contexts)))
        with pytest.raises(OSError, match="in use"):
            await server.start()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*server.address)
        await server.stop(0)


async def test_a_peer_is_held_back_while_a_sink_is_slow(
    authority: Authority, ours: Pair, theirs: Pair
) -> None:
    kept = Store()
    kept.slow = asyncio.get_running_loop().create_future()
    async with serving_tls(authority, ours, kept=kept) as server:
        association = await connect(
            peer_at(server, calling_with(authority, theirs)), "OURS", PROPOSALS
        )
        data = os.urandom(20_000_000)
        storing = asyncio.create_task(store(association, Instance(CT, "1.2.3", EXPLICIT, data)))
        await eventually(lambda: kept.sinks)
        await asyncio.sleep(0.3)
        # What has come is what one buffer holds: the rest waits with its sender.
        assert len(kept.sinks[0].data) < 1_000_000
        assert not storing.done()
        slow, kept.slow = kept.slow, None
        slow.set_result(None)
        assert (await storing).status == 0
        assert bytes(kept.sinks[0].data) == data
        await association.release()


async def test_a_peer_that_vanishes_within_a_message(
    authority: Authority, ours: Pair, theirs: Pair
) -> None:
    kept = Store()
    async with serving_tls(authority, ours, kept=kept) as server:
        context = calling_with(authority, theirs).contexts.current()
        wire = Wire(
            *await asyncio.open_connection(
                *server.tls_address, ssl=context, server_hostname="pacs.example.org"
            )
        )
        assert await wire.associate(CT) == 2
        await wire.send(store_rq() + data_pdu(bytes(10_000), ends=False))
        await eventually(lambda: kept.sinks and kept.sinks[0].writes)
        wire.writer.transport.abort()
        await eventually(lambda: kept.sinks[0].aborts == 1)
        await eventually(lambda: not server._connections)
