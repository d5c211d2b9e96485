"""Content codings of documents: gzip and zstd (RFC 9110 8.4.1, RFC 8878 7.2), as a client accepts.

Only JSON and XML are encoded. Pixels are compressed already, or are read by ranges of what is
stored.
"""

import asyncio
import re
import threading
import zlib
from collections.abc import AsyncGenerator
from enum import StrEnum
from functools import partial
from typing import Final, Protocol

from isal import isal_zlib
from starlette.requests import Request
from zstandard import ZstdCompressor

from pacs_cloud.dicomweb.resource import Handler
from pacs_cloud.dicomweb.responses import Answer, Bytes, Stream
from pacs_cloud.errors import InvalidRequest, NotAcceptable

_WORTH_BYTES: Final = 1024
"""Less than this fits a packet or two as it is."""
_BLOCKING_BYTES: Final = 256 << 10
"""So much is encoded in a millisecond; more leaves the loop to others meanwhile."""
_ZSTD_LEVEL: Final = 1
_GZIP_LEVEL: Final = 1
"""isal's own scale, 0 to 3. Headers of one series repeat each other: quick levels find it."""
_GZIP_WINDOW: Final = zlib.MAX_WBITS | 16
_LEAST: Final = 0.0001
_MAX_HEADER_CHARACTERS: Final = 1024
_ITEM: Final = re.compile(
    r"[ \t]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)"
    r"(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?[ \t]*"
)

_thread = threading.local()


class Coding(StrEnum):
    """How the bytes of an answer are encoded; the quickest of small answers first."""

    ZSTD = "zstd"
    GZIP = "gzip"
    IDENTITY = "identity"


VARY: Final = "accept, accept-encoding"
"""What the choice of a document depends on."""


def coding_for(request: Request) -> Coding:
    """Return the coding a client likes best of those we have (RFC 9110 12.5.3).

    Without the header field there is none, though it would be allowed: a client that
    wants a coding says so.

    Raises:
        InvalidRequest: the field is malformed.
        NotAcceptable: the client refuses identity and takes neither of the others.
    """
    header = ",".join(request.headers.getlist("accept-encoding"))
    if not header.strip():
        return Coding.IDENTITY
    given = _qualities(header)
    other = given.get("*")
    # Identity is acceptable unless it is refused, and less wanted than what is named.
    likings = {
        Coding.ZSTD: given.get("zstd", other),
        Coding.GZIP: given.get("gzip", given.get("x-gzip", other)),
        Coding.IDENTITY: given.get("identity", _LEAST if other is None else other),
    }
    # `*` names nothing that the client is sure to understand: rather identity then.
    best = max(
        likings,
        key=lambda one: (likings[one] or 0, one in given, one is Coding.IDENTITY),
    )
    if not likings[best]:
        raise NotAcceptable("The content codings are gzip, zstd and identity.")
    return best


def _qualities(header: str) -> dict[str, float]:
    if len(header) > _MAX_HEADER_CHARACTERS:
        raise InvalidRequest("The Accept-Encoding header is too long.")
    given: dict[str, float] = {}
    for item in header.split(","):
        if not item.strip():
            continue
        matched = _ITEM.fullmatch(item)
        if matched is None:
            raise InvalidRequest("The Accept-Encoding header is malformed.")
        given.setdefault(matched[1].lower(), float(matched[2] or 1))
    return given


def is_worth(length_bytes: int) -> bool:
    """Tell whether a document of `length_bytes` gets shorter by enough to matter."""
    return length_bytes >= _WORTH_BYTES


async def encode(content: bytes, coding: Coding) -> bytes:
    """Return `content` encoded."""
    if coding is Coding.IDENTITY:
        return content
    if len(content) > _BLOCKING_BYTES:
        return await asyncio.to_thread(_encode, content, coding)
    return _encode(content, coding)


def _encode(content: bytes, coding: Coding) -> bytes:
    if coding is Coding.GZIP:
        return isal_zlib.compress(content, _GZIP_LEVEL, _GZIP_WINDOW)
    compressor: ZstdCompressor | None = getattr(_thread, "compressor", None)
    if compressor is None:
        compressor = _thread.compressor = ZstdCompressor(level=_ZSTD_LEVEL)
    return compressor.compress(content)


def encoded(handler: Handler) -> Handler:
    """Return a handler whose JSON and XML are encoded as the client likes best."""

    async def answer(request: Request) -> Answer:
        coding = coding_for(request)
        given = await handler(request)
        given.fields["vary"] = VARY
        if coding is Coding.IDENTITY:
            return given
        if "etag" in given.fields:
            # Equal in meaning, not in bytes, to what the handler marked (RFC 9110 8.8.1).
            given.fields["etag"] = f"W/{given.fields['etag']}"
        if isinstance(given, Bytes) and is_worth(len(given.content)):
            if request.method != "HEAD":
                given.content = await encode(given.content, coding)
                given.fields["content-length"] = str(len(given.content))
            else:
                del given.fields["content-length"]
        elif isinstance(given, Stream):
            given.change(partial(encode_stream, coding=coding))
        else:
            return given
        given.fields["content-encoding"] = coding
        return given

    return answer


class _Encoder(Protocol):
    """An encoder of a stream: both libraries', and zlib's."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


async def encode_stream(chunks: AsyncGenerator[bytes], coding: Coding) -> AsyncGenerator[bytes]:
    """Yield `chunks` encoded as one stream."""
    encoder: _Encoder = (
        isal_zlib.compressobj(_GZIP_LEVEL, isal_zlib.DEFLATED, _GZIP_WINDOW)
        if coding is Coding.GZIP
        else ZstdCompressor(level=_ZSTD_LEVEL).compressobj()
    )
    async for chunk in chunks:
        if len(chunk) > _BLOCKING_BYTES:
            encoded = await asyncio.to_thread(encoder.compress, chunk)
        else:
            encoded = encoder.compress(chunk)
        if encoded:
            yield encoded
    yield encoder.flush()
