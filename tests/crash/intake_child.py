"""The archive's intake without its network, to be recorded: a fraction of a PACS to trace.

    python -m crash.intake_child FOLDER SEED [unsynced]

Two senders store a few instances, some twice, one of them over 8 MiB. As a DIMSE
peer would see it, each instance that may be acknowledged is answered on a TCP
socket. At the end the UIDs and SHA-256s of all data sets go to standard output.
"unsynced" leaves the spool's syncs out, which a power cut must bring to light.
"""

import asyncio
import hashlib
import json
import os
import random
import socket
import struct
import sys
from contextlib import nullcontext
from pathlib import Path

from crash.instances import SOP_CLASS_UID, Instance, make_instance, new_uid
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.ingest.options import IntakeOptions
from pacs_cloud.ingest.sync_process import SyncProcess
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.pack.index import Door, Source
from pacs_cloud.security.caller import system

EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
SIZES = ("small", "small", "slice", "small", "small", "large", "small")


def answer(sop_instance_uid: str) -> bytes:
    """Return a C-STORE response with Success in one PDU (PS3.7 9.3.1.2)."""

    def element(number: int, value: bytes) -> bytes:
        return struct.pack("<HHI", 0, number, len(value)) + value

    uid = sop_instance_uid.encode()
    command = (
        element(0x0100, struct.pack("<H", 0x8001))
        + element(0x0900, struct.pack("<H", 0))
        + element(0x1000, uid + b"\0" * (len(uid) % 2))
    )
    item = struct.pack(">IBB", len(command) + 2, 1, 3) + command
    return struct.pack(">BBI", 4, 0, len(item)) + item


async def store(intake: Intake, instances: list[Instance], out: socket.socket) -> None:
    """Store `instances` as two associations would, one after the other."""
    for part in (instances[:3], instances[3:]):
        session = intake.session(system("default"), Source(Door.DIMSE, "PACS", "CT1", "127.0.0.1"))
        for instance in part:
            reception = session.begin_dataset(
                sop_class_uid=SOP_CLASS_UID,
                sop_instance_uid=instance.sop_instance_uid,
                transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN,
            )
            for at in range(0, len(instance.dataset), 1 << 20):
                reception.write(instance.dataset[at : at + (1 << 20)])
                await reception.drain()
            await reception.finish()
            out.sendall(answer(instance.sop_instance_uid))
        await session.flush()


async def main(folder: Path, seed: int, *, synced: bool) -> None:
    dice = random.Random(seed)
    study = new_uid()
    plans = [
        [make_instance(study, series, size, dice) for size in SIZES if size != "large" or not n]
        for n, series in enumerate((new_uid(), new_uid()))
    ]
    options = IntakeOptions(linger_s=0.05, linger_limit_s=0.05)
    sync_file = os.fdatasync if synced else os.fstat
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = socket.create_connection(server.getsockname())
        out, _ = server.accept()
    out.sendall(struct.pack(">BBI", 2, 0, 0))
    async with (
        LocalObjectStore(folder / "objects") as objects,
        SqliteCatalogue(folder / "catalogue.sqlite") as catalogue,
        SyncProcess() if synced else nullcontext() as syncer,
        Intake(
            folder / "spool", objects, catalogue, options, sync_file=sync_file, syncer=syncer
        ) as intake,
        asyncio.TaskGroup() as group,
    ):
        for plan in plans:
            group.create_task(store(intake, [*plan, plan[0]], out))
    out.close()
    peer.close()
    digests = {
        one.sop_instance_uid: hashlib.sha256(one.dataset).hexdigest()
        for plan in plans
        for one in plan
    }
    sys.stdout.write(json.dumps(digests))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), synced="unsynced" not in sys.argv))
