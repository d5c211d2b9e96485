"""Sealing a spool file: its index and directory behind its instances make it a pack."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pacs_cloud.pack.build import Entry, build_index
from pacs_cloud.pack.index import PackIndex, encode_index
from pacs_cloud.pack.writer import PackWriter

SyncFile = Callable[[int], None]
"""Makes an open file's bytes durable; raises OSError. `os.fdatasync`, but for tests."""


class SeriesKey(NamedTuple):
    """Whose instances a pack holds: a pack is of one series."""

    tenant: str
    study_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True)
class Sealed:
    """A complete pack's length and index.

    Attributes:
        length_bytes: of the pack.
        table: what is in it.
        index: the bytes of its `index.zst`, of which `table` is one frame.
    """

    length_bytes: int
    table: PackIndex
    index: bytes


def seal(
    fd: int, writer: PackWriter, entries: Sequence[Entry], *, pack_id: str, series: SeriesKey
) -> Sealed:
    """Append index and directory, and return what the pack is now. The caller syncs.

    Raises:
        OSError: from the write; the file is as before.
    """
    table = build_index(
        entries,
        pack_id=pack_id,
        tenant=series.tenant,
        study_instance_uid=series.study_instance_uid,
        series_instance_uid=series.series_instance_uid,
    )
    os.ftruncate(fd, writer.length_bytes)
    encoded = encode_index(table, [entry.header for entry in entries])
    return Sealed(writer.finish(encoded), table, encoded)
