"""A pack as a catalogue shall have it, and how what it has differs from that."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from pacs_cloud.catalogue.hiding import Hidden
from pacs_cloud.catalogue.records import PackRecord, StagedPack
from pacs_cloud.pack.index import PackIndex

NOT_OVER = 0
"""`committed_us` of a pack of which it is not yet known what it disagrees with elsewhere."""


@dataclass(frozen=True, slots=True)
class WantedPack:
    """A pack that the catalogue shall have.

    Attributes:
        read: returns its table, and the pack as it is staged.
        length_bytes: of its object.
        storage_class: where that lies.
        hidden: what of it is not shown, and why.
    """

    read: Callable[[], tuple[PackIndex, StagedPack]]
    length_bytes: int
    storage_class: str
    hidden: Hidden


def is_kept(record: PackRecord | None, wanted: WantedPack) -> bool:
    """Return whether the catalogue has a pack as it shall be, but for where its object lies."""
    return (
        record is not None
        and record.committed_us != NOT_OVER
        and record.length_bytes == wanted.length_bytes
        and dict(record.hidden) == dict(wanted.hidden)
    )


def placed(made: PackRecord, before: PackRecord | None, wanted: WantedPack) -> PackRecord:
    """Return a record with what no index tells: when it came, and where its object lies."""
    if before is None or before.committed_us == NOT_OVER:
        return replace(made, storage_class=wanted.storage_class)
    return replace(
        before,
        length_bytes=made.length_bytes,
        instance_count=made.instance_count,
        hidden=made.hidden,
        amendments=made.amendments,
        storage_class=wanted.storage_class,
    )
