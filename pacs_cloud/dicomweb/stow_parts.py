"""The parts of one store request on their way into one session (PS3.18 10.5.1.4)."""

import asyncio
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from pacs_cloud.dicom.coding.encapsulating import Piece
from pacs_cloud.dicomweb import media, stow_metadata
from pacs_cloud.dicomweb.media import MediaType
from pacs_cloud.dicomweb.multipart import MultipartReader, PartBegins, PartBytes, PartEvent
from pacs_cloud.dicomweb.stow_assembly import assemble
from pacs_cloud.dicomweb.stow_bulk import StowBulk
from pacs_cloud.dicomweb.stow_report import Failure, Stored
from pacs_cloud.errors import InvalidInstance, InvalidRequest, Refusal, Unavailable
from pacs_cloud.ingest.reception import Reception
from pacs_cloud.ingest.session import Session

MAX_PARTS: Final = 500_000
"""Of one body: with compressed bulk data each frame may be one."""
MAX_UNREADABLE: Final = 20_000
"""Parts that can only be refused; with more the whole body is."""
MAX_FILES: Final = 100_000
"""Part 10 files of one body: what became of each is in memory until the answer is sent, a
kilobyte or two."""
_COPY_BYTES: Final = 1 << 20
_METADATA: Final = frozenset({media.DICOM_JSON, media.DICOM_XML})
_BATCH: Final = 256
"""Pieces that are made on a thread at a time."""


class _Pending(NamedTuple):
    """An instance whose metadata came."""

    json: bytes
    declared: str | None


class Parts:
    """What came in one body, and what became of it."""

    def __init__(
        self,
        session: Session,
        study: str | None,
        base_url: str,
        root: MediaType,
        gate: asyncio.Semaphore,
        max_bytes: int,
        series: frozenset[str] | None = None,
    ) -> None:
        """Begin with nothing.

        Args:
            session: takes the instances.
            study: the only study accepted; None for any.
            base_url: of the request.
            root: what a part without a Content-Type is; its transfer syntax is that of
                metadata which names none.
            gate: how many instances are put together at a time, for all requests.
            max_bytes: that bulk data may make of them all: instances may share it, and many
                would be far more than the body.
            series: of the study the only ones accepted; None for any.
        """
        self.session = session
        self.bulk = StowBulk(session, base_url)
        self.count = 0
        self.unsupported = 0
        self.stored: list[Stored] = []
        self.failed: list[Failure] = []
        self.unreadable: list[Failure] = []
        self._study, self._series = study, series
        self._root = root
        self._gate = gate
        self._bulk_left = max_bytes
        self._pending: list[_Pending] = []
        self._files_left = MAX_FILES
        self._metadata_left = stow_metadata.MAX_METADATA_BYTES
        self._reception: Reception | None = None
        self._metadata: tuple[MediaType, bytearray] | None = None
        self._has_bulk = False
        self._nested: tuple[MultipartReader, dict[str, str]] | None = None

    def _new_file(self) -> Reception:
        return self.session.begin_file(study_instance_uid=self._study, series=self._series)

    async def take(self, event: PartEvent) -> None:
        """Take the next thing that the body brings.

        Raises:
            InvalidRequest: metadata that is none, or too much of anything.
            Unavailable: there is no disk for bulk data.
        """
        if self._nested is not None:
            await self._take_nested(*self._nested, event)
        elif isinstance(event, PartBegins):
            self._begin(event.headers)
        elif isinstance(event, PartBytes):
            await self._write(event.view)
        else:
            await self._end()

    async def complete(self) -> None:
        """Put together and store the instances that came as metadata and bulk data.

        Raises:
            Unavailable: the disk failed.
        """
        await self.bulk.complete()
        pending, self._pending = self._pending, []
        for one in pending:
            async with self._gate:
                await self._assemble(one)
        self.unreadable += [Failure.of_unused()] * min(self.bulk.unused, MAX_UNREADABLE)

    def abort(self) -> None:
        """Forget the part that is under way, and all bulk data."""
        reception, self._reception = self._reception, None
        if reception is not None:
            reception.abort()
        self.bulk.close()

    def _begin(self, headers: dict[str, str]) -> None:
        kind = self._kind(headers)
        if kind.is_multipart and self._nested is None:
            boundary = kind.parameters.get("boundary", "")
            self._nested = MultipartReader(boundary, max_parts=MAX_PARTS), headers
            return
        self.count += 1
        if self.count > MAX_PARTS:
            raise InvalidRequest("The body has too many parts for one request.")
        location = headers.get("content-location", "")
        if kind.name == media.DICOM:
            self._files_left -= 1
            if self._files_left < 0:
                raise InvalidRequest(f"A body may have up to {MAX_FILES} instances.")
            self._reception = self._new_file()
        elif kind.name in _METADATA or (kind.name in {media.JSON, media.XML} and not location):
            self._metadata = kind, bytearray()
        elif location:
            self.bulk.begin(location, kind)
            self._has_bulk = True
        else:
            self.unsupported += 1
            self._refuse(Failure.of_media_type())

    async def _write(self, view: memoryview) -> None:
        if self._reception is not None:
            self._reception.write(view)
            await self._reception.drain()
        elif self._metadata is not None:
            self._metadata_left -= len(view)
            if self._metadata_left < 0:
                raise stow_metadata.too_large()
            self._metadata[1].extend(view)
        elif self._has_bulk:
            await self.bulk.write(view)

    async def _end(self) -> None:
        if self._reception is not None:
            reception, self._reception = self._reception, None
            await self._finish(reception)
        elif self._metadata is not None:
            (kind, document), self._metadata = self._metadata, None
            self._pending += [
                _Pending(json, kind.transfer_syntax or self._root.transfer_syntax)
                for json in await asyncio.to_thread(_instances, kind.name, document)
            ]
            if len(self._pending) > stow_metadata.MAX_INSTANCES:
                raise InvalidRequest("The metadata of one request has too many instances.")
        elif self._has_bulk:
            self._has_bulk = False
            self.bulk.end()

    async def _take_nested(
        self, reader: MultipartReader, outer: dict[str, str], event: PartEvent
    ) -> None:
        """Take the parts within a part, which inherit its Content-Location."""
        if isinstance(event, PartBytes):
            for inner in reader.feed(bytes(event.view)):
                if isinstance(inner, PartBegins):
                    named = {"content-type": media.OCTETS, **inner.headers}
                    if "content-location" in outer:
                        named.setdefault("content-location", outer["content-location"])
                    self._begin(named)
                elif isinstance(inner, PartBytes):
                    await self._write(inner.view)
                else:
                    await self._end()
            return
        reader.finish()
        self._nested = None

    def _kind(self, headers: dict[str, str]) -> MediaType:
        named = headers.get("content-type")
        if named is None:
            return MediaType(media.OCTETS) if "content-location" in headers else self._root
        try:
            return _parsed(named)
        except (InvalidRequest, InvalidInstance):
            return MediaType("")

    async def _assemble(self, one: _Pending) -> None:
        pieces = assemble(one.json, self.bulk, one.declared)
        reception: Reception | None = None
        try:
            while batch := await asyncio.to_thread(_next_pieces, pieces):
                if reception is None:
                    reception = self._new_file()
                for piece in batch:
                    await self._copy(piece, reception)
            assert reception is not None
        except (InvalidInstance, Unavailable) as error:
            if reception is not None:
                reception.abort()
            self._fail(error)
        except BaseException:
            if reception is not None:
                reception.abort()
            raise
        else:
            await self._finish(reception)

    async def _copy(self, piece: Piece, reception: Reception) -> None:
        if isinstance(piece, bytes):
            reception.write(piece)
            await reception.drain()
            return
        self._bulk_left -= piece.length
        if self._bulk_left < 0:
            raise InvalidInstance("Bulk data of one request is used too often.", Refusal.TOO_LARGE)
        for start in range(piece.offset, piece.offset + piece.length, _COPY_BYTES):
            length = min(_COPY_BYTES, piece.offset + piece.length - start)
            data = await asyncio.to_thread(self.bulk.read, start, length)
            if len(data) != length:
                raise Unavailable("bulk data that waited on disk is not there any more")
            reception.write(data)
            await reception.drain()

    async def _finish(self, reception: Reception) -> None:
        try:
            self.stored.append(Stored.of(await reception.finish()))
        except (InvalidInstance, Unavailable) as error:
            self._fail(error)

    def _fail(self, error: InvalidInstance | Unavailable) -> None:
        failure = Failure.of_error(error)
        if failure.sop_instance_uid:
            self.failed.append(failure)
        else:
            self._refuse(failure)

    def _refuse(self, failure: Failure) -> None:
        if len(self.unreadable) >= MAX_UNREADABLE:
            raise InvalidRequest("The body has too many parts that are not understood.")
        self.unreadable.append(failure)


_parsed = lru_cache(256)(media.parse_media_type)


def _instances(kind: str, document: bytearray) -> list[bytes]:
    if kind in {media.DICOM_XML, media.XML}:
        return [stow_metadata.from_xml(bytes(document))]
    return stow_metadata.split(document)


def _next_pieces(pieces: Iterator[Piece]) -> list[Piece]:
    """Return some more pieces, small ones joined; none at the end; raises as `assemble`."""
    batch: list[Piece] = []
    small: list[bytes] = []
    length = 0
    for piece in pieces:
        if isinstance(piece, bytes):
            small.append(piece)
            length += len(piece)
        else:
            batch += [b"".join(small), piece]
            small.clear()
        if len(batch) >= _BATCH or length >= _COPY_BYTES:
            break
    if small:
        batch.append(b"".join(small))
    return batch
