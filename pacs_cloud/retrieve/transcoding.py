"""Instances and frames in a transfer syntax that they are not stored in.

Only the frames that are asked for are read and worked on, in worker processes. A frame that
was made is kept for a while, and made once however many ask for it at a time.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Final

from pacs_cloud import metrics
from pacs_cloud.dicom import uid
from pacs_cloud.dicom.coding.enclosure import NATIVE_TARGETS, enclosure
from pacs_cloud.dicom.coding.recoding import Recoding, begun, recodable, recoded
from pacs_cloud.dicom.coding.transcode import transcoded_parts
from pacs_cloud.dicom.frames import FrameTable, PixelData
from pacs_cloud.dicom.part10 import encode_file_meta
from pacs_cloud.dicom.pixel_format import PixelFormat
from pacs_cloud.errors import InvalidInstance, NotAcceptable, NotFound
from pacs_cloud.retrieve.cache import BoundedCache
from pacs_cloud.retrieve.frames import frame_table
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.retrieve.pieces import Later, Made
from pacs_cloud.retrieve.pixel_workers import PixelWorkers
from pacs_cloud.retrieve.stored_parts import Stored, StoredParts
from pacs_cloud.retrieve.transcodable import can_make, form_of

_HELD_PER_PROCESS: Final = 4
_AT_ONCE_BYTES: Final = 8 << 20
"""An instance whose native pixels have up to so many bytes is made whole, ahead of its turn."""


class Transcoder:
    """Decodes and encodes, a bounded number at a time, in worker processes."""

    def __init__(
        self,
        stored: Stored,
        workers: PixelWorkers,
        cache: "BoundedCache[tuple[bytes, PixelFormat]]",
        *,
        processes: int,
        max_bytes: int,
    ) -> None:
        """Prepare.

        Args:
            stored: opens instances.
            workers: do the work.
            cache: keeps made frames.
            processes: how many workers there are.
            max_bytes: of a data set without its pixel data, which is rewritten in memory.
        """
        self._stored = stored
        self._workers = workers
        self._cache = cache
        self._ahead = processes
        self._max_bytes = max_bytes
        # So many are in memory at once, however many ask. Instances have places of their own:
        # one is held until a slow client has taken it, and frames must not wait for that.
        self._frame_slots = asyncio.Semaphore(_HELD_PER_PROCESS * processes)
        self._instance_slots = asyncio.Semaphore(_HELD_PER_PROCESS * processes)

    def decodes(self, located: Located) -> bool:
        """Tell whether this instance can be had as Explicit VR LE, as far as its table says."""
        return can_make(form_of(located), uid.EXPLICIT_LE)

    def file(self, located: Located, target: str) -> Made | Later:
        """Return the Part 10 file of an instance in `target`, which `can_make` has affirmed."""
        pixels = located.instance.pixels
        if pixels is not None and _native_bytes(pixels) <= _AT_ONCE_BYTES:
            return Later(lambda: self._whole_file(located, target))
        return Made(lambda: self._file(located, target))

    async def data_set(self, located: Located, target: str) -> AsyncGenerator[bytes]:
        """Yield an instance's data set in `target`, without file meta information.

        Its first frame is made before anything is yielded; of later ones a broken codestream
        raises in the midst.

        Raises:
            NotAcceptable: it cannot be decoded or encoded, or has too much besides pixels.
        """
        async with self._instance_slots, aclosing(self._parts_of(located, target)) as parts:
            try:
                async for part in parts:
                    yield part
            except InvalidInstance as error:
                raise _not_acceptable() from error

    def frame(self, located: Located, number: int, target: str) -> Later:
        """Return frame `number` (1 is the first) in `target`.

        Raises:
            NotFound: there is no such frame.
        """
        table = frame_table(located)
        if not 1 <= number <= len(table):
            raise NotFound(f"There is no frame {number}; there are {len(table)}.")
        return Later(lambda: self.frame_bytes(located, number, target))

    async def frame_bytes(self, located: Located, number: int, target: str) -> bytes:
        """Return frame `number` in `target`, from memory where it was made before.

        Raises:
            NotFound: there is no such frame.
            NotAcceptable: it cannot be decoded or encoded.
        """
        try:
            frame, _ = await self.made(located, number, target)
        except InvalidInstance as error:
            raise _not_acceptable() from error
        metrics.FRAMES.labels("transcoded").inc()
        return frame

    async def made(self, located: Located, number: int, target: str) -> tuple[bytes, PixelFormat]:
        """Return frame `number` in `target`, and what its pixels are then.

        Raises:
            NotFound: there is no such frame.
            InvalidInstance: it cannot be decoded or encoded.
        """
        instance = located.instance
        # Native frames are the same in both native targets.
        variant = uid.EXPLICIT_LE if target in NATIVE_TARGETS else target
        key = (located.pack.pack_id, instance.sop_instance_uid, str(number), variant)
        return await self._cache.get(key, lambda: self._make(located, number, variant))

    async def _make(
        self, located: Located, number: int, target: str
    ) -> tuple[tuple[bytes, PixelFormat], int]:
        async with self._frame_slots:
            frame = await self._stored.frame(located, number)
            made = await self._workers.run(recoded, frame, target)
        return made, len(made[0])

    async def _whole_file(self, located: Located, target: str) -> bytes:
        return b"".join([part async for part in self._file(located, target)])

    async def _file(self, located: Located, target: str) -> AsyncGenerator[bytes]:
        meta = encode_file_meta(
            sop_class_uid=located.instance.sop_class_uid,
            sop_instance_uid=located.instance.sop_instance_uid,
            transfer_syntax_uid=target,
        )
        async with aclosing(self.data_set(located, target)) as parts:
            async for part in parts:
                yield meta + part if meta else part
                meta = b""

    async def _parts_of(self, located: Located, target: str) -> AsyncGenerator[bytes]:
        pixels = located.instance.pixels
        parts = await self._stored.parts(located)
        aside = 0 if pixels is None else pixels.length
        if parts.length_bytes - aside > self._max_bytes:
            raise NotAcceptable("The instance is too large to be transcoded.")
        if pixels is None:
            chunks = self._without_pixels(parts, target)
        elif pixels.encapsulated or target not in NATIVE_TARGETS:
            chunks = self._recoded(parts, pixels, target)
        else:
            chunks = self._native(parts, pixels, target)
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    async def _without_pixels(self, parts: StoredParts, target: str) -> AsyncGenerator[bytes]:
        data = await parts.whole()
        syntax = _inflated(parts.located.instance.transfer_syntax_uid)
        pieces = transcoded_parts(data, syntax, target)
        while (piece := await asyncio.to_thread(_next, pieces)) is not None:
            yield piece

    async def _native(
        self, parts: StoredParts, pixels: PixelData, target: str
    ) -> AsyncGenerator[bytes]:
        """Yield a native data set in another native transfer syntax."""
        syntax = _inflated(parts.located.instance.transfer_syntax_uid)
        padding = bytes(pixels.length % 2)
        around = await self._workers.run(
            enclosure,
            await parts.empty(pixels),
            syntax,
            target,
            int(pixels.tag, 16),
            pixels.length + len(padding),
        )
        yield around.before
        is_swapped = syntax == uid.EXPLICIT_BE
        vr = await self._stored.word_vr(parts.located) if is_swapped else ""
        async for chunk in parts.native_value(pixels, vr):
            yield chunk
        if after := padding + around.after:
            yield after

    async def _recoded(
        self, parts: StoredParts, pixels: PixelData, target: str
    ) -> AsyncGenerator[bytes]:
        """Yield a data set whose frames are made anew, a few of them ahead of their turn."""
        located = parts.located
        source = located.instance.transfer_syntax_uid
        frames = recodable(pixels, source, target)
        start = await self._workers.run(
            begun,
            await parts.empty(pixels),
            _inflated(source),
            target,
            int(pixels.tag, 16),
            await self._stored.frame(located, 1, parts),
            len(frames),
        )
        recoding = Recoding(start, target, len(frames))
        for part in recoding.beginning():
            yield part
        async with aclosing(self._others(parts, frames, target)) as others:
            async for frame, made in others:
                yield recoding.add(frame, made)
        if end := recoding.end():
            yield end

    async def _others(
        self, parts: StoredParts, frames: FrameTable, target: str
    ) -> AsyncGenerator[tuple[bytes, PixelFormat]]:
        async def make(number: int) -> tuple[bytes, PixelFormat]:
            frame = await self._stored.frame(parts.located, number, parts)
            return await self._workers.run(recoded, frame, target)

        numbers = iter(range(2, len(frames) + 1))
        ahead: deque[asyncio.Task[tuple[bytes, PixelFormat]]] = deque()
        try:
            while True:
                while len(ahead) <= self._ahead and (number := next(numbers, None)) is not None:
                    ahead.append(asyncio.create_task(make(number)))
                if not ahead:
                    return
                yield await ahead[0]
                ahead.popleft()
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)


def _native_bytes(pixels: PixelData) -> int:
    samples = pixels.rows * pixels.columns * pixels.samples_per_pixel * pixels.frame_count
    return max(pixels.length, samples * pixels.bits_allocated // 8)


def _inflated(transfer_syntax_uid: str) -> str:
    """Return how a data set is encoded once it is inflated."""
    return uid.EXPLICIT_LE if uid.is_deflated(transfer_syntax_uid) else transfer_syntax_uid


def _not_acceptable() -> NotAcceptable:
    return NotAcceptable(
        "What is stored cannot be had in this transfer syntax; it can be had as it is stored, "
        "with transfer-syntax=*."
    )


def _next(parts: Iterator[bytes]) -> bytes | None:
    return next(parts, None)
