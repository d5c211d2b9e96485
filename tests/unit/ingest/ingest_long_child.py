"""Stores one long instance, and prints the highest memory before and after, in MiB.

Run by `test_ingest_spool`: `python ingest_long_child.py FOLDER MIB`.
"""

import asyncio
import resource
import struct
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from ingest_instances import CT, SERIES, ct_dataset, element, scanner, store  # noqa: E402

from pacs_cloud.catalogue.sqlite import SqliteCatalogue  # noqa: E402
from pacs_cloud.dicom.uid import EXPLICIT_LE  # noqa: E402
from pacs_cloud.ingest.intake import Intake  # noqa: E402
from pacs_cloud.objectstore.local import LocalObjectStore  # noqa: E402

MIB = 1 << 20


def highest_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


async def main(folder: Path, mib: int) -> None:
    objects = LocalObjectStore(folder / "objects")
    catalogue = SqliteCatalogue(folder / "catalogue.sqlite")
    async with Intake(folder / "spool", objects, catalogue) as intake:
        session = scanner(intake)
        await store(session, 1, pixels=bytes(7 * MIB), piece_bytes=MIB)
        before = highest_mib()
        reception = session.begin_dataset(
            sop_class_uid=CT, sop_instance_uid=f"{SERIES}.2", transfer_syntax_uid=EXPLICIT_LE
        )
        reception.write(ct_dataset(2) + element(0x00280010, "US", b"\1\0"))
        reception.write(struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, mib * MIB))
        piece = bytes(MIB // 8)
        for _ in range(mib * 8):
            reception.write(piece)
            await reception.drain()
        await reception.finish()
        await session.flush()
        await intake.drained()
        print(before, highest_mib(), intake.counters.packs_committed)
    await objects.aclose()
    await catalogue.close()


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
