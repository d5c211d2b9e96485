"""Stores instances for ever, four senders at a time, and says which are acknowledged.

Run by `test_ingest_recovery`, which kills it: `python ingest_crash_child.py FOLDER`.
"""

import asyncio
import itertools
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from ingest_instances import SCANNER, STUDY, store  # noqa: E402

from pacs_cloud.catalogue.sqlite import SqliteCatalogue  # noqa: E402
from pacs_cloud.ingest.intake import Intake  # noqa: E402
from pacs_cloud.ingest.options import IntakeOptions  # noqa: E402
from pacs_cloud.objectstore.local import LocalObjectStore  # noqa: E402
from pacs_cloud.security.caller import system  # noqa: E402


async def send(intake: Intake, series: str, out) -> None:
    session = intake.session(system("default"), SCANNER)
    for number in itertools.count():
        size = 200_000 if number % 17 == 3 else 2 * (number % 40)  # some go their own way
        await store(session, number, series=series, pixels=bytes([number % 251]) * size)
        print(series, number, size, file=out, flush=True)
        if number % 50 == 49:
            await session.flush()


async def main(folder: Path) -> None:
    options = IntakeOptions(linger_s=0.05, linger_limit_s=0.05, buffer_bytes=65_536)
    objects = LocalObjectStore(folder / "objects")
    catalogue = SqliteCatalogue(folder / "catalogue.sqlite")
    async with (
        Intake(folder / "spool", objects, catalogue, options) as intake,
        asyncio.TaskGroup() as group,
    ):
        for number in range(4):
            group.create_task(send(intake, f"{STUDY}.{number // 2}{number}", sys.stdout))


asyncio.run(main(Path(sys.argv[1])))
