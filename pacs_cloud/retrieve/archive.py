"""Everything that reads stored instances, put together over one catalogue and object store."""

from collections.abc import Sequence
from copy import copy
from typing import Self

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.dicom.pixel_format import PixelFormat
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.retrieve.amended_files import AmendedFiles
from pacs_cloud.retrieve.bulk import Bulk
from pacs_cloud.retrieve.bundles import Bundles
from pacs_cloud.retrieve.cache import BoundedCache
from pacs_cloud.retrieve.frames import Frames
from pacs_cloud.retrieve.inflated import DataSets
from pacs_cloud.retrieve.instances import (
    Demand,
    Instances,
    Located,
    Opened,
    demanded,
    no_demand,
    not_told,
)
from pacs_cloud.retrieve.metadata import Metadata
from pacs_cloud.retrieve.pixel_workers import PixelWorkers
from pacs_cloud.retrieve.rendered import Renderer
from pacs_cloud.retrieve.renditions import Renditions
from pacs_cloud.retrieve.stored_parts import Stored
from pacs_cloud.retrieve.tables import PackTables
from pacs_cloud.retrieve.thumbnails import AtHand, Thumbnails, always_at_hand
from pacs_cloud.retrieve.transcoding import Transcoder
from pacs_cloud.retrieve.viewed_headers import ViewedHeaders
from pacs_cloud.security.labels import SENSITIVE
from pacs_cloud.security.witness import NOBODY, Witness


class Archive:
    """The reading side of one archive, shared by every edge of a process.

    Attributes:
        objects: where packs lie.
        tables: decoded pack tables; `query.service.Search` reads the same.
        instances: finds visible instances.
        frames: their frames.
        bulk: their bulk values.
        metadata: their headers.
        files: themselves, as amendments show them.
        bundles: many of them as one ZIP file.
        workers: the processes that decode, encode and render pixels.
        renderer: frames as pictures.
        thumbnails: pictures that are kept of what goes cold.
        renditions: reports, documents and videos as a browser shows them.
        pixel_cache: what they made, by pack, instance, frame and variant.
        transcoder: their files and frames in another transfer syntax.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        objects: ObjectStore,
        *,
        tables_max_bytes: int = 128 << 20,
        headers_max_bytes: int = 64 << 20,
        inflated_max_bytes: int = 256 << 20,
        pixel_processes: int = 2,
        pixel_cache_bytes: int = 128 << 20,
        transcode_max_bytes: int = 512 << 20,
        demand: Demand = no_demand,
        opened: Opened = not_told,
        witness: Witness = NOBODY,
        at_hand: AtHand = always_at_hand,
        sensitive: frozenset[str] = SENSITIVE,
    ) -> None:
        """Put the parts together.

        Args:
            catalogue: studies, series and packs.
            objects: where packs lie.
            tables_max_bytes: of decoded pack tables kept in memory.
            headers_max_bytes: of header JSON kept in memory.
            inflated_max_bytes: of inflated data sets kept in memory.
            pixel_processes: how many processes work on pixels; each is started when needed.
            pixel_cache_bytes: of decoded, transcoded and rendered frames kept in memory.
            transcode_max_bytes: of an instance without its pixel data, to be transcoded.
            demand: sees to it that packs can be read.
            opened: is told of each request that opens a study.
            witness: puts on record who saw what.
            at_hand: tells whether a pack can be read now.
            sensitive: labels that hide a study from whoever is not named for them.
        """
        self.objects = objects
        self._demand = demand
        self.tables = PackTables(
            catalogue,
            objects,
            tables_max_bytes=tables_max_bytes,
            headers_max_bytes=headers_max_bytes,
        )
        data_sets = DataSets(objects, inflated_max_bytes=inflated_max_bytes)
        told = opened, witness, sensitive
        self.instances = Instances(catalogue, self.tables, no_demand, *told)
        self._readable = Instances(catalogue, self.tables, demand, *told)
        self.frames = Frames(data_sets)
        self.bulk = Bulk(data_sets)
        self.metadata = Metadata(self.tables)
        self.files = AmendedFiles(objects, data_sets)
        self.bundles = Bundles(objects, self.tables, self.files)
        self.workers = PixelWorkers(pixel_processes)
        half = pixel_cache_bytes // 2
        self.pixel_cache: BoundedCache[tuple[bytes, PixelFormat]] = BoundedCache(half, "frames")
        stored = Stored(data_sets, self.tables)
        viewed = ViewedHeaders(objects, stored, self.bulk)
        self.renderer = Renderer(
            self._readable, viewed, self.frames, self.workers, pictures_max_bytes=half
        )
        self.thumbnails = Thumbnails(
            catalogue, objects, self.instances, self.renderer, self.workers, at_hand
        )
        self.renditions = Renditions(objects, viewed, self.bulk)
        self.transcoder = Transcoder(
            stored,
            self.workers,
            self.pixel_cache,
            processes=pixel_processes,
            max_bytes=transcode_max_bytes,
        )

    @property
    def readable(self) -> Self:
        """The same archive; but its `instances` finds only what can be read at once.

        Else it raises Offline, before anything is read, and has asked for it.
        """
        view = copy(self)
        view.instances = self._readable
        return view

    async def require(self, located: Sequence[Located]) -> None:
        """Return when all of `located` can be read; else raises Offline, and has asked for it."""
        await demanded(self._demand, located)

    def close(self) -> None:
        """End the processes; nothing may be read afterwards."""
        self.workers.close()
