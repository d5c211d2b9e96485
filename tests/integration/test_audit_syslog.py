"""Audit messages at a syslog server over TLS: each one, in order, whatever happens between."""

import asyncio
import errno
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from audit_syslog_server import HEADER, SyslogServer, can_run_rsyslog, rsyslog
from dimse_certificates import Authority, Pair
from pacs_cloud.audit.forwarding import Forwarder
from pacs_cloud.audit.sealing import adopt
from pacs_cloud.audit.syslog_peer import SyslogPeer, SyslogTarget
from pacs_cloud.audit.trail import Trail
from pacs_cloud.bootstrap.auditing import open_trail
from pacs_cloud.bootstrap.services import now_us, open_stores
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.security.audit_event import AuditEvent, Kind
from pacs_cloud.security.audit_message import AuditSource
from pacs_cloud.settings import load_settings
from patience import PATIENCE_S
from unit.audit.audit_house import House, die
from unit.audit.audit_schema import read

SOURCE = AuditSource("PACS@pacs.example", "PACS")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def theirs(authority: Authority) -> Pair:
    return authority.pair("logs.example")


@pytest.fixture(scope="module")
def ours(authority: Authority) -> Pair:
    return authority.pair("pacs.example")


@pytest.fixture
def server(authority: Authority, theirs: Pair) -> Iterator[SyslogServer]:
    opened = SyslogServer(theirs, authority.path)
    yield opened
    opened.close()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with LocalObjectStore(tmp_path / "objects") as store:
        yield House(store, tmp_path / "audit")


@pytest.fixture
def peers() -> Iterator[list[SyslogPeer]]:
    made: list[SyslogPeer] = []
    yield made
    for peer in made:
        peer.close()


@pytest.fixture
def forwarder(
    authority: Authority, ours: Pair, peers: list[SyslogPeer]
) -> Callable[..., Forwarder]:
    def make(trail: Trail, port: int, **more: object) -> Forwarder:
        given = {"ca": authority.path, "certificate": ours.certificate, "key": ours.key} | more
        peers.append(SyslogPeer(SyslogTarget("127.0.0.1", port, **given)))  # type: ignore[arg-type]
        return Forwarder(
            lambda: trail.journals, trail.directory.path, peers[-1], SOURCE, "pacs.example"
        )

    return make


async def arrived(server: SyslogServer, count: int) -> list[str]:
    """Return the studies that messages name, once there are so many."""
    until = time.monotonic() + PATIENCE_S
    while len(server.messages) < count and time.monotonic() < until:
        await asyncio.sleep(0.01)
    studies: list[str] = []
    for message in server.messages:
        match = HEADER.fullmatch(message)
        assert match is not None, message[:100]
        assert (match[1], match[3], match[4], match[6]) == (
            b"85",
            b"pacs.example",
            b"pacs-cloud",
            b"DICOM+RFC3881",
        )
        root = read(match[7])
        studies += [
            str(one.get("ParticipantObjectID"))
            for one in root.iterfind("ParticipantObjectIdentification")
            if one.get("ParticipantObjectTypeCode") == "2"
        ]
    return studies


async def record(house: House, trail: Trail, *studies: str) -> None:
    for study in studies:
        await trail.record(house.event(Kind.CHANGE, study))
        house.clock.tick()


async def test_what_is_on_record_is_sent(
    house: House, server: SyslogServer, forwarder: Callable[..., Forwarder]
) -> None:
    async with house.trail(keeps=True) as trail:
        await record(house, trail, "1.1", "1.2")
        sending = forwarder(trail, server.port)
        await sending.send()
        assert await arrived(server, 2) == ["1.1", "1.2"]
        await sending.send()
        await record(house, trail, "1.3")
        await sending.send()
        assert await arrived(server, 3) == ["1.1", "1.2", "1.3"]


async def test_an_outage_loses_nothing(
    house: House,
    server: SyslogServer,
    authority: Authority,
    theirs: Pair,
    forwarder: Callable[..., Forwarder],
) -> None:
    async with house.trail(keeps=True) as trail:
        sending = forwarder(trail, server.port)
        await record(house, trail, "1.1")
        await sending.send()
        assert await arrived(server, 1) == ["1.1"]
        server.close()
        await record(house, trail, "1.2")
        with pytest.raises(OSError):
            await sending.send()
        # What is sealed meanwhile is kept until it is sent.
        await trail._recorder.seal()
        await record(house, trail, "1.3")
        await trail._recorder.seal()
        await record(house, trail, "1.4")
        with pytest.raises(OSError):
            await sending.send()
        assert len([*house.root.glob("*/*/outbox/*.jsonl")]) == 2
        again = SyslogServer(theirs, authority.path, server.port)
        try:
            await sending.send()
            assert await arrived(again, 3) == ["1.2", "1.3", "1.4"]
        finally:
            again.close()
        assert [*house.root.glob("*/*/outbox/*.jsonl")] == []
    assert await house.findings() == []


async def test_what_a_dead_process_has_not_sent_another_one_sends(
    house: House, server: SyslogServer, forwarder: Callable[..., Forwarder]
) -> None:
    living, dying = house.open(keeps=True), house.open(keeps=True)
    await record(house, dying, "1.1")
    await forwarder(dying, server.port).send()
    await record(house, dying, "1.2", "1.3")
    die(dying)
    await adopt(house.root, living.directory.path, living._sealer, keeps=True)
    await forwarder(living, server.port).send()
    assert await arrived(server, 3) == ["1.1", "1.2", "1.3"]
    await living.aclose()


async def test_where_it_was_lost_how_far_all_is_sent_again(
    house: House, server: SyslogServer, forwarder: Callable[..., Forwarder]
) -> None:
    async with house.trail(keeps=True) as trail:
        await record(house, trail, "1.1")
        await forwarder(trail, server.port).send()
        for note in house.root.glob("*/*/sent/*"):
            note.write_bytes(b"")
        await forwarder(trail, server.port).send()
        assert await arrived(server, 2) == ["1.1", "1.1"]


async def test_a_full_disk_does_not_keep_what_is_sealed_from_being_sent(
    house: House,
    server: SyslogServer,
    forwarder: Callable[..., Forwarder],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    async with house.trail(keeps=True) as trail:
        await record(house, trail, "1.1")
        await trail._recorder.seal()
        monkeypatch.setattr(Path, "write_text", full)
        await forwarder(trail, server.port).send()
        assert await arrived(server, 1) == ["1.1"]
        assert [*house.root.glob("*/*/outbox/*")] == []  # there is room for notes again


async def test_a_server_that_another_authority_vouches_for_gets_nothing(
    house: House,
    tmp_path: Path,
    server: SyslogServer,
    forwarder: Callable[..., Forwarder],
) -> None:
    stranger = Authority(tmp_path, "stranger")
    async with house.trail(keeps=True) as trail:
        await record(house, trail, "1.1")
        with pytest.raises(ssl.SSLCertVerificationError):
            await forwarder(trail, server.port, ca=stranger.path).send()
    assert server.messages == []


async def test_a_server_with_another_name_gets_nothing(
    house: House, authority: Authority, server: SyslogServer, ours: Pair
) -> None:
    target = SyslogTarget("localhost", server.port, authority.path, ours.certificate, ours.key)
    async with house.trail(keeps=True) as trail:
        await record(house, trail, "1.1")
        peer = SyslogPeer(target)
        sending = Forwarder(lambda: trail.journals, trail.directory.path, peer, SOURCE, "x")
        with pytest.raises(ssl.SSLCertVerificationError):
            await sending.send()
    assert server.messages == []


async def test_a_certificate_that_the_server_wants_is_shown(
    house: House, server: SyslogServer, forwarder: Callable[..., Forwarder]
) -> None:
    async with house.trail(keeps=True) as trail:
        await record(house, trail, "1.1")
        with pytest.raises(OSError):
            await forwarder(trail, server.port, certificate=None, key=None).send()
        assert server.messages == []
        await forwarder(trail, server.port).send()
        assert await arrived(server, 1) == ["1.1"]


@pytest.mark.skipif(
    not can_run_rsyslog(), reason="rsyslog with TLS is not installed (Debian: rsyslog-openssl)"
)
async def test_rsyslog_takes_what_we_send(
    house: House,
    tmp_path: Path,
    authority: Authority,
    theirs: Pair,
    forwarder: Callable[..., Forwarder],
) -> None:
    with rsyslog(tmp_path, theirs, authority.path) as (port, written):
        async with house.trail(keeps=True) as trail:
            await record(house, trail, *(f"1.{number}" for number in range(50)))
            await forwarder(trail, port).send()
            until = time.monotonic() + PATIENCE_S
            while not written.exists() or written.read_bytes().count(b"\n") < 50:
                assert time.monotonic() < until, (tmp_path / "said").read_text()
                await asyncio.sleep(0.05)
    said = written.read_bytes().splitlines()
    assert len(said) == 50
    for number, line in enumerate(said):
        pri, _, host, name, message_id, message = line.split(b" ", 5)
        assert (pri, host, name, message_id) == (
            b"85",
            b"pacs.example",
            b"pacs-cloud",
            b"DICOM+RFC3881",
        )
        root = read(message[message.index(b"<?xml") :])
        (study, _) = root.iterfind("ParticipantObjectIdentification")
        assert study.get("ParticipantObjectID") == f"1.{number}"


async def test_a_process_sends_as_its_settings_say(
    tmp_path: Path, authority: Authority, ours: Pair, server: SyslogServer
) -> None:
    settings = load_settings(
        {
            "data": tmp_path / "data",
            "audit_syslog": f"tls://127.0.0.1:{server.port}",
            "audit_syslog_ca": authority.path,
            "audit_syslog_certificate": ours.whole,
            "audit_source": "PACS@pacs.example",
        }
    )
    async with (
        open_stores(settings, create=True) as stores,
        open_trail(settings, stores) as trail,
    ):
        event = AuditEvent(Kind.LOGIN, "default", "user:anna", "page", now_us())
        await trail.record(event)
        until = time.monotonic() + PATIENCE_S
        while not server.messages and time.monotonic() < until:
            await asyncio.sleep(0.05)
    (message,) = server.messages
    match = HEADER.fullmatch(message)
    assert match is not None
    root = read(match[7])
    assert root.find("EventIdentification/EventID").get("csd-code") == "110114"
