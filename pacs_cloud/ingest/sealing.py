"""Sealing a spool file: its index and directory behind its instances make it a pack."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pacs_cloud.pack.build import Entry, build_index
from pacs_cloud.pack.index import encode_index
from pacs_cloud.pack.writer import PackWriter

SyncFile = Callable[[int], None]
"""Makes an open file's bytes durable; raises OSError. `os.fdatasync`, but for tests."""


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """Whose instances a pack holds: a pack is of one series."""

    tenant: str
    study_instance_uid: str
    series_instance_uid: str


def seal(
    fd: int, writer: PackWriter, entries: Sequence[Entry], *, pack_id: str, series: SeriesKey
) -> int:
    """Append index and directory; return the pack's length. The caller syncs.

    Raises:
        OSError: from the write; the file is as before.
    """
    index = build_index(
        entries,
        pack_id=pack_id,
        tenant=series.tenant,
        study_instance_uid=series.study_instance_uid,
        series_instance_uid=series.series_instance_uid,
    )
    os.ftruncate(fd, writer.length_bytes)
    return writer.finish(encode_index(index, [entry.header for entry in entries]))
