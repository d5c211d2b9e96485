"""Instances and frames in a transfer syntax that they are not stored in."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import orjson

from pacs_cloud.dicom import transcode
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.part10 import encode_file_meta
from pacs_cloud.errors import InvalidInstance, NotAcceptable, NotFound
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.retrieve.frames import frame_table
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.retrieve.pieces import Made
from pacs_cloud.retrieve.tables import PackTables

_HELD_PER_THREAD = 4
_BITS_STORED = "00280101"

T = TypeVar("T")


class Transcoder:
    """Decompresses and re-encodes, a bounded number at a time, beside the event loop."""

    def __init__(
        self, objects: ObjectStore, tables: PackTables, *, threads: int, max_bytes: int
    ) -> None:
        """Use up to so many threads; whole instances up to `max_bytes` as stored."""
        self._objects = objects
        self._tables = tables
        self._max_bytes = max_bytes
        # So many are in memory at once, however many ask: more than there are threads,
        # since one is held until a slow client has taken it.
        self._slots = asyncio.Semaphore(_HELD_PER_THREAD * threads)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="transcode")

    def close(self) -> None:
        """Let go of the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def decodes(self, located: Located) -> bool:
        """Tell whether this instance can be had as Explicit VR LE, as far as its table says."""
        instance = located.instance
        pixels = instance.pixels
        if pixels is None or not pixels.encapsulated:
            return transcode.can_decode(instance.transfer_syntax_uid)
        stored = instance.attributes.get(_BITS_STORED) or located.index.common.get(_BITS_STORED, {})
        bits_stored: object = next(iter(stored.get("Value", ())), None)
        return transcode.can_decode(
            instance.transfer_syntax_uid,
            bits_allocated=pixels.bits_allocated,
            bits_stored=bits_stored if isinstance(bits_stored, int) else pixels.bits_allocated,
        )

    def file(self, located: Located, target: str) -> Made:
        """Return the Part 10 file of an instance in `target`: Explicit or Implicit VR LE."""
        return Made(lambda: self._file(located, target))

    async def data_set(self, located: Located, target: str) -> AsyncIterator[bytes]:
        """Yield an instance's data set in `target`, without file meta information.

        Raises:
            NotAcceptable: it cannot be decoded, or is too large to be.
        """
        where = located.data_set()
        if where.end - where.start > self._max_bytes:
            raise NotAcceptable("The instance is too large to be decompressed.")
        syntax = located.instance.transfer_syntax_uid
        async with self._slots:
            stored = await self._objects.get(where.key, where.start, where.end)
            parts = await self._run(lambda: transcode.decompressed_parts(stored, syntax, target))
            while (part := await self._run(lambda: _next(parts))) is not None:
                yield part

    def frame(self, located: Located, number: int) -> Made:
        """Return frame `number` (1 is the first), decompressed to native little endian pixels.

        Raises:
            NotFound: there is no such frame.
        """
        table = frame_table(located)
        if not 1 <= number <= len(table):
            raise NotFound(f"There is no frame {number}; there are {len(table)}.")
        return Made(lambda: self._frame(located, table.ranges(number - 1)))

    async def _file(self, located: Located, target: str) -> AsyncIterator[bytes]:
        meta = encode_file_meta(
            sop_class_uid=located.instance.sop_class_uid,
            sop_instance_uid=located.instance.sop_instance_uid,
            transfer_syntax_uid=target,
        )
        async for part in self.data_set(located, target):
            yield meta + part if meta else part
            meta = b""

    async def _frame(
        self, located: Located, ranges: tuple[tuple[int, int], ...]
    ) -> AsyncIterator[bytes]:
        headers = await self._tables.headers(located.pack.tenant, located.ref)
        start = located.instance.header_offset
        elements: Elements = orjson.loads(headers[start : start + located.instance.header_length])
        syntax = located.instance.transfer_syntax_uid
        async with self._slots:
            fragments: list[bytes] = []
            for first, end in ranges:
                where = located.data_set(first, end)
                fragments.append(await self._objects.get(where.key, where.start, where.end))
            codestream = b"".join(fragments)
            pixels, _ = await self._run(
                lambda: transcode.decode_frame(
                    codestream, syntax, transcode.pixel_format_of(elements)
                )
            )
        yield pixels

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except InvalidInstance as error:
            raise NotAcceptable(
                "What is stored cannot be decoded; it can be had as it is stored, "
                "with transfer-syntax=*."
            ) from error


def _next(parts: Iterator[bytes]) -> bytes | None:
    return next(parts, None)
