"""Deflated data sets (PS3.5 A.5); what is inflated is so within a limit."""

import zlib
from typing import Final

from pacs_cloud.dicom.records import View
from pacs_cloud.errors import InvalidInstance, Refusal

DEFAULT_LIMIT_BYTES: Final = 1 << 30


def deflate(dataset: bytes) -> bytes:
    """Return a data set as a raw deflate stream of an even length (PS3.5 A.5)."""
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = stream.compress(dataset) + stream.flush()
    return deflated + bytes(len(deflated) % 2)


def inflate(dataset: View, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> bytes:
    """Return the data set inside the raw deflate stream `dataset` (RFC 1951).

    Args:
        dataset: the stream; a pad byte after its end is allowed (PS3.5 A.5).
        limit_bytes: the most that may come out; nothing beyond it is inflated.

    Raises:
        InvalidInstance: TOO_LARGE over the limit, UNREADABLE for a broken or cut stream.
    """
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = stream.decompress(dataset, limit_bytes + 1)
    except zlib.error as problem:
        raise InvalidInstance(
            f"The deflated data set is broken: {problem}.", Refusal.UNREADABLE
        ) from problem
    if len(inflated) > limit_bytes:
        raise InvalidInstance(
            f"The data set inflates to more than {limit_bytes} bytes.", Refusal.TOO_LARGE
        )
    if not stream.eof:
        raise InvalidInstance("The deflated data set is cut short.", Refusal.UNREADABLE)
    return inflated
