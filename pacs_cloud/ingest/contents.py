"""What lies in a spool, seen from outside."""

from dataclasses import dataclass
from pathlib import Path

from pacs_cloud.ingest.directory import QUARANTINE


@dataclass(frozen=True, slots=True)
class SpoolContents:
    """What waits in the spool of all processes.

    Attributes:
        packs: open ones and those that wait for their commit.
        length_bytes: of these.
        quarantined: files put aside because they could not be committed.
    """

    packs: int
    length_bytes: int
    quarantined: int


def spool_contents(spool: Path) -> SpoolContents:
    """Return what lies under `spool` at this moment; nothing where it does not exist."""
    packs = length_bytes = quarantined = 0
    for path in spool.glob("*/*"):
        if path.parent.name == QUARANTINE:
            quarantined += 1
        elif path.suffix == ".zip":
            packs += 1
            try:
                length_bytes += path.stat().st_size
            except FileNotFoundError:  # committed while we looked
                packs -= 1
    return SpoolContents(packs, length_bytes, quarantined)
