"""Packs that turn out to be cold when they are read, though the catalogue says otherwise.

A bucket's own lifecycle moves an object whenever it likes, and the catalogue hears of
it at the next look. Whoever reads in between is told to come again; by then the record
says what is true, and the pack is asked for as any other.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import replace
from typing import Final

from pacs_cloud.catalogue.pack_facts import note_packs
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.errors import Offline
from pacs_cloud.objectstore.keys import parse_pack_key
from pacs_cloud.objectstore.port import CHUNK_BYTES, Availability, ObjectStore
from pacs_cloud.objectstore.storage_classes import is_at_hand
from pacs_cloud.tiering.access.watch import PackRead, WatchedObjects
from pacs_cloud.tiering.recall.marks import key_of

_LATELY_US: Final = 60_000_000


class ColdBySurprise(Offline):
    """The catalogue has just learned that a pack is cold."""

    retry_after_s = 1


class NotingObjects(WatchedObjects):
    """A watched object store, whose readers note what they find cold."""

    def __init__(
        self,
        objects: ObjectStore,
        read: PackRead,
        catalogue: Catalogue,
        now_us: Callable[[], int],
    ) -> None:
        """Read `objects`.

        Args:
            objects: where packs lie.
            read: is told of each read.
            catalogue: where it is noted.
            now_us: returns the time, microseconds since 1970 UTC.
        """
        super().__init__(objects, read)
        self._catalogue = catalogue
        self._now_us = now_us
        # A crowd may read one pack: who comes second finds the record mended, and was surprised.
        self._lately: dict[str, int] = {}

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """As the store, told and noted."""
        try:
            return await super().get(key, start, end)
        except Offline as error:
            raise await self._noted(key, error) from error

    async def get_suffix(self, key: str, length_bytes: int) -> tuple[bytes, int]:
        """As the store, told and noted."""
        try:
            return await super().get_suffix(key, length_bytes)
        except Offline as error:
            raise await self._noted(key, error) from error

    async def stream(
        self, key: str, start: int = 0, end: int | None = None, *, chunk_bytes: int = CHUNK_BYTES
    ) -> AsyncIterator[bytes]:
        """As the store, told and noted."""
        chunks = super().stream(key, start, end, chunk_bytes=chunk_bytes)
        try:
            async for chunk in chunks:
                yield chunk
        except Offline as error:
            raise await self._noted(key, error) from error
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()

    async def _noted(self, key: str, error: Offline) -> Offline:
        """Return what to raise for `error`: the record has been mended where it was wrong."""
        named, now_us = parse_pack_key(key), self._now_us()
        if named is None:
            return error
        info = await self._objects.head(key)
        if info.availability is Availability.ONLINE:
            return ColdBySurprise("it has arrived just now")
        self._lately = {
            name: at_us for name, at_us in self._lately.items() if now_us - at_us < _LATELY_US
        }

        def noted(pack: PackRecord) -> PackRecord:
            is_known = not is_at_hand(pack.storage_class, pack.recalled_until_us, now_us)
            if key_of(pack) != named or is_known:
                return pack
            self._lately[key] = now_us
            return replace(
                pack,
                storage_class=info.storage_class,
                recalled_until_us=min(pack.recalled_until_us, now_us),
            )

        study = named.tenant, named.study_instance_uid
        await note_packs(self._catalogue, *study, noted, now_us=now_us)
        return ColdBySurprise("it is cold, which nobody knew") if key in self._lately else error
