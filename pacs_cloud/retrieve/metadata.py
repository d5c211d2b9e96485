"""Headers of instances as DICOM JSON, straight from the packs' indexes (PS3.18 10.4.1.1.3)."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from itertools import groupby
from typing import Final

import orjson

from pacs_cloud.dicom.amendment import Amendment
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.retrieve.tables import PackTables, header_in

_STORED_URI = b'"BulkDataURI":"instances/'
"""How stored headers refer to bulk data, relative to their series. A JSON string's own quotes
are escaped, so these bytes are nothing else."""
_AMENDED_AT_ONCE: Final = 64
"""Headers: each may have grown by all that a study's amendments say."""
_SAID_BYTES: Final = 400
"""What is said of an amendment beside its elements, roughly."""


class Metadata:
    """Headers as they are served."""

    def __init__(self, tables: PackTables) -> None:
        self._tables = tables

    async def array(self, located: Sequence[Located], root: str) -> AsyncGenerator[bytes]:
        """Yield the JSON array of the headers of `located`, in its order, a pack at a time.

        Of a pack that is amended, a part at a time.

        Args:
            located: as `Instances.locate` returns them.
            root: the absolute URL above `/studies`, without a slash at its end and
                without characters that JSON escapes.
        """
        before = b"["
        for _, group in groupby(located, key=lambda one: one.pack.pack_id):
            some = list(group)
            at_once = _AMENDED_AT_ONCE if some[0].pack.amendments else len(some)
            for begin in range(0, len(some), at_once):
                headers = await self._headers(some[begin : begin + at_once], root)
                yield before
                yield headers  # a megabyte, perhaps: not copied once more
                before = b","
        yield b"]" if located else b"[]"

    async def _headers(self, located: Sequence[Located], root: str) -> bytes:
        first = located[0]
        headers = await self._tables.headers(first.pack.tenant, first.ref)
        if first.pack.amendments:
            headers = await asyncio.to_thread(_shown, headers, located)
        elif len(located) < len(first.index.instances):
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


def _shown(headers: bytes, located: Sequence[Located]) -> bytes:
    """Return the headers of some of a pack's instances as its amendments show them."""
    return b",".join(orjson.dumps(header_in(headers, one.pack, one.instance)) for one in located)


def length_of_headers(located: Sequence[Located]) -> int:
    """Return how many bytes the headers of `located` have together, amended ones roughly."""
    total = 0
    added: dict[str, int] = {}
    for one in located:
        total += one.instance.header_length
        if one.pack.amendments:
            pack_id = one.pack.pack_id
            if pack_id not in added:
                added[pack_id] = sum(map(_added_bytes, one.pack.amendments))
            total += added[pack_id]
    return total


def _added_bytes(amendment: Amendment) -> int:
    return len(orjson.dumps(amendment.elements)) + _SAID_BYTES
