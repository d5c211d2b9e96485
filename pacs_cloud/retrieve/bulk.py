"""One bulk value of an instance by its path (PS3.18 10.4, F.2.6)."""

import re
from collections.abc import AsyncIterator, Sequence
from typing import Final

from pacs_cloud.dicom import uid
from pacs_cloud.dicom.byte_order import swap_words, word_bytes
from pacs_cloud.dicom.frames import PixelData
from pacs_cloud.dicom.header import BulkValue
from pacs_cloud.errors import NotFound
from pacs_cloud.retrieve.frames import beside
from pacs_cloud.retrieve.inflated import DataSets
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.retrieve.pieces import Made, Piece

_DOCUMENT: Final = "00420011"
_DOCUMENT_TYPE: Final = "00420012"
_ITEM_BYTES: Final = 8
_CHUNK_BYTES: Final = 1 << 20
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9.+\-]+/[a-z0-9.+\-]+")


class Bulk:
    """Bulk values as pieces of a response."""

    def __init__(self, data_sets: DataSets) -> None:
        self._data_sets = data_sets

    def pieces(self, located: Located, path: str) -> Sequence[Piece]:
        """Return the value at `path`, little endian; encapsulated pixel data with its item tags.

        Args:
            located: the instance.
            path: as its metadata's BulkDataURI ends: `7FE00010`, `54000100/0/54001010`.

        Raises:
            NotFound: the instance has no such bulk value.
        """
        value = next((value for value in located.instance.bulk if value.path == path), None)
        if value is None:
            raise NotFound("There is no such bulk data.")
        return self.pieces_of(located, value)

    def pieces_of(self, located: Located, value: BulkValue) -> Sequence[Piece]:
        """Return one of an instance's bulk values likewise: of many, without looking for each."""
        syntax = located.instance.transfer_syntax_uid
        is_swapped = syntax == uid.EXPLICIT_BE and word_bytes(value.vr) > 1
        if is_swapped or uid.is_deflated(syntax):
            return (Made(lambda: self._made(located, value, is_swapped=is_swapped), value.length),)
        return (located.data_set(value.offset, value.offset + value.length),)

    def media_type(self, located: Located, path: str) -> str:
        """Return what an encapsulated document is (PS3.3 C.24.2), "" for other values."""
        if path != _DOCUMENT:
            return ""
        element = located.index.attributes_of(located.instance).get(_DOCUMENT_TYPE, {})
        named = str(next(iter(element.get("Value", ())), "")).lower()
        return named if _MEDIA_TYPE.fullmatch(named) else ""

    def codestream(self, located: Located, pixels: PixelData) -> Piece:
        """Return encapsulated pixel data as one codestream, as a video is, without item tags."""
        return Made(lambda: self._fragments(located, pixels))

    async def _fragments(self, located: Located, pixels: PixelData) -> AsyncIterator[bytes]:
        at, end = pixels.offset, pixels.offset + pixels.length
        is_table = True
        while at + _ITEM_BYTES <= end:
            header = await self._data_sets.read(located, at, at + _ITEM_BYTES)
            start = at + _ITEM_BYTES
            at = start + int.from_bytes(header[4:], "little")
            if not is_table:
                for first in range(start, min(at, end), _CHUNK_BYTES):
                    yield await self._data_sets.read(
                        located, first, min(first + _CHUNK_BYTES, at, end)
                    )
            is_table = False

    async def _made(
        self, located: Located, value: BulkValue, *, is_swapped: bool
    ) -> AsyncIterator[bytes]:
        data = await self._data_sets.read(located, value.offset, value.offset + value.length)
        yield await beside(swap_words, data, value.vr) if is_swapped else data
