"""Messages of ours, in the order and the shape in which a peer gets them."""

import asyncio
from collections.abc import AsyncIterator

from pacs_cloud.dimse.command import Command, CommandField, Element, Value, decode_command
from pacs_cloud.dimse.negotiation import NOTHING, Context
from pacs_cloud.dimse.outbound import Outbox
from pacs_cloud.dimse.pdu import COMMAND_FRAGMENT, DATA_HEADER
from pacs_cloud.dimse.service import Response

CT = "1.2.840.10008.5.1.4.1.1.2"
CONTEXT = Context(7, CT, "1.2.840.10008.1.2", NOTHING, performs=True, invokes=True)


class Connection:
    """What an outbox writes to, with a peer that reads everything at once."""

    def __init__(self) -> None:
        self.fragments: list[tuple[int, bytes]] = []

    def send(self, pdus: bytes) -> None:
        while pdus:
            _, _, length, context_id, control = DATA_HEADER.unpack_from(pdus)
            end = DATA_HEADER.size + length - 2
            assert context_id == CONTEXT.context_id
            self.fragments.append((control, pdus[DATA_HEADER.size : end]))
            pdus = pdus[end:]

    async def drain(self) -> None:
        pass

    @property
    def commands(self) -> list[Command]:
        return [
            decode_command(value) for control, value in self.fragments if control & COMMAND_FRAGMENT
        ]


def outbox(connection: Connection, max_length: int = 1024) -> Outbox:
    made = Outbox(connection, 4096)  # pyright: ignore[reportArgumentType]
    made.set_max_length(max_length)
    return made


def request(**more: Value) -> Command:
    elements: dict[int, Value] = {
        Element.COMMAND_FIELD: CommandField.C_STORE,
        Element.MESSAGE_ID: 5,
        **{Element[name]: value for name, value in more.items()},
    }
    return Command(elements)


async def test_a_response_names_what_was_requested() -> None:
    connection = Connection()
    affected = request(AFFECTED_SOP_CLASS_UID=CT, AFFECTED_SOP_INSTANCE_UID="1.2.3")
    requested = request(REQUESTED_SOP_CLASS_UID=CT, REQUESTED_SOP_INSTANCE_UID="1.2.3")
    comment: dict[int, Value] = {Element.ERROR_COMMENT: "why"}
    for one in (affected, requested):
        for response in (Response(0xA700), Response(0xA700, elements=comment)):
            await outbox(connection).respond(CONTEXT, one, response)
    plain, commented = connection.commands[:2]
    assert plain.elements == {
        Element.AFFECTED_SOP_CLASS_UID: CT,
        Element.COMMAND_FIELD: 0x8001,
        Element.RESPONDED_TO: 5,
        Element.DATA_SET_TYPE: 0x0101,
        Element.STATUS: 0xA700,
        Element.AFFECTED_SOP_INSTANCE_UID: "1.2.3",
    }
    assert commented.elements == {**plain.elements, **comment}
    assert connection.commands == [plain, commented] * 2


async def test_a_response_to_a_request_that_names_nothing() -> None:
    connection = Connection()
    await outbox(connection).respond(CONTEXT, request(), Response(0))
    (response,) = connection.commands
    assert not response.affected_sop_class_uid
    assert not response.affected_sop_instance_uid


async def test_a_response_waits_for_a_message_that_is_midway() -> None:
    connection = Connection()
    out = outbox(connection)
    rest = asyncio.Event()

    async def data_set() -> AsyncIterator[bytes]:
        yield bytes(5000)
        await rest.wait()
        yield bytes(10)

    elements: dict[int, Value] = {Element.COMMAND_FIELD: CommandField.C_STORE}
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(out.send(CONTEXT, elements, data_set()))
        await asyncio.sleep(0.01)
        assert connection.fragments
        tasks.create_task(out.respond(CONTEXT, request(), Response(0)))
        await asyncio.sleep(0.01)
        rest.set()
    controls = [control for control, _ in connection.fragments]
    assert controls == [3, *[0] * (len(controls) - 3), 2, 3]
    assert sum(len(value) for control, value in connection.fragments if control != 3) == 5010
