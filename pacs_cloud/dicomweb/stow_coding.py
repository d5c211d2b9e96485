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
        self._may_end = False

    async def decoded(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the decoded body, at most 256 KiB at a time.

        Raises:
            InvalidRequest: it is broken or cut short.
            BodyTooLarge: it becomes too long, or too much longer than it came.
        """
        async for chunk in chunks:
            for part in self._decode(chunk):
                yield part
        if not self._may_end:
            raise InvalidRequest("The encoded body is cut short.")

    def _decode(self, chunk: bytes) -> Iterator[bytes]:
        self._taken += len(chunk)
        while chunk:
            if self._stream.eof:  # a next member (RFC 1952 2.2)
                self._stream = zlib.decompressobj(self._window)
            try:
                part = self._stream.decompress(chunk, _CHUNK_BYTES)
            except zlib.error as problem:
                raise InvalidRequest("The body is not encoded as its header says.") from problem
            chunk = self._stream.unconsumed_tail or self._stream.unused_data
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
