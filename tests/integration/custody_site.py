"""A whole archive in which something is held, deleted, and contradicts itself, with its pages."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import dcmread

from e2e.house import House, house
from integration.share_house import OTHER, SHARED, instance_file
from pacs_cloud.bootstrap.services import now_us, open_intake, open_reading, trash_of
from pacs_cloud.custody.holds_setting import set_hold
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.pack.source import Door, Source
from pacs_cloud.security.caller import system

GONE = "1.2.826.0.1.84"


def other_content(data: bytes) -> bytes:
    """Return an instance of the same UID with another name, and a bright patch in it."""
    dataset = dcmread(BytesIO(data))
    dataset.PatientName, dataset.StudyDescription = "SHARED^SUSANNE", "STUDY 81 AGAIN"
    pixels = np.array(dataset.pixel_array)
    pixels[40:80, 30:90] += 400
    dataset.PixelData = pixels.tobytes()
    written = BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    return written.getvalue()


async def imported(made: House, *files: bytes) -> None:
    """Store files as `import` does, and return when they are committed."""
    async with open_intake(made.settings, made.stores) as intake:
        session = intake.session(system("default"), Source(Door.IMPORT, "CT1", "10.1.2.3"))
        for data in files:
            reception = session.begin_file()
            reception.write(data)
            await reception.finish()
        await session.commit()


@asynccontextmanager
async def lived_in(folder: Path, *, works: bool = False) -> AsyncIterator[House]:
    """Serve an archive in which something is held, deleted, and contradicts itself."""
    async with house(folder, works=works) as made:
        first = instance_file(SHARED)
        named = {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "YAMADA^TARO=山田^太郎"}
        stores = made.stores
        gone = [instance_file(GONE, number) for number in (1, 2)]
        await imported(made, first, instance_file(OTHER, **named), *gone)
        await imported(made, other_content(first))
        async with open_reading(made.settings, stores) as reading:
            await trash_of(stores, reading.archive).delete(Scope("default", GONE))
        await set_hold(
            *(stores.objects, stores.catalogue, "default", OTHER),
            reason="a complaint",
            who="user:lawyer",
            now_us=now_us(),
        )
        yield made
