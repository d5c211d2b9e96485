"""Everything that reads stored instances, put together over one catalogue and object store."""

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.retrieve.bulk import Bulk
from pacs_cloud.retrieve.frames import Frames
from pacs_cloud.retrieve.inflated import DataSets
from pacs_cloud.retrieve.instances import Instances
from pacs_cloud.retrieve.metadata import Metadata
from pacs_cloud.retrieve.tables import PackTables
from pacs_cloud.retrieve.transcoding import Transcoder


class Archive:
    """The reading side of one archive, shared by every edge of a process.

    Attributes:
        objects: where packs lie.
        tables: decoded pack tables; `query.service.Search` reads the same.
        instances: finds visible instances.
        frames: their frames.
        bulk: their bulk values.
        metadata: their headers.
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
        transcode_threads: int = 2,
        transcode_max_bytes: int = 2 << 30,
    ) -> None:
        """Put the parts together.

        Args:
            catalogue: studies, series and packs.
            objects: where packs lie.
            tables_max_bytes: of decoded pack tables kept in memory.
            headers_max_bytes: of header JSON kept in memory.
            inflated_max_bytes: of inflated data sets kept in memory.
            transcode_threads: how many instances or frames are decompressed at once.
            transcode_max_bytes: the largest instance that is decompressed whole.
        """
        self.objects = objects
        self.tables = PackTables(
            catalogue,
            objects,
            tables_max_bytes=tables_max_bytes,
            headers_max_bytes=headers_max_bytes,
        )
        data_sets = DataSets(objects, inflated_max_bytes=inflated_max_bytes)
        self.instances = Instances(catalogue, self.tables)
        self.frames = Frames(data_sets)
        self.bulk = Bulk(data_sets)
        self.metadata = Metadata(self.tables)
        self.transcoder = Transcoder(
            objects, self.tables, threads=transcode_threads, max_bytes=transcode_max_bytes
        )

    def close(self) -> None:
        """Let go of the threads; nothing may be read afterwards."""
        self.transcoder.close()
