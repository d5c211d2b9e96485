"""The upper layer and the message layer, from a raw socket: right, wrong and hostile peers."""

import asyncio
from dataclasses import replace
from struct import pack

import pytest
from dimse_wire import (
    CT,
    FIND,
    IMPLICIT,
    Store,
    Wire,
    associate_rq,
    command_pdu,
    data_pdu,
    echo_rq,
    eventually,
    repertoire,
    serving,
    store_rq,
    wire_to,
)

from pacs_cloud.dimse.associate import UserIdentity
from pacs_cloud.dimse.associate_codec import decode_accept
from pacs_cloud.dimse.command import CommandField, Element
from pacs_cloud.dimse.gate import Admission, AeTitleGate, Remote
from pacs_cloud.dimse.limits import Limits
from pacs_cloud.dimse.pdu import (
    RELEASE_RP,
    RELEASE_RQ,
    TEMPORARY_CONGESTION,
    AssociationRejected,
    decode_rejection,
    encode_abort,
)
from pacs_cloud.dimse.server import Endpoint, Server, ServerSettings
from pacs_cloud.dimse.state import End, EndKind
from pacs_cloud.dimse.verification import VERIFICATION
from pacs_cloud.errors import Denied, StorageFull
from patience import PATIENCE_S

DATA = bytes(range(256)) * 64


async def test_echo_store_release() -> None:
    store = Store()
    async with serving(repertoire(store)) as server, wire_to(server) as wire:
        assert await wire.associate(CT, VERIFICATION) == 2
        assert wire.max_length == 131072
        await wire.send(echo_rq(5, context_id=3))
        response = await wire.response()
        assert (response.field, response.responded_to, response.status) == (0x8030, 5, 0)
        await wire.send(store_rq(6) + data_pdu(DATA))
        response = await wire.response()
        assert (response.field, response.responded_to, response.status) == (0x8001, 6, 0)
        assert response.affected_sop_class_uid == CT
        assert response.affected_sop_instance_uid == "1.2.3.6"
        assert not response.has_data_set
        await wire.send(RELEASE_RQ)
        assert await wire.pdu() == (6, bytes(4))
    (sink,) = store.sinks
    assert sink.data == DATA
    assert sink.completed
    assert not sink.aborts


async def test_a_value_split_at_every_byte() -> None:
    store = Store()
    stream = store_rq(1) + data_pdu(b"0123456789")
    async with serving(repertoire(store)) as server, wire_to(server) as wire:
        await wire.associate(CT)
        for cut in range(1, len(stream)):
            await wire.send(stream[:cut])
            await asyncio.sleep(0.001)
            await wire.send(stream[cut:])
            assert (await wire.response()).status == 0
    assert {bytes(sink.data) for sink in store.sinks} == {b"0123456789"}
    assert len(store.sinks) == len(stream) - 1


async def test_several_values_in_one_pdu() -> None:
    store = Store()
    body, rest = b"", store_rq(1) + data_pdu(b"abcd", ends=False) + data_pdu(b"ef")
    while rest:
        length = int.from_bytes(rest[2:6], "big")
        body, rest = body + rest[6 : 6 + length], rest[6 + length :]
    async with serving(repertoire(store)) as server, wire_to(server) as wire:
        await wire.associate(CT)
        await wire.send(pack(">BBI", 4, 0, len(body)) + body)
        assert (await wire.response()).status == 0
    assert store.sinks[0].data == b"abcdef"


# Negotiation


async def rejection_of(wire: Wire, **more: object) -> tuple[int, int, int]:
    await wire.send(associate_rq(VERIFICATION, **more))
    pdu_type, body = await wire.pdu()
    assert pdu_type == 3
    rejection = decode_rejection(body)
    return rejection.result, rejection.source, rejection.reason


@pytest.mark.parametrize(
    ("more", "rejection"),
    [
        ({"called_ae_title": "OTHER"}, (1, 1, 7)),
        ({"calling_ae_title": "STRANGER"}, (1, 1, 3)),
        ({"application_context": "1.2.3"}, (1, 1, 2)),
        ({"protocol_version": 2}, (1, 2, 2)),
        ({"max_length": 128}, (1, 1, 1)),
    ],
)
async def test_rejections(more: dict[str, object], rejection: tuple[int, int, int]) -> None:
    gate = AeTitleGate(frozenset({"PACS"}), frozenset({"WIRE"}))
    async with serving(repertoire(Store()), gate=gate) as server, wire_to(server) as wire:
        assert await rejection_of(wire, **more) == rejection


@pytest.mark.parametrize("max_length", [0, 1024, 4096, 2**32 - 1])
async def test_a_peers_max_length_is_kept(max_length: int) -> None:
    async with serving(repertoire(Store())) as server, wire_to(server) as wire:
        assert await wire.associate(VERIFICATION, max_length=max_length) == 2
        await wire.send(echo_rq())
        assert (await wire.response()).status == 0


async def test_too_many_associations_for_now() -> None:
    async with serving(repertoire(Store()), max_associations=1) as server:
        async with wire_to(server) as first:
            assert await first.associate(VERIFICATION) == 2
            async with wire_to(server) as second:
                assert await rejection_of(second) == (2, 3, 2)
            await first.send(RELEASE_RQ)
            assert (await first.pdu())[0] == 6
        async with wire_to(server) as third:
            assert await third.associate(VERIFICATION) == 2


async def test_too_many_silent_connections_are_closed_at_once() -> None:
    async with serving(repertoire(Store()), max_associations=1) as server:
        wires = [await asyncio.open_connection(*server.address) for _ in range(66)]
        reader, _ = wires[-1]
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            async with asyncio.timeout(PATIENCE_S):
                await reader.readexactly(1)
        for _, writer in wires:
            writer.close()


async def test_user_identity_reaches_the_gate_and_its_answer_the_peer() -> None:
    class Doorman:
        async def admit(self, request: object, remote: Remote) -> Admission:
            identity = request.identity
            assert remote == Remote("127.0.0.1")
            if identity is None or identity.secondary != b"right":
                raise AssociationRejected(TEMPORARY_CONGESTION)
            return Admission(identity_response=b"token")

    async with serving(repertoire(Store()), gate=Doorman()) as server:
        async with wire_to(server) as wire:
            assert await rejection_of(wire) == (2, 3, 1)
        for asked, answer in ((True, b"token"), (False, None)):
            async with wire_to(server) as wire:
                identity = UserIdentity(2, asked, b"user", b"right")
                await wire.send(associate_rq(VERIFICATION, identity=identity))
                pdu_type, body = await wire.pdu()
                assert pdu_type == 2
                assert decode_accept(body).identity_response == answer


async def test_who_is_not_let_in_any_more_is_aborted_and_nothing_is_stored() -> None:
    class Fickle:
        asked = 0

        async def admit(self, request: object, remote: Remote) -> Admission:
            return Admission(still=self.still)

        async def still(self) -> None:
            self.asked += 1
            if self.asked > 1:
                raise Denied("they have been shut out")

    store = Store()
    async with serving(repertoire(store), gate=Fickle()) as server, wire_to(server) as wire:
        await wire.associate(CT)
        await wire.send(store_rq(1) + data_pdu(DATA))
        assert (await wire.response()).status == 0
        await wire.send(store_rq(2) + data_pdu(DATA))
        assert await wire.aborted() == (0, 0)
    assert [sink.completed for sink in store.sinks] == [True, False]
    assert store.sinks[1].aborts == 1


async def test_a_gate_that_fails_answers_all_the_same() -> None:
    class Broken:
        async def admit(self, request: object, remote: Remote) -> Admission:
            raise RuntimeError

    async with serving(repertoire(Store()), gate=Broken()) as server, wire_to(server) as wire:
        assert await rejection_of(wire) == (2, 3, 1)


async def test_a_gate_that_never_answers_is_not_waited_for() -> None:
    class Asleep:
        async def admit(self, request: object, remote: Remote) -> Admission:
            await asyncio.Event().wait()
            raise AssertionError

    limits = Limits(artim_s=0.3)
    async with serving(repertoire(Store()), limits, Asleep()) as server, wire_to(server) as wire:
        await wire.send(associate_rq(VERIFICATION))
        assert await wire.aborted() == (0, 0)


async def test_the_operations_window_is_one() -> None:
    async with serving(repertoire(Store())) as server:
        for asked, answer in (((8, 8), (1, 1)), (None, None)):
            async with wire_to(server) as wire:
                await wire.send(associate_rq(VERIFICATION, operations_window=asked))
                assert decode_accept((await wire.pdu())[1]).operations_window == answer


# Peers that break the protocol


@pytest.mark.parametrize(
    ("stream", "abort"),
    [
        (b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n", (0, 0)),
        (RELEASE_RQ, (0, 0)),
        (echo_rq(), (0, 0)),
        (pack(">BBI", 1, 0, 2**32 - 1), (0, 0)),
        (pack(">BBI", 1, 0, 10) + bytes(10), (0, 0)),
        (associate_rq(VERIFICATION).replace(b"\x00\x051.2.3", b"\x7f\xff1.2.3"), (0, 0)),
    ],
)
async def test_before_an_association_the_abort_is_the_users(
    stream: bytes, abort: tuple[int, int]
) -> None:
    async with serving(repertoire(Store())) as server, wire_to(server) as wire:
        await wire.send(stream)
        assert await wire.aborted() == abort


UNRECOGNIZED, UNEXPECTED, INVALID = (2, 1), (2, 2), (2, 6)


@pytest.mark.parametrize(
    ("stream", "abort"),
    [
        (pack(">BBI", 8, 0, 4), UNRECOGNIZED),
        (pack(">BBI", 0, 0, 4), UNRECOGNIZED),
        (associate_rq(VERIFICATION), UNEXPECTED),
        (pack(">BBI", 2, 0, 80), UNEXPECTED),
        (pack(">BBI", 3, 0, 4), UNEXPECTED),
        (RELEASE_RP, UNEXPECTED),
        (pack(">BBI", 5, 0, 5), INVALID),
        (pack(">BBI", 7, 0, 2**32 - 1), INVALID),
        (pack(">BBI", 4, 0, 131073), INVALID),
        (pack(">BBI", 4, 0, 2**32 - 1), INVALID),
        (pack(">BBI", 4, 0, 0), INVALID),
        (pack(">BBIIBB", 4, 0, 6, 2**31, 1, 3), INVALID),
        (pack(">BBIIBB", 4, 0, 6, 1, 1, 3), INVALID),
        (data_pdu(b"data set first"), INVALID),
        (store_rq() + data_pdu(b"ab", ends=False) + data_pdu(b"cd", 3), INVALID),
        (store_rq() + store_rq(), INVALID),
        (store_rq(context_id=5) + data_pdu(b"ab", 5), INVALID),
        (command_pdu({Element.PRIORITY: 1}), INVALID),
        (store_rq() + data_pdu(b"ab", ends=False) + RELEASE_RQ, INVALID),
        (command_pdu({0x100: 0x8001, 0x120: 9, 0x800: 0x0101, 0x900: 0}), INVALID),
    ],
)
async def test_a_violation_is_aborted_by_the_provider(
    stream: bytes, abort: tuple[int, int]
) -> None:
    store = Store()
    async with serving(repertoire(store)) as server, wire_to(server) as wire:
        assert await wire.associate(CT, VERIFICATION) == 2
        await wire.send(stream)
        assert await wire.aborted() == abort
        await wire.close()
        await eventually(lambda: not server.associations)
    assert all(sink.aborts == 1 and not sink.completed for sink in store.sinks)


async def test_bytes_before_the_answer_are_unexpected() -> None:
    class Slow:
        async def admit(self, request: object, remote: Remote) -> Admission:
            await asyncio.sleep(30)
            raise AssertionError

    async with serving(repertoire(Store()), gate=Slow()) as server, wire_to(server) as wire:
        await wire.send(associate_rq(VERIFICATION) + echo_rq())
        assert await wire.aborted() == UNEXPECTED


async def test_an_abort_in_mid_message_leaves_nothing() -> None:
    store = Store()
    async with serving(repertoire(store)) as server, wire_to(server) as wire:
        await wire.associate(CT)
        await wire.send(store_rq() + data_pdu(b"ab", ends=False) + encode_abort(0, 0))
        assert await wire.closed()
    assert [(bytes(sink.data), sink.aborts) for sink in store.sinks] == [(b"ab", 1)]


async def test_a_connection_lost_in_mid_message_leaves_nothing() -> None:
    store = Store()
    ends: list[End] = []
    async with serving(repertoire(store)) as server, wire_to(server) as wire:
        await wire.associate(CT)
        await wire.send(store_rq() + data_pdu(DATA, ends=False)[:-5])
        await store.arrived.wait()
        store.sinks[0].operation.association.on_end(lambda _, end: ends.append(end))
        await wire.close()
        await eventually(lambda: store.sinks[0].aborts)
    assert store.sinks[0].aborts == 1
    assert [end.kind for end in ends] == [EndKind.CONNECTION_LOST]


async def test_an_abort_while_a_service_runs_cancels_it() -> None:
    store = Store()
    store.gate.clear()
    async with serving(repertoire(store)) as server, wire_to(server) as wire:
        await wire.associate(CT)
        await wire.send(store_rq() + data_pdu(b"ab"))
        await eventually(lambda: store.sinks)
        await asyncio.sleep(0.02)
        await wire.send(encode_abort(0, 0))
        assert await wire.closed()
        await eventually(lambda: store.cancelled)
    assert store.sinks[0].aborts == 0


async def test_an_abort_before_a_service_has_run_aborts_its_sink() -> None:
    store = Store()
    async with serving(repertoire(store)) as server, wire_to(server) as wire:
        await wire.associate(CT)
        # In one write, so that the abort is read before the service's task has its first turn.
        await wire.send(store_rq() + data_pdu(b"ab") + encode_abort(0, 0))
        assert await wire.closed()
    assert [sink.aborts for sink in store.sinks] == [1]


# Time


async def test_silence_after_connecting_ends_without_a_word() -> None:
    async with (
        serving(repertoire(Store()), Limits(artim_s=0.1)) as server,
        wire_to(server) as wire,
    ):
        assert await wire.closed()


async def test_a_trickling_request_ends_too() -> None:
    async with (
        serving(repertoire(Store()), Limits(artim_s=0.2)) as server,
        wire_to(server) as wire,
    ):
        closed = asyncio.ensure_future(wire.pdu())
        for byte in associate_rq(VERIFICATION):
            if closed.done():
                break
            wire.writer.write(bytes((byte,)))
            await asyncio.sleep(0.02)
        assert await closed == (0, b"")


async def test_silence_in_mid_message_is_aborted() -> None:
    store = Store()
    limits = Limits(network_s=0.1)
    async with serving(repertoire(store), limits) as server, wire_to(server) as wire:
        await wire.associate(CT)
        await wire.send(store_rq() + data_pdu(b"ab", ends=False))
        assert await wire.aborted() == (2, 0)
    assert store.sinks[0].aborts == 1


async def test_a_trickle_in_mid_message_is_aborted() -> None:
    store = Store()
    limits = Limits(network_s=0.2)
    async with serving(repertoire(store), limits) as server, wire_to(server) as wire:
        await wire.associate(CT)
        await wire.send(store_rq() + data_pdu(bytes(9000))[:20])
        aborted = asyncio.ensure_future(wire.aborted())
        while not aborted.done():
            await wire.send(b"\0")
            await asyncio.sleep(0.02)
        assert await aborted == (2, 0)
    assert store.sinks[0].aborts == 1


async def test_idleness_is_aborted() -> None:
    limits = Limits(idle_s=0.1)
    async with serving(repertoire(Store()), limits) as server, wire_to(server) as wire:
        await wire.associate(VERIFICATION)
        assert await wire.aborted() == (2, 0)


async def test_a_working_service_is_no_idleness() -> None:
    store = Store()
    store.gate.clear()
    limits = Limits(idle_s=0.3, network_s=0.3)
    async with serving(repertoire(store), limits) as server, wire_to(server) as wire:
        await wire.associate(CT)
        await wire.send(store_rq() + data_pdu(b"ab"))
        await asyncio.sleep(0.6)
        store.gate.set()
        assert (await wire.response()).status == 0


async def test_a_peer_that_does_not_close_after_our_last_word_is_dropped() -> None:
    limits = Limits(artim_s=0.3)
    async with serving(repertoire(Store()), limits) as server, wire_to(server) as wire:
        await wire.associate(VERIFICATION)
        await wire.send(RELEASE_RQ)
        assert (await wire.pdu())[0] == 6
        assert await wire.closed()


# Services


async def test_unknown_commands_are_unrecognized_and_the_association_goes_on() -> None:
    async with serving(repertoire(Store())) as server, wire_to(server) as wire:
        await wire.associate(CT, VERIFICATION)
        for field in (0x7777, CommandField.N_CREATE, CommandField.C_FIND):
            elements = {
                Element.AFFECTED_SOP_CLASS_UID: CT,
                Element.COMMAND_FIELD: int(field),
                Element.MESSAGE_ID: 3,
                Element.DATA_SET_TYPE: 1,
            }
            await wire.send(command_pdu(elements) + data_pdu(b"identifier"))
            response = await wire.response()
            assert (response.field, response.status) == (field | 0x8000, 0x0211)
        await wire.send(echo_rq(context_id=3))
        assert (await wire.response()).status == 0


async def test_a_command_without_its_instance_uid_is_answered() -> None:
    store = Store()
    async with serving(repertoire(store)) as server, wire_to(server) as wire:
        await wire.associate(CT)
        await wire.send(store_rq(AFFECTED_SOP_INSTANCE_UID="") + data_pdu(b"ab"))
        response = await wire.response()
        assert response.status == 0xC000
        assert response.text(Element.ERROR_COMMENT) == "(0000,1000) is missing"
        await wire.send(store_rq(DATA_SET_TYPE=0x0101))
        assert (await wire.response()).status == 0xC000
    assert not store.sinks


async def test_a_refused_request_is_read_to_its_end() -> None:
    store = Store()
    store.open_error = StorageFull("no room")
    async with serving(repertoire(store)) as server, wire_to(server) as wire:
        await wire.associate(CT)
        await wire.send(store_rq() + data_pdu(DATA))
        assert (await wire.response()).status == 0xA700
        store.open_error = None
        await wire.send(store_rq(2) + data_pdu(DATA))
        assert (await wire.response()).status == 0


@pytest.mark.parametrize(
    ("error", "status"), [(StorageFull("no room"), 0xA700), (ValueError("a defect"), 0x0110)]
)
async def test_a_sink_or_service_that_fails_is_answered(error: Exception, status: int) -> None:
    store = Store()
    async with serving(repertoire(store)) as server, wire_to(server) as wire:
        await wire.associate(CT)
        store.write_error = error
        await wire.send(store_rq() + data_pdu(DATA, ends=False) + data_pdu(DATA))
        assert (await wire.response()).status == status
        assert (store.sinks[0].aborts, store.sinks[0].writes) == (1, 1)
        store.write_error, store.complete_error = None, error
        await wire.send(store_rq(2) + data_pdu(DATA))
        assert (await wire.response()).status == status
        store.complete_error = None
        await wire.send(store_rq(3) + data_pdu(DATA))
        assert (await wire.response()).status == 0


async def test_a_service_whose_own_work_is_cancelled_aborts() -> None:
    store = Store()
    store.complete_error = asyncio.CancelledError()  # pyright: ignore[reportAttributeAccessIssue]
    async with serving(repertoire(store)) as server, wire_to(server) as wire:
        await wire.associate(CT)
        await wire.send(store_rq() + data_pdu(b"ab"))
        assert await wire.aborted() == (0, 0)


async def test_a_sink_that_is_not_ready_holds_its_peer_back() -> None:
    store = Store()
    store.slow = asyncio.get_running_loop().create_future()
    async with serving(repertoire(store)) as server, wire_to(server) as wire:
        await wire.associate(CT)
        pieces = [data_pdu(bytes(10000), ends=False) for _ in range(9)]
        await wire.send(store_rq() + b"".join(pieces) + data_pdu(b"ab"))
        await eventually(lambda: store.sinks and store.sinks[0].writes)
        await asyncio.sleep(0.05)
        assert store.sinks[0].writes == 1
        assert not store.sinks[0].completed
        slow, store.slow = store.slow, None
        slow.set_result(None)
        assert (await wire.response()).status == 0
    assert len(store.sinks[0].data) == 90002


async def test_a_sink_whose_last_write_waits_is_completed_after_it() -> None:
    store = Store()
    store.slow = asyncio.get_running_loop().create_future()
    async with serving(repertoire(store)) as server, wire_to(server) as wire:
        await wire.associate(CT)
        await wire.send(store_rq() + data_pdu(b"ab"))
        await eventually(lambda: store.sinks and store.sinks[0].writes)
        await asyncio.sleep(0.05)
        assert not store.sinks[0].completed
        store.slow.set_exception(StorageFull("no room after all"))
        assert (await wire.response()).status == 0xA700
    assert store.sinks[0].aborts == 1


async def test_requests_sent_ahead_wait_their_turn() -> None:
    store = Store()
    store.gate.clear()
    async with serving(repertoire(store)) as server, wire_to(server) as wire:
        await wire.associate(CT, VERIFICATION)
        ahead = b"".join(store_rq(n) + data_pdu(DATA) for n in range(2, 40))
        await wire.send(store_rq(1) + data_pdu(DATA) + echo_rq(40, 3) + ahead)
        await eventually(lambda: store.sinks)
        await asyncio.sleep(0.05)
        assert len(store.sinks) == 1
        store.gate.set()
        answered = [(await wire.response()).responded_to for _ in range(40)]
    assert answered == [1, 40, *range(2, 40)]
    assert all(sink.data == DATA for sink in store.sinks)


async def test_a_release_waits_for_what_runs() -> None:
    store = Store()
    store.gate.clear()
    async with serving(repertoire(store)) as server, wire_to(server) as wire:
        await wire.associate(CT)
        await wire.send(store_rq() + data_pdu(b"ab") + RELEASE_RQ)
        await eventually(lambda: store.sinks and store.sinks[0].operation.cancelled.is_set())
        store.gate.set()
        assert (await wire.response()).status == 0
        assert (await wire.pdu())[0] == 6


async def test_both_release_at_once() -> None:
    store = Store()
    async with serving(repertoire(store)) as server, wire_to(server) as wire:
        await wire.associate(CT)
        await wire.send(store_rq() + data_pdu(b"ab"))
        await wire.response()
        association = store.sinks[0].operation.association
        ends: list[End] = []
        association.on_end(lambda _, end: ends.append(end))
        releasing = asyncio.ensure_future(association.release())
        assert await wire.pdu() == (5, bytes(4))
        await wire.send(RELEASE_RQ)
        await asyncio.sleep(0.05)
        assert not ends
        # We asked for the association: we answer first (PS3.8 9.2, Sta9, Sta10).
        await wire.send(RELEASE_RP)
        assert await wire.pdu() == (6, bytes(4))
        await wire.close()
        await releasing
    assert [end.kind for end in ends] == [EndKind.RELEASED]


async def test_a_stop_lets_work_finish_and_aborts_the_idle() -> None:
    store = Store()
    store.gate.clear()
    async with (
        serving(repertoire(store)) as server,
        wire_to(server) as working,
        wire_to(server) as idle,
        wire_to(server) as mute,
    ):
        await working.associate(CT)
        await idle.associate(CT)
        await working.send(store_rq() + data_pdu(b"ab"))
        await eventually(lambda: store.sinks)
        stopping = asyncio.ensure_future(server.stop(10))
        assert await idle.aborted() == (0, 0)
        await mute.pdu()
        with pytest.raises(OSError):
            await asyncio.open_connection(*server.address)
        assert not stopping.done()
        store.gate.set()
        assert (await working.response()).status == 0
        assert await working.aborted() == (0, 0)
        for wire in (working, idle, mute):
            await wire.close()
        await stopping
    assert store.sinks[0].completed


async def test_a_stop_cuts_off_what_does_not_end() -> None:
    store = Store()
    store.gate.clear()
    async with serving(repertoire(store)) as server, wire_to(server) as wire:
        await wire.associate(CT)
        await wire.send(store_rq() + data_pdu(b"ab"))
        await eventually(lambda: store.sinks)
        await server.stop(0.1)
        assert store.cancelled == 1
        assert await wire.aborted() == (0, 0)


async def test_the_transfer_syntax_is_the_senders() -> None:
    store = Store()
    async with serving(repertoire(store)) as server, wire_to(server) as wire:
        assert await wire.associate(CT, FIND, transfer_syntax=IMPLICIT) == 2
        await wire.send(store_rq() + data_pdu(b"ab"))
        await wire.response()
    assert store.sinks[0].operation.context.transfer_syntax == IMPLICIT


async def test_servers_share_a_port() -> None:
    settings = ServerSettings(repertoire(Store()), Endpoint(reuse_port=True))
    first = Server(settings)
    await first.start()
    endpoint = Endpoint(port=first.address[1], reuse_port=True)
    second = Server(replace(settings, endpoint=endpoint))
    await second.start()
    try:
        assert second.address == first.address
        with pytest.raises(OSError, match="in use"):
            await Server(replace(settings, endpoint=replace(endpoint, reuse_port=False))).start()
        await first.stop(0)
        async with wire_to(second) as wire:
            assert await wire.associate(VERIFICATION) == 2
    finally:
        await first.stop(0)
        await second.stop(0)
