"""What lies in a spool, seen from outside."""

from dataclasses import dataclass
from pathlib import Path

from pacs_cloud.ingest.directory import QUARANTINE


@dataclass(frozen=True, slots=True)
class SpoolFile:
    """A file that waits in the spool, or was put aside.

    Attributes:
        process: the directory of the process that wrote it.
        name: without patient data.
        length_bytes: so far.
        changed_us: when it was written to last, microseconds since 1970 UTC.
        is_quarantined: whether it was put aside because it could not be committed.
    """

    process: str
    name: str
    length_bytes: int
    changed_us: int
    is_quarantined: bool


@dataclass(frozen=True, slots=True)
class SpoolContents:
    """What waits in the spool of all processes.

    Attributes:
        packs: open ones and those that wait for their commit.
        length_bytes: of these.
        quarantined: files put aside because they could not be committed.
        oldest_us: when the oldest of the packs was written to last; 0: there is none.
    """

    packs: int
    length_bytes: int
    quarantined: int
    oldest_us: int = 0


def spool_files(spool: Path) -> list[SpoolFile]:
    """Return what lies under `spool` at this moment, the oldest first; nothing without one."""
    found: list[SpoolFile] = []
    for path in spool.glob("*/*"):
        is_quarantined = path.parent.name == QUARANTINE
        if not is_quarantined and path.suffix != ".zip":
            continue
        try:
            stat = path.stat()
        except FileNotFoundError:  # committed while we looked
            continue
        changed_us = stat.st_mtime_ns // 1000
        found.append(
            SpoolFile(path.parent.name, path.name, stat.st_size, changed_us, is_quarantined)
        )
    return sorted(found, key=lambda one: one.changed_us)


def spool_contents(spool: Path) -> SpoolContents:
    """Return how much lies under `spool` at this moment; nothing where it does not exist."""
    files = spool_files(spool)
    waiting = [one for one in files if not one.is_quarantined]
    return SpoolContents(
        len(waiting),
        sum(one.length_bytes for one in waiting),
        len(files) - len(waiting),
        min((one.changed_us for one in waiting), default=0),
    )
