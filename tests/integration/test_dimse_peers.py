"""Real peers: pynetdicom and DCMTK against our server, our requestor against both."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from dimse_wire import (
    CT,
    EXPLICIT,
    FIND,
    GET,
    IMPLICIT,
    J2K,
    Kept,
    Store,
    eventually,
    offer_of,
    repertoire,
    serving,
)
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pynetdicom import AE, AllStoragePresentationContexts, build_role, evt
from pynetdicom.pdu_primitives import UserIdentityNegotiation

from pacs_cloud.dimse.association import Association
from pacs_cloud.dimse.command import CommandField, Element
from pacs_cloud.dimse.fragments import FileRange, Source
from pacs_cloud.dimse.limits import Limits
from pacs_cloud.dimse.negotiation import Offer, Proposal, context_to_invoke
from pacs_cloud.dimse.pdu import AssociationRejected
from pacs_cloud.dimse.requestor import Instance, MoveOriginator, Peer, connect, echo, store
from pacs_cloud.dimse.server import Server
from pacs_cloud.dimse.service import Discard, Operation, Response
from pacs_cloud.dimse.state import AssociationAborted, EndKind
from pacs_cloud.dimse.verification import VERIFICATION, VERIFICATION_OFFER
from pacs_cloud.errors import NotFound, PacsError, Unavailable
from patience import PATIENCE_S
from servers.child import free_ports

IDENTIFIER = b"\x08\x00\x52\x00\x06\x00\x00\x00STUDY "


class Counting:
    """A service with many answers: pending ones until it is told to stop."""

    def __init__(self, answers: int) -> None:
        self.answers = answers
        self.asked: list[bytes] = []
        self.sent = 0

    def open(self, operation: Operation) -> Kept:
        return Kept(Store(), operation)

    async def complete(self, operation: Operation, sink: Kept) -> Response:
        self.asked.append(bytes(sink.data))
        for _ in range(self.answers):
            if operation.cancelled.is_set():
                return Response(0xFE00)
            await operation.respond(Response(0xFF00, IDENTIFIER))
            self.sent += 1
        return Response(0x0000)

    def failure(self, error: PacsError) -> Response:
        return Response(0xC000)


class Getting:
    """A C-GET that sends one instance back over the same association."""

    def __init__(self, *data_sets: Source) -> None:
        self.data_sets = data_sets
        self.statuses: list[int] = []

    def open(self, operation: Operation) -> Discard:
        return Discard()

    async def complete(self, operation: Operation, sink: Discard) -> Response:
        for number, data_set in enumerate(self.data_sets):
            instance = Instance(CT, f"1.2.3.{number}", IMPLICIT, data_set)
            answer = await store(operation.association, instance)
            self.statuses.append(answer.status)
            left = {Element.REMAINING_SUBOPERATIONS: len(self.data_sets) - number - 1}
            await operation.respond(Response(0xFF00, elements=left))
        counts = {Element.COMPLETED_SUBOPERATIONS: len(self.data_sets)}
        return Response(0x0000, elements=counts)

    def failure(self, error: PacsError) -> Response:
        return Response(0xC000)


def find_offer(answers: int) -> tuple[Counting, Offer]:
    service = Counting(answers)
    return service, Offer(frozenset((IMPLICIT, EXPLICIT)), {CommandField.C_FIND: service})


def data_set(number: int = 1, size: int = 1000) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = EXPLICIT
    ds.file_meta.MediaStorageSOPClassUID = CT
    ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
    ds.SOPClassUID = CT
    ds.SOPInstanceUID = f"1.2.3.{number}"
    ds.PixelData = bytes(size)
    ds["PixelData"].VR = "OW"
    return ds


# pynetdicom asks


def their_association(server: Server, ae: AE, **more: object):
    host, port = server.address
    return ae.associate(host, port, ae_title="PACS", **more)


async def test_pynetdicom_echoes_and_stores_and_releases() -> None:
    kept = Store()

    def talk(server: Server) -> list[int]:
        ae = AE("THEIRS")
        ae.add_requested_context(CT, EXPLICIT)
        ae.add_requested_context(VERIFICATION)
        association = their_association(server, ae, max_pdu=4096)
        assert association.is_established
        assert association.acceptor.implementation_version_name.startswith("PACS_CLOUD")
        statuses = [association.send_c_echo().Status]
        statuses += [association.send_c_store(data_set(n, 300_000)).Status for n in range(3)]
        association.release()
        assert association.is_released
        return statuses

    async with serving(repertoire(kept)) as server:
        assert await asyncio.to_thread(talk, server) == [0, 0, 0, 0]
        await eventually(lambda: not server.associations)
    assert [len(sink.data) for sink in kept.sinks] == [len(kept.sinks[0].data)] * 3
    assert kept.sinks[0].operation.association.request.max_length == 4096


async def test_pynetdicom_gets_every_storage_class() -> None:
    def talk(server: Server) -> int:
        ae = AE("THEIRS")
        ae.requested_contexts = AllStoragePresentationContexts[:128]
        association = their_association(server, ae)
        accepted = len(association.accepted_contexts)
        association.release()
        return accepted

    async with serving(repertoire(Store())) as server:
        assert await asyncio.to_thread(talk, server) == 128


async def test_pynetdicom_finds_and_cancels() -> None:
    service, offer = find_offer(5000)

    def talk(server: Server) -> tuple[int, int]:
        ae = AE("THEIRS")
        ae.add_requested_context(FIND)
        association = their_association(server, ae)
        query = Dataset()
        query.QueryRetrieveLevel = "STUDY"
        pending = 0
        status = 0
        for answer, identifier in association.send_c_find(query, FIND, msg_id=4):
            status = answer.Status
            if identifier is not None:
                assert identifier.QueryRetrieveLevel == "STUDY"
                pending += 1
            if pending == 3:
                association.send_c_cancel(4, None, FIND)
        association.release()
        return pending, status

    async with serving(repertoire(Store(), find=offer)) as server:
        pending, status = await asyncio.to_thread(talk, server)
    assert status == 0xFE00
    assert 3 <= pending < 5000
    assert service.asked == [IDENTIFIER]


async def test_pynetdicom_gets_over_the_same_association() -> None:
    service = Getting(IDENTIFIER, IDENTIFIER)
    offer = Offer(frozenset((IMPLICIT,)), {CommandField.C_GET: service})

    def talk(server: Server) -> tuple[list[str], list[int]]:
        got: list[str] = []

        def take(event: evt.Event) -> int:
            got.append(event.request.AffectedSOPInstanceUID)
            assert event.request.DataSet.getvalue() == IDENTIFIER
            return 0xB000 if len(got) == 2 else 0x0000

        ae = AE("THEIRS")
        ae.add_requested_context(GET, IMPLICIT)
        ae.add_requested_context(CT, IMPLICIT)
        association = their_association(
            server,
            ae,
            ext_neg=[build_role(CT, scp_role=True)],
            evt_handlers=[(evt.EVT_C_STORE, take)],
        )
        query = Dataset()
        query.QueryRetrieveLevel = "STUDY"
        statuses = [answer.Status for answer, _ in association.send_c_get(query, GET)]
        association.release()
        return got, statuses

    async with serving(repertoire(Store(), get=offer)) as server:
        got, statuses = await asyncio.to_thread(talk, server)
    assert got == ["1.2.3.0", "1.2.3.1"]
    assert statuses == [0xFF00, 0xFF00, 0x0000]
    assert service.statuses == [0x0000, 0xB000]


async def test_pynetdicom_is_rejected_and_identifies_itself() -> None:
    def talk(server: Server) -> bool:
        ae = AE("THEIRS")
        ae.add_requested_context(VERIFICATION)
        identity = UserIdentityNegotiation()
        identity.user_identity_type = 1
        identity.primary_field = b"someone"
        association = their_association(server, ae, ext_neg=[identity])
        accepted = association.is_established
        association.abort()
        return accepted

    async with serving(repertoire(Store())) as server:
        assert await asyncio.to_thread(talk, server)
        await eventually(lambda: not server.associations)


# Our requestor


def peer_at(server: Server) -> Peer:
    return Peer("PACS", *server.address)


STORE_PROPOSALS = (
    Proposal(VERIFICATION, (IMPLICIT,)),
    Proposal(CT, (EXPLICIT, IMPLICIT)),
    Proposal(CT, (J2K,)),
)


@asynccontextmanager
async def calling(
    peer: Peer, proposals: tuple[Proposal, ...] = STORE_PROPOSALS, limits: Limits | None = None
) -> AsyncIterator[Association]:
    association = await connect(peer, "OURS", proposals, limits=limits)
    try:
        yield association
    finally:
        association.abort()
        association.upper.drop("the test is over")


async def iterated(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 1234):
        yield data[start : start + 1234]


BYTES = bytes(range(256)) * 6000


async def test_we_store_from_memory_files_and_iterators(tmp_path: Path) -> None:
    kept = Store()
    path = tmp_path / "instance"
    path.write_bytes(b"head" + BYTES + b"tail")
    sources: list[Source] = [
        BYTES,
        memoryview(BYTES),
        FileRange(path, 4, len(BYTES)),
        iterated(BYTES),
        b"",
    ]
    async with serving(repertoire(kept)) as server:
        async with calling(peer_at(server), limits=Limits(send_bytes=200_000)) as association:
            assert (await echo(association)).status == 0
            for number, source in enumerate(sources):
                instance = Instance(CT, f"1.2.{number}", J2K, source)
                answer = await store(association, instance, MoveOriginator("MOVER", 7))
                assert answer.status == 0
                assert answer.affected_sop_instance_uid == f"1.2.{number}"
            await association.release()
            assert association.is_over
        await eventually(lambda: not server.associations)
    assert [bytes(sink.data) for sink in kept.sinks] == [BYTES] * 4 + [b""]
    command = kept.sinks[0].operation.command
    assert command.text(Element.MOVE_ORIGINATOR_AE_TITLE) == "MOVER"
    assert command.number(Element.MOVE_ORIGINATOR_MESSAGE_ID) == 7
    assert kept.sinks[0].operation.context.transfer_syntax == J2K


async def test_we_say_what_was_not_accepted() -> None:
    async with serving(repertoire(Store())) as server, calling(peer_at(server)) as association:
        with pytest.raises(NotFound):
            await store(association, Instance(CT, "1.2", "1.2.840.10008.1.2.4.50", b"ab"))


async def test_we_say_that_nobody_is_there() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(Unavailable):
            await connect(Peer("X", *bound.getsockname()), "OURS", STORE_PROPOSALS)


async def test_we_do_not_wait_forever_for_an_answer() -> None:
    limits = Limits(artim_s=0.1)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        with pytest.raises(AssociationAborted):
            await connect(Peer("X", *mute.getsockname()), "OURS", STORE_PROPOSALS, limits=limits)
    kept = Store()
    kept.gate.clear()
    async with (
        serving(repertoire(kept)) as server,
        calling(peer_at(server), limits=Limits(response_s=0.1)) as association,
    ):
        with pytest.raises(AssociationAborted):
            await store(association, Instance(CT, "1.2", J2K, b"ab"))
        assert association.is_over


async def test_we_do_not_wait_forever_for_a_peer_that_does_not_read() -> None:
    kept = Store()
    kept.slow = asyncio.get_running_loop().create_future()
    async with serving(repertoire(kept)) as server:
        async with calling(peer_at(server), limits=Limits(network_s=0.2)) as association:
            with pytest.raises(AssociationAborted, match="does not read"):
                await store(association, Instance(CT, "1.2", J2K, bytes(64 << 20)))
        kept.slow.set_result(None)
        await eventually(lambda: kept.sinks[0].aborts)


async def test_a_source_that_fails_midway_aborts() -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield bytes(300_000)
        raise OSError("gone")

    kept = Store()
    async with serving(repertoire(kept)) as server:
        limits = Limits(send_bytes=100_000)
        async with calling(peer_at(server), limits=limits) as association:
            with pytest.raises(OSError, match="gone"):
                await store(association, Instance(CT, "1.2", J2K, failing()))
            assert association.is_over
        await eventually(lambda: kept.sinks and kept.sinks[0].aborts)


async def test_we_find_and_cancel() -> None:
    service, offer = find_offer(100_000)
    async with (
        serving(repertoire(Store(), find=offer)) as server,
        calling(peer_at(server), (Proposal(FIND, (IMPLICIT,)),)) as association,
    ):
        context = context_to_invoke(association.contexts.values(), FIND)
        request = {
            Element.COMMAND_FIELD: CommandField.C_FIND,
            Element.AFFECTED_SOP_CLASS_UID: FIND,
            Element.PRIORITY: 0,
        }
        invocation = await association.invoke(context, request, IDENTIFIER)
        # Replies that nobody takes must not pile up without a bound.
        await asyncio.sleep(0.2)
        assert service.sent < 100_000
        seen = 0
        status = 0
        async for reply in invocation:
            status = reply.command.status
            seen += reply.data_set == IDENTIFIER
            if seen == 200:
                await invocation.cancel()
        assert status == 0xFE00
        assert seen == service.sent


async def test_we_get_over_the_same_association() -> None:
    kept = Store()
    service = Getting(BYTES, BYTES, BYTES)
    offer = Offer(frozenset((IMPLICIT,)), {CommandField.C_GET: service})
    proposals = (
        Proposal(GET, (IMPLICIT,)),
        Proposal(CT, (IMPLICIT,), scu=False, offer=offer_of(kept)),
    )
    async with (
        serving(repertoire(Store(), get=offer)) as server,
        calling(peer_at(server), proposals) as association,
    ):
        context = context_to_invoke(association.contexts.values(), GET)
        request = {
            Element.COMMAND_FIELD: CommandField.C_GET,
            Element.AFFECTED_SOP_CLASS_UID: GET,
            Element.PRIORITY: 0,
        }
        replies = [
            reply.command async for reply in await association.invoke(context, request, b"ab")
        ]
        await association.release()
    assert [reply.status for reply in replies] == [0xFF00, 0xFF00, 0xFF00, 0]
    assert [r.number(Element.REMAINING_SUBOPERATIONS) for r in replies[:3]] == [2, 1, 0]
    assert replies[-1].number(Element.COMPLETED_SUBOPERATIONS) == 3
    assert service.statuses == [0, 0, 0]
    assert [bytes(sink.data) for sink in kept.sinks] == [BYTES] * 3


async def test_a_peer_that_goes_leaves_no_one_waiting() -> None:
    kept = Store()
    kept.gate.clear()
    async with serving(repertoire(kept)) as server, calling(peer_at(server)) as association:
        storing = asyncio.ensure_future(store(association, Instance(CT, "1.2", J2K, b"ab")))
        await eventually(lambda: kept.sinks)
        kept.sinks[0].operation.association.abort("enough")
        with pytest.raises(AssociationAborted) as caught:
            await storing
        assert caught.value.end.kind is EndKind.ABORTED_BY_PEER
        with pytest.raises(AssociationAborted):
            await echo(association)


async def test_several_askers_take_turns() -> None:
    kept = Store()
    async with serving(repertoire(kept)) as server, calling(peer_at(server)) as association:
        kept.gate.clear()
        asking = asyncio.gather(
            *(store(association, Instance(CT, f"1.2.{n}", J2K, BYTES)) for n in range(5))
        )
        await eventually(lambda: kept.sinks)
        await asyncio.sleep(0.05)
        assert len(association._invocations) == 1
        kept.gate.set()
        answers = await asking
    assert [answer.status for answer in answers] == [0] * 5
    assert [bytes(sink.data) for sink in kept.sinks] == [BYTES] * 5


@contextmanager
def their_server(titles: bool = False) -> Iterator[tuple[Peer, list[Dataset]]]:
    got: list[Dataset] = []

    def take(event: evt.Event) -> int:
        got.append(event.dataset)
        return 0x0000

    ae = AE("PACS")
    ae.require_called_aet = titles
    ae.supported_contexts = AllStoragePresentationContexts
    ae.add_supported_context(VERIFICATION)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, take)])
    try:
        yield Peer("PACS", *server.server_address[:2]), got
    finally:
        server.shutdown()


async def test_pynetdicom_takes_what_we_send(tmp_path: Path) -> None:
    path = tmp_path / "instance.dcm"
    data_set(1, 300_000).save_as(path, enforce_file_format=True)
    with path.open("rb") as file:
        meta = dcmread(file, stop_before_pixels=True, specific_tags=[]).file_meta
    offset = 132 + 12 + meta.FileMetaInformationGroupLength
    # pynetdicom takes its own first syntax of those proposed together.
    proposals = (Proposal(VERIFICATION, (IMPLICIT,)), Proposal(CT, (EXPLICIT,)))
    with their_server() as (peer, got):
        async with calling(peer, proposals) as association:
            assert (await echo(association)).status == 0
            for _ in range(3):
                instance = Instance(CT, "1.2.3.1", EXPLICIT, FileRange(path, offset))
                assert (await store(association, instance)).status == 0
            await association.release()
    assert [len(ds.PixelData) for ds in got] == [300_000] * 3


async def test_pynetdicom_rejects_us() -> None:
    with their_server(titles=True) as (peer, _):
        with pytest.raises(AssociationRejected) as caught:
            await connect(Peer("OTHER", peer.host, peer.port), "OURS", STORE_PROPOSALS)
        assert (caught.value.rejection.source, caught.value.rejection.reason) == (1, 7)


# DCMTK


async def run(*command: str) -> None:
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr


async def test_dcmtk_echoes_and_stores(dcmtk: Callable[[str], str], tmp_path: Path) -> None:
    kept = Store()
    for number in range(3):
        data_set(number, 500_000).save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
    async with serving(repertoire(kept)) as server:
        host, port = server.address
        await run(dcmtk("echoscu"), "-aec", "PACS", host, str(port))
        for pdu in ("4096", "131072"):
            await run(
                dcmtk("storescu"),
                "-aec",
                "PACS",
                "-pdu",
                pdu,
                "+sd",
                host,
                str(port),
                str(tmp_path),
            )
    assert [sink.completed for sink in kept.sinks] == [True] * 6
    assert {len(sink.data) for sink in kept.sinks} == {len(kept.sinks[0].data)}


async def test_dcmtk_takes_what_we_send(dcmtk: Callable[[str], str], tmp_path: Path) -> None:
    (port,) = free_ports(1)
    received = tmp_path / "received"
    received.mkdir()
    encoded = tmp_path / "data"
    ds = data_set(1, 400_000)
    ds.save_as(encoded, implicit_vr=False, little_endian=True)
    raw = encoded.read_bytes()
    raw = raw[raw.index(b"\x08\x00\x16\x00UI") :]
    process = subprocess.Popen([dcmtk("storescp"), "-od", str(received), str(port)])
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    association = await connect(
                        Peer("DCMTK", "127.0.0.1", port), "OURS", STORE_PROPOSALS
                    )
                    break
                except Unavailable:
                    await asyncio.sleep(0.05)
        instance = Instance(CT, "1.2.3.1", EXPLICIT, raw)
        assert (await store(association, instance)).status == 0
        await association.release()
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
    (path,) = received.iterdir()
    assert path.read_bytes().endswith(raw)


def test_the_verification_offer_answers_only_echo() -> None:
    assert set(VERIFICATION_OFFER.services) == {CommandField.C_ECHO}
