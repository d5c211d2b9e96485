"""Outgoing messages cut into P-DATA-TF PDUs (PS3.8 9.3.5, Annex E).

Each PDU carries one PDV. A data set comes from memory, from a range of a file
or from an iterator whose length nobody knows; at no time is more than a batch
of it in memory.
"""

import asyncio
import errno
import os
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pacs_cloud.dimse.pdu import (
    COMMAND_FRAGMENT,
    DATA_HEADER,
    LAST_FRAGMENT,
    PDV_OVERHEAD_BYTES,
    PduType,
)
from pacs_cloud.errors import Corrupt

_P_DATA_TF: Final = PduType.P_DATA_TF
_PDV_CONTEXT_AND_CONTROL: Final = 2
_NOT_AT_ONCE: Final = frozenset((errno.EAGAIN, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL))


@dataclass(frozen=True, slots=True)
class FileRange:
    """A data set within a file.

    Attributes:
        path: the file.
        offset: where the data set begins, in bytes.
        length: of the data set in bytes, or None for the rest of the file.
    """

    path: Path
    offset: int
    length: int | None = None


Source = bytes | bytearray | memoryview | FileRange | AsyncIterable[bytes]
"""Where a data set's bytes come from."""


class Fragmenter:
    """Cuts for one presentation context.

    Args:
        context_id: of the presentation context.
        max_length: of a P-DATA-TF's body in bytes, at least 8.
    """

    def __init__(self, context_id: int, max_length: int) -> None:
        self._context_id = context_id
        # PS3.8 E.1: fragments other than the last are of even length.
        self._room = (max_length - PDV_OVERHEAD_BYTES) & ~1

    @property
    def fragment_bytes(self) -> int:
        """The length of every fragment but the last."""
        return self._room

    def command(self, encoded: bytes) -> list[bytes | memoryview]:
        """Return a command set's PDUs, in pieces to be joined."""
        if len(encoded) <= self._room:
            return [self._header(len(encoded), COMMAND_FRAGMENT | LAST_FRAGMENT), encoded]
        return self._cut(memoryview(encoded), COMMAND_FRAGMENT, ends=True)

    def data(self, piece: bytes | memoryview, *, ends: bool) -> list[bytes | memoryview]:
        """Return the PDUs of the next bytes of a data set, in pieces to be joined.

        Args:
            piece: a multiple of `fragment_bytes` long, unless it ends the data set.
            ends: whether nothing follows.
        """
        return self._cut(memoryview(piece), 0, ends=ends)

    def _cut(self, data: memoryview, control: int, *, ends: bool) -> list[bytes | memoryview]:
        pieces: list[bytes | memoryview] = []
        total = len(data)
        start = 0
        while True:
            stop = min(start + self._room, total)
            last = LAST_FRAGMENT if ends and stop == total else 0
            pieces.append(self._header(stop - start, control | last))
            pieces.append(data[start:stop])
            start = stop
            if start >= total:
                return pieces

    def _header(self, length: int, control: int) -> bytes:
        return DATA_HEADER.pack(
            _P_DATA_TF,
            length + PDV_OVERHEAD_BYTES,
            length + _PDV_CONTEXT_AND_CONTROL,
            self._context_id,
            control,
        )


async def batches(
    source: Source, fragment_bytes: int, batch_bytes: int
) -> AsyncGenerator[tuple[bytes | memoryview, bool]]:
    """Yield `source` in pieces for `Fragmenter.data`, each with whether it is the last.

    Args:
        source: the data set.
        fragment_bytes: every piece but the last is a multiple of it.
        batch_bytes: how long a piece is, about.

    Raises:
        Corrupt: a file ends before its range does.
        OSError: a file cannot be read.
    """
    size = max(batch_bytes // fragment_bytes, 1) * fragment_bytes
    if isinstance(source, FileRange):
        async with aclosing(_file_batches(source, size)) as pieces:
            async for piece in pieces:
                yield piece
    elif isinstance(source, bytes | bytearray | memoryview):
        view = memoryview(source)
        for start in range(0, len(view) or 1, size):
            yield view[start : start + size], start + size >= len(view)
    else:
        waiting = bytearray()
        async for piece in source:
            waiting += piece
            # One byte must stay: only the end shows which fragment is the last.
            while len(waiting) > size:
                yield bytes(waiting[:size]), False
                del waiting[:size]
        yield bytes(waiting), True


async def _file_batches(source: FileRange, size: int) -> AsyncGenerator[tuple[memoryview, bool]]:
    descriptor = await asyncio.to_thread(os.open, source.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        length = source.length
        if length is None:
            length = max(os.fstat(descriptor).st_size - source.offset, 0)
        buffer = memoryview(bytearray(min(size, length)))
        done = 0
        while True:
            wanted = min(size, length - done)
            view = buffer[:wanted]
            await _read_fully(descriptor, view, source.offset + done)
            done += wanted
            yield view, done >= length
            if done >= length:
                return
    finally:
        os.close(descriptor)


async def _read_fully(descriptor: int, view: memoryview, offset: int) -> None:
    while view:
        count = _read_cached(descriptor, view, offset)
        if count is None:
            count = await asyncio.to_thread(os.preadv, descriptor, [view], offset)
        if not count:
            raise Corrupt("a file ended before its data set did")
        view = view[count:]
        offset += count


def _read_cached(descriptor: int, view: memoryview, offset: int) -> int | None:
    """Read what the page cache has, without waiting for a disk; None where it has nothing.

    Handing a read to a thread costs more than copying half a megabyte.
    """
    try:
        return os.preadv(descriptor, [view], offset, os.RWF_NOWAIT)
    except OSError as error:
        if error.errno in _NOT_AT_ONCE:
            return None
        raise
