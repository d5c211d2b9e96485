"""Headers of instances as DICOM JSON, straight from the packs' indexes (PS3.18 10.4.1.1.3)."""

from collections.abc import AsyncGenerator, Sequence
from itertools import groupby

from pacs_cloud.retrieve.instances import Located
from pacs_cloud.retrieve.tables import PackTables

_STORED_URI = b'"BulkDataURI":"instances/'
"""How stored headers refer to bulk data, relative to their series. A JSON string's own quotes
are escaped, so these bytes are nothing else."""


class Metadata:
    """Headers as they are served."""

    def __init__(self, tables: PackTables) -> None:
        self._tables = tables

    async def array(self, located: Sequence[Located], root: str) -> AsyncGenerator[bytes]:
        """Yield the JSON array of the headers of `located`, in its order, a pack at a time.

        Args:
            located: as `Instances.locate` returns them.
            root: the absolute URL above `/studies`, without a slash at its end and
                without characters that JSON escapes.
        """
        before = b"["
        for _, group in groupby(located, key=lambda one: one.pack.pack_id):
            some = list(group)
            headers = await self._headers(some, root)
            yield before
            yield headers  # a megabyte, perhaps: not copied once more
            before = b","
        yield b"]" if located else b"[]"

    async def _headers(self, located: Sequence[Located], root: str) -> bytes:
        first = located[0]
        headers = await self._tables.headers(first.pack.tenant, first.ref)
        if len(located) < len(first.index.instances):
            headers = b",".join(
                headers[
                    one.instance.header_offset : one.instance.header_offset
                    + one.instance.header_length
                ]
                for one in located
            )
        series = (
            f"{root}/studies/{first.pack.study_instance_uid}"
            f"/series/{first.pack.series_instance_uid}"
        )
        return headers.replace(_STORED_URI, f'"BulkDataURI":"{series}/instances/'.encode())
