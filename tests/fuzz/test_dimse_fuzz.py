"""Mutated byte streams: nothing leaves the protocol but PDUs, and nothing stays behind."""

import asyncio
import contextlib
import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pacs_cloud.dimse.associate import AssociateAccept, AssociateRequest, ProposedContext, Roles
from pacs_cloud.dimse.associate_codec import decode_accept, decode_request, encode_request
from pacs_cloud.dimse.association import Acceptor, Association
from pacs_cloud.dimse.command import Command, CommandField, Element, decode_command, encode_command
from pacs_cloud.dimse.fragments import Fragmenter
from pacs_cloud.dimse.gate import AeTitleGate
from pacs_cloud.dimse.limits import Limits
from pacs_cloud.dimse.negotiation import Offer, Repertoire
from pacs_cloud.dimse.pdu import RELEASE_RQ, ProtocolViolation, encode_abort
from pacs_cloud.dimse.reader import PduReader
from pacs_cloud.dimse.service import Operation, Response
from pacs_cloud.dimse.state import State
from pacs_cloud.dimse.verification import VERIFICATION, VERIFICATION_OFFER
from pacs_cloud.errors import PacsError
from patience import PATIENCE_S

CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT = "1.2.840.10008.1.2"


class Kept:
    def __init__(self) -> None:
        self.aborts = 0
        self.handed_over = False

    def write(self, piece: memoryview) -> None:
        assert len(piece)

    def abort(self) -> None:
        self.aborts += 1


class Store:
    def __init__(self) -> None:
        self.sinks: list[Kept] = []

    def open(self, operation: Operation) -> Kept:
        self.sinks.append(Kept())
        return self.sinks[-1]

    async def complete(self, operation: Operation, sink: Kept) -> Response:
        sink.handed_over = True
        await asyncio.sleep(0)
        return Response(0)

    def failure(self, error: PacsError) -> Response:
        return Response(0xC000)


class Connection(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self, protocol: asyncio.BufferedProtocol) -> None:
        super().__init__()
        self.protocol = protocol
        self.written = bytearray()
        self.closing = False
        self.paused = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closing
        self.written += data

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.close()

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)


def session() -> bytes:
    """Return what a well-behaved peer sends: two stores, an echo, a cancel, a release."""
    request = AssociateRequest(
        "PACS",
        "FUZZ",
        (ProposedContext(1, CT, (IMPLICIT,)), ProposedContext(3, VERIFICATION, (IMPLICIT,))),
        16384,
        "1.2.3",
        "FUZZ",
        (1, 1),
        (Roles(CT, scu=True, scp=True),),
        ((CT, b"\x01"),),
    )
    parts = [encode_request(request)]
    for message_id in (1, 2):
        cut = Fragmenter(1, 60)
        parts += cut.command(
            encode_command(
                {
                    Element.AFFECTED_SOP_CLASS_UID: CT,
                    Element.COMMAND_FIELD: CommandField.C_STORE,
                    Element.MESSAGE_ID: message_id,
                    Element.PRIORITY: 0,
                    Element.DATA_SET_TYPE: 1,
                    Element.AFFECTED_SOP_INSTANCE_UID: "1.2.3",
                }
            )
        )
        parts += cut.data(bytes(200), ends=True)
    for field, number in ((CommandField.C_ECHO, 0x110), (CommandField.C_CANCEL, 0x120)):
        parts += Fragmenter(3, 200).command(
            encode_command(
                {
                    Element.COMMAND_FIELD: field,
                    Element(number): 3,
                    Element.DATA_SET_TYPE: 0x0101,
                }
            )
        )
    return b"".join(parts) + RELEASE_RQ


SESSION = session()
REQUEST_LENGTH = 6 + int.from_bytes(SESSION[2:6], "big")


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    stream = bytearray(SESSION)
    # Most mutations of the request end everything at once: leave it alone half of the time.
    first = draw(st.sampled_from((0, REQUEST_LENGTH)))
    for _ in range(draw(st.integers(1, 5))):
        if len(stream) <= first:
            break
        at = draw(st.integers(first, len(stream) - 1))
        kind = draw(st.sampled_from(("set", "insert", "delete", "cut", "repeat", "abort")))
        if kind == "set":
            stream[at] = draw(st.sampled_from((0, 1, 2, 3, 4, 5, 7, 0x7F, 0x80, 0xFF)))
        elif kind == "insert":
            stream[at:at] = draw(st.binary(min_size=1, max_size=12))
        elif kind == "delete":
            del stream[at : at + draw(st.integers(1, 12))]
        elif kind == "cut":
            del stream[at:]
        elif kind == "repeat":
            stream[at:at] = stream[at : at + draw(st.integers(1, 200))]
        else:
            stream[at:at] = encode_abort(0, 0)
    return bytes(stream)


async def play(stream: bytes, sizes: list[int]) -> tuple[Store, Association, Connection]:
    """Feed `stream` in pieces of `sizes`, then lose the connection."""
    store = Store()
    offers = Repertoire(
        {
            CT: Offer(None, {CommandField.C_STORE: store}, invokes=True),
            VERIFICATION: VERIFICATION_OFFER,
        }
    )
    association = Association(Acceptor(offers, AeTitleGate()), Limits())
    upper = association.upper
    connection = Connection(upper)
    upper.connection_made(connection)
    for size in [*sizes, *[len(stream)] * 4]:
        while stream and not connection.closing and not connection.paused:
            room = upper.get_buffer(-1)
            assert len(room)
            count = min(len(room), size, len(stream))
            room[:count], stream = stream[:count], stream[count:]
            upper.buffer_updated(count)
            if size in sizes:
                break
        for _ in range(6):
            await asyncio.sleep(0)
    connection.close()
    async with asyncio.timeout(PATIENCE_S):
        await association.wait_closed()
    await asyncio.sleep(0)
    return store, association, connection


def check(stream: bytes, sizes: list[int]) -> None:
    async def run() -> None:
        failures: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: failures.append(what))
        store, association, connection = await play(stream, sizes)
        assert not failures
        assert association.upper.state is State.CLOSED
        assert association.is_over
        assert not association.busy
        assert not asyncio.all_tasks() - {asyncio.current_task()}
        for sink in store.sinks:
            # Given to the service, or aborted; never both, never neither.
            assert sink.aborts + sink.handed_over == 1
        written = bytes(connection.written)
        while written:
            assert 1 <= written[0] <= 7
            length = 6 + int.from_bytes(written[2:6], "big")
            assert length <= len(written)
            written = written[length:]

    asyncio.run(run())


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


BUDGET = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@BUDGET
@given(streams(), st.lists(st.integers(1, 300), max_size=30))
def test_mutated_sessions(stream: bytes, sizes: list[int]) -> None:
    # The first piece is the request: what comes before its answer is a violation.
    check(stream, [REQUEST_LENGTH, *sizes])


@BUDGET
@given(st.binary(max_size=400), st.booleans())
def test_noise(noise: bytes, after_request: bool) -> None:
    check(SESSION[:REQUEST_LENGTH] * after_request + noise, [REQUEST_LENGTH])


def test_the_unmutated_session_works() -> None:
    async def run() -> None:
        store, _, connection = await play(SESSION, [REQUEST_LENGTH])
        assert [sink.handed_over for sink in store.sinks] == [True, True]
        assert connection.written.endswith(bytes((6, 0, 0, 0, 0, 4, 0, 0, 0, 0)))

    asyncio.run(run())


def test_every_cut_of_a_session() -> None:
    for length in range(0, len(SESSION), 7):
        check(SESSION[:length], [REQUEST_LENGTH, length // 2 or 1])


@BUDGET
@given(st.binary(max_size=300), st.booleans())
def test_associate_bodies(noise: bytes, whole_head: bool) -> None:
    body = SESSION[6 : 6 + 68] * whole_head + noise
    for decode, kind in ((decode_request, AssociateRequest), (decode_accept, AssociateAccept)):
        try:
            assert isinstance(decode(body), kind)
        except ProtocolViolation:
            continue


@BUDGET
@given(st.binary(max_size=200))
def test_command_sets(noise: bytes) -> None:
    try:
        assert isinstance(decode_command(noise), Command)
    except ProtocolViolation:
        return


class Counter:
    def __init__(self) -> None:
        self.bytes = 0

    def pdu_begins(self, pdu_type: int, length: int) -> None:
        if pdu_type > 7 or length > 1000:
            raise ProtocolViolation("judged")

    def pdu_ended(self, pdu_type: int, body: bytes) -> None:
        self.bytes += len(body)

    def data_arrived(self, context_id: int, control: int, piece: memoryview, ends: bool) -> None:
        self.bytes += len(piece)


@BUDGET
@given(st.binary(max_size=500))
def test_the_reader_hands_on_no_more_than_it_got(noise: bytes) -> None:
    counter = Counter()
    reader = PduReader(counter)
    room = reader.room()
    room[: len(noise)] = noise
    with contextlib.suppress(ProtocolViolation):
        reader.received(len(noise))
    assert counter.bytes <= len(noise)
