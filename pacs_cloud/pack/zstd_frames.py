"""zstd frames (RFC 8878): quick writing, and bounded reading of what others may have written."""

import threading

from zstandard import (
    ZstdCompressor,
    ZstdDecompressor,
    ZstdError,
    frame_header_size,
    get_frame_parameters,
)

from pacs_cloud.errors import Corrupt

_FRAME_HEADER_LIMIT_BYTES = 18  # RFC 8878 3.1.1: magic number and at most 14 bytes
_RATIO_LIMIT = 32768  # RFC 8878 3.1.1.2: a block of at most 128 KiB takes at least 4 bytes

_LEVEL = 1
"""Headers of one series repeat each other so closely that the quickest search finds it.

Of a hundred headers like a real CT's or MR's, level 3 makes 1 to 7 % more, in more time.
"""

_thread = threading.local()


def compress(data: bytes) -> bytes:
    """Return `data` as one frame, with its length and a checksum.

    Each thread keeps its compressor: making one costs as much as compressing a table.
    """
    compressor: ZstdCompressor | None = getattr(_thread, "compressor", None)
    if compressor is None:
        compressor = _thread.compressor = ZstdCompressor(level=_LEVEL, write_checksum=True)
    return compressor.compress(data)


def frame_end(blob: bytes, start: int) -> int:
    """Return where the zstd frame at `start` ends (RFC 8878 3.1.1)."""
    try:
        head = blob[start : start + _FRAME_HEADER_LIMIT_BYTES]
        at = start + frame_header_size(head)
        has_checksum = get_frame_parameters(head).has_checksum
    except (ZstdError, ValueError) as error:
        raise Corrupt("an index does not hold a zstd frame") from error
    last = False
    while not last:
        block = blob[at : at + 3]
        if len(block) < 3:
            raise Corrupt("a zstd frame is cut")
        word = int.from_bytes(block, "little")
        last, kind, size = bool(word & 1), word >> 1 & 3, word >> 3
        at += 3 + (1 if kind == 1 else size)  # RFC 8878 3.1.1.2.2: an RLE block is one byte
    at += 4 * has_checksum
    if at > len(blob):
        raise Corrupt("a zstd frame is cut")
    return at


def content_bytes(frame: bytes) -> int:
    """Return what the header of the first zstd frame claims to hold; raises Corrupt."""
    try:
        return get_frame_parameters(frame[:_FRAME_HEADER_LIMIT_BYTES]).content_size
    except (ZstdError, ValueError) as error:
        raise Corrupt("an index does not hold a zstd frame") from error


def decompress(frame: bytes, limit_bytes: int) -> bytes:
    """Return what the first zstd frame holds, at most `limit_bytes`."""
    try:
        length_bytes = content_bytes(frame)
        # What a frame claims is allocated at once: zstd cannot shrink data further than this.
        if length_bytes > min(limit_bytes, _RATIO_LIMIT * len(frame)):
            raise Corrupt(f"a zstd frame that claims {length_bytes} bytes")
        return ZstdDecompressor().decompress(frame, allow_extra_data=True)
    except (ZstdError, ValueError) as error:
        raise Corrupt("a zstd frame cannot be decompressed") from error
