"""Bulk data of a store request: where each part lies, by its Content-Location (PS3.18 10.5.1.4)."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import urljoin

from pacs_cloud.dicom.coding.encapsulating import Span
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicomweb.media import MediaType
from pacs_cloud.dicomweb.multipart import MAX_PART_HEADER_BYTES
from pacs_cloud.errors import InvalidInstance, InvalidRequest, Refusal
from pacs_cloud.ingest.session import Session
from pacs_cloud.ingest.side_file import SideFile

MAX_LOCATIONS_BYTES: Final = 64 << 20
"""Of all different locations of one request."""
MAX_USES: Final = 4_000_000
"""Parts that the metadata of one request may use, each as often as it is named: without any
length they cost nothing to send, and time to put together."""


class Decoded(NamedTuple):
    """What an image that no transfer syntax holds became.

    Attributes:
        elements: its Image Pixel Description Macro.
        pixels: where its Pixel Data lies in the side file.
    """

    elements: Elements
    pixels: Span


@dataclass(slots=True)
class BulkParts:
    """The parts that came for one location, in their order: one, or one a frame.

    Attributes:
        media: of the first part.
        is_mixed: whether others have another media type or transfer syntax.
        is_used: whether metadata refers to them.
        decoded: of an image that was decoded: once, however many instances it is in.
    """

    media: MediaType
    is_mixed: bool = False
    is_used: bool = False
    decoded: Decoded | None = None
    _offsets: "array[int]" = field(default_factory=lambda: array("Q"))
    _lengths: "array[int]" = field(default_factory=lambda: array("Q"))

    @property
    def spans(self) -> tuple[Span, ...]:
        """Where they lie in the side file."""
        return tuple(map(Span, self._offsets, self._lengths))

    @property
    def count(self) -> int:
        """How many parts."""
        return len(self._offsets)

    def add(self, span: Span, media: MediaType) -> None:
        """Add the next part."""
        if media.name != self.media.name or media.transfer_syntax != self.media.transfer_syntax:
            self.is_mixed = True
        self._offsets.append(span.offset)
        self._lengths.append(span.length)


class StowBulk:
    """The bulk parts of one request, in one side file."""

    def __init__(self, session: Session, base_url: str) -> None:
        """Begin without a file.

        Args:
            session: on whose disk the file is made, when there is a first part.
            base_url: of the request: what relative locations and URIs are relative to.
        """
        self._session = session
        self._base_url = base_url
        self._file: SideFile | None = None
        self._parts: dict[str, BulkParts] = {}
        self._locations_left = MAX_LOCATIONS_BYTES
        self._uses_left = MAX_USES
        self._open: tuple[BulkParts, MediaType, int] | None = None

    def begin(self, location: str, media: MediaType) -> None:
        """Begin a part; raises Unavailable, and InvalidRequest for too many locations."""
        if self._file is None:
            self._file = self._session.side_file()
        key = _absolute(self._base_url, location)
        parts = self._parts.get(key)
        if parts is None:
            self._locations_left -= len(key)
            if self._locations_left < 0:
                raise InvalidRequest("The Content-Locations of one request are too long.")
            parts = self._parts[key] = BulkParts(media)
        self._open = parts, media, self._file.length_bytes

    async def write(self, view: memoryview) -> None:
        """Take the next bytes of the part; raises Unavailable."""
        assert self._file is not None
        await self._file.append(view)

    def end(self) -> None:
        """End the part."""
        assert self._file is not None
        assert self._open is not None
        (parts, media, start), self._open = self._open, None
        parts.add(Span(start, self._file.length_bytes - start), media)

    async def complete(self) -> None:
        """Return when everything can be read; raises Unavailable."""
        if self._file is not None:
            await self._file.flush()

    def find(self, uri: str) -> BulkParts | None:
        """Return the parts that `uri` stands for, None if there are none.

        Frames may be located at `{uri}/frames/{number}`, as WADO-RS once named them.

        Raises:
            InvalidInstance: TOO_LARGE, too many parts are used, or too often.
        """
        if len(uri) > MAX_PART_HEADER_BYTES:
            return None  # no part can have said it, and it would be kept in memory
        key = _absolute(self._base_url, uri)
        parts = self._parts.get(key)
        if parts is None and (frames := list(self._frames(key))):
            parts = BulkParts(frames[0].media)
            for frame in frames:
                frame.is_used = True
                for span in frame.spans:
                    parts.add(span, frame.media)
            self._parts[key] = parts
        if parts is not None:
            parts.is_used = True
            self._uses_left -= parts.count
            if self._uses_left < 0:
                raise InvalidInstance(
                    "Bulk data of one request is used too often.", Refusal.TOO_LARGE
                )
        return parts

    @property
    def unused(self) -> int:
        """How many locations no metadata refers to."""
        return sum(not parts.is_used for parts in self._parts.values())

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes of the side file; blocks, so call it on a thread; raises Unavailable."""
        return b"" if self._file is None else self._file.read(offset, length)

    def keep(self, data: bytes) -> Span:
        """Add what was made of a part, once all are complete; blocks; raises Unavailable."""
        assert self._file is not None
        return Span(self._file.put(data), len(data))

    def close(self) -> None:
        """Give the disk back."""
        if self._file is not None:
            self._file.close()

    def _frames(self, key: str) -> Iterator[BulkParts]:
        number = 1
        while (parts := self._parts.get(f"{key}/frames/{number}")) is not None:
            yield parts
            number += 1


@lru_cache(256)  # frames come one after the other with the same location
def _absolute(base_url: str, uri: str) -> str:
    uri = uri.strip(" \t<>\"'")
    try:
        return urljoin(base_url, uri)
    except ValueError:  # a bracket that is no IPv6 address
        return uri
