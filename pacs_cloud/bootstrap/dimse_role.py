"""The DICOM process: the DIMSE services over the upper layer."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any, Final

from pacs_cloud.audit.trail import Trail
from pacs_cloud.audit.witness import DoorWitness
from pacs_cloud.bootstrap.auditing import open_trail
from pacs_cloud.bootstrap.dimse_doors import (
    Destinations,
    endpoint_of,
    gate_of,
    known_devices,
    tls_of,
)
from pacs_cloud.bootstrap.process_status import telling
from pacs_cloud.bootstrap.services import Reading, Stores, now_us, open_intake, open_reading
from pacs_cloud.dimse.c_find import CFind
from pacs_cloud.dimse.c_get import CGet
from pacs_cloud.dimse.c_move import CMove
from pacs_cloud.dimse.c_store import CStore
from pacs_cloud.dimse.command import CommandField
from pacs_cloud.dimse.information_models import IDENTIFIER_SYNTAXES, MODELS
from pacs_cloud.dimse.limits import Limits
from pacs_cloud.dimse.negotiation import Offer, Repertoire
from pacs_cloud.dimse.patience import Patience
from pacs_cloud.dimse.query_extension import Answer, answer_find, answer_retrieve
from pacs_cloud.dimse.roll import Roll
from pacs_cloud.dimse.selection import Shelf
from pacs_cloud.dimse.server import Server, ServerSettings
from pacs_cloud.dimse.service import Service
from pacs_cloud.dimse.storage_classes import storage_repertoire
from pacs_cloud.dimse.verification import VERIFICATION, VERIFICATION_OFFER
from pacs_cloud.errors import Unavailable
from pacs_cloud.identity.devices_known import KnownDevices
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.ingest.options import Acknowledge
from pacs_cloud.ingest.sync_process import SyncProcess
from pacs_cloud.ingest.syncer import Syncer
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.security.witness import Witness
from pacs_cloud.settings import Settings
from pacs_cloud.workers.send_recalled import jobs_for

DOOR: Final = "dimse"


@asynccontextmanager
async def serve_dimse(settings: Settings, stores: Stores) -> AsyncGenerator[None]:
    """Serve DIMSE at `settings.dimse` and `settings.dimse_tls` while entered.

    Raises:
        InvalidRequest: the files of TLS cannot be used.
        Unavailable: an address cannot be listened on.
    """
    devices = known_devices(settings, stores)
    async with (
        open_trail(settings, stores) as trail,
        _syncer(settings) as syncer,
        open_intake(settings, stores, syncer=syncer) as intake,
        open_reading(settings, stores, witness_of(trail)) as reading,
    ):
        witness = witness_of(trail)
        roll = Roll(now_us)
        server = Server(
            ServerSettings(
                repertoire=_repertoire(settings, stores, devices, intake, reading, witness),
                endpoint=endpoint_of(settings),
                tls=tls_of(settings),
                gate=gate_of(settings, stores, devices, witness),
                limits=limits_of(settings),
                max_associations=settings.max_associations,
                roll=roll,
            )
        )
        try:
            await server.start()
        except OSError as error:
            where = " and ".join(map(str, filter(None, (settings.dimse, settings.dimse_tls))))
            raise Unavailable(f"cannot listen on {where}: {error.strerror}") from error
        try:
            async with telling(settings, DOOR, roll.seen):
                yield
        finally:
            await server.stop(settings.edge_grace_s)


def witness_of(trail: Trail) -> Witness:
    """Return what puts on record what comes through this door."""
    return DoorWitness(trail, DOOR, now_us)


def _syncer(settings: Settings) -> AbstractAsyncContextManager[Syncer | None]:
    """Return what makes durable the instances that are answered before their commit."""
    if Acknowledge(settings.ack) is Acknowledge.COMMIT:
        return nullcontext()
    try:
        return SyncProcess()
    except OSError as error:
        raise Unavailable(f"cannot start the process that syncs: {error.strerror}") from error


def limits_of(settings: Settings) -> Limits:
    """Return the times and sizes of associations, ours and our peers'."""
    return Limits(network_s=settings.network_timeout_s, max_length=settings.max_pdu_bytes)


def _repertoire(
    settings: Settings,
    stores: Stores,
    devices: KnownDevices,
    intake: Intake,
    reading: Reading,
    witness: Witness,
) -> Repertoire:
    """Return everything that peers may ask of this archive."""
    storage = storage_repertoire(
        Offer(None, {CommandField.C_STORE: CStore(intake, witness)}, invokes=True),
        private_classes=settings.private_sop_classes,
    )
    destinations = Destinations(settings, devices)
    patience = _patience(settings, stores)
    shelf = Shelf(reading.search, reading.archive, witness)
    limits = limits_of(settings)
    offers = {**storage.offers, VERIFICATION: VERIFICATION_OFFER}
    for model in MODELS:
        find = CFind(reading.search, model)
        move = CMove(shelf, model, destinations.find, settings.aet, limits, patience)
        offers[model.find] = _query_offer(CommandField.C_FIND, find, answer_find)
        offers[model.move] = _query_offer(CommandField.C_MOVE, move, answer_retrieve)
        offers[model.get] = _query_offer(CommandField.C_GET, CGet(shelf, model), answer_retrieve)
    return Repertoire(offers, storage.private)


def _patience(settings: Settings, stores: Stores) -> Patience | None:
    """Return how C-MOVE waits for what is cold; None: it does not."""
    if settings.recall_c_move == "refuse":
        return None

    async def leave_word(destination: str, instances: Sequence[Located]) -> None:
        for job in jobs_for(destination, instances, now_us()):
            await stores.queue.send(job)

    return Patience(leave_word, settings.recall_wait_s)


def _query_offer(field: CommandField, service: Service[Any], extended: Answer) -> Offer:
    return Offer(IDENTIFIER_SYNTAXES, {field: service}, answer_extended=extended)
