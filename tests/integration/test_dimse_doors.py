"""An archive that knows its devices, and DCMTK and pynetdicom as these."""

import asyncio
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dimse_archive import (
    CT,
    EXPLICIT,
    STUDY_FIND,
    STUDY_GET,
    STUDY_MOVE,
    Running,
    identifier_of,
    instance,
)
from dimse_archive import running as running_archive
from dimse_wire import Wire, associate_rq
from pynetdicom import AE, AllStoragePresentationContexts, build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.sop_class import Verification
from typer.testing import CliRunner

from dimse_certificates import Authority, Pair
from pacs_cloud.bootstrap.dimse_doors import Destinations, known_devices
from pacs_cloud.bootstrap.ports import Reservation
from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.cli.device_commands import device as device_command
from pacs_cloud.cli.sending import send_study
from pacs_cloud.dimse.associate import UserIdentity
from pacs_cloud.dimse.association import Association as OurAssociation
from pacs_cloud.dimse.negotiation import Proposal
from pacs_cloud.dimse.pdu import AssociationRejected
from pacs_cloud.dimse.requestor import Peer, PeerTls, connect, echo
from pacs_cloud.dimse.tls import TlsContexts, TlsFiles
from pacs_cloud.errors import NotFound
from pacs_cloud.identity.accounts import Accounts
from pacs_cloud.identity.devices import (
    Device,
    DeviceDestination,
    DeviceService,
    UserPolicy,
    read_device,
    write_device,
)
from pacs_cloud.security.caller import Grant, Role
from pacs_cloud.settings import Address, Destination
from patience import PATIENCE_S

EVERYTHING = frozenset(DeviceService)
LOOPBACK = ("127.0.0.0/8", "::1/128")
PASSWORD = "horse staple lamp"
CALLING, TOO_MANY = (1, 1, 3), (2, 3, 2)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def ours(authority: Authority) -> Pair:
    return authority.pair("pacs.example.org")


@pytest.fixture(scope="module")
def ct1(authority: Authority) -> Pair:
    return authority.pair("ct1.example.org")


@pytest.fixture(scope="module")
def mr1(authority: Authority) -> Pair:
    return authority.pair("mr1.example.org")


@asynccontextmanager
async def archive(folder: Path, *devices: Device, **more: Any) -> AsyncIterator[Running]:
    more = {"dimse_unknown": "refuse", **more}
    async with running_archive(folder, **more) as found:
        for device in devices:
            await know(found, device)
        yield found


@asynccontextmanager
async def archive_over_tls(
    folder: Path, authority: Authority, ours: Pair, *devices: Device, **more: Any
) -> AsyncIterator[Running]:
    """Yield an archive whose `port` is the one for TLS."""
    reservation = Reservation(Address(host="127.0.0.1", port=0))
    try:
        async with archive(
            folder,
            *devices,
            dimse_tls=reservation.address,
            dimse_tls_certificate=ours.certificate,
            dimse_tls_key=ours.key,
            dimse_tls_ca=authority.path,
            **more,
        ) as found:
            yield replace(found, port=reservation.address.port)
    finally:
        reservation.close()


async def know(running: Running, device: Device) -> None:
    before = await read_device(running.stores.objects, device.tenant, device.title)
    await write_device(running.stores.objects, device, before, by="the test", now_us=1)


def device(title: str, *services: DeviceService, **more: Any) -> Device:
    more = {"addresses": LOOPBACK, **more}
    return Device("default", title, services=frozenset(services) or EVERYTHING, **more)


def associated(
    running: Running, title: str, *contexts: Any, called: str = "PACS", **more: Any
) -> Association:
    ae = AE(title)
    ae.requested_contexts = list(contexts) or [build_context(Verification)]
    return ae.associate("127.0.0.1", running.port, ae_title=called, **more)


async def answer_to(
    running: Running, title: str, called: str = "PACS", **more: object
) -> tuple[int, ...]:
    """Return () where a peer is let in, else what the A-ASSOCIATE-RJ says."""
    wire = Wire(*await asyncio.open_connection("127.0.0.1", running.port))
    try:
        titles = {"calling_ae_title": title, "called_ae_title": called}
        await wire.send(associate_rq("1.2.840.10008.1.1", **titles, **more))
        pdu_type, body = await wire.pdu()
        return () if pdu_type == 2 else (body[1], body[2], body[3])
    finally:
        await wire.close()


# Titles and addresses


async def test_whom_nobody_knows(tmp_path: Path) -> None:
    async with archive(
        tmp_path,
        device("CT1", DeviceService.STORE),
        device("FAR", addresses=("10.0.0.0/8",)),
        device("OUT", is_disabled=True),
    ) as running:
        assert await answer_to(running, "CT1") == ()
        for title in ("CT2", "ct1", "FAR", "OUT"):
            assert await answer_to(running, title) == CALLING
        assert await answer_to(running, "CT1", called="OTHER") == (1, 1, 7)


async def test_a_change_counts_soon(tmp_path: Path) -> None:
    ct1 = device("CT1")
    async with archive(tmp_path, ct1) as running:
        assert await answer_to(running, "CT1") == ()
        await know(running, replace(ct1, is_disabled=True))
        async with asyncio.timeout(PATIENCE_S):
            while await answer_to(running, "CT1") == ():
                await asyncio.sleep(0.1)


async def test_tenants_do_not_see_each_other(tmp_path: Path) -> None:
    async with archive(
        tmp_path,
        device("CT1"),
        replace(device("CT1"), tenant="south"),
        replace(device("CT2"), tenant="south"),
        dimse_tenants={"SOUTH": "south"},
    ) as running:
        assert await answer_to(running, "CT2") == CALLING
        assert await answer_to(running, "CT2", called="SOUTH") == ()

        def store_and_find() -> list[int]:
            found: list[int] = []
            contexts = [build_context(CT, EXPLICIT), build_context(STUDY_FIND)]
            for called in ("SOUTH", "PACS"):
                association = associated(running, "CT1", *contexts, called=called)
                if called == "SOUTH":
                    assert association.send_c_store(instance()).Status == 0
                association.release()
            for called in ("SOUTH", "PACS"):
                association = associated(running, "CT1", *contexts, called=called)
                keys = identifier_of("STUDY", StudyInstanceUID="")
                matches = list(association.send_c_find(keys, STUDY_FIND))
                assert matches[-1][0].Status == 0
                # Whoever goes by that title retrieves from the same tenant.
                assert {one.RetrieveAETitle for _, one in matches[:-1]} <= {called}
                found.append(len(matches) - 1)
                association.release()
            return found

        async with asyncio.timeout(PATIENCE_S):
            while (counts := await asyncio.to_thread(store_and_find)) == [0, 0]:
                pass
        assert counts == [1, 0]


# Services


async def test_contexts_of_services_that_a_device_may_not_ask_for(tmp_path: Path) -> None:
    contexts = {
        DeviceService.VERIFY: Verification,
        DeviceService.STORE: CT,
        DeviceService.FIND: STUDY_FIND,
        DeviceService.GET: STUDY_GET,
        DeviceService.MOVE: STUDY_MOVE,
    }
    async with archive(
        tmp_path, *(device(service.name, service) for service in contexts)
    ) as running:
        for service, own in contexts.items():

            def talk(title: str) -> tuple[set[str], set[int]]:
                proposed = [build_context(one) for one in contexts.values()]
                association = associated(running, title, *proposed)
                assert association.is_established
                accepted = {str(one.abstract_syntax) for one in association.accepted_contexts}
                results = {one.result for one in association.rejected_contexts}
                association.release()
                return accepted, results

            assert await asyncio.to_thread(talk, service.name) == ({str(own)}, {1})


async def test_who_may_only_retrieve_gets_storage_contexts_one_way(tmp_path: Path) -> None:
    async with archive(
        tmp_path, device("SRC", DeviceService.STORE), device("GETS", DeviceService.GET)
    ) as running:

        def store() -> int:
            association = associated(running, "SRC", build_context(CT, EXPLICIT))
            status = association.send_c_store(instance()).Status
            association.release()
            return status

        assert await asyncio.to_thread(store) == 0
        got: list[str] = []

        def get() -> int:
            association = associated(
                running,
                "GETS",
                build_context(CT, EXPLICIT),
                build_context(STUDY_GET),
                ext_neg=[build_role(CT, scu_role=True, scp_role=True)],
                evt_handlers=[
                    (evt.EVT_C_STORE, lambda event: got.append(event.dataset.SOPInstanceUID) or 0)
                ],
            )
            keys = identifier_of("STUDY", StudyInstanceUID="1.2.3")
            *_, (status, _) = association.send_c_get(keys, STUDY_GET)
            (storage,) = [one for one in association.accepted_contexts if one.abstract_syntax == CT]
            assert (storage.as_scu, storage.as_scp) == (False, True)
            association.release()
            return status.Status

        async with asyncio.timeout(PATIENCE_S):
            while not got:
                assert await asyncio.to_thread(get) == 0
        assert got == ["1.2.3.4.1"]


async def test_dcmtk_may_store_and_nothing_else(
    tmp_path: Path, dcmtk: Callable[[str], str]
) -> None:
    file = tmp_path / "one.dcm"
    instance().save_as(file, enforce_file_format=True)
    async with archive(tmp_path / "data", device("CT1", DeviceService.STORE)) as running:
        whole = ["-aec", "PACS", "-aet", "CT1", "127.0.0.1", str(running.port)]
        keys = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.3"]
        assert await dcmtk_run(dcmtk("storescu"), *whole, str(file)) == 0
        for command in (
            ("echoscu", *whole),
            ("findscu", *keys, *whole),
            ("movescu", *keys, "-aem", "CT1", *whole),
            ("storescu", *whole[:3], "STRANGER", *whole[4:], str(file)),
        ):
            assert await dcmtk_run(dcmtk(command[0]), *command[1:]) != 0


async def dcmtk_run(*command: str) -> int:
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, timeout=PATIENCE_S, check=False
    )
    return done.returncode


# How many


async def test_no_more_associations_than_a_device_may_have(tmp_path: Path) -> None:
    async with archive(
        tmp_path, device("CT1", most_associations=2), device("MR1", most_associations=2)
    ) as running:
        wires = [Wire(*await asyncio.open_connection("127.0.0.1", running.port)) for _ in range(4)]
        rq = associate_rq("1.2.840.10008.1.1", calling_ae_title="CT1")
        kinds: list[int] = []
        for wire in wires:
            await wire.send(rq)
            kinds.append((await wire.pdu())[0])
        assert kinds == [2, 2, 3, 3]
        assert await answer_to(running, "MR1") == ()
        # One that ends, however it does, makes room for another.
        await wires[0].close()
        async with asyncio.timeout(PATIENCE_S):
            while await answer_to(running, "CT1") == TOO_MANY:
                await asyncio.sleep(0.02)
        for wire in wires[1:]:
            await wire.close()


async def test_a_request_that_breaks_off_gives_its_place_back(tmp_path: Path) -> None:
    async with archive(tmp_path, device("CT1", most_associations=1)) as running:
        for _ in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writer.write(associate_rq("1.2.840.10008.1.1", calling_ae_title="CT1"))
            await writer.drain()
            writer.transport.abort()
        async with asyncio.timeout(PATIENCE_S):
            while await answer_to(running, "CT1") == TOO_MANY:
                await asyncio.sleep(0.02)


# TLS


async def test_dcmtk_as_a_device_with_its_certificate(
    tmp_path: Path,
    dcmtk: Callable[[str], str],
    authority: Authority,
    ours: Pair,
    ct1: Pair,
    mr1: Pair,
) -> None:
    known = device("CT1", addresses=(), certificates=(ct1.sha256,))
    named = device("MR1", names=("mr1.example.org",))
    file = tmp_path / "one.dcm"
    instance().save_as(file, enforce_file_format=True)
    async with archive_over_tls(tmp_path / "data", authority, ours, known, named) as running:

        async def echoes(title: str, pair: Pair) -> bool:
            words = ["+tls", str(pair.key), str(pair.certificate), "+cf", str(authority.path)]
            words += ["-aet", title, "-aec", "PACS", "127.0.0.1", str(running.port)]
            return await dcmtk_run(dcmtk("echoscu"), *words) == 0

        assert await echoes("CT1", ct1)
        assert not await echoes("CT1", mr1)
        assert await echoes("MR1", mr1)
        assert not await echoes("MR1", ct1)
        assert not await echoes("CT2", ct1)
        plain = replace(running, port=running.settings.dimse.port)
        assert await answer_to(plain, "CT1") == CALLING

        folder = tmp_path / "got"
        folder.mkdir()
        tls = ["+tls", str(ct1.key), str(ct1.certificate), "+cf", str(authority.path)]
        whole = ["-aet", "CT1", "-aec", "PACS", "127.0.0.1", str(running.port)]
        keys = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.3"]
        assert await dcmtk_run(dcmtk("storescu"), *tls, *whole, str(file)) == 0
        assert await running.searchable("1.2.3.4.1")
        assert await dcmtk_run(dcmtk("findscu"), *tls, *keys, *whole) == 0


async def test_only_over_tls(tmp_path: Path, authority: Authority, ours: Pair) -> None:
    async with archive_over_tls(tmp_path, authority, ours, dimse_plain=False) as running:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", running.settings.dimse.port)


# Users


def user(kind: int, passcode: str = "", *, asked: bool = True) -> UserIdentityNegotiation:
    item = UserIdentityNegotiation()
    item.user_identity_type = kind
    item.primary_field = b"anna"
    item.positive_response_requested = asked
    if kind == 2:
        item.secondary_field = passcode.encode()
    return item


async def accounts_with(running: Running, *grants: Grant) -> None:
    """Make a user anna, whose password is PASSWORD, by the archive's own accounts."""
    accounts = Accounts(running.stores.objects, "default", now_us, keep_s=0)
    secret = await accounts.create("anna", grants)
    await accounts.redeem(secret, PASSWORD)


async def test_pynetdicom_as_a_user(tmp_path: Path) -> None:
    async with archive(tmp_path, device("WS1", user=UserPolicy.REQUIRE)) as running:
        await accounts_with(running, Grant(Role.TECHNOLOGIST))

        def signs_in(*items: UserIdentityNegotiation) -> bool | None:
            """Return whether it is let in and answered; None where it is not let in."""
            contexts = [build_context(CT, EXPLICIT), build_context(STUDY_FIND)]
            association = associated(running, "WS1", *contexts, ext_neg=list(items))
            if not association.is_established:
                return None
            assert len(association.accepted_contexts) == 2
            assert association.send_c_store(instance()).Status == 0
            answers = [
                one
                for one in association.acceptor.primitive.user_information
                if isinstance(one, UserIdentityNegotiation)
            ]
            association.release()
            return [one.server_response for one in answers] == [b""]

        assert await asyncio.to_thread(signs_in) is None
        assert await asyncio.to_thread(signs_in, user(2, PASSWORD)) is True
        assert await asyncio.to_thread(signs_in, user(2, PASSWORD, asked=False)) is False
        assert await asyncio.to_thread(signs_in, user(2, "wrong")) is None


async def test_a_users_role_bounds_what_the_device_may_ask_for(tmp_path: Path) -> None:
    async with archive(tmp_path, device("WS1")) as running:
        await accounts_with(running, Grant(Role.CLINICIAN))

        def accepted() -> set[str]:
            contexts = [build_context(one) for one in (Verification, CT, STUDY_FIND, STUDY_MOVE)]
            association = associated(running, "WS1", *contexts, ext_neg=[user(2, PASSWORD)])
            found = {str(one.abstract_syntax) for one in association.accepted_contexts}
            association.release()
            return found

        # A clinician neither stores nor sends.
        assert await asyncio.to_thread(accepted) == {str(Verification), STUDY_FIND}


async def test_users_who_are_not_let_in(tmp_path: Path) -> None:
    identity = (1, 2, 1)
    async with archive(tmp_path, device("WS1", user=UserPolicy.REQUIRE), device("WS2")) as running:
        for title, kind, expected in (
            ("WS1", 0, identity),
            ("WS1", 1, identity),
            ("WS1", 2, identity),
            ("WS2", 2, identity),
            ("WS2", 3, identity),
            ("WS2", 4, identity),
            ("WS2", 5, identity),
            ("WS2", 1, ()),
            ("WS2", 0, ()),
        ):
            said = UserIdentity(kind, True, b"anna", b"wrong" if kind == 2 else b"")
            more = {"identity": said} if kind else {}
            assert await answer_to(running, title, **more) == expected, (title, kind)


# Where instances are sent


async def test_a_device_that_says_where_is_a_destination(
    tmp_path: Path, authority: Authority, ours: Pair, ct1: Pair
) -> None:
    to = DeviceDestination("127.0.0.1", 2762, True, "ct1.example.org")
    known = [
        device("TO", destination=to),
        device("OFF", destination=to, is_disabled=True),
        device("NOWHERE"),
    ]
    named = (Destination(aet="NAMED", host="ws", port=104),)
    async with archive_over_tls(tmp_path, authority, ours, *known, destinations=named) as running:
        destinations = Destinations(
            running.settings, known_devices(running.settings, running.stores)
        )
        peer = await destinations.find("default", "TO")
        assert peer is not None
        assert (peer.host, peer.port) == ("127.0.0.1", 2762)
        assert peer.tls is not None
        assert peer.tls.name == "ct1.example.org"
        for title in ("OFF", "NOWHERE", "STRANGER"):
            assert await destinations.find("default", title) is None
        assert await destinations.find("south", "TO") is None
        # What the settings name is everybody's.
        found = await destinations.find("south", "NAMED")
        assert found is not None
        assert found.tls is None


@contextmanager
def storing_over_tls(authority: Authority, pair: Pair) -> Iterator[tuple[int, list[str]]]:
    """Be a storage SCP of pynetdicom's that asks for a certificate; yield its port."""
    got: list[str] = []

    def take(event: evt.Event) -> int:
        got.append(str(event.dataset.SOPInstanceUID))
        return 0

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.path))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(pair.certificate, pair.key)
    ae = AE("TO")
    ae.supported_contexts = AllStoragePresentationContexts
    handlers = [(evt.EVT_C_STORE, take)]
    server = ae.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=handlers, ssl_context=context
    )
    assert server is not None
    try:
        yield server.server_address[1], got
    finally:
        server.shutdown()


async def test_a_move_and_a_send_over_tls(
    tmp_path: Path,
    dcmtk: Callable[[str], str],
    authority: Authority,
    ours: Pair,
    ct1: Pair,
    mr1: Pair,
) -> None:
    file = tmp_path / "one.dcm"
    instance().save_as(file, enforce_file_format=True)
    with storing_over_tls(authority, ct1) as (port, got):
        place = {"host": "127.0.0.1", "port": port, "tls": True}
        named = Destination(aet="NAMED", tls_name="ct1.example.org", **place)
        wrong = Destination(aet="WRONG", tls_name="mr1.example.org", **place)
        known = device("TO", destination=DeviceDestination(**place, tls_name="ct1.example.org"))
        async with archive_over_tls(
            tmp_path / "data", authority, ours, known, device("MR1"), destinations=(named, wrong)
        ) as running:
            tls = ["+tls", str(mr1.key), str(mr1.certificate), "+cf", str(authority.path)]
            whole = ["-aet", "MR1", "-aec", "PACS", "127.0.0.1", str(running.port)]
            assert await dcmtk_run(dcmtk("storescu"), *tls, *whole, str(file)) == 0
            assert await running.searchable("1.2.3.4.1")
            keys = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.3"]
            # DCMTK 3.6.7's movescu knows no TLS: it asks at the plain door.
            whole[-1] = str(running.settings.dimse.port)
            move = [dcmtk("movescu"), *keys, "-aem"]
            await dcmtk_run(*move, "WRONG", *whole)
            assert got == []
            assert await dcmtk_run(*move, "NAMED", *whole) == 0
            assert await dcmtk_run(*move, "TO", *whole) == 0
            assert got == ["1.2.3.4.1"] * 2
            settings = running.settings
            assert await asyncio.to_thread(send_study, settings, "1.2.3", "TO", as_json=True) == 0
            assert (
                await asyncio.to_thread(send_study, settings, "1.2.3", "NAMED", as_json=True) == 0
            )
            assert got == ["1.2.3.4.1"] * 4
            with pytest.raises(NotFound):
                await asyncio.to_thread(send_study, settings, "1.2.3", "MR1", as_json=True)


# Several processes


@contextmanager
def started(folder: Path, **settings: str) -> Iterator[dict[str, str]]:
    """Run `pacs-cloud serve dimse`; yield what its ready line says."""
    environment = {
        **os.environ,
        **{f"PACS_{name.upper()}": value for name, value in settings.items()},
        "PACS_DATA": str(folder / "data"),
        "PACS_DIMSE": "127.0.0.1:0",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "pacs_cloud", "serve", "dimse"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        word, *fields = process.stdout.readline().split()
        assert word == "ready"
        yield dict(field.split("=", 1) for field in fields)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        process.stdout.close()


async def test_processes_share_doors_and_limits(
    tmp_path: Path, authority: Authority, ours: Pair, ct1: Pair
) -> None:
    tls = {
        "dimse_tls": "127.0.0.1:0",
        "dimse_tls_certificate": str(ours.whole),
        "dimse_tls_ca": str(authority.path),
    }
    with started(tmp_path, dimse_processes="3", dimse_unknown="refuse", **tls) as ready:
        assert set(ready) == {"dimse", "dimse_tls", "aet"}
        words = ["CT1", "--certificate", str(ct1.certificate), "--most", "2"]
        at = ["--data", str(tmp_path / "data")]
        command = ["add", *words, *at]
        added = await asyncio.to_thread(CliRunner().invoke, device_command, command)
        assert added.exit_code == 0, added.output
        host, _, port = ready["dimse_tls"].rpartition(":")
        contexts = TlsContexts(TlsFiles(ct1.certificate, ct1.key, authority.path))
        peer = Peer(ready["aet"], host, int(port), PeerTls(contexts))
        proposals = (Proposal(str(Verification), ("1.2.840.10008.1.2",)),)
        opened: list[OurAssociation] = []
        rejected: list[int] = []
        # The kernel shares these out among the processes.
        for _ in range(12):
            try:
                opened.append(await connect(peer, "CT1", proposals))
            except AssociationRejected as error:
                rejected.append(error.rejection.reason)
        assert (len(opened), rejected) == (2, [2] * 10)
        for association in opened:
            assert (await echo(association)).status == 0
            await association.release()
        with pytest.raises(AssociationRejected):
            await connect(Peer(ready["aet"], *_split(ready["dimse"])), "CT1", proposals)


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


def test_a_start_with_files_that_are_no_good(tmp_path: Path, ours: Pair) -> None:
    environment = {
        **os.environ,
        "PACS_DIMSE_TLS": "127.0.0.1:0",
        "PACS_DIMSE_TLS_CERTIFICATE": str(ours.certificate),
        "PACS_DIMSE_TLS_CLIENTS": "none",
        "PACS_DIMSE": "127.0.0.1:0",
        "PACS_DIMSE_PROCESSES": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "pacs_cloud", "serve", "dimse"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 2
    assert str(ours.certificate) in done.stderr
