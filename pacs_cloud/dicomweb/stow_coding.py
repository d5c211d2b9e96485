"""Bodies with a Content-Encoding, decoded as they come and within bounds (RFC 9110 8.4)."""

import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Final

from pacs_cloud.dicomweb.media import UnsupportedMedia
from pacs_cloud.dicomweb.problems import BodyTooLarge
from pacs_cloud.errors import InvalidRequest

ACCEPTED: Final = "gzip, deflate"
"""zstd is not among them: its decoder cannot be told how much may come out at a time."""

_CHUNK_BYTES: Final = 256 << 10
_FREE_BYTES: Final = 256 << 20
_MOST_TIMES: Final = 100
"""Beyond the free bytes, a body may not become so many times longer: pixels of real images
shrink to a tenth, and the format could say a thousand times as much as it takes."""
_FREE_MEMBERS: Final = 1000
_LEAST_MEMBER_BYTES: Final = 256
"""Beyond the free ones, so much must come out of each member on average: twenty bytes say a member
that holds nothing, and beginning one takes as long as decoding some hundred bytes. Real members
hold kilobytes."""
_FIRST_BYTES: Final = 16 << 10
"""That a member is begun with: what lies behind its end is copied, so it should not be much."""
_WINDOWS: Final = {
    "gzip": 16 + zlib.MAX_WBITS,
    "x-gzip": 16 + zlib.MAX_WBITS,
    "deflate": zlib.MAX_WBITS,
}


def decoding(content_encoding: str, max_bytes: int) -> "Decoding | None":
    """Return what decodes a body, None where there is nothing to decode.

    Args:
        content_encoding: the header's value.
        max_bytes: the most that may come out.

    Raises:
        UnsupportedMedia: another coding than gzip and deflate, or several.
    """
    coding = content_encoding.strip().lower()
    if coding in {"", "identity"}:
        return None
    if coding not in _WINDOWS:
        raise UnsupportedMedia(f"A body may be encoded as {ACCEPTED}, or not at all.")
    return Decoding(_WINDOWS[coding], max_bytes)


class Decoding:
    """Decodes one body at constant memory."""

    def __init__(self, window: int, max_bytes: int) -> None:
        self._window = window
        self._max_bytes = max_bytes
        self._stream = zlib.decompressobj(window)
        self._taken = 0
        self._given = 0
        self._members = 1
        self._is_begun = False
        self._may_end = False

    async def decoded(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the decoded body, at most 256 KiB at a time.

        Raises:
            InvalidRequest: it is broken or cut short, or of too many members.
            BodyTooLarge: it becomes too long, or too much longer than it came.
        """
        async for chunk in chunks:
            for part in self._decode(chunk):
                yield part
        if not self._may_end:
            raise InvalidRequest("The encoded body is cut short.")

    def _decode(self, chunk: bytes) -> Iterator[bytes]:
        self._taken += len(chunk)
        rest = memoryview(chunk)
        while rest:
            if self._stream.eof:  # a next member (RFC 1952 2.2)
                self._stream = zlib.decompressobj(self._window)
                self._is_begun = False
                self._members += 1
            some = rest if self._is_begun else rest[:_FIRST_BYTES]
            try:
                part = self._stream.decompress(some, _CHUNK_BYTES)
            except zlib.error as problem:
                raise InvalidRequest("The body is not encoded as its header says.") from problem
            unread = self._stream.unconsumed_tail or self._stream.unused_data
            rest = rest[len(some) - len(unread) :]
            self._is_begun = True
            self._may_end = self._stream.eof
            self._given += len(part)
            self._check()
            if part:
                yield part

    def _check(self) -> None:
        if self._given > self._max_bytes:
            raise BodyTooLarge(f"A body may have up to {self._max_bytes} bytes.")
        if self._given > _FREE_BYTES + _MOST_TIMES * self._taken:
            raise BodyTooLarge(f"A body may not become {_MOST_TIMES} times longer when decoded.")
        if self._members > _FREE_MEMBERS + self._given // _LEAST_MEMBER_BYTES:
            raise InvalidRequest("The encoded body has too many members that hold next to nothing.")
