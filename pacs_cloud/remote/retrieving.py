"""WADO-RS, asked (PS3.18 10.4): instances as files, one at a time, and a study as a ZIP file."""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpx

from pacs_cloud.dicom.part10 import read_file_meta
from pacs_cloud.dicomweb.media import DICOM, MULTIPART, parse_media_type
from pacs_cloud.dicomweb.multipart import MultipartReader, PartBytes
from pacs_cloud.errors import InvalidInstance, InvalidRequest, NotAcceptable, Unavailable
from pacs_cloud.remote.connection import OK, Connection, Reply
from pacs_cloud.remote.searching import Place

LARGEST_BYTES: Final = 64 << 30
"""Of one file; whoever sends more sends for ever."""

_ACCEPT: Final = f'{MULTIPART}; type="{DICOM}"; transfer-syntax=*'
_ZIP: Final = "application/zip"
_OR_UNCHANGED: Final = frozenset({200, 304})
_HEAD_BYTES: Final = 16 << 10
"""Of a file: its file meta information is in there."""
_ETAG: Final = re.compile(r'"[!#-~]{1,200}"')


@dataclass(frozen=True, slots=True)
class Sent:
    """A file that comes.

    Attributes:
        etag: of the state that it is in, "" where the archive does not say.
        length_bytes: of it, None where the archive does not say.
        chunks: yields it; raises Unavailable.
    """

    etag: str
    length_bytes: int | None
    chunks: AsyncIterator[bytes]


@asynccontextmanager
async def instance(
    connection: Connection, study: str, place: Place, *, etag: str = ""
) -> AsyncGenerator[Sent | None]:
    """Give an instance's Part 10 file, None where it is still in the state that `etag` marks.

    Raises:
        Denied, NotFound, Unavailable, …: as `Connection.ask`.
    """
    path = f"/studies/{study}/series/{place.series_instance_uid}"
    path += f"/instances/{place.sop_instance_uid}"
    headers = {"accept": _ACCEPT, **({"if-none-match": etag} if etag else {})}
    fine = _OR_UNCHANGED if etag else OK
    async with connection.ask("GET", path, headers=headers, fine=fine) as reply:
        if reply.status == 304:
            yield None
            return
        file = _checked(_file(reply, connection.name), place.sop_instance_uid, connection.name)
        yield Sent(_etag_of(reply), None, file)


@asynccontextmanager
async def zip_file(connection: Connection, study: str) -> AsyncGenerator[Sent]:
    """Give a study as a ZIP file (PS3.18 8.6.1.3).

    Raises:
        NotAcceptable: the archive makes none.
        Denied, NotFound, Unavailable, …: as `Connection.ask`.
    """
    path, headers = f"/studies/{study}", {"accept": _ZIP}
    none = NotAcceptable(f"{connection.name} makes no ZIP files: --output a directory")
    try:
        async with connection.ask("GET", path, headers=headers) as reply:
            if reply.content_type != _ZIP:
                raise none
            length = reply.headers.get("content-length", "")
            length_bytes = int(length) if length.isdecimal() and len(length) < 20 else None
            yield Sent(_etag_of(reply), length_bytes, _whole(reply, connection.name))
    except (NotAcceptable, InvalidRequest):  # some call a media type they do not know malformed
        raise none from None


def _etag_of(reply: Reply) -> str:
    etag = reply.headers.get("etag", "")
    return etag if _ETAG.fullmatch(etag) else ""


async def _file(reply: Reply, name: str) -> AsyncGenerator[bytes]:
    """Yield the only part of an answer, or all of one that has no parts."""
    if reply.content_type == DICOM:
        async for chunk in _whole(reply, name):
            yield chunk
        return
    try:
        kind = parse_media_type(reply.headers.get("content-type", ""))
        if kind.name != MULTIPART:
            raise Unavailable(f"{name} answers with no DICOM file")
        reader = MultipartReader(kind.parameters.get("boundary", ""), max_parts=1)
        async for chunk in _bounded(reply, name):
            for event in reader.feed(chunk):
                if isinstance(event, PartBytes):
                    yield bytes(event.view)
        reader.finish()
    except (InvalidRequest, InvalidInstance) as error:
        raise Unavailable(f"{name} answers with a file that is not whole: {error}") from error


async def _whole(reply: Reply, name: str) -> AsyncGenerator[bytes]:
    """Yield a body of which it can be told whether it was cut off (RFC 9112 6.3)."""
    if not {"content-length", "transfer-encoding"} & {field.lower() for field in reply.headers}:
        raise Unavailable(f"{name} does not say how long its file is")
    async for chunk in _bounded(reply, name):
        yield chunk


async def _bounded(reply: Reply, name: str) -> AsyncGenerator[bytes]:
    length_bytes = 0
    try:
        async for chunk in reply.chunks():
            length_bytes += len(chunk)
            if length_bytes > LARGEST_BYTES:
                raise Unavailable(f"{name} sends a file that does not end")
            yield chunk
    except (TimeoutError, httpx.HTTPError) as error:
        raise Unavailable(f"{name} breaks off in the middle of a file") from error


async def _checked(
    chunks: AsyncIterator[bytes], sop_instance_uid: str, name: str
) -> AsyncGenerator[bytes]:
    """Yield a file once its head says that it is the one that was asked for."""
    head = b""
    is_seen = False
    async for chunk in chunks:
        if is_seen:
            yield chunk
            continue
        head += chunk
        if len(head) >= _HEAD_BYTES:
            _check(head, sop_instance_uid, name)
            is_seen = True
            yield head
    if not is_seen:
        _check(head, sop_instance_uid, name)
        yield head


def _check(head: bytes, sop_instance_uid: str, name: str) -> None:
    try:
        uid = read_file_meta(head).sop_instance_uid
    except InvalidInstance as error:
        raise Unavailable(f"{name} answers with no DICOM file") from error
    if uid not in {"", sop_instance_uid}:
        raise Unavailable(f"{name} answers with another instance than was asked for")
