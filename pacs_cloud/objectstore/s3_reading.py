"""Bytes of a bucket's objects: a range, an end, a stream of chunks; see the port."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import obstore

from pacs_cloud.errors import Corrupt, NotFound, Offline
from pacs_cloud.objectstore.keys import check_key
from pacs_cloud.objectstore.ranges import check_range, check_suffix, end_within
from pacs_cloud.objectstore.s3_bucket import S3Bucket
from pacs_cloud.objectstore.s3_errors import VENDOR_ERRORS, code_of, translated

if TYPE_CHECKING:  # obstore's own rule: these names exist in its stubs alone
    from obstore import GetOptions, GetResult

_STREAM_TRIES = 3


async def get(bucket: S3Bucket, key: str, start: int, end: int | None) -> bytes:
    """Return a range."""
    check_range(start, end)
    check_key(key)
    if start == end:
        end_within(key, (await bucket.info(key)).length_bytes, start, end)
        return b""
    found = await _opened(bucket, key, start, end)
    if found is None:
        return b""
    with bucket.errors(f"get {key}"):
        data = await found.bytes_async()
    if found.range[1] != (found.meta["size"] if end is None else end):
        raise Corrupt(f"{key} has {found.meta['size']} bytes, not {end}")
    return data.to_bytes()


async def get_suffix(bucket: S3Bucket, key: str, length_bytes: int) -> tuple[bytes, int]:
    """Return the object's end and its size."""
    check_suffix(length_bytes)
    if not length_bytes:
        return b"", (await bucket.info(key)).length_bytes
    options: GetOptions = {"range": {"suffix": length_bytes}}
    try:
        found = await obstore.get_async(
            bucket.reading, bucket.path(check_key(key)), options=options
        )
        data = await found.bytes_async()
    except VENDOR_ERRORS as error:
        ours = translated(f"get {key}", error)
        if isinstance(ours, NotFound | Offline):
            raise ours from error
        # An empty object has no last byte: stores answer 416, or 200.
        if (await bucket.info(key)).length_bytes == 0:
            return b"", 0
        raise ours from error
    return data.to_bytes(), found.meta["size"]


async def stream(
    bucket: S3Bucket, key: str, start: int, end: int | None, chunk_bytes: int
) -> AsyncIterator[bytes]:
    """Yield a range in chunks; a connection that breaks is opened again where it broke."""
    check_range(start, end)
    check_key(key)
    if start == end:
        await get(bucket, key, start, end)
        return
    found = await _opened(bucket, key, start, end)
    if found is None:
        return
    stop = found.range[1]
    if end is not None and stop < end:
        raise Corrupt(f"{key} has {found.meta['size']} bytes, not {end}")
    tries = 0
    while True:
        try:
            async for chunk in found.stream(min_chunk_size=chunk_bytes):
                start += len(chunk)
                tries = 0
                yield bytes(chunk)
        except VENDOR_ERRORS as error:
            tries += 1
            if tries == _STREAM_TRIES:
                raise translated(f"get {key}", error) from error
        if start >= stop:
            return
        found = await _opened(bucket, key, start, stop)
        if found is None:
            raise Corrupt(f"{key} was cut at {start} of {stop}")


async def _opened(bucket: S3Bucket, key: str, start: int, end: int | None) -> "GetResult | None":
    """Return an answer that has begun, None for no bytes at an object's end."""
    options: GetOptions = {}
    if end is not None:
        options = {"range": (start, end)}
    elif start:
        options = {"range": {"offset": start}}
    try:
        return await obstore.get_async(bucket.reading, bucket.path(key), options=options)
    except VENDOR_ERRORS as error:
        ours = translated(f"get {key}", error)
        if code_of(error) in {"InvalidRange", "416"} and end is None:
            end_within(key, (await bucket.info(key)).length_bytes, start, None)
            return None
        raise ours from error
