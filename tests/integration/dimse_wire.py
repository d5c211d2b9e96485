"""A raw DICOM client, a server on a free port, and a store that remembers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from struct import Struct

from pacs_cloud.dimse.associate import AssociateRequest, ProposedContext
from pacs_cloud.dimse.associate_codec import decode_accept, encode_request
from pacs_cloud.dimse.command import (
    Command,
    CommandField,
    Element,
    Value,
    decode_command,
    encode_command,
)
from pacs_cloud.dimse.fragments import Fragmenter
from pacs_cloud.dimse.gate import AeTitleGate, Gate
from pacs_cloud.dimse.limits import Limits
from pacs_cloud.dimse.negotiation import Offer, Repertoire
from pacs_cloud.dimse.server import Server, ServerSettings
from pacs_cloud.dimse.service import Operation, Response
from pacs_cloud.dimse.storage_classes import storage_repertoire
from pacs_cloud.dimse.verification import VERIFICATION, VERIFICATION_OFFER
from pacs_cloud.errors import PacsError
from patience import PATIENCE_S

CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
J2K = "1.2.840.10008.1.2.4.90"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
GET = "1.2.840.10008.5.1.4.1.2.2.3"
HEADER = Struct(">BxI")


class Kept:
    """A sink that remembers."""

    def __init__(self, store: "Store", operation: Operation) -> None:
        self.store = store
        self.operation = operation
        self.data = bytearray()
        self.aborts = 0
        self.completed = False
        self.writes = 0

    def write(self, piece: memoryview) -> asyncio.Future[None] | None:
        self.writes += 1
        self.data += piece
        if self.store.write_error is not None:
            raise self.store.write_error
        return self.store.ready(self)

    def abort(self) -> None:
        self.aborts += 1


class Store:
    """A C-STORE service that keeps data sets in memory."""

    def __init__(self) -> None:
        self.sinks: list[Kept] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.open_error: PacsError | None = None
        self.write_error: Exception | None = None
        self.complete_error: Exception | None = None
        self.slow: asyncio.Future[None] | None = None
        self.cancelled = 0
        self.arrived = asyncio.Event()

    def ready(self, sink: Kept) -> asyncio.Future[None] | None:
        self.arrived.set()
        return self.slow

    def open(self, operation: Operation) -> Kept:
        if self.open_error is not None:
            raise self.open_error
        sink = Kept(self, operation)
        self.sinks.append(sink)
        return sink

    async def complete(self, operation: Operation, sink: Kept) -> Response:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.complete_error is not None:
            raise self.complete_error
        sink.completed = True
        return Response(0)

    def failure(self, error: PacsError) -> Response:
        return Response(0xA700)


def offer_of(store: Store) -> Offer:
    return Offer(None, {CommandField.C_STORE: store}, invokes=True)


def repertoire(store: Store, **more: Offer) -> Repertoire:
    storage = storage_repertoire(offer_of(store), private_classes=True)
    extra = {{"find": FIND, "get": GET}[name]: offer for name, offer in more.items()}
    return Repertoire(
        {**storage.offers, VERIFICATION: VERIFICATION_OFFER, **extra}, storage.private
    )


@asynccontextmanager
async def serving(
    offers: Repertoire,
    limits: Limits | None = None,
    gate: Gate | None = None,
    max_associations: int = 100,
) -> AsyncIterator[Server]:
    server = Server(
        ServerSettings(
            offers,
            gate=gate or AeTitleGate(),
            limits=limits or Limits(),
            max_associations=max_associations,
            quiet_s=0.05,
        )
    )
    await server.start()
    try:
        yield server
    finally:
        await server.stop(0)


class Wire:
    """One connection, spoken byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.max_length = 0

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def pdu(self) -> tuple[int, bytes]:
        """Return the next PDU; (0, b"") when the server has closed."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                pdu_type, length = HEADER.unpack(await self.reader.readexactly(6))
                return pdu_type, await self.reader.readexactly(length)
            except (asyncio.IncompleteReadError, ConnectionError):
                return 0, b""

    async def associate(
        self, *syntaxes: str, transfer_syntax: str = IMPLICIT, **more: object
    ) -> int:
        """Ask for contexts 1, 3, …; return the answer's PDU type."""
        await self.send(associate_rq(*syntaxes, transfer_syntax=transfer_syntax, **more))
        pdu_type, body = await self.pdu()
        if pdu_type == 2:
            self.max_length = decode_accept(body).max_length
        return pdu_type

    async def response(self) -> Command:
        """Return the next command set; it must be one fragment."""
        pdu_type, body = await self.pdu()
        assert pdu_type == 4, (pdu_type, body)
        assert body[5] == 3
        return decode_command(body[6:])

    async def closed(self) -> bool:
        """Say whether the server closes, with nothing more to tell."""
        return await self.pdu() == (0, b"")

    async def aborted(self) -> tuple[int, int]:
        """Return the source and reason of the A-ABORT that must come."""
        pdu_type, body = await self.pdu()
        assert pdu_type == 7, (pdu_type, body)
        return body[2], body[3]

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


@asynccontextmanager
async def wire_to(server: Server) -> AsyncIterator[Wire]:
    wire = Wire(*await asyncio.open_connection(*server.address))
    try:
        yield wire
    finally:
        await wire.close()


def associate_rq(*syntaxes: str, transfer_syntax: str = IMPLICIT, **more: object) -> bytes:
    contexts = tuple(
        ProposedContext(2 * n + 1, syntax, (transfer_syntax,)) for n, syntax in enumerate(syntaxes)
    )
    values: dict[str, object] = {
        "called_ae_title": "PACS",
        "calling_ae_title": "WIRE",
        "contexts": contexts,
        "max_length": 16384,
        "implementation_class_uid": "1.2.3",
        **more,
    }
    return encode_request(AssociateRequest(**values))  # pyright: ignore[reportArgumentType]


def command_pdu(elements: dict[int, Value], context_id: int = 1) -> bytes:
    return b"".join(Fragmenter(context_id, 16384).command(encode_command(elements)))


def data_pdu(data: bytes, context_id: int = 1, *, ends: bool = True) -> bytes:
    return b"".join(Fragmenter(context_id, 16384).data(data, ends=ends))


def echo_rq(message_id: int = 1, context_id: int = 1) -> bytes:
    return command_pdu(
        {
            Element.AFFECTED_SOP_CLASS_UID: VERIFICATION,
            Element.COMMAND_FIELD: CommandField.C_ECHO,
            Element.MESSAGE_ID: message_id,
            Element.DATA_SET_TYPE: 0x0101,
        },
        context_id,
    )


def store_rq(message_id: int = 1, context_id: int = 1, **more: int | str) -> bytes:
    return command_pdu(
        {
            Element.AFFECTED_SOP_CLASS_UID: CT,
            Element.COMMAND_FIELD: CommandField.C_STORE,
            Element.MESSAGE_ID: message_id,
            Element.PRIORITY: 0,
            Element.DATA_SET_TYPE: 1,
            Element.AFFECTED_SOP_INSTANCE_UID: f"1.2.3.{message_id}",
            **{Element[name]: value for name, value in more.items()},
        },
        context_id,
    )


async def eventually(condition: object) -> None:
    """Wait until `condition()` holds."""
    assert callable(condition)
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.005)
