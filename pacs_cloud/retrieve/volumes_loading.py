"""A series on its way into the process that holds its volume: read, decoded, handed over."""

import asyncio
import logging
import pickle
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Final

from pacs_cloud.dicom.coding.frame_decoding import decode_frame
from pacs_cloud.dicom.pixel_format import PixelFormat
from pacs_cloud.dicom.volume.voxels import needs_measuring
from pacs_cloud.errors import Corrupt, InvalidInstance, NotFound, PacsError
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.frames import check_size
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.retrieve.volumes_plan import Plan
from pacs_cloud.retrieve.volumes_room import Held
from pacs_cloud.retrieve.volumes_wire import Line

log = logging.getLogger(__name__)

_AHEAD: Final = 4
"""Slices that are read and decoded before the one that is handed over."""


async def loaded(held: Held, plan: Plan, archive: Archive) -> bool:
    """Hand a volume over to the process that holds it, and return when that has ended.

    Where an image cannot be read the process tells so, to whoever asks. Tells whether it has
    come to hold all of it, or to tell so.
    """
    reader, writer = await asyncio.open_unix_connection(sock=held.peer)
    line = Line(reader, writer)
    try:
        begun = await asyncio.to_thread(pickle.dumps, (plan.stack, plan.grid, plan.notes))
        await line.ask({"do": "begin"}, begun)
        for do in ("measure", "add") if needs_measuring(plan.stack) else ("add",):
            async with aclosing(_natives(archive, plan)) as natives:
                async for data in natives:
                    await line.ask({"do": do}, data)
    except EOFError:
        return False
    except (InvalidInstance, NotFound, Corrupt) as error:
        reason = f"One of its images cannot be read. {error}"
        with suppress(EOFError):
            await line.ask({"do": "fail", "reason": reason})
            await line.until_its_end()
        return True
    except PacsError as error:  # a store that is away: who asks later begins anew
        log.warning("volume_not_loaded", extra={"error": type(error).__name__})
        return False
    else:
        await line.until_its_end()
        return True
    finally:
        line.close()


async def _natives(archive: Archive, plan: Plan) -> AsyncGenerator[bytes]:
    """Yield the frames' native pixels in the order of the stack, some read ahead."""
    ahead: deque[asyncio.Task[bytes]] = deque()
    described = [one.pixel_format for one in plan.stack.slices]
    try:
        for (located, number), one in zip(plan.frames, described, strict=True):
            ahead.append(asyncio.create_task(_native(archive, located, number, one)))
            if len(ahead) > _AHEAD:
                yield await ahead.popleft()
        while ahead:
            yield await ahead.popleft()
    finally:
        for task in ahead:
            task.cancel()
        await asyncio.gather(*ahead, return_exceptions=True)


async def _native(archive: Archive, located: Located, number: int, described: PixelFormat) -> bytes:
    check_size(located, number)
    data = await archive.frames.data(located, number)
    pixels = located.instance.pixels
    assert pixels is not None
    if not pixels.encapsulated:
        return data
    syntax = located.instance.transfer_syntax_uid
    native, _ = await archive.workers.run(decode_frame, data, syntax, described)
    return native
